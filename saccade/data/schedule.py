"""Which examples stand side by side: in training, decided by the seed and the step alone; in measuring, by length."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.data.ragged import roomy

Lengths = NDArray[np.int32] | NDArray[np.int64]

_CHUNK = 1 << 18  # examples looked at together


def in_order_of_length(lengths: ArrayLike, size: int) -> list[NDArray[np.int64]]:
    """The index of every example once, those of like length together, `size` at a time: for measuring.

    >>> [some.tolist() for some in in_order_of_length([3, 1, 2], 2)]
    [[1, 2], [0]]
    """
    order = np.argsort(lengths, kind="stable")
    return [order[begin : begin + size] for begin in range(0, len(order), size)]


class Epochs:
    """Which examples make up the batch of a training step: a pure function of seed and step.

    Each epoch takes a new permutation; examples in it are sorted by length within pools, so that a batch holds little
    padding; the order of the batches is shuffled again. Of each example four bytes are in memory.

    Args:
        lengths: of the examples.
        batches: where one batch ends and the next begins, from 0 to the number of examples.
        pools: the same of the pools.
    """

    def __init__(self, lengths: Lengths, batches: NDArray[np.int64], pools: NDArray[np.int64], seed: int):
        self._lengths, self._batches, self._pools, self._seed = lengths, batches, pools, seed
        self.per_epoch = len(batches) - 1
        self._epoch, self._order, self._turns = -1, np.empty(0, np.int32), np.empty(0, np.int64)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng([self._seed, epoch])
            self._order = np.empty(0, np.int32)  # the last epoch's need not be in memory beside this one's
            order = np.arange(len(self._lengths), dtype=np.int32)
            random.shuffle(order)
            self._epoch, self._order = epoch, self._ordered(order)
            self._turns = random.permutation(self.per_epoch)
        batch = self._turns[position]
        return self._order[self._batches[batch] : self._batches[batch + 1]].astype(np.int64)

    def _ordered(self, order: NDArray[np.int32]) -> NDArray[np.int32]:
        for begin, end in pairwise(self._pools):
            some = order[begin:end]
            order[begin:end] = some[np.argsort(self._sorted_by(some), kind="stable")]
        return order

    def _sorted_by(self, some: NDArray[np.int32]) -> Lengths:
        return self._lengths[some]


class Schedule(Epochs):
    """Batches of so many examples, out of pools of 50 batches.

    >>> schedule = Schedule(np.array([3, 1, 2, 1, 5]), batch_size=2, seed=0)
    >>> sorted(np.concatenate([schedule[step] for step in range(schedule.per_epoch)]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, lengths: Lengths, batch_size: int, seed: int):
        batches, pools = (np.append(np.arange(0, len(lengths), n), len(lengths)) for n in (batch_size, 50 * batch_size))
        super().__init__(lengths, batches, pools, seed)


class TokenSchedule(Epochs):
    """Batches of so many tokens: on each side its longest row times its rows, padding counted, is at most `most`.

    Examples come in order of their longer side (rounded up by a sixteenth at most), by chance among like ones and in
    pools of these in order of the shorter; each batch takes as many as fit. So an epoch always has as many batches,
    and a step tells its batch without those before it. An example above `most` is a batch alone.

    Args:
        sides: the lengths of the sources, and of the targets.

    >>> schedule = TokenSchedule(np.array([[3, 1, 2, 1, 5], [1, 1, 2, 4, 9]]), most=8, seed=0)
    >>> sorted(sorted(schedule[step].tolist()) for step in range(schedule.per_epoch))
    [[0, 3], [1, 2], [4]]
    """

    def __init__(self, sides: Sequence[Lengths], most: int, seed: int):
        self._sides = sides
        longest = max(int(side.max(initial=0)) for side in sides)
        self._rounded = np.array([roomy(length) for length in range(longest + 1)], np.int32)
        self._counts = np.zeros(int(self._rounded[-1]) + 1, np.int64)
        for begin in range(0, len(sides[0]), _CHUNK):
            longer = self._longer(slice(begin, begin + _CHUNK))
            self._counts += np.bincount(longer, minlength=len(self._counts))
        rising = np.repeat(np.arange(len(self._counts), dtype=np.int32), self._counts)
        super().__init__(sides[0], _fitting(rising, most), _alike(self._counts, most), seed)

    def _longer(self, some: slice | NDArray[np.int32]) -> NDArray[np.int32]:
        return self._rounded[np.maximum(self._sides[0][some], self._sides[1][some])]

    def _sorted_by(self, some: NDArray[np.int32]) -> Lengths:
        return np.minimum(self._sides[0][some], self._sides[1][some])

    def _ordered(self, order: NDArray[np.int32]) -> NDArray[np.int32]:
        """Examples by their longer side, those alike in the order they came in; then as ever, in pools."""
        found, begins = np.empty_like(order), self._counts.cumsum() - self._counts
        for begin in range(0, len(order), _CHUNK):
            some = order[begin : begin + _CHUNK]
            longer = self._longer(some)
            by = np.argsort(longer, kind="stable")
            there = np.bincount(longer, minlength=len(self._counts))
            rank = np.arange(len(some)) - np.repeat(there.cumsum() - there, there)
            found[begins[longer[by]] + rank] = some[by]
            begins += there
        return super()._ordered(found)


def _fitting(rising: NDArray[np.int32], most: int) -> NDArray[np.int64]:
    """Where batches part whose longest times their number is at most `most`, of lengths in rising order."""
    parts = [0]
    while (begin := parts[-1]) < len(rising):
        some = rising[begin : begin + max(most // int(rising[begin]), 1)]
        fit = int(np.searchsorted(some * np.arange(1, len(some) + 1), most, "right"))
        parts.append(begin + max(fit, 1))
    return np.array(parts)


def _alike(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Where pools part: of equal lengths, about 50 batches at most. So many examples have each length."""
    begins = counts.cumsum() - counts
    pools = [
        np.arange(begins[length], begins[length] + counts[length], 50 * max(most // length, 1))
        for length in np.flatnonzero(counts).tolist()
    ]
    return np.concatenate([*pools, [int(counts.sum())]])
