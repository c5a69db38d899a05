"""Which examples stand side by side: in training, decided by the seed and the step alone; in measuring, by length."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.data.ragged import roomy


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
    padding; the order of the batches is shuffled again.

    Args:
        lengths: of the examples.
        batches: where one batch ends and the next begins, from 0 to the number of examples.
        pools: the same of the pools.
    """

    def __init__(self, lengths: NDArray[np.int64], batches: NDArray[np.int64], pools: NDArray[np.int64], seed: int):
        self._lengths, self._batches, self._pools, self._seed = lengths, batches, pools, seed
        self.per_epoch = len(batches) - 1
        self._epoch, self._order, self._turns = -1, np.empty(0, np.int64), np.empty(0, np.int64)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng([self._seed, epoch])
            self._epoch, self._order = epoch, self._ordered(random.permutation(len(self._lengths)))
            self._turns = random.permutation(self.per_epoch)
        batch = self._turns[position]
        return self._order[self._batches[batch] : self._batches[batch + 1]]

    def _ordered(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        for begin, end in pairwise(self._pools):
            some = order[begin:end]
            order[begin:end] = some[np.argsort(self._lengths[some], kind="stable")]
        return order


class Schedule(Epochs):
    """Batches of so many examples, out of pools of 50 batches.

    >>> schedule = Schedule(np.array([3, 1, 2, 1, 5]), batch_size=2, seed=0)
    >>> sorted(np.concatenate([schedule[step] for step in range(schedule.per_epoch)]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int):
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

    def __init__(self, sides: Sequence[NDArray[np.int64]], most: int, seed: int):
        longer = np.maximum(*sides)
        rounded = [roomy(length) for length in range(int(longer.max(initial=0)) + 1)]
        self._longer = np.array(rounded, np.int64)[longer]
        rising = np.sort(self._longer)
        super().__init__(np.minimum(*sides), _fitting(rising, most), _alike(rising, most), seed)

    def _ordered(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        return super()._ordered(order[np.argsort(self._longer[order], kind="stable")])


def _fitting(rising: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Where batches part whose longest times their number is at most `most`, of lengths in rising order."""
    parts = [0]
    while (begin := parts[-1]) < len(rising):
        some = rising[begin : begin + max(most // int(rising[begin]), 1)]
        fit = int(np.searchsorted(some * np.arange(1, len(some) + 1), most, "right"))
        parts.append(begin + max(fit, 1))
    return np.array(parts)


def _alike(rising: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Where pools part: of equal lengths, about 50 batches at most."""
    starts = [*np.flatnonzero(np.diff(rising, prepend=-1)), len(rising)]
    pools = [np.arange(*ends, 50 * max(most // int(rising[ends[0]]), 1)) for ends in pairwise(starts)]
    return np.concatenate([*pools, [len(rising)]])
