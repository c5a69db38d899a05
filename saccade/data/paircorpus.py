"""Encoded pairs on disk, and batches out of them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.alignments.weights import token_links, words_at
from saccade.data.copying import copyable, with_copies
from saccade.data.corpus import Ragged, Rows, read_rows, rows_of, write_rows
from saccade.data.linked import LinkedPair
from saccade.data.pairs import Pair
from saccade.data.tokens import PAD, START, UNKNOWN, Vocabulary
from saccade.files import write_atomic

_CHUNK = 5000

AnyPair: TypeAlias = Pair | LinkedPair
"""An example, with links or without."""


class Batch(NamedTuple):
    """Some pairs side by side.

    source:  ids with the end token, zero at padding, `[batch, source]`.
    lengths: how many of each row are real, `[batch]`.
    before:  the previous target tokens, the start token first, `[batch, target]`.
    target:  the tokens to predict, the end token last, `[batch, target]`.
    copy:    for models that copy, the extended id of each source token (see `copying`), `[batch, source]`; else None.
    links:   where attention is guided, whether a target token belongs to a source token, `[batch, target, source]`
             bool; else None.
    """

    source: Tensor
    lengths: Tensor
    before: Tensor
    target: Tensor
    copy: Tensor | None
    links: Tensor | None = None


def collate(
    sources: Sequence[list[int]], targets: Sequence[list[int]], copies: Sequence[list[int]] | None = None
) -> Batch:
    """Put encoded pairs side by side."""
    source, target = _side_by_side(sources), _side_by_side(targets)
    copy = None if copies is None else _side_by_side(copies)
    return _batch(source, torch.tensor([len(row) for row in sources]), target, copy)


def _side_by_side(rows: Sequence[list[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, PAD)


def _batch(source: Tensor, lengths: Tensor, target: Tensor, copy: Tensor | None) -> Batch:
    before = torch.nn.functional.pad(target[:, :-1], (1, 0), value=START)
    return Batch(source, lengths, before, target, copy)


class Encoded(NamedTuple):
    """Some encoded pairs: rows of ids; `extra` are the tokens that only that source has, for models that copy."""

    sources: list[list[int]]
    targets: list[list[int]]
    copies: list[list[int]] | None
    extra: list[list[str]]

    def batch(self, rows: Sequence[int]) -> Batch:
        """These rows side by side."""
        copies = None if self.copies is None else [self.copies[i] for i in rows]
        return collate([self.sources[i] for i in rows], [self.targets[i] for i in rows], copies)


class Vocabularies(NamedTuple):
    """The two vocabularies of a translator."""

    source: Vocabulary
    target: Vocabulary


def encode(pairs: Sequence[AnyPair], vocabularies: Vocabularies, *, copy: bool) -> Encoded:
    """Encode pairs; with `copy`, also what can be copied, and targets in which copied words have their extended ids."""
    source, target = vocabularies
    sources = source.encode_many([pair.source for pair in pairs])
    targets = target.encode_many([pair.target for pair in pairs])
    if not copy:
        return Encoded(sources, targets, None, [[] for _ in pairs])
    found = [copyable(pair.source, source, target) for pair in pairs]
    for i, (pair, one) in enumerate(zip(pairs, found, strict=True)):
        targets[i] = with_copies(pair.target, targets[i], target, one.extra)
    return Encoded(sources, targets, [one.ids for one in found], [one.extra for one in found])


def linked_tokens(pairs: Sequence[LinkedPair], vocabularies: Vocabularies) -> list[list[int]]:
    """The links of the tokens of each pair in one row: target token, source token, target token, and so on."""
    source = words_of_tokens(vocabularies.source, [pair.source.split() for pair in pairs])
    target = words_of_tokens(vocabularies.target, [pair.target.split() for pair in pairs])
    links = (token_links(pair.links, *words) for pair, *words in zip(pairs, source, target, strict=True))
    return [[place for read, written in sorted(some) for place in (written, read)] for some in links]


def words_of_tokens(vocabulary: Vocabulary, texts: Sequence[Sequence[str]]) -> list[list[int]]:
    """The word of each token of each text, of which the words are given; see `words_at`."""
    stretches = vocabulary.stretches_many([" ".join(words) for words in texts])
    return [words_at(some, words) for some, words in zip(stretches, texts, strict=True)]


class PairCorpus:
    """Encoded pairs in memory-mapped files.

    Args:
        too_long: pairs left out because a side was longer than allowed.
        unknown: tokens that the vocabularies do not know, both sides.
    """

    def __init__(self, rows: Ragged, too_long: int, unknown: int):
        self._rows, self.too_long, self.unknown = rows, too_long, unknown
        self.fingerprint = rows.fingerprint

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """The number of tokens of each source."""
        return self._rows.lengths[0]

    @property
    def target_sizes(self) -> NDArray[np.int32]:
        """The number of tokens of each target."""
        return self._rows.lengths[1]

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """The pairs at these indices."""
        names = {name: number for number, name in enumerate(self._rows.columns)}
        source, target, *copy = (self._rows.padded(names[name], indices) for name in names if name != "links")
        batch = _batch(source, self._rows.of(0, indices), target, copy[0] if copy else None)
        return batch._replace(links=self._links(names["links"], indices, batch)) if "links" in names else batch

    def _links(self, column: int, indices: NDArray[np.int64], batch: Batch) -> Tensor:
        flat, counts = self._rows.padded(column, indices), self._rows.of(column, indices) // 2
        row, link = (torch.arange(flat.shape[1] // 2) < counts[:, None]).nonzero(as_tuple=True)
        links = torch.zeros(*batch.target.shape, batch.source.shape[1], dtype=torch.bool)
        links[row, flat[row, 2 * link], flat[row, 2 * link + 1]] = True
        return links


def encode_pairs(
    folder: Path,
    name: str,
    pairs: Iterable[AnyPair],
    vocabularies: Vocabularies,
    max_length: int,
    *,
    copy: bool = False,
    linked: bool = False,
) -> PairCorpus:
    """Encode pairs into files, some at a time, without those of which a side has more tokens than allowed.

    Args:
        copy: whether the model copies from the source; then what can be copied is another column.
        linked: whether the pairs have links; then those of their tokens are another.
    """
    too_long = unknown = 0

    def encoded() -> Iterator[tuple[Rows, ...]]:
        nonlocal too_long, unknown
        rest = iter(pairs)
        while chunk := list(islice(rest, _CHUNK)):
            columns = _encoded(chunk, vocabularies, copy=copy, linked=linked)
            short = np.logical_and.reduce([rows.lengths <= max_length for rows in columns[:2]])
            kept = tuple(rows.only(short) for rows in columns)
            too_long += int(len(short) - short.sum())
            unknown += sum(int((rows.numbers == UNKNOWN).sum()) for rows in kept[:2])
            yield kept

    rows = write_rows(folder, name, _names(copy=copy, linked=linked), encoded())
    counted = {"too_long": too_long, "unknown": unknown, "made_with": _made_with(vocabularies, max_length)}
    write_atomic(folder / f"{name}.json", json.dumps(counted))
    return PairCorpus(rows, too_long, unknown)


def reopen_pairs(
    folder: Path, name: str, vocabularies: Vocabularies, max_length: int, *, copy: bool = False
) -> PairCorpus | None:
    """What `encode_pairs` wrote to its end, with the same vocabularies and the same bound; else None.

    Every number is read again for the fingerprint.
    """
    try:
        counted = json.loads((folder / f"{name}.json").read_text("utf-8"))
        if counted["made_with"] != _made_with(vocabularies, max_length):
            return None
        return PairCorpus(read_rows(folder, name, _names(copy=copy)), counted["too_long"], counted["unknown"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole
        return None


def _names(*, copy: bool, linked: bool = False) -> list[str]:
    """Of the columns."""
    return ["source", "target", *["copy"] * copy, *["links"] * linked]


def _encoded(pairs: Sequence[AnyPair], vocabularies: Vocabularies, *, copy: bool, linked: bool) -> tuple[Rows, ...]:
    """The columns of some pairs."""
    if copy:
        encoded = encode(pairs, vocabularies, copy=True)
        assert encoded.copies is not None
        columns = [rows_of(side) for side in (encoded.sources, encoded.targets, encoded.copies)]
    else:
        sides = ([pair.source for pair in pairs], [pair.target for pair in pairs])
        columns = [vocabulary.rows(texts) for vocabulary, texts in zip(vocabularies, sides, strict=True)]
    if linked:
        some = [pair for pair in pairs if isinstance(pair, LinkedPair)]
        columns.append(rows_of(linked_tokens(some, vocabularies)))
    return tuple(columns)


def _made_with(vocabularies: Vocabularies, max_length: int) -> str:
    made = json.dumps([max_length, *(vocabulary.to_json() for vocabulary in vocabularies)])
    return hashlib.sha256(made.encode()).hexdigest()
