"""The aligned strip: its picture in a few lines, and below each column of it what every token looked at."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

from saccade.lens.maps import looked_at_most, scale_end, visible
from saccade.lens.strips import AlignedStrip, place_of
from saccade.lens.terminal.shades import encodable, legend, means, shaded, shades_of, shares, words

HIGH = 6  # lines of the picture
LONGEST_NAME = 16  # cells for a token
NARROWEST = 8  # cells for the columns, however narrow the terminal


class Layout(NamedTuple):
    """One strip in the cells of one console."""

    labels: list[str]
    left: int  # cells for the tokens
    peaks: list[str]  # for each token, where it looked most; without room, nothing
    cells: int  # for the columns
    weights: NDArray[np.float64]  # [token, cell]
    top: float  # the weight of a cell where the scale ends
    shades: str


def lines(strip: AlignedStrip, console: Console) -> Iterator[Text]:
    """The lines of `strip`, resampled to the width there is: never two panels, so that the alignment stays a line."""
    yield from words([("read", strip.text), ("wrote", strip.answer), ("", strip.note)], console)
    layout = _layout(strip, console)
    before = " " * (layout.left + 1)
    for row in _picture(strip, layout):
        line = Text(before)
        for part in row:
            line.append(shaded(float(part) ** 2, layout.shades)[0])
        yield line
    for place, label in enumerate(layout.labels):
        line = Text(set_cell_size(chop_cells(label, layout.left)[0] if label else "", layout.left) + " ")
        for weight in layout.weights[place]:
            line.append(*shaded(float(weight) / layout.top, layout.shades))
        yield line.append(layout.peaks[place])
    if strip.extent:
        yield Text(before + f"0{encodable(f'{strip.extent:.3g} {strip.unit}', console):>{layout.cells - 1}}", "dim")
    yield Text()
    yield from _legend(strip, layout)


def _layout(strip: AlignedStrip, console: Console) -> Layout:
    labels = [encodable(visible(token), console) for token in strip.tokens]
    longest = max(map(cell_len, labels), default=0)
    left = min(max(longest, 1), LONGEST_NAME, max(console.width // 3, 4))
    arrow = "→" if encodable("→", console) == "→" else "->"
    peaks = [f" {arrow} {_peak(strip, row, console)}" for row in range(len(labels))]
    if console.width - left - 1 - max(map(cell_len, peaks), default=0) < 2 * NARROWEST:
        peaks = [""] * len(labels)
    room = max(console.width - left - 1 - max(map(cell_len, peaks), default=0), NARROWEST)
    slots = strip.weights.shape[1]
    # A slot has several cells, all with its weight; or a cell has several slots, and the sum of their weights.
    cells = slots * (room // slots) if 0 < slots <= room else room
    summed = strip.weights @ shares(slots, cells).T if slots > cells else None
    weights = means(strip.weights.T, cells).T if summed is None else summed
    return Layout(labels, left, peaks, cells, weights, scale_end(weights.astype(np.float32)), shades_of(console))


def _peak(strip: AlignedStrip, row: int, console: Console) -> str:
    slot = looked_at_most(strip.weights[row])
    if slot is None:
        return "nothing"
    return f"{encodable(place_of(strip, slot), console)} {strip.weights[row, slot]:.2f}"


def _picture(strip: AlignedStrip, layout: Layout) -> NDArray[np.float64]:
    """The picture in cells [line, cell], from 0, as most of it is, to 1: ink on paper, or sound out of silence."""
    grey = strip.picture.mean(-1)
    grey = means(means(grey, min(HIGH, len(grey))).T, layout.cells).T
    if np.median(grey) > 127.5:  # a page is white, silence is dark
        grey = 255 - grey
    low, high = float(grey.min()), float(grey.max())
    return (grey - low) / (high - low or 1)


def _legend(strip: AlignedStrip, layout: Layout) -> Iterator[Text]:
    slots = strip.weights.shape[1]
    if slots > layout.cells:
        yield Text(f"A cell is {slots / layout.cells:.3g} slots: the sum of their weights.", "dim")
    if strip.weights.size:
        yield legend(layout.shades, layout.top)
