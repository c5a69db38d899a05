"""Encoded labelled texts on disk, and batches out of them."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.characters import Forms
from saccade.data.corpus import in_chunks, nested, write_rows
from saccade.data.labelled import Labelled, sentences_of
from saccade.data.lexicon import Lexicon
from saccade.data.pieces import Pieces
from saccade.data.tokens import Vocabulary
from saccade.errors import DataError

_CHUNK = 1000


class LabelledBatch(NamedTuple):
    """Some labelled texts side by side.

    ids:     tokens, zero at padding, `[batch, word]`, of documents `[batch, sentence, word]`.
    lengths: how many of each row are real, `[batch]`, of documents `[batch, sentence]`.
    labels:  of one label each its index, `[batch]`; of several 1.0 where they hold, `[batch, label]`.
    forms:   which row of `characters` each token is, 0 at padding, shaped like `ids`; None where none are read.
    characters: of each word that is there, once: `[form, character]`; row 0 is padding.
    """

    ids: Tensor
    lengths: Tensor
    labels: Tensor
    forms: Tensor | None = None
    characters: Tensor | None = None


class Limits(NamedTuple):
    """How much of a text is read: tokens of a text or sentence, sentences of a document (0: texts are not cut)."""

    words: int
    sentences: int


class ReadText(NamedTuple):
    """How a text is read.

    sentences: those that are read; of a flat text the one that it is.
    rows:      their token ids, as far as they are read.
    written:   the same tokens as the text writes them; None where nobody asked.
    words:     whether one of them has more tokens than are read.
    beyond:    whether there are more sentences than are read.
    """

    sentences: list[str]
    rows: list[list[int]]
    written: list[list[str]] | None
    words: bool
    beyond: bool


def read(
    texts: Sequence[Sequence[str]], vocabulary: Vocabulary | Pieces, limits: Limits, *, written: bool = False
) -> list[ReadText]:
    """Texts as far as the limits say, and whether there is more of them; a flat text is one sentence.

    Args:
        written: whether to tell how the text writes each token.

    >>> from saccade.data import tokens
    >>> vocabulary = tokens.learn(["a b"], "word")
    >>> [text.rows for text in read([["a b", "b"], ["b. a"]], vocabulary, Limits(9, 9))]
    [[[4, 5], [5]], [[5, 3], [4]]]
    >>> read([["a b", "b"]], vocabulary, Limits(9, 0))[0].rows
    [[4, 5, 5]]
    """
    whole = [_sentences(text, limits) for text in texts]
    parts = [sentences[: limits.sentences] if limits.sentences else sentences for sentences in whole]
    flat, most = [sentence for sentences in parts for sentence in sentences], limits.words
    rows = iter(vocabulary.cut_many(flat, most))
    words = iter(vocabulary.written_many(flat, most) if isinstance(vocabulary, Vocabulary) and written else ())
    found = []
    for sentences, part in zip(whole, parts, strict=True):
        some = list(islice(rows, len(part)))
        as_written = list(islice(words, len(part))) if written else None
        longer = any(more for _, more in some)
        found.append(ReadText(part, [ids for ids, _ in some], as_written, longer, len(part) < len(sentences)))
    return found


def _sentences(text: Sequence[str], limits: Limits) -> list[str]:
    """The sentences of a document that have something in them, or a flat text as the one that it is."""
    if not limits.sentences:
        return [" ".join(text).strip()]
    return [sentence for sentence in (sentences_of(text[0]) if len(text) == 1 else text) if sentence.strip()]


class Inputs(NamedTuple):
    """What a model reads of some texts: the parts of a `LabelledBatch` without labels."""

    ids: Tensor
    lengths: Tensor
    forms: Tensor | None
    characters: Tensor | None


def side_by_side(texts: Sequence[ReadText], *, documents: bool, characters: Lexicon | None = None) -> Inputs:
    """Some texts that were read, as a batch has them; characters where there are some, of words as they are written."""
    lengths = _padded([[len(row) for row in text.rows] for text in texts])
    ids = _grid([text.rows for text in texts], lengths, documents)
    shown = lengths if documents else lengths[:, 0]
    if characters is None:
        return Inputs(ids, shown, None, None)
    forms = Forms()
    numbers = [[forms.numbers(words) for words in text.written or ()] for text in texts]
    return Inputs(ids, shown, _grid(numbers, lengths, documents), _padded(forms.spelled(characters)))


def _grid(texts: Sequence[Sequence[Sequence[int]]], lengths: Tensor, documents: bool) -> Tensor:
    flat = _padded([[i for row in text for i in row] for text in texts])
    return nested(flat, lengths) if documents else flat


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], True)


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
        characters: those of words as they are written, for a model that reads them; None for one that does not.

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
        vocabulary: Vocabulary | Pieces,
        labels: Sequence[str],
        limits: Limits,
        *,
        several: bool,
        characters: Lexicon | None = None,
    ):
        self.limits, self.several, self._labels = limits, several, {label: i for i, label in enumerate(labels)}
        self.cut, self.unknown, self.counts = 0, 0, Counter[str]()
        forms = None if characters is None else Forms()
        columns = ("tokens", "lengths", "labels") + ("forms",) * (forms is not None)
        self._rows = write_rows(folder, name, columns, in_chunks(self._encoded(examples, vocabulary, forms)))
        self._spelled, self.fingerprint = None, self._rows.fingerprint
        if forms is not None and characters is not None:
            spelled = in_chunks((row,) for row in forms.spelled(characters))
            self._spelled = write_rows(folder, name, ("characters",), spelled)
            both = self._rows.fingerprint + self._spelled.fingerprint
            self.fingerprint = hashlib.sha256(both.encode()).hexdigest()

    def _encoded(
        self, examples: Iterable[Labelled], vocabulary: Vocabulary | Pieces, forms: Forms | None
    ) -> Iterator[tuple[list[int], ...]]:
        rest = iter(examples)
        while chunk := list(islice(rest, _CHUNK)):
            texts = read([example.sentences for example in chunk], vocabulary, self.limits, written=forms is not None)
            for example, text in zip(chunk, texts, strict=True):
                check_labels(example, self._labels)
                self.counts.update(example.labels)
                self.cut += text.words or text.beyond
                flat = [i for row in text.rows for i in row]
                self.unknown += flat.count(vocabulary.unknown)
                row = flat, [len(row) for row in text.rows], [self._labels[label] for label in example.labels]
                words = (word for sentence in text.written or () for word in sentence)
                yield row if forms is None else (*row, forms.numbers(words))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sizes(self) -> NDArray[np.int32]:
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
        documents = self.limits.sentences > 0
        batch = LabelledBatch(flat, lengths[:, 0], found)
        if documents:
            batch = LabelledBatch(nested(flat, lengths), lengths, found)
        if self._spelled is None:
            return batch
        numbers = self._rows.padded(3, indices)
        there, forms = torch.unique(torch.cat([numbers.new_zeros(1), numbers.flatten()]), return_inverse=True)
        forms = forms[1:].view(numbers.shape)  # the zero in front is padding, which a batch may have none of
        return batch._replace(
            forms=nested(forms, lengths) if documents else forms, characters=self._spelled.padded(0, there.numpy())
        )
