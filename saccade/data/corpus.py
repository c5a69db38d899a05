"""Encoded examples on disk: rows of numbers of many lengths, which may be more than memory holds."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BatchT = TypeVar("BatchT", covariant=True)


class Corpus(Protocol[BatchT]):
    """Encoded examples that a training can draw batches from."""

    fingerprint: str
    """Changes with anything in them."""

    def __len__(self) -> int: ...

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How long each example is: those of like size are put side by side."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> BatchT:
        """The examples at these indices, side by side."""
        ...


class Ragged:
    """Columns of integer rows in memory-mapped files, a file each.

    Args:
        folder: where the files are written.
        name: what their names begin with.
        columns: a name for each column.
        rows: for each example a row of integers for each column.

    Attributes:
        fingerprint: a digest of everything in it.
        lengths: for each column, how long its rows are.

    >>> import tempfile
    >>> ragged = Ragged(Path(tempfile.mkdtemp()), "some", ["a", "b"], [([1, 2, 3], [9]), ([4], [8])])
    >>> ragged.padded(0, np.array([1, 0])).tolist()
    [[4, 0, 0], [1, 2, 3]]
    """

    def __init__(self, folder: Path, name: str, columns: Sequence[str], rows: Iterable[tuple[Sequence[int], ...]]):
        paths = [folder / f"{name}.{column}" for column in columns]
        lengths = [array("q") for _ in paths]  # not lists: of many rows only numbers are in memory
        digest = hashlib.sha256()
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in paths]
            for example in rows:
                for file, length, row in zip(files, lengths, example, strict=True):
                    data = np.asarray(row, dtype=np.int32).tobytes()
                    digest.update(len(row).to_bytes(4, "little") + data)
                    file.write(data)
                    length.append(len(row))
        self.fingerprint = digest.hexdigest()
        self.lengths: list[NDArray[np.int64]] = [np.array(length, np.int64) for length in lengths]
        self._paths, self._offsets = paths, [np.concatenate([[0], np.cumsum(length)]) for length in self.lengths]

    @cached_property
    def _numbers(self) -> list[NDArray[np.int32]]:
        # A plain view of the map: slices of np.memmap itself are slow.
        return [
            np.asarray(np.memmap(path, np.int32, "r") if offsets[-1] else [], np.int32)
            for path, offsets in zip(self._paths, self._offsets, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is in the files, which another process maps for itself."""
        return {name: value for name, value in vars(self).items() if name != "_numbers"}

    def __len__(self) -> int:
        return len(self.lengths[0])

    def padded(self, column: int, indices: NDArray[np.int64]) -> Tensor:
        """Rows of a column side by side, zeros after their ends, `[batch, longest]` int64."""
        numbers, begin = self._numbers[column], self._offsets[column][indices]
        lengths = self.lengths[column][indices]
        place = np.arange(lengths.max(initial=0))
        real = place < lengths[:, None]
        padded = np.zeros(real.shape, np.int64)
        padded[real] = numbers[(begin[:, None] + place)[real]]
        return torch.from_numpy(padded)

    def of(self, column: int, indices: NDArray[np.int64]) -> Tensor:
        """The lengths of rows of a column, `[batch]` int64."""
        return torch.from_numpy(self.lengths[column][indices])


def nested(flat: Tensor, lengths: Tensor) -> Tensor:
    """Rows cut into stretches: `[batch, stretch, longest]` of `[batch, time]`, zeros after each one's end.

    Args:
        flat: the stretches of each row one after another, `[batch, time]`.
        lengths: how long each stretch is, zero for those that are not there, `[batch, stretch]`.

    >>> nested(torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), torch.tensor([[1, 3], [2, 0]])).tolist()
    [[[1, 0, 0], [2, 3, 4]], [[5, 6, 0], [0, 0, 0]]]
    """
    longest = int(lengths.max()) if lengths.numel() else 0
    place = torch.arange(longest)
    real = place < lengths[..., None]
    begin = lengths.cumsum(1) - lengths
    index = torch.where(real, begin[..., None] + place, 0)
    return flat.gather(1, index.flatten(1)).view(index.shape) * real
