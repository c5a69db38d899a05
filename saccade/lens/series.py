"""What is drawn of a forecast: the past, how strongly each time of it was looked at, the forecast and the truth."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.maps import checked


class AttendedSeries(NamedTuple):
    """A past, a forecast, and weights over the past; build it with `attended_series`, which checks."""

    variables: tuple[str, ...]
    past: NDArray[np.float64]  # [time, variable]
    weights: NDArray[np.float32]  # [variable, time], or [1, time] for all variables together
    targets: tuple[str, ...]  # what is forecast: some of the variables, or other things
    predicted: NDArray[np.float64]  # [horizon, target]
    truth: NDArray[np.float64] | None = None  # [horizon, target]
    times: tuple[str, ...] = ()  # labels of the past, and perhaps of the horizon after it
    text: str = ""  # what was read, in words
    answer: str = ""  # what was forecast, in words
    note: str = ""  # one line more


def attended_series(
    variables: Iterable[str],
    past: ArrayLike,
    weights: ArrayLike,
    predicted: ArrayLike,
    *,
    targets: Iterable[str] | None = None,
    truth: ArrayLike | None = None,
    times: Iterable[str] = (),
    text: str = "",
    answer: str = "",
    note: str = "",
) -> AttendedSeries:
    """Check and freeze one attended series.

    Args:
        past: [time, variable], finite.
        weights: [time], or [variable, time] where each variable was looked at by itself; not negative.
        predicted: [horizon, target], finite; or a vector [target], which is a horizon of one.
        targets: what is forecast; a target that is one of `variables` continues its line. All of them by default.
        truth: what came true, as `predicted`.
        times: labels of the past [time], or of the past and the horizon.

    Raises:
        ValueError: shapes that do not fit each other, values that are not finite, weights below 0.

    >>> series = attended_series(["load", "heat"], [[1, 20], [2, 21], [3, 19]], [0.1, 0.2, 0.7], [4, 18])
    >>> series.weights.shape, series.predicted.shape
    ((1, 3), (1, 2))
    """
    variables, times = tuple(variables), tuple(times)
    targets = variables if targets is None else tuple(targets)
    rows = np.asarray(past).shape[0] if np.ndim(past) else 0
    values = _values(past, "past", "[time, variable]", (rows, len(variables)))
    array = np.asarray(weights, dtype=np.float32)
    axes, shape = ("[time]", [rows]) if array.ndim == 1 else ("[variable, time]", [len(variables), rows])
    looked = checked(array, "weights", axes, shape)
    steps = np.asarray(predicted).shape[0] if np.ndim(predicted) == 2 else 1
    forecast = _values(predicted, "predicted", "[horizon, target]", (steps, len(targets)))
    if truth is not None:
        truth = _values(truth, "truth", "[horizon, target]", forecast.shape)
    if len(times) not in (0, rows, rows + steps):
        raise ValueError(f"times must label {rows} times, or {rows + steps} with the horizon; got {len(times)}")
    return AttendedSeries(variables, values, np.atleast_2d(looked), targets, forecast, truth, times, text, answer, note)


def _values(given: ArrayLike, name: str, axes: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(given, dtype=np.float64)
    if array.ndim == 1 and shape[0] == 1:
        array = array[None]
    if array.shape != shape:
        raise ValueError(f"{name} must be {axes} = {list(shape)}; got {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(array)).sum())} of {array.size} values are not")
    array.flags.writeable = False
    return array


class Panel(NamedTuple):
    """One variable or target as it is drawn: what it lacks is empty."""

    name: str
    past: NDArray[np.float64]  # [time]
    weights: NDArray[np.float32]  # [time]
    predicted: NDArray[np.float64]  # [horizon]
    truth: NDArray[np.float64]  # [horizon]


def panels(series: AttendedSeries) -> list[Panel]:
    """The series one by one: what is forecast first, in the order given, then what was only read.

    >>> series = attended_series(["load", "heat"], [[1, 20], [2, 21]], [0.1, 0.9], [18], targets=["heat"])
    >>> [(panel.name, panel.predicted.tolist()) for panel in panels(series)]
    [('heat', [18.0]), ('load', [])]
    """
    nothing = np.zeros(0)
    column = {name: place for place, name in enumerate(series.variables)}
    target = {name: place for place, name in enumerate(series.targets)}
    return [
        Panel(
            name,
            series.past[:, column[name]] if name in column else nothing,
            _weights(series, column.get(name)),
            series.predicted[:, target[name]] if name in target else nothing,
            series.truth[:, target[name]] if name in target and series.truth is not None else nothing,
        )
        for name in [*series.targets, *(name for name in series.variables if name not in target)]
    ]


def _weights(series: AttendedSeries, column: int | None) -> NDArray[np.float32]:
    shared = len(series.weights) == 1
    if column is None and not shared:
        return np.zeros(0, dtype=np.float32)
    row: NDArray[np.float32] = series.weights[0 if column is None or shared else column]
    return row


def most_looked_at(series: AttendedSeries, most: int) -> tuple[list[Panel], int]:
    """At most so many panels, and how many are left out: what is forecast stays, then what was looked at most.

    >>> series = attended_series("abc", np.zeros((1, 3)), [[0.1], [0.2], [0.7]], [0], targets="a")
    >>> [panel.name for panel in most_looked_at(series, 2)[0]]
    ['a', 'c']
    """
    there = panels(series)
    ranked = sorted(there, key=lambda panel: (not panel.predicted.size, -float(panel.weights.sum())))
    kept = {panel.name for panel in ranked[:most]}
    return [panel for panel in there if panel.name in kept], len(there) - len(kept)
