"""Encoded tagged sentences on disk, and batches out of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.characters import LONGEST_WORD, spelled
from saccade.data.corpus import in_chunks, nested, write_rows
from saccade.data.lexicon import UNKNOWN, Lexicon, learn
from saccade.data.pieces import Pieces
from saccade.data.spans import is_ended, is_well_formed, may_follow
from saccade.data.tagged import Tagged, is_span_scheme
from saccade.errors import DataError


class TagCodec(NamedTuple):
    """What stands between tagged words and numbers.

    words:      in small letters, unless `cased`.
    characters: as they are.
    tags:       every tag, in order.
    cased:      whether capital letters are told from small ones in words too.
    spans:      whether tags mark spans, and follow each other as such tags must wherever there are some.
    encoder:    the configuration of a pretrained encoder; None where there is none.
    pieces:     its tokenizer.
    """

    words: Lexicon
    characters: Lexicon
    tags: tuple[str, ...]
    cased: bool
    spans: bool
    encoder: dict[str, Any] | None = None
    pieces: Pieces | None = None

    def word_ids(self, words: Sequence[str]) -> list[int]:
        """The id of each word."""
        return self.words.ids(words if self.cased else [word.lower() for word in words])


class TaggedBatch(NamedTuple):
    """Some tagged sentences side by side, zero at padding.

    words:      `[batch, time]`; on a pretrained encoder where the first piece of each word stands, from 1 on.
    lengths:    how many of each row are real, `[batch]`.
    characters: of each word, `[batch, time, character]`; None on a pretrained encoder.
    tags:       `[batch, time]`.
    pieces:     what a pretrained encoder reads, `[batch, piece]`; None where there is none.
    """

    words: Tensor
    lengths: Tensor
    characters: Tensor | None
    tags: Tensor
    pieces: Tensor | None = None


def learn_codec(
    training: Iterable[Tagged], everything: Iterable[Tagged], *, cased: bool, least: int, most: int
) -> TagCodec:
    """The words and characters of the training part, and every tag there is.

    Args:
        everything: the training part and what is held out of its files; read twice where tags mark spans.
        least: how often a word must occur.
        most: the largest number of words.
    """
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for sentence in training:
        words.update(sentence.words if cased else map(str.lower, sentence.words))
        for word in sentence.words:
            characters.update(word[:LONGEST_WORD])
    tags = sorted({tag for sentence in everything for tag in sentence.tags})
    ended = is_ended(tags)
    spans = is_span_scheme(tags) and all(is_well_formed(sentence.tags, ended=ended) for sentence in everything)
    return TagCodec(learn(words, least=least, most=most), learn(characters), tuple(tags), cased, spans)


class Inputs(NamedTuple):
    """What a model reads of some sentences: the parts of a `TaggedBatch` without tags."""

    words: Tensor
    lengths: Tensor
    characters: Tensor | None
    pieces: Tensor | None


def side_by_side(sentences: Sequence[Sequence[str]], codec: TagCodec) -> Inputs:
    """Some sentences, as a batch has them."""
    count = torch.tensor([len(sentence) for sentence in sentences])
    if codec.pieces is not None:
        pieced = codec.pieces.words_many(sentences)
        return Inputs(_padded([one.first for one in pieced]), count, None, _padded([one.ids for one in pieced]))
    words = _padded([codec.word_ids(sentence) for sentence in sentences])
    each = [spelled(sentence, codec.characters) for sentence in sentences]
    flat = _padded([[i for word in sentence for i in word] for sentence in each])
    lengths = _padded([[len(word) for word in sentence] for sentence in each])
    return Inputs(words, count, nested(flat, lengths), None)


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], True)


def check_tags(sentence: Tagged, codec: TagCodec) -> None:
    """Refuse tags that were never seen in training, and spans that are not written as all of its were.

    Raises:
        DataError: naming file and line of the sentence's first word.
    """
    for tag in sentence.tags:
        if tag not in codec.tags:
            seen = ", ".join(codec.tags[:10]) + " ..." * (len(codec.tags) > 10)
            raise DataError(f"{sentence.where}: expected tags of the training ({seen}); got {tag!r}")
    if codec.spans:
        ended = is_ended(codec.tags)
        for before, after in pairwise(["O", *sentence.tags, "O"]):
            if not may_follow(before, after, ended=ended):
                raise DataError(f"{sentence.where}: expected spans as in the training; got {after} after {before}")


class TaggedCorpus:
    """Encoded tagged sentences in memory-mapped files.

    Raises:
        DataError: naming file and line: a tag that the codec does not know, or tags that do not mark spans as all of
            the training do.

    Attributes:
        too_long: sentences left out because they have more words than allowed.
        unknown: words that the codec does not know.
        words: how many words there are.
        counts: how often each tag occurs.
    """

    def __init__(self, folder: Path, name: str, sentences: Iterable[Tagged], codec: TagCodec, max_length: int):
        self.too_long, self.unknown, self.words, self.counts = 0, 0, 0, Counter[str]()
        self.codec, self._max_length = codec, max_length
        self._tags = {tag: i for i, tag in enumerate(codec.tags)}
        columns = ("words", "tags", *(("characters", "lengths") if codec.pieces is None else ("pieces",)))
        self._rows = write_rows(folder, name, columns, in_chunks(self._encoded(sentences, codec)))
        self.fingerprint = self._rows.fingerprint

    def _encoded(self, sentences: Iterable[Tagged], codec: TagCodec) -> Iterator[tuple[list[int], ...]]:
        for sentence in sentences:
            if len(sentence.words) > self._max_length:
                self.too_long += 1
                continue
            check_tags(sentence, codec)
            self.counts.update(sentence.tags)
            words, tags = codec.word_ids(sentence.words), [self._tags[tag] for tag in sentence.tags]
            self.unknown += words.count(UNKNOWN)
            self.words += len(words)
            if codec.pieces is not None:
                (pieced,) = codec.pieces.words_many([sentence.words])
                yield pieced.first, tags, pieced.ids
            else:
                characters = spelled(sentence.words, codec.characters)
                flat = [i for word in characters for i in word]
                yield words, tags, flat, [len(word) for word in characters]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """The number of words of each sentence."""
        return self._rows.lengths[0]

    def batch(self, indices: NDArray[np.int64]) -> TaggedBatch:
        """The sentences at these indices."""
        words, tags, *more = (self._rows.padded(column, indices) for column in range(len(self._rows.lengths)))
        count = self._rows.of(0, indices)
        if self.codec.pieces is not None:
            return TaggedBatch(words, count, None, tags, more[0])
        return TaggedBatch(words, count, nested(*more), tags)
