"""The part of a file that is kept from training, where nobody gave another."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

Example = TypeVar("Example")


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
        hashes = np.fromiter((self._hash(example) for example in file), np.uint64)
        wanted = min(max(len(hashes) // share, 1), 2000)
        self._threshold = int(np.partition(hashes, wanted - 1)[wanted - 1])
        self.count = int((hashes <= self._threshold).sum())
        self.shared = self.count == len(hashes)
        self.training = Part(file, lambda example: self.shared or self._hash(example) > self._threshold)
        self.held_out = Part(file, lambda example: self._hash(example) <= self._threshold)

    def _hash(self, example: Example) -> int:
        text = self._key(example).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, salt=self._salt).digest(), "little")
