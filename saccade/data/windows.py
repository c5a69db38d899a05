"""What a table becomes for forecasting: parts in the order of time, a scale fitted to the first one, and windows."""

import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from saccade.data.arrays import Array
from saccade.errors import OptionError, RunError


class Parts(NamedTuple):
    """The rows of a table in the order of time, each part what follows the one before it."""

    training: range
    validation: range
    test: range


def parts(rows: int, *, validation: float, test: float = 0) -> Parts:
    """Part `rows` rows: the last ones are the test, those before them the validation, all others the training.

    Args:
        rows: how many there are, or the first so many of them.
        validation, test: how many rows; below 1, which share of all.

    Raises:
        OptionError: a part below zero, or no row that is left for training.

    >>> parts(100, validation=0.2, test=7)
    Parts(training=range(0, 73), validation=range(73, 93), test=range(93, 100))
    """
    sizes = []
    for name, size in (("validation", validation), ("test", test)):
        if size < 0 or (size >= 1 and size != int(size)):
            raise OptionError(f"--{name} must be a number of rows, or a share from 0 to 1; got {size}")
        sizes.append(int(size) if size >= 1 else round(rows * size))
    end = rows - sizes[1]
    start = end - sizes[0]
    if start < 1:
        came = f"{sizes[0]} + {sizes[1]} of {rows} rows"
        raise OptionError(f"--validation + --test must leave rows for training; got {came}")
    return Parts(range(start), range(start, end), range(end, rows))


@dataclass(frozen=True, eq=False)
class Scaler:
    """Each variable by its own mean and deviation: `z = (x - mean) / std`.

    mean, std: float64 `[variable]`; a variable that never changes has a deviation of 1.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[np.floating]) -> Self:
        """Mean and deviation over all axes but the last one. Give it the training part, and nothing else.

        >>> Scaler.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
        Scaler(mean=array([2., 5.]), std=array([1., 1.]))
        """
        every = tuple(range(values.ndim - 1))
        std = values.std(every, dtype=np.float64)
        std[list(constant(values))] = 1.0
        return cls(values.mean(every, dtype=np.float64), std)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `to_json` wrote.

        Raises:
            RunError: no such file, or no scale.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
            mean, std = (np.array(found[name], np.float64) for name in ("mean", "std"))
        except OSError as error:
            raise RunError(f"{path}: expected a readable file; got {error.strerror or error}") from None
        except (ValueError, TypeError, KeyError):
            raise RunError(f"{path}: expected a scale, the JSON of mean and std; got something else") from None
        if mean.ndim != 1 or mean.shape != std.shape or not np.isfinite([mean, std]).all() or (std <= 0).any():
            raise RunError(f"{path}: expected a finite mean and a std above 0 of each variable; got something else")
        return cls(mean, std)

    def to_json(self) -> str:
        """The two as JSON, exactly."""
        return json.dumps({"mean": self.mean.tolist(), "std": self.std.tolist()})

    def transform(self, values: NDArray[np.floating]) -> Array:
        """`(x - mean) / std` as float32."""
        return ((values - self.mean) / self.std).astype(np.float32)

    def inverse(self, values: NDArray[np.floating]) -> Array:
        """`z std + mean` as float32."""
        return (values * self.std + self.mean).astype(np.float32)

    def of(self, places: Sequence[int]) -> "Scaler":
        """The scale of some variables, in this order."""
        return Scaler(self.mean[list(places)], self.std[list(places)])


def constant(values: NDArray[np.floating]) -> tuple[int, ...]:
    """The variables that never change, which nothing can be learned of.

    >>> constant(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (1,)
    """
    rows = values.reshape(-1, values.shape[-1])
    return tuple(np.flatnonzero(rows.max(0) == rows.min(0)).tolist())


class Windows:
    """Stretches of a table that are read, and those right after them that are to be predicted.

    Every predicted row lies in `part`; what is read may reach back before it. So the windows of a validation know the
    past as anyone would then, and predict nothing that was trained on. No window is written out before it is asked
    for.

    Args:
        values: the table, float32 `[time, variable]`.
        part: the rows that may be predicted, and in training read.
        window: rows that are read.
        horizon: rows that are predicted.
        stride: rows from one window to the next.
        targets: the variables that are predicted; None: all of them.

    Raises:
        OptionError: a size below one, or no window that fits.

    >>> windows = Windows(np.arange(7, dtype=np.float32)[:, None], range(5, 7), window=3, horizon=2)
    >>> past, future = windows.batch([0])
    >>> len(windows), past[0, :, 0].tolist(), future[0, :, 0].tolist()
    (1, [2.0, 3.0, 4.0], [5.0, 6.0])
    """

    def __init__(
        self,
        values: Array,
        part: range,
        *,
        window: int,
        horizon: int,
        stride: int = 1,
        targets: Sequence[int] | None = None,
    ):
        for name, size in (("window", window), ("horizon", horizon), ("stride", stride)):
            if size < 1:
                raise OptionError(f"--{name} must be at least 1; got {size}")
        if part.stop > len(values) or part.step != 1:
            raise ValueError(f"part must be a range of the {len(values)} rows; got {part}")
        if window + horizon > part.stop:
            came = f"{window} + {horizon} steps for {part.stop} rows"
            raise OptionError(f"--window + --horizon must fit the series: got {came}")
        if horizon > len(part):
            came = f"{horizon} steps for the {len(part)} rows from {part.start} on"
            raise OptionError(f"--horizon must fit each part of the series: got {came}")
        self.window, self.horizon = window, horizon
        self.starts = range(max(part.start - window, 0), part.stop - window - horizon + 1, stride)
        """The first row that each window reads."""
        self._past = sliding_window_view(values, window, axis=0)
        self._future = sliding_window_view(values, horizon, axis=0)
        self._targets = list(range(values.shape[1]) if targets is None else targets)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Sequence[int] | NDArray[np.integer]) -> tuple[Array, Array]:
        """What some windows read, `[batch, window, variable]`, and what follows, `[batch, horizon, target]`.

        Raises:
            IndexError: a window that is not there.
        """
        first = np.array([self.starts[operator.index(index)] for index in indices], np.int64)
        past = self._past[first].transpose(0, 2, 1)
        future = self._future[first + self.window][:, self._targets].transpose(0, 2, 1)
        return np.ascontiguousarray(past), np.ascontiguousarray(future)
