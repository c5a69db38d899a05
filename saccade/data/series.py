"""Numeric series from a person's files: one long table of variables over time, or many sequences with their answers."""

import csv
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade.data.arrays import Array, from_npy, from_npz
from saccade.data.moments import check_times, is_date
from saccade.data.records import format_of, lines_of, rows_of
from saccade.errors import DataError, OptionError

_INPUTS, _TARGETS = "sequence, time, variable", "sequence, output"
_TIMES = ("date", "time", "datetime", "timestamp", "ds")
_GAPS = ("", "-", "?", "na", "n/a", "nan", "nil", "none", "null")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Table:
    """Variables over time.

    values: float32 `[time, variable]`.
    names:  of the variables.
    times:  what the file says of each row; None where it says nothing.
    doubts: what a person may want to look at, a line each.
    """

    values: Array
    names: tuple[str, ...]
    times: tuple[str, ...] | None = None
    doubts: tuple[str, ...] = ()

    def places(self, names: Sequence[str]) -> tuple[int, ...]:
        """Where variables of these names stand; all of them for none.

        Raises:
            OptionError: an unknown name, or one that comes twice.

        >>> Table(np.zeros((5, 3), np.float32), ("load", "wind", "oil")).places(["oil"])
        (2,)
        """
        for name in names:
            if name not in self.names:
                raise OptionError(f"--columns must be of {', '.join(self.names)}; got {name!r}")
        if len(set(names)) < len(names):
            raise OptionError(f"--columns must name a variable once; got {', '.join(names)}")
        return tuple(self.names.index(name) for name in names) or tuple(range(len(self.names)))


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of one length, each with the numbers that it should give.

    inputs:  float32 `[sequence, time, variable]`.
    targets: float32 `[sequence, output]`; None where only the inputs were asked for.
    """

    inputs: Array
    targets: Array | None


def read_table(path: Path, *, time: str | None = None) -> Table:
    """A table from CSV with a header (plain or `.gz`), or from a `.npy` of `[time, variable]` or `[time]`.

    Of a CSV file one column may be the time, which is no variable: the one called `time`, or else the first that is
    called date, time, datetime, timestamp or ds, or whose first cell is an ISO date; or a first column without a name,
    as pandas writes an index. Its cells are ISO dates or numbers, and grow. Steps of different lengths are a doubt;
    so are times of another form, whose order nobody can know.

    Raises:
        DataError: naming the file, and row and column where they are known: no rows, a gap, text, an infinite number,
            a row of another width, times that do not grow.
        OptionError: no column is called `time`.
    """
    if format_of(path) != ".npy":
        return _read_csv(path, time)
    if time is not None:
        raise OptionError(f"--time names a column of a CSV file; {path} has none")
    values = from_npy(path, "time, variable")
    return Table(values, tuple(str(i) for i in range(values.shape[1])))


def read_sequences(paths: Sequence[Path], *, answered: bool = True) -> Sequences:
    """Sequences from two `.npy` files, or one `.npz` that holds `x` and `y`.

    Inputs are `[sequence, time, variable]`, or `[sequence, time]` of one variable; targets `[sequence, output]`, or
    `[sequence]` of one number. A float32 `.npy` stays on the disk and is mapped into memory.

    Args:
        answered: whether there are targets; without them one `.npy` is enough.

    Raises:
        DataError: naming the file: it cannot be read, holds objects and no numbers, has other axes, a number that is
            not finite, or as many targets as there are no sequences.
    """
    if len(paths) == 1 and paths[0].suffix.lower() == ".npz":
        found = from_npz(paths[0], {"x": _INPUTS, "y": _TARGETS} if answered else {"x": _INPUTS})
        if len(found) < 1 + answered:
            raise DataError(f"{paths[0]}: expected arrays x and y; got {', '.join(found)} alone")
        inputs, targets, where = found["x"], found.get("y"), f"{paths[0]}:y"
    elif 1 + answered <= len(paths) <= 2 and all(path.suffix.lower() == ".npy" for path in paths):
        inputs, where = from_npy(paths[0], _INPUTS), str(paths[-1])
        targets = from_npy(paths[1], _TARGETS) if answered else None
    else:
        expected = "two .npy files, of inputs and targets, or one .npz of x and y"
        raise DataError(f"expected {expected}; got {', '.join(map(str, paths)) or 'none'}")
    if targets is not None and len(targets) != len(inputs):
        raise DataError(f"{where}: expected targets of {len(inputs)} sequences; got {len(targets)}")
    return Sequences(inputs, targets)


def _read_csv(path: Path, time: str | None) -> Table:
    header = _header(path)
    values, times, places, clock = array("f"), [], [], None
    numeric = list(range(len(header)))
    for row, (where, cells) in enumerate(record for record in rows_of(path, header) if record is not None):
        if row == 0:
            clock = _time_column(path, header, cells, time)
            numeric = [i for i in numeric if i != clock]
        values.extend(_number(where, header[i], cells[i]) for i in numeric)
        places.append(where)
        if clock is not None:
            times.append(cells[clock].strip())
    if not places:
        raise DataError(f"{path}: expected rows of numbers under the header; the file has none")
    if not numeric:
        raise DataError(f"{path}:1: expected a column of numbers; got {header[0]!r} alone, which is the time")
    table, names = np.frombuffer(values, np.float32).reshape(-1, len(numeric)), tuple(header[i] for i in numeric)
    if clock is None:
        return Table(table, names)
    return Table(table, names, tuple(times), check_times(header[clock], times, places))


def _header(path: Path) -> list[str]:
    header = next(csv.reader(line + "\n" for _, line in lines_of(path)), None)
    if header is None:
        raise DataError(f"{path}: expected CSV with a header; the file is empty")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError(f"{path}:1: expected columns with commas between; got {header[0]!r}")
    for name in header:
        if _float(name) is not None:
            raise DataError(f"{path}:1: expected a header, the names of the columns; got the number {name}")
        if header.count(name) > 1:
            raise DataError(f"{path}:1: expected columns of different names; got {name!r} twice")
    if not all(header[1:]):
        raise DataError(f"{path}:1: expected a name for every column; column {header.index('', 1) + 1} has none")
    return header


def _time_column(path: Path, header: list[str], cells: list[str], time: str | None) -> int | None:
    if time is not None:
        if time not in header:
            raise OptionError(f"--time must be a column of {path}: {', '.join(header)}; got {time!r}")
        return header.index(time)
    for place, (name, cell) in enumerate(zip(header, cells, strict=True)):
        if not name or name.strip().lower() in _TIMES or is_date(cell):
            return place
    return None


def _float(cell: str) -> float | None:
    """The number that a cell holds, which may be infinite; None for text. Python alone takes 1_000 for a number."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _number(where: str, column: str, cell: str) -> float:
    number = None if cell.strip().lower() in _GAPS else _float(cell)
    if number is not None and abs(number) <= _LARGEST:
        return number
    if cell.strip().lower() in _GAPS:
        came = f"a gap, {cell!r}"
    elif number is None:
        came = repr(cell)
    else:
        came = f"{cell.strip()}, which is infinite" if math.isinf(number) else f"{cell.strip()}, too large for float32"
    raise DataError(f"{where}: expected a number in column {column!r}; got {came}")
