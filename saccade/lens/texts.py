"""What is drawn of a text that was read for an answer: its words, and how strongly each was looked at."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import checked

STRETCH = 40  # words: a longer sentence may be shown in part


class ShadedText(NamedTuple):
    """A text, what it was taken for, and the weights of its words; build it with `shaded_text`, which checks."""

    sentences: tuple[tuple[str, ...], ...]  # a text that was read as one has one
    weights: tuple[NDArray[np.float32], ...]  # of each sentence [hop, word]
    sentence_weights: NDArray[np.float32] | None = None  # [sentence]; None where only words were looked at
    answer: str = ""  # the label predicted
    scores: tuple[tuple[str, float], ...] = ()  # labels and their probabilities, the largest first
    text: str = ""  # the whole input
    note: str = ""  # one line more, such as "expected pos"


def shaded_text(
    sentences: Iterable[Iterable[str]],
    weights: Iterable[ArrayLike],
    *,
    sentence_weights: ArrayLike | None = None,
    answer: str = "",
    scores: Mapping[str, float] | None = None,
    text: str = "",
    note: str = "",
) -> ShadedText:
    """Check and freeze one shaded text.

    `weights` has for each sentence a real array [word], or [hop, word] where several hops read the text (Lin et al.
    2017); `sentence_weights` [sentence] are those of a hierarchical network (Yang et al. 2016). Float32 copies are
    kept, read-only.

    Raises:
        ValueError: shapes that do not fit the words, sentences of different numbers of hops, or values that are no
            weights (logits, NaN) or no probabilities.

    >>> shaded_text([["a", "fine", "film"]], [[0.1, 0.6, 0.3]], answer="pos").weights[0].shape
    (1, 3)
    """
    read = tuple(tuple(words) for words in sentences)
    arrays = [np.asarray(row, dtype=np.float32) for row in weights]
    if len(arrays) != len(read):
        raise ValueError(f"weights must be one array for each of {len(read)} sentences; got {len(arrays)}")
    hops = next((len(array) for array in arrays if array.ndim == 2), 1)
    checked_weights = tuple(
        checked(
            array if array.ndim == 2 else array.reshape(1, *array.shape),
            f"weights of sentence {place}",
            "[hop, word]",
            [hops, len(words)],
        )
        for place, (words, array) in enumerate(zip(read, arrays, strict=True), 1)
    )
    if sentence_weights is not None:
        sentence_weights = checked(sentence_weights, "sentence_weights", "[sentence]", [len(read)])
    labels = dict(scores or {})
    probabilities = checked(list(labels.values()), "scores", "[label]", [len(labels)], most=1.0).tolist()
    ranked = sorted(zip(labels, probabilities, strict=True), key=lambda score: -score[1])
    return ShadedText(read, checked_weights, sentence_weights, answer, tuple(ranked), text, note)


def drawn_weights(text: ShadedText, hop: int | None = None) -> list[NDArray[np.float32]]:
    """The weights that shade the words of each sentence [word]: of a hop or the mean, times the root of the sentence's.

    With the root words of sentences that hardly count fade, and words of sentences that count a little stay visible:
    `sqrt(p_s) p_w` of Yang et al. 2016, §3.6.

    >>> text = shaded_text([["a"], ["fine", "film"]], [[1], [0.5, 0.5]], sentence_weights=[0.04, 0.81])
    >>> [weights.round(2).tolist() for weights in drawn_weights(text)]
    [[0.20000000298023224], [0.44999998807907104, 0.44999998807907104]]
    """
    words = [weights.mean(0) if hop is None else weights[hop] for weights in text.weights]
    if text.sentence_weights is None:
        return words
    return [weights * root for weights, root in zip(words, np.sqrt(text.sentence_weights), strict=True)]


class Stretch(NamedTuple):
    """Words of one sentence that stand together."""

    sentence: int
    words: range


def excerpt(weights: Sequence[NDArray[np.float32]], most: int) -> list[Stretch]:
    """The stretches of a text that were looked at most, in the order of reading: about `most` words of it.

    A stretch is a sentence, or forty words of a longer one; stretches of a sentence that follow each other come as
    one. There is always at least one, if the text has words at all.

    >>> excerpt([np.full(3, 0.1), np.full(2, 0.4), np.full(2, 0.2)], 4)
    [Stretch(sentence=1, words=range(0, 2)), Stretch(sentence=2, words=range(0, 2))]
    """
    stretches = [
        Stretch(sentence, range(start, min(start + STRETCH, len(row))))
        for sentence, row in enumerate(weights)
        for start in range(0, len(row), STRETCH)
    ]
    total = [float(weights[sentence][words.start : words.stop].sum()) for sentence, words in stretches]
    kept: list[int] = []
    room = most
    for place in sorted(range(len(stretches)), key=lambda place: -total[place]):
        room -= len(stretches[place].words)
        if kept and room < 0:
            break
        kept.append(place)
    return _merged([stretches[place] for place in sorted(kept)])


def _merged(stretches: list[Stretch]) -> list[Stretch]:
    merged: list[Stretch] = []
    for stretch in stretches:
        if merged and merged[-1].sentence == stretch.sentence and merged[-1].words.stop == stretch.words.start:
            merged[-1] = Stretch(stretch.sentence, range(merged[-1].words.start, stretch.words.stop))
        else:
            merged.append(stretch)
    return merged


def left_out(text: ShadedText, stretches: Sequence[Stretch]) -> str:
    """How much of the text an excerpt lacks, in words for a reader; empty if nothing.

    >>> left_out(shaded_text([["a"], ["fine", "film"]], [[1], [1, 0]]), [Stretch(1, range(2))])
    'Left out, the least looked at: 1 of 3 words, 1 of 2 sentences.'
    """
    all_words, all_sentences = sum(map(len, text.sentences)), sum(map(bool, text.sentences))
    words = all_words - sum(len(stretch.words) for stretch in stretches)
    sentences = all_sentences - len({stretch.sentence for stretch in stretches})
    if not words:
        return ""
    of_sentences = f", {sentences:,} of {all_sentences:,} sentences" if sentences else ""
    return f"Left out, the least looked at: {words:,} of {all_words:,} words{of_sentences}."
