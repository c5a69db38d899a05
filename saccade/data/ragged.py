"""Arrays of many sizes on disk, and some of them side by side: images, spectrograms."""

import hashlib
from array import array as numbers
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class RaggedArrays:
    """Arrays of one dtype, one number of axes and one size of the last axis, in a memory-mapped file.

    Args:
        folder: where the file is written.
        name: what it is called.
        arrays: `[*size, dim]` each, uint8 or float32; taken one at a time.

    Attributes:
        fingerprint: a digest of everything in it.
        shapes: the size of each array without its last axis, `[array, axes - 1]`.

    Raises:
        ValueError: an array unlike the first one.

    >>> import tempfile
    >>> images = [np.full((1, 2, 1), 7, np.uint8), np.full((2, 1, 1), 9, np.uint8)]
    >>> arrays = RaggedArrays(Path(tempfile.mkdtemp()), "some", images)
    >>> padded, sizes = arrays.padded(np.array([1, 0]))
    >>> padded[..., 0].tolist(), sizes.tolist()
    ([[[9, 0], [9, 0]], [[7, 7], [0, 0]]], [[2, 1], [1, 2]])
    """

    def __init__(self, folder: Path, name: str, arrays: Iterable[NDArray[Any]]):
        path, digest = folder / name, hashlib.sha256()
        shapes = numbers("q")
        kind: tuple[np.dtype[Any], int, int] | None = None
        with open(path, "wb") as file:
            for one in arrays:
                kind = kind or _kind(one)
                if _kind(one) != kind:
                    raise ValueError(f"arrays must have one {_said(kind)} as the first; got {_said(_kind(one))}")
                data = one.tobytes()
                digest.update(repr((one.dtype.str, one.shape)).encode() + data)
                file.write(data)
                shapes.extend(one.shape[:-1])
        dtype, axes, self._dim = kind or (np.dtype(np.uint8), 2, 1)
        self.fingerprint = digest.hexdigest()
        self.shapes: NDArray[np.int64] = np.array(shapes, np.int64).reshape(-1, axes - 1)
        self._offsets = np.cumsum([0, *(self.shapes.prod(1) * self._dim)], dtype=np.int64)
        self._path, self._dtype = path, dtype

    @cached_property
    def _numbers(self) -> NDArray[Any]:
        # A plain view of the map: slices of np.memmap itself are slow.
        return np.asarray(np.memmap(self._path, self._dtype, "r") if self._offsets[-1] else [], self._dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is in the file, which another process maps for itself."""
        return {name: value for name, value in vars(self).items() if name != "_numbers"}

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """One array, `[*size, dim]`, out of the file."""
        begin, end = self._offsets[index], self._offsets[index + 1]
        return self._numbers[begin:end].reshape(*self.shapes[index], self._dim)

    def padded(self, indices: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Arrays side by side: see `collate`."""
        return collate([self[int(index)] for index in indices])


def collate(arrays: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Arrays side by side, zeros after their ends, `[batch, *longest, dim]`; and their sizes, `[batch, axes - 1]`.

    An axis along which they differ is somewhat longer than the longest: see `roomy`.

    >>> padded, sizes = collate([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)])
    >>> padded.shape, sizes.tolist()
    (torch.Size([2, 2, 3]), [[2], [1]])
    """
    shapes = np.array([one.shape for one in arrays], np.int64)
    longest = [int(sizes[0]) if (sizes == sizes[0]).all() else roomy(int(sizes.max())) for sizes in shapes.T]
    padded = np.zeros((len(arrays), *longest), arrays[0].dtype)
    for row, one in zip(padded, arrays, strict=True):
        row[tuple(map(slice, one.shape))] = one
    return torch.from_numpy(padded), torch.from_numpy(shapes[:, :-1].copy())


def roomy(length: int) -> int:
    """The next length that five binary digits can say, at most a sixteenth more.

    What computes convolutions and recurrent layers on a CPU is compiled anew, and kept, for every shape that it meets:
    with all lengths of a corpus that takes a fifth of the time and gigabytes.

    >>> [roomy(length) for length in (31, 33, 711)]
    [31, 34, 736]
    """
    step = 1 << max(length.bit_length() - 5, 0)
    return -(-length // step) * step


def _kind(one: NDArray[Any]) -> tuple[np.dtype[Any], int, int]:
    return one.dtype, one.ndim, one.shape[-1]


def _said(kind: tuple[np.dtype[Any], int, int]) -> str:
    dtype, axes, dim = kind
    return f"dtype, number of axes and last axis {dtype}, {axes}, {dim}"
