"""The part of a file that is kept from training, where nobody gave another."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Example = TypeVar("Example")

_MOST = 2000
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Part(Generic[Example]):
    """Some examples of a file, read anew at each pass."""

    file: Iterable[Example]
    keep: Callable[[Example], bool]

    def __iter__(self) -> Iterator[Example]:
        return (example for example in self.file if self.keep(example))


class HeldOut(Generic[Example]):
    """A part of a file kept from training: about one input in twenty, at most 2,000 examples, chosen by the seed.

    It is chosen by the input alone, so that an input that occurs twice is never on both sides.

    Args:
        file: the examples; read three times or more.
        seed: decides which.
        key: the input of an example as a text.
        share: one input in how many.

    Attributes:
        count: how many examples are held out.
        shared: True where the file has too few different inputs to be parted; then all of it is used for both.
        training: the examples to train on.
        held_out: the examples kept from training.
    """

    def __init__(self, file: Iterable[Example], seed: int, key: Callable[[Example], str], *, share: int = 20):
        self._salt, self._key = seed.to_bytes(8, "little", signed=True), key
        values, upto, total = _smallest(map(self._hash, file))
        last = int(np.searchsorted(upto, min(max(total // share, 1), _MOST)))
        self._threshold, self.count = int(values[last]), int(upto[last])
        self.shared = self.count == total
        self.training = Part(file, lambda example: self.shared or self._hash(example) > self._threshold)
        self.held_out = Part(file, lambda example: self._hash(example) <= self._threshold)

    def _hash(self, example: Example) -> int:
        text = self._key(example).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, salt=self._salt).digest(), "little")


def _smallest(hashes: Iterator[int]) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
    """The smallest different hashes, enough for the largest part, with how many there are up to each; and of all.

    No more than these and a chunk are in memory.
    """
    values, counts, total = np.empty(0, np.uint64), np.empty(0, np.int64), 0
    while len(some := np.fromiter(islice(hashes, _CHUNK), np.uint64)):
        total += len(some)
        values, place = np.unique(np.concatenate([values, some]), return_inverse=True)
        weights = np.concatenate([counts, np.ones(len(some), np.int64)])
        counts = np.bincount(place, weights).astype(np.int64)
        enough = int(np.searchsorted(counts.cumsum(), _MOST)) + 1
        values, counts = values[:enough], counts[:enough]
    return values, counts.cumsum(), total
