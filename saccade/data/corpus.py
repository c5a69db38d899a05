"""Encoded pairs on disk, and batches out of them in an order that only the seed and the step decide."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.copying import copyable, with_copies
from saccade.data.pairs import Pair, PairFile
from saccade.data.tokens import PAD, START, UNKNOWN, Vocabulary

_CHUNK = 2000


class Batch(NamedTuple):
    """Some pairs side by side.

    source:  ids with the end token, zero at padding, `[batch, source]`.
    lengths: how many of each row are real, `[batch]`.
    before:  the previous target tokens, the start token first, `[batch, target]`.
    target:  the tokens to predict, the end token last, `[batch, target]`.
    copy:    for models that copy, the extended id of each source token (see `copying`), `[batch, source]`; else None.
    """

    source: Tensor
    lengths: Tensor
    before: Tensor
    target: Tensor
    copy: Tensor | None


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


def encode(pairs: Sequence[Pair], vocabularies: Vocabularies, *, copy: bool) -> Encoded:
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


class Corpus:
    """Encoded pairs in memory-mapped files, so that a corpus may be larger than memory.

    Args:
        copy: whether the model copies from the source; then what can be copied is a third file.

    Attributes:
        too_long: pairs left out because a side was longer than allowed.
        unknown: tokens that the vocabularies do not know, both sides.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        pairs: Iterable[Pair],
        vocabularies: Vocabularies,
        max_length: int,
        *,
        copy: bool = False,
    ):
        self.too_long, self.unknown = 0, 0
        paths = [folder / f"{name}.{side}" for side in ("source", "target", "copy")[: 2 + copy]]
        lengths: list[list[int]] = [[] for _ in paths]
        digest = hashlib.sha256()
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in paths]
            for rows in self._encoded(pairs, vocabularies, max_length, copy):
                for file, length, row in zip(files, lengths, rows, strict=True):
                    data = np.asarray(row, dtype=np.int32).tobytes()
                    digest.update(len(row).to_bytes(4, "little") + data)
                    file.write(data)
                    length.append(len(row))
        self.fingerprint = digest.hexdigest()
        self._offsets = [np.cumsum([0, *length], dtype=np.int64) for length in lengths]
        self._ids = [
            np.memmap(path, np.int32, "r") if length else None for path, length in zip(paths, lengths, strict=True)
        ]

    def _encoded(
        self, pairs: Iterable[Pair], vocabularies: Vocabularies, max_length: int, copy: bool
    ) -> Iterator[tuple[list[int], ...]]:
        rest = iter(pairs)
        while chunk := list(islice(rest, _CHUNK)):
            encoded = encode(chunk, vocabularies, copy=copy)
            sides = [encoded.sources, encoded.targets, *([] if encoded.copies is None else [encoded.copies])]
            for rows in zip(*sides, strict=True):
                if max(map(len, rows)) > max_length:
                    self.too_long += 1
                else:
                    self.unknown += sum(row.count(UNKNOWN) for row in rows[:2])
                    yield rows

    def __len__(self) -> int:
        return len(self._offsets[0]) - 1

    @property
    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of tokens of each source and of each target."""
        return np.diff(self._offsets[0]), np.diff(self._offsets[1])

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """The pairs at these indices."""
        (source, lengths), (target, _), *copy = (self._padded(side, indices) for side in range(len(self._ids)))
        return _batch(source, lengths, target, copy[0][0] if copy else None)

    def _padded(self, side: int, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        ids, offsets = self._ids[side], self._offsets[side]
        assert ids is not None
        begin, lengths = offsets[indices], offsets[indices + 1] - offsets[indices]
        place = np.arange(lengths.max())
        real = place < lengths[:, None]
        padded = np.where(real, ids[np.where(real, begin[:, None] + place, 0)], PAD).astype(np.int64)
        return torch.from_numpy(padded), torch.from_numpy(lengths)

    def in_order_of_length(self, size: int) -> list[NDArray[np.int64]]:
        """The indices of every pair once, those of like length together: for measuring."""
        order = np.argsort(self.lengths[0], kind="stable")
        return [order[begin : begin + size] for begin in range(0, len(order), size)]


class Schedule:
    """Which pairs make up the batch of a training step: a pure function of seed and step.

    Each epoch takes a new permutation; neighbours in it are sorted by length within pools of 50 batches, so that a
    batch holds little padding; the order of the batches is shuffled again.

    >>> schedule = Schedule(np.array([3, 1, 2, 1, 5]), batch_size=2, seed=0)
    >>> sorted(np.concatenate([schedule[step] for step in range(schedule.per_epoch)]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.per_epoch = -(-len(lengths) // batch_size)
        self._epoch, self._batches = -1, [np.empty(0, np.int64)]

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._plan(np.random.default_rng([self.seed, epoch]))
        return self._batches[position]

    def _plan(self, random: np.random.Generator) -> list[NDArray[np.int64]]:
        order = random.permutation(len(self.lengths))
        pool = 50 * self.batch_size
        batches = []
        for begin in range(0, len(order), pool):
            some = order[begin : begin + pool]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += [some[i : i + self.batch_size] for i in range(0, len(some), self.batch_size)]
        return [batches[i] for i in random.permutation(len(batches))]


@dataclass(frozen=True)
class Part:
    """Some pairs of a file, read anew at each pass."""

    file: PairFile
    keep: Callable[[Pair], bool]

    def __iter__(self) -> Iterator[Pair]:
        return (pair for pair in self.file if self.keep(pair))


class HeldOut:
    """A part of a file kept from training: about one input in twenty, at most 2,000 pairs, chosen by the seed.

    It is chosen by the source text, so that an input that occurs twice is never on both sides.

    Attributes:
        count: how many pairs are held out.
        shared: True where the file has too few different inputs to be parted; then all of it is used for both.
        training: the pairs to train on.
        held_out: the pairs kept from training.
    """

    def __init__(self, file: PairFile, seed: int):
        self._salt = seed.to_bytes(8, "little", signed=True)
        hashes = np.fromiter((self._hash(pair) for pair in file), np.uint64)
        wanted = min(max(len(hashes) // 20, 1), 2000)
        self._threshold = int(np.partition(hashes, wanted - 1)[wanted - 1])
        self.count = int((hashes <= self._threshold).sum())
        self.shared = self.count == len(hashes)
        self.training = Part(file, lambda pair: self.shared or self._hash(pair) > self._threshold)
        self.held_out = Part(file, lambda pair: self._hash(pair) <= self._threshold)

    def _hash(self, pair: Pair) -> int:
        return int.from_bytes(hashlib.blake2b(pair.source.encode(), digest_size=8, salt=self._salt).digest(), "little")
