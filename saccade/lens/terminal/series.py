"""The attended series: for each variable its past as a sparkline, what was looked at below it, and the forecast."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from saccade.lens.maps import scale_end, visible
from saccade.lens.series import AttendedSeries, Panel, most_looked_at, panels
from saccade.lens.terminal.shades import ASCII, encodable, legend, shaded, shades_of, words

HEIGHTS = "▁▂▃▄▅▆▇█"
ASCII_HEIGHTS = "_.,-=+*#"
LONGEST_NAME = 16  # cells
NARROWEST = 8  # cells for past and horizon, however narrow the terminal
MOST = 12  # variables
FORECAST = Style(color="rgb(238,98,36)")


class Layout(NamedTuple):
    """How many times share a cell, and how labels and cells look on one console."""

    left: int  # cells for the names
    past: int  # cells for the past
    step: int  # times in a cell
    ranged: bool  # whether there is room to tell from where to where values run
    heights: str
    shades: str
    top: float  # the weight of a cell where the scale ends


def lines(series: AttendedSeries, console: Console) -> Iterator[Text]:
    """The lines of `series`: what is forecast first; of many variables those that were looked at most."""
    yield from words([("read", series.text), ("answer", series.answer), ("", series.note)], console)
    shown, out = most_looked_at(series, MOST)
    layout = _layout(series, shown, console)
    for panel in shown:
        yield from _panel(panel, layout, console, shared=len(series.weights) == 1)
    if len(series.weights) == 1 and series.weights.size:
        yield _weights(series.weights[0], layout)
    yield from _times(series, layout, console)
    yield Text()
    yield from _legend(series, layout, out)


def _layout(series: AttendedSeries, shown: list[Panel], console: Console) -> Layout:
    names = [encodable(visible(panel.name), console) for panel in shown]
    left = max([cell_len(name) for name in names] + [len("  looked at")]) + 2
    left = min(left, LONGEST_NAME, max(console.width // 3, NARROWEST))
    # The ranges stand behind all the cells, if there is room; the bar and two halves of a cell too many want three.
    ranges = max((len(_range(panel)) for panel in shown), default=0)
    ranged = console.width - left - ranges - 3 >= NARROWEST
    room = max(console.width - left - (ranges if ranged else 0) - 3, NARROWEST)
    step = max(math.ceil((len(series.past) + len(series.predicted)) / room), 1)
    past = math.ceil(len(series.past) / step)
    looked = [float(cell.sum()) for row in series.weights for cell in _cells(row, step, past)]
    top = scale_end(np.array(looked, dtype=np.float32))
    shades = shades_of(console)
    return Layout(left, past, step, ranged, ASCII_HEIGHTS if shades == ASCII else HEIGHTS, shades, top)


def _panel(panel: Panel, layout: Layout, console: Console, *, shared: bool) -> Iterator[Text]:
    past = _heights(_cells(panel.past, layout.step, layout.past), panel, layout)
    line = _label(encodable(visible(panel.name), console), layout.left).append(f"{past:{layout.past}}")
    line.append("|", "dim").append(_heights(_cells(panel.predicted, layout.step), panel, layout), FORECAST)
    yield line.append(_range(panel) if layout.ranged else "", "dim")
    if panel.truth.size:
        line = _label("  truth", layout.left, "dim").append(" " * layout.past).append("|", "dim")
        yield line.append(_heights(_cells(panel.truth, layout.step), panel, layout))
    if not shared and panel.weights.size:
        yield _weights(panel.weights, layout)


def _ends(panel: Panel) -> tuple[float, float]:
    values = np.concatenate([panel.past, panel.predicted, panel.truth])
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _range(panel: Panel) -> str:
    low, high = _ends(panel)
    return f"  {low:.4g} to {high:.4g}"


def _weights(weights: NDArray[np.float32], layout: Layout) -> Text:
    line = _label("  looked at", layout.left, "dim")
    for cell in _cells(weights, layout.step, layout.past):
        line.append(*shaded(float(cell.sum()) / layout.top, layout.shades))
    return line


def _times(series: AttendedSeries, layout: Layout, console: Console) -> Iterator[Text]:
    if not series.times or not len(series.past):
        return
    first, last = (
        encodable(visible(series.times[place]), console).replace("␣", " ") for place in (0, len(series.past) - 1)
    )
    yield Text(" " * layout.left + f"{first} to {last}", "dim")


def _legend(series: AttendedSeries, layout: Layout, left_out: int) -> Iterator[Text]:
    said = "before the bar the past, after it the forecast"
    if layout.step > 1:
        said += f"; a cell is {layout.step} times: the mean of their values, the sum of their weights"
    yield Text(said, "dim")
    if series.weights.size:
        yield legend(layout.shades, layout.top)
    if left_out:
        yield Text(f"Left out: {left_out} of {len(panels(series))} variables.", "dim")


def _label(name: str, left: int, style: str = "") -> Text:
    cut = chop_cells(name, left - 1)[0] if name else ""
    return Text(set_cell_size(cut, left), style)


def _cells(values: NDArray[np.floating[Any]], step: int, count: int | None = None) -> list[NDArray[np.floating[Any]]]:
    """`values` in cells of `step`; the past, of `count` cells, is full at its end and the horizon at its start."""
    start = len(values) - count * step if count and values.size else 0
    return [values[max(place, 0) : place + step] for place in range(start, len(values), step)]


def _heights(cells: list[NDArray[np.floating[Any]]], panel: Panel, layout: Layout) -> str:
    steps, (low, high) = len(layout.heights) - 1, _ends(panel)
    # A line that never moves lies in the middle.
    parts = [(float(cell.mean()) - low) / (high - low) if high > low else 0.5 for cell in cells]
    return "".join(layout.heights[round(part * steps)] for part in parts)
