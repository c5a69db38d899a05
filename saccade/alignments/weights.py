"""Links out of weights: of tokens to those of words, and of words to links."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.alignments import Links


def words_at(stretches: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int]:
    """The word that each token is a piece of, for a text that is `words` with one space between.

    A token belongs to the word of its last character. The space before a word is of that word, whether it is a token
    of its own or the beginning of one. A token that stands for nothing of the text belongs to none, -1.

    Args:
        stretches: where each token stands in the text: its first character, and the one behind its last.

    >>> words_at([(0, 2), (2, 4), (4, 8), (8, 9)], ["half", "past"])
    [0, 0, 1, 1]
    """
    places = [number for number, text in enumerate(words) for _ in range(len(text) + (number > 0))]
    return [places[end - 1] if end > begin else -1 for begin, end in stretches]


def word_weights(
    weights: ArrayLike, source: Sequence[int], target: Sequence[int], *, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """The weights of words: the sum over the pieces that were looked at, the mean over those that look.

    `W[t, s] = 1 / |t|  sum over i of word t, j of word s of w[i, j]`. Where every token belongs to a word, the sum of
    a row stays what it was; a word without a piece has zeros.

    Args:
        weights: `[..., target token, source token]`.
        source: the number of each source token's word, counting up; -1 for a token of none.
        target: the same for target tokens.
        shape: how many words there are, target and source.

    Returns:
        float32 `[..., target word, source word]`.

    >>> word_weights([[0.5, 0.25, 0.25]], [0, 0, 1], [0], shape=(1, 2)).tolist()
    [[0.75, 0.25]]
    """
    given, (rows, columns) = np.asarray(weights, np.float64), shape
    looked = _summed(_summed(given, np.asarray(source, int), columns, -1), np.asarray(target, int), rows, -2)
    pieces = np.bincount([word for word in target if word >= 0], minlength=rows)
    return (looked / np.maximum(pieces, 1)[:, None]).astype(np.float32)


def _summed(weights: NDArray[np.float64], words: NDArray[np.int_], count: int, axis: int) -> NDArray[np.float64]:
    kept = np.flatnonzero(words >= 0)
    there, starts = np.unique(words[kept], return_index=True)  # words count up
    last = np.moveaxis(weights, axis, -1)[..., kept]
    found = np.zeros((*last.shape[:-1], count))
    if len(there):
        found[..., there] = np.add.reduceat(last, starts, axis=-1)
    return np.moveaxis(found, -1, axis)


def token_links(links: Links, source: Sequence[int], target: Sequence[int]) -> Links:
    """Links of words as links of their pieces: each piece of a word with each piece of every word it is linked to.

    Args:
        links: of words.
        source: the number of each source token's word, as `words_at` gives it.
        target: the same for target tokens.

    >>> sorted(token_links({(0, 1)}, [0, 0, 1], [0, 1]))
    [(0, 1), (1, 1)]
    """
    pieces = _pieces(source), _pieces(target)
    return {
        (one, other) for left, right in links for one in pieces[0].get(left, ()) for other in pieces[1].get(right, ())
    }


def _pieces(words: Sequence[int]) -> dict[int, list[int]]:
    """The tokens of each word."""
    found: dict[int, list[int]] = {}
    for token, word in enumerate(words):
        found.setdefault(word, []).append(token)
    return found


def likeliest(weights: ArrayLike) -> Links:
    """Each target word with the source word of its largest weight, the first of equals; none where all are zero.

    Args:
        weights: `[target, source]`.

    >>> sorted(likeliest([[0.2, 0.7], [0.5, 0.1], [0.0, 0.0]]))
    [(0, 1), (1, 0)]
    """
    rows = np.asarray(weights)
    if not rows.size:
        return set()
    return {(int(source), target) for target, source in enumerate(rows.argmax(-1)) if rows[target, source] > 0}


def above(weights: ArrayLike, least: float) -> Links:
    """Every two words whose weight is at least so much.

    Args:
        weights: `[target, source]`.
        least: above 0.

    Raises:
        ValueError: a least weight that links everything.

    >>> sorted(above([[0.2, 0.7], [0.5, 0.5]], 0.5))
    [(0, 1), (1, 0), (1, 1)]
    """
    if not least > 0:
        raise ValueError(f"least must be above 0; got {least}")
    return {(int(source), int(target)) for target, source in np.argwhere(np.asarray(weights) >= least)}
