"""Captions against several references each: BLEU-1 to -4 and CIDEr-D."""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from saccade.errors import MissingExtraError

ORDERS = (1, 2, 3, 4)
SIGMA = 6.0
"""How far lengths may differ, in words, before CIDEr-D thinks less of a caption."""

Vector = dict[tuple[str, ...], float]


def words_of(text: str) -> list[str]:
    """The lower-cased words of a caption: what white space parts, without punctuation and symbols at its ends.

    So captions compare as in the COCO evaluation (Chen et al. 2015), which drops punctuation, but for what its
    tokenizer takes apart within a word ("dog's"). A script without spaces must be parted into words before.

    >>> words_of("A man's  dog , (red) -- half-eaten.")
    ['a', "man's", 'dog', 'red', 'half-eaten']
    """
    bare = (_bare(word) for word in text.lower().split())
    return [word for word in bare if word]


def _bare(word: str) -> str:
    kept = [place for place, letter in enumerate(word) if unicodedata.category(letter)[0] not in "PS"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def bleu_n(said: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 (Papineni et al. 2002) over a whole corpus, 0 to 100: BLEU-n is the geometric mean of the
    precisions of 1 to n words, by the brevity penalty against the reference nearest in length.

    From sacrebleu (Post 2018), over the words of `words_of` (its tokenizer is `none`), not smoothed: where no run of
    n words is right, BLEU-n is 0.

    Args:
        said: one caption for each image.
        references: the true captions of each image, any number from one on.

    Raises:
        ValueError: there is no image, not one caption for each image, or no reference for one.

    >>> [round(bleu, 1) for bleu in bleu_n(["a dog runs fast"], [["A dog runs home.", "The dog is fast."]])]
    [100.0, 81.6, 69.3, 0.0]
    """
    one, two, three, four = (_bleu(said, references, n)[0] for n in ORDERS)
    return one, two, three, four


def bleu_n_signature(said: Sequence[str], references: Sequence[Sequence[str]]) -> str:
    """How sacrebleu measures the BLEU-4 of `bleu_n` (Post 2018), which is told wherever its figures are."""
    return _bleu(said, references, ORDERS[-1])[1]


def _bleu(said: Sequence[str], references: Sequence[Sequence[str]], order: int) -> tuple[float, str]:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingExtraError(error.name or "sacrebleu", "train") from None
    _check(said, references)
    answers = [" ".join(words_of(caption)) for caption in said]
    true = [[" ".join(words_of(caption)) for caption in captions] for captions in references]
    most = max(len(captions) for captions in true)
    streams: list[Any] = [[captions[n] if n < len(captions) else None for captions in true] for n in range(most)]
    # Words are in small letters already: said here so that the signature tells it.
    bleu = BLEU(tokenize="none", lowercase=True, smooth_method="none", max_ngram_order=order, force=True)
    score = float(bleu.corpus_score(answers, streams).score)
    return score, str(bleu.get_signature())


def cider(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D (Vedantam et al. 2015, §5 and eq. 1 to 4): how like a caption is to the references of its image, where
    runs of words that most images have count little.

    A caption is, for each n of 1 to 4, the vector `g_k = h_k log(N / max(1, df_k))` over runs of n words: h_k how
    often it has run k, df_k in how many of the N images any reference has it. Then

        CIDEr-D_n(c, S) = 10 / m  sum_j exp(-(l(c) - l(s_j))² / 2σ²)  min(g(c), g(s_j)) · g(s_j) / (|g(c)| |g(s_j)|)

    over the image's m references, lengths l in words, σ = 6; the mean over n, then over images. It is 0 to 10, and as
    in the authors' code counts are not divided by the caption's length. With one image every weight is log 1 = 0, and
    so is the score. Words are those of `words_of`.

    Args:
        said: one caption for each image.
        references: the true captions of each image, any number from one on.

    Raises:
        ValueError: there is no image, not one caption for each image, or no reference for one.

    >>> true = [["a dog runs on grass"], ["two men play chess outside"]]
    >>> round(cider(["a dog runs on grass", "two men play football"], true), 2)
    7.04
    """
    _check(said, references)
    true = [[_runs(caption) for caption in captions] for captions in references]
    found = Counter(run for captions in true for run in {run for one in captions for run in one.runs})
    rarity = {run: math.log(len(true)) - math.log(count) for run, count in found.items()}
    scores = []
    for caption, others in zip(said, true, strict=True):
        vector = _weighed(_runs(caption), rarity, len(true))
        each = [_likeness(vector, _weighed(other, rarity, len(true))) for other in others]
        scores.append(10 * sum(each) / len(each))
    return sum(scores) / len(scores)


class _Runs(NamedTuple):
    length: int
    runs: Counter[tuple[str, ...]]


class _Weighed(NamedTuple):
    """A caption's vectors, one for each order, with their norms."""

    length: int
    vectors: list[Vector]
    norms: list[float]


def _runs(caption: str) -> _Runs:
    words = words_of(caption)
    return _Runs(len(words), Counter(tuple(words[i : i + n]) for n in ORDERS for i in range(len(words) - n + 1)))


def _weighed(caption: _Runs, rarity: Vector, images: int) -> _Weighed:
    vectors: list[Vector] = [{} for _ in ORDERS]
    for run, count in caption.runs.items():
        vectors[len(run) - 1][run] = count * rarity.get(run, math.log(images))
    return _Weighed(caption.length, vectors, [math.hypot(*vector.values()) for vector in vectors])


def _likeness(one: _Weighed, other: _Weighed) -> float:
    total = 0.0
    for said, true, norms in zip(one.vectors, other.vectors, zip(one.norms, other.norms, strict=True), strict=True):
        if all(norms):
            total += sum(min(weight, true.get(run, 0.0)) * true.get(run, 0.0) for run, weight in said.items()) / (
                norms[0] * norms[1]
            )
    return math.exp(-((one.length - other.length) ** 2) / (2 * SIGMA**2)) * total / len(ORDERS)


def _check(said: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not said or len(said) != len(references):
        raise ValueError(f"said must be one caption for each of {len(references)} images; got {len(said)}")
    for image, captions in enumerate(references):
        if not captions or isinstance(captions, str):
            raise ValueError(f"references[{image}] must be one or more captions; got {captions!r}")
