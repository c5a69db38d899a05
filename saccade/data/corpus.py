"""Encoded examples on disk: rows of numbers of many lengths, which may be more than memory holds."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BatchT = TypeVar("BatchT", covariant=True)

_CHUNK = 1000
_READ = 1 << 16


class Corpus(Protocol[BatchT]):
    """Encoded examples that a training can draw batches from."""

    fingerprint: str
    """Changes with anything in them."""

    def __len__(self) -> int: ...

    @property
    def sizes(self) -> NDArray[Any]:
        """How long each example is: those of like size are put side by side."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> BatchT:
        """The examples at these indices, side by side."""
        ...


class Rows(NamedTuple):
    """Rows of numbers, one after another.

    numbers: of all rows, `[number]` int32.
    lengths: how many of them each row has, `[row]` int32.
    """

    numbers: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def only(self, which: NDArray[np.bool_]) -> "Rows":
        """The rows that are told, `[row]`.

        >>> rows_of([[1, 2], [3], [4, 5]]).only(np.array([True, False, True])).numbers.tolist()
        [1, 2, 4, 5]
        """
        return Rows(self.numbers[np.repeat(which, self.lengths)], self.lengths[which])


def rows_of(rows: Sequence[Sequence[int]]) -> Rows:
    """Rows out of sequences of numbers."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    return Rows(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)


def in_chunks(examples: Iterable[tuple[Sequence[int], ...]]) -> Iterator[tuple[Rows, ...]]:
    """Examples, a row of numbers for each column, as some rows of each column at a time."""
    rest = iter(examples)
    while some := list(islice(rest, _CHUNK)):
        yield tuple(rows_of(column) for column in zip(*some, strict=True))


class Ragged:
    """Columns of integer rows in memory-mapped files: of each column its numbers, where each row begins, and lengths.

    What is mapped is no memory of the process: the system takes it back at need.

    Args:
        folder: where the files are.
        name: what their names begin with.
        columns: a name for each column.
        fingerprint: a digest of everything in it.

    >>> import tempfile
    >>> chunks = in_chunks([([1, 2, 3], [9]), ([4], [8])])
    >>> ragged = write_rows(Path(tempfile.mkdtemp()), "some", ["a", "b"], chunks)
    >>> ragged.padded(0, np.array([1, 0])).tolist()
    [[4, 0, 0], [1, 2, 3]]
    """

    def __init__(self, folder: Path, name: str, columns: Sequence[str], fingerprint: str):
        self.fingerprint, self.columns = fingerprint, tuple(columns)
        self._paths = [_paths(folder, name, column) for column in columns]

    @cached_property
    def _numbers(self) -> list[NDArray[np.int32]]:
        return [_mapped(some.numbers, np.int32) for some in self._paths]

    @cached_property
    def _begins(self) -> list[NDArray[np.int64]]:
        return [_mapped(some.begins, np.int64) for some in self._paths]

    @cached_property
    def lengths(self) -> list[NDArray[np.int32]]:
        """For each column, how long its rows are."""
        return [_mapped(some.lengths, np.int32) for some in self._paths]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is in the files, which another process maps for itself."""
        return {name: value for name, value in vars(self).items() if name in ("fingerprint", "columns", "_paths")}

    def __len__(self) -> int:
        return len(self.lengths[0])

    def padded(self, column: int, indices: NDArray[np.int64]) -> Tensor:
        """Rows of a column side by side, zeros after their ends, `[batch, longest]` int64."""
        numbers, begin = self._numbers[column], self._begins[column][indices]
        lengths = self.lengths[column][indices]
        place = np.arange(lengths.max(initial=0))
        real = place < lengths[:, None]
        padded = np.zeros(real.shape, np.int64)
        padded[real] = numbers[(begin[:, None] + place)[real]]
        return torch.from_numpy(padded)

    def of(self, column: int, indices: NDArray[np.int64]) -> Tensor:
        """The lengths of rows of a column, `[batch]` int64."""
        return torch.from_numpy(self.lengths[column][indices].astype(np.int64))

    def chunks(self) -> Iterator[tuple[Rows, ...]]:
        """All rows in order, some at a time.

        Raises:
            ValueError: the files do not fit together.
        """
        sizes = {len(array) for arrays in (self.lengths, self._begins) for array in arrays}
        ends = [0] * len(self.lengths)
        if len(sizes) > 1:
            raise ValueError(f"files must have as many rows as each other; got {sizes}")
        for first in range(0, len(self), _READ):
            chunk = []
            for column, (numbers, lengths) in enumerate(zip(self._numbers, self.lengths, strict=True)):
                some = lengths[first : first + _READ]
                begins, ends[column], end = *_begins(some, ends[column]), ends[column]
                if not np.array_equal(begins, self._begins[column][first : first + _READ]):
                    raise ValueError(f"rows must begin where those before end; got others behind row {first}")
                chunk.append(Rows(numbers[end : ends[column]], some))
            yield tuple(chunk)
        if ends != [len(numbers) for numbers in self._numbers]:
            raise ValueError(f"rows must end where their numbers do, at {ends}")


