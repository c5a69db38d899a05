"""What an axis of attention is made of: tokens, their words, which of them are special, where an image lies."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import is_unspaced


class Patches(NamedTuple):
    """An image that tokens are the patches of; build it with `patches`, which checks."""

    pixels: NDArray[np.uint8]  # [height, width, 3]
    grid: tuple[int, int]  # rows and columns of patches
    places: tuple[int, ...]  # which token is each patch, row by row


class Tokens(NamedTuple):
    """The tokens along one axis; build it with `tokens`, which checks."""

    labels: tuple[str, ...]
    words: tuple[int, ...]  # the number of the word that each token is a piece of: 0, 0, 1, ...
    names: tuple[str, ...]  # of the words
    special: tuple[int, ...] = ()  # which tokens are no words of the text: [CLS], </s>, a sink
    image: Patches | None = None


def tokens(
    labels: Iterable[str],
    *,
    words: str | Iterable[int] | None = None,
    special: Iterable[int] = (),
    image: Patches | None = None,
) -> Tokens:
    """Check and freeze the tokens of one axis.

    Args:
        labels: one for each token, as the tokenizer writes it.
        words: how tokens make words: a style of pieces (`"wordpiece"`, `"sentencepiece"`, `"bytes"`, or `"auto"`, which
            looks for the signs of each), or for each token the number of its word, as `words_of_ids` and
            `words_of_offsets` give them. None: each token is a word.
        special: places of tokens that may be hidden: special tokens, and sinks.
        image: the image that some of the tokens are patches of.

    Raises:
        ValueError: an unknown style, word numbers that do not count up one by one, or places that are no tokens'.

    >>> tokens(["[CLS]", "play", "##ing"], words="auto", special=[0]).names
    ('[CLS]', 'playing')
    """
    labels, places = tuple(labels), tuple(sorted({int(place) for place in special}))
    _within("special", places, len(labels))
    style = words if isinstance(words, str) else "auto"
    if isinstance(words, str):
        numbers = words_of_pieces(labels, words, special=places)
    else:
        numbers = tuple(range(len(labels))) if words is None else tuple(int(word) for word in words)
    if len(numbers) != len(labels):
        raise ValueError(f"words must be one number for each of {len(labels)} tokens; got {len(numbers)}")
    if numbers and (numbers[0] or any(after - before not in (0, 1) for before, after in pairwise(numbers))):
        raise ValueError(f"words must count up from 0, one by one; got {list(numbers[:12])}")
    if image is not None:
        _within("image", image.places, len(labels))
    return Tokens(labels, numbers, labels if words is None else spelled(labels, numbers, style), places, image)


def _within(name: str, places: Sequence[int], count: int) -> None:
    wrong = [place for place in places if not 0 <= place < count]
    if wrong:
        raise ValueError(f"{name} must be places of {count} tokens, 0 to {count - 1}; got {wrong[0]}")


def patches(pixels: ArrayLike, grid: tuple[int, int], *, places: Iterable[int] | None = None) -> Patches:
    """Check and freeze an image of patches.

    Args:
        pixels: uint8 [height, width, 3], or [height, width] of grey.
        grid: rows and columns of patches.
        places: which token is each patch, row by row; None: they follow each other from the first token.

    Raises:
        ValueError: no such image, or another number of places than patches.

    >>> patches(np.zeros((8, 8), np.uint8), (2, 2), places=[1, 2, 3, 4]).pixels.shape
    (8, 8, 3)
    """
    array = checked_pixels(pixels)
    rows, columns = (int(side) for side in grid)
    if rows < 1 or columns < 1:
        raise ValueError(f"grid must be at least 1 by 1; got {rows} by {columns}")
    kept = tuple(range(rows * columns)) if places is None else tuple(int(place) for place in places)
    if len(kept) != rows * columns:
        raise ValueError(f"places must be one for each of {rows} by {columns} patches; got {len(kept)}")
    return Patches(array, (rows, columns), kept)


def checked_pixels(pixels: ArrayLike, name: str = "pixels") -> NDArray[np.uint8]:
    """`pixels` as a read-only copy [height, width, 3]; grey [height, width] gets three equal channels.

    Raises:
        ValueError: another shape, no pixels at all, or values that are not uint8.

    >>> checked_pixels(np.zeros((2, 5), np.uint8)).shape
    (2, 5, 3)
    """
    array = np.array(pixels)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"{name} must be uint8 [height, width, 3]; got {array.dtype} {list(array.shape)}")
    array.flags.writeable = False
    return array


# How each style writes that a piece begins a word.
STYLES: dict[str, Callable[[str], bool]] = {
    "wordpiece": lambda piece: not piece.startswith("##"),
    "sentencepiece": lambda piece: piece.startswith("▁"),
    "bytes": lambda piece: piece.startswith(("Ġ", "Ċ", " ", "\n")),
}


def words_of_pieces(pieces: Sequence[str], style: str = "auto", *, special: Iterable[int] = ()) -> tuple[int, ...]:
    """The word of each piece, found from how tokenizers write them; special tokens stand alone.

    `"wordpiece"`: `##` continues a word (BERT). `"sentencepiece"`: `▁` begins one (T5, Llama). `"bytes"`: `Ġ` begins
    one (GPT-2, RoBERTa). `"auto"` takes the style whose sign occurs; with none of them every piece is a word.

    Raises:
        ValueError: an unknown style.

    >>> words_of_pieces(["▁half", "▁pa", "st", "</s>"], special=[3])
    (0, 1, 1, 2)
    """
    found = _style(pieces, style)
    begins = STYLES[found] if found else lambda piece: True
    alone = set(special)
    words: list[int] = []
    for place, piece in enumerate(pieces):
        new = place in alone or place - 1 in alone or begins(piece)
        words.append(words[-1] + new if words else 0)
    return tuple(words)


def _style(pieces: Sequence[str], style: str) -> str | None:
    if style != "auto":
        if style not in STYLES:
            raise ValueError(f"words must be one of auto, {', '.join(STYLES)}, or numbers; got {style!r}")
        return style
    signs = {"wordpiece": "##", "sentencepiece": "▁", "bytes": "Ġ"}
    return next((name for name, sign in signs.items() if any(p.startswith(sign) and p != sign for p in pieces)), None)


def words_of_ids(ids: Iterable[int | None]) -> tuple[int, ...]:
    """The word of each token, from `word_ids()` of a fast tokenizer, where None is a special token.

    >>> words_of_ids([None, 0, 0, 1, None])
    (0, 1, 1, 2, 3)
    """
    words: list[int] = []
    before: int | None = None
    for number in ids:
        same = bool(words) and number is not None and number == before
        words.append(words[-1] + (not same) if words else 0)
        before = number
    return tuple(words)


def words_of_offsets(offsets: Iterable[tuple[int, int]], text: str) -> tuple[int, ...]:
    """The word of each token, from where it stands in the text: letters and digits that touch are one word.

    An empty stretch is a special token. Chinese and Japanese characters touch without being one word: each token of
    them is a word.

    >>> words_of_offsets([(0, 0), (0, 4), (4, 7), (7, 8)], "playing!")
    (0, 1, 1, 2)
    """
    words: list[int] = []
    end = -1
    for start, stop in offsets:
        whole = stop > start == end and start > 0 and _joined(text[start - 1], text[start])
        words.append(words[-1] + (not whole) if words else 0)
        end = stop if stop > start else -1
    return tuple(words)


def _joined(before: str, after: str) -> bool:
    letters = all(character.isalnum() or unicodedata.category(character)[0] == "M" for character in (before, after))
    return letters and not is_unspaced(before) and not is_unspaced(after)


def spelled(pieces: Sequence[str], words: Sequence[int], style: str = "auto") -> tuple[str, ...]:
    """The words that pieces make, without the signs of the tokenizer.

    >>> spelled(["Ġplay", "ing", "ĠÃ©"], [0, 0, 1])
    ('playing', 'é')
    """
    found = _style(pieces, style)
    together: list[list[str]] = [[] for _ in range(words[-1] + 1 if words else 0)]
    for piece, word in zip(pieces, words, strict=True):
        together[word].append(piece)
    return tuple(_spell(parts, found) for parts in together)


def _spell(parts: Sequence[str], style: str | None) -> str:
    if style == "wordpiece":
        return parts[0] + "".join(part.removeprefix("##") for part in parts[1:])
    whole = "".join(parts)
    if style == "sentencepiece":
        return whole.replace("▁", " ").strip() or whole
    if style == "bytes" and all(character in _bytes() for character in whole):
        written = bytes(_bytes()[character] for character in whole).decode("utf-8", "replace")
        return written.strip() or written
    return whole


@cache
def _bytes() -> dict[str, int]:
    """The byte behind each character of GPT-2's alphabet: printable Latin-1 stands for itself, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
