"""Encoded labelled texts on disk, and batches out of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.corpus import Ragged, nested
from saccade.data.labelled import Labelled, sentences_of
from saccade.data.tokens import UNKNOWN, Vocabulary
from saccade.errors import DataError

_CHUNK = 1000


class LabelledBatch(NamedTuple):
    """Some labelled texts side by side.

    ids:     tokens, zero at padding, `[batch, word]`, of documents `[batch, sentence, word]`.
    lengths: how many of each row are real, `[batch]`, of documents `[batch, sentence]`.
    labels:  of one label each its index, `[batch]`; of several 1.0 where they hold, `[batch, label]`.
    """

    ids: Tensor
    lengths: Tensor
    labels: Tensor


class Limits(NamedTuple):
    """How much of a text is read: tokens of a text or sentence, sentences of a document (0: texts are not cut)."""

    words: int
    sentences: int


def encode(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, limits: Limits) -> list[list[list[int]]]:
    """The token ids of each sentence of each text, read as far as the limits say; a flat text is one sentence.

    >>> from saccade.data import tokens
    >>> vocabulary = tokens.learn(["a b"], "word")
    >>> encode([["a b", "b"], ["b. a"]], vocabulary, Limits(9, 9))
    [[[4, 5], [5]], [[5, 3], [4]]]
    >>> encode([["a b", "b"]], vocabulary, Limits(9, 0))
    [[[4, 5, 5]]]
    """
    return [text.rows for text in read(texts, vocabulary, limits)]


class ReadText(NamedTuple):
    """How a text is read.

    sentences: those that are read; of a flat text the one that it is.
    rows:      their token ids, as far as they are read.
    words:     whether one of them has more tokens than are read.
    beyond:    whether there are more sentences than are read.
    """

    sentences: list[str]
    rows: list[list[int]]
    words: bool
    beyond: bool


def read(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, limits: Limits) -> list[ReadText]:
    """Texts as far as the limits say, and whether there is more of them."""
    whole = [_sentences(text, limits) for text in texts]
    parts = [sentences[: limits.sentences] if limits.sentences else sentences for sentences in whole]
    rows = iter(vocabulary.encode_many([sentence for sentences in parts for sentence in sentences]))
    found = []
    for sentences, part in zip(whole, parts, strict=True):
        ids = [row[:-1] for row in islice(rows, len(part))]
        longer = any(len(row) > limits.words for row in ids)
        found.append(ReadText(part, [row[: limits.words] for row in ids], longer, len(part) < len(sentences)))
    return found


def _sentences(text: Sequence[str], limits: Limits) -> list[str]:
    """The sentences of a document that have something in them, or a flat text as the one that it is."""
    if not limits.sentences:
        return [" ".join(text).strip()]
    return [sentence for sentence in (sentences_of(text[0]) if len(text) == 1 else text) if sentence.strip()]


def side_by_side(texts: Sequence[Sequence[Sequence[int]]], *, documents: bool) -> tuple[Tensor, Tensor]:
    """Ids and lengths of some encoded texts, as a batch has them."""
    flat = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([i for row in text for i in row], dtype=torch.long) for text in texts], True
    )
    lengths = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([len(row) for row in text], dtype=torch.long) for text in texts], True
    )
    return (nested(flat, lengths), lengths) if documents else (flat, lengths[:, 0])


def check_labels(example: Labelled, known: Collection[str]) -> None:
    """Refuse labels that were never seen in training.

    Raises:
        DataError: naming file and line, the label, and those that were seen.
    """
    for label in example.labels:
        if label not in known:
            seen = ", ".join(list(known)[:10]) + " ..." * (len(known) > 10)
            raise DataError(f"{example.where}: expected a label of the training ({seen}); got {label!r}")


class LabelledCorpus:
    """Encoded labelled texts in memory-mapped files.

    Args:
        labels: every label, in order.
        several: whether a text has several.

    Raises:
        DataError: a label that is none of them, naming file and line.

    Attributes:
        cut: texts of which less than all is read.
        unknown: tokens that the vocabulary does not know.
        counts: how many texts have each label.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        examples: Iterable[Labelled],
        vocabulary: Vocabulary,
        labels: Sequence[str],
        limits: Limits,
        *,
        several: bool,
    ):
        self.limits, self.several, self._labels = limits, several, {label: i for i, label in enumerate(labels)}
        self.cut, self.unknown, self.counts = 0, 0, Counter[str]()
        self._rows = Ragged(folder, name, ("tokens", "lengths", "labels"), self._encoded(examples, vocabulary))
        self.fingerprint = self._rows.fingerprint

    def _encoded(self, examples: Iterable[Labelled], vocabulary: Vocabulary) -> Iterator[tuple[list[int], ...]]:
        rest = iter(examples)
        while chunk := list(islice(rest, _CHUNK)):
            texts = read([example.sentences for example in chunk], vocabulary, self.limits)
            for example, text in zip(chunk, texts, strict=True):
                check_labels(example, self._labels)
                self.counts.update(example.labels)
                self.cut += text.words or text.beyond
                flat = [i for row in text.rows for i in row]
                self.unknown += flat.count(UNKNOWN)
                yield flat, [len(row) for row in text.rows], [self._labels[label] for label in example.labels]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of tokens of each text."""
        return self._rows.lengths[0]

    def batch(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """The texts at these indices."""
        flat, lengths, labels = (self._rows.padded(column, indices) for column in range(3))
        if self.several:
            there = torch.arange(labels.shape[1]) < self._rows.of(2, indices)[:, None]
            found = torch.zeros(len(indices), len(self._labels)).scatter_add_(1, labels, there.float())
        else:
            found = labels[:, 0]
        if self.limits.sentences:
            return LabelledBatch(nested(flat, lengths), lengths, found)
        return LabelledBatch(flat, lengths[:, 0], found)