class _Paths(NamedTuple):
    numbers: Path
    begins: Path
    lengths: Path


def _paths(folder: Path, name: str, column: str) -> _Paths:
    return _Paths(*(folder / f"{name}.{column}{what}" for what in ("", ".begins", ".lengths")))


def _mapped(path: Path, dtype: type[Any]) -> NDArray[Any]:
    # A plain view of the map: slices of np.memmap itself are slow. An empty file cannot be mapped.
    return np.asarray(np.memmap(path, dtype, "r") if path.stat().st_size else [], dtype)


def _begins(lengths: NDArray[np.int32], begin: int) -> tuple[NDArray[np.int64], int]:
    """Where rows of these lengths begin behind `begin`, and where the last one ends."""
    ends = begin + np.cumsum(lengths, dtype=np.int64)
    return ends - lengths, int(ends[-1]) if len(ends) else begin


def write_rows(folder: Path, name: str, columns: Sequence[str], chunks: Iterable[tuple[Rows, ...]]) -> Ragged:
    """Write columns of rows into files, some rows at a time, and map them."""
    ends, digest = [0] * len(columns), hashlib.sha256()
    with ExitStack() as stack:
        files = [[stack.enter_context(open(path, "wb")) for path in _paths(folder, name, column)] for column in columns]
        for chunk in chunks:
            digest.update(_sealed(chunk))
            for column, ((numbers, begins, lengths), rows) in enumerate(zip(files, chunk, strict=True)):
                where, ends[column] = _begins(rows.lengths, ends[column])
                numbers.write(rows.numbers.tobytes())
                begins.write(where.tobytes())
                lengths.write(rows.lengths.tobytes())
    return Ragged(folder, name, columns, digest.hexdigest())


def read_rows(folder: Path, name: str, columns: Sequence[str]) -> Ragged:
    """Map files that `write_rows` wrote, and reckon their fingerprint from what is in them.

    Raises:
        OSError: a file is not there.
        ValueError: the files do not fit together, as where one was not written to its end.
    """
    digest, found = hashlib.sha256(), Ragged(folder, name, columns, "")
    for chunk in found.chunks():
        digest.update(_sealed(chunk))
    found.fingerprint = digest.hexdigest()
    return found


def _sealed(chunk: tuple[Rows, ...]) -> bytes:
    """What the fingerprint is of: example by example, and in it column by column, the length of a row and its numbers.

    >>> np.frombuffer(_sealed((rows_of([[7, 8], [9]]), rows_of([[], [5]]))), np.int32).tolist()
    [2, 7, 8, 0, 1, 9, 1, 5]
    """
    lengths = np.stack([rows.lengths for rows in chunk], 1)
    begins = np.cumsum(lengths + 1).reshape(lengths.shape) - lengths
    found = np.empty(int(lengths.sum()) + lengths.size, "<i4")
    found[begins - 1] = lengths
    for column, rows in enumerate(chunk):
        shift = begins[:, column] - _begins(rows.lengths, 0)[0]
        found[np.repeat(shift, rows.lengths) + np.arange(len(rows.numbers))] = rows.numbers
    return found.tobytes()


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
