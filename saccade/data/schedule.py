"""Which examples stand side by side: in training, decided by the seed and the step alone; in measuring, by length."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def in_order_of_length(lengths: ArrayLike, size: int) -> list[NDArray[np.int64]]:
    """The index of every example once, those of like length together, `size` at a time: for measuring.

    >>> [some.tolist() for some in in_order_of_length([3, 1, 2], 2)]
    [[1, 2], [0]]
    """
    order = np.argsort(lengths, kind="stable")
    return [order[begin : begin + size] for begin in range(0, len(order), size)]


class Schedule:
    """Which examples make up the batch of a training step: a pure function of seed and step.

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
