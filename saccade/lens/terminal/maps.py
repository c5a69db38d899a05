"""The heat map: a row for each token written, a column for each token read."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from saccade.lens.maps import AttentionMap, copies, looked_at_most, scale_end, visible
from saccade.lens.terminal.shades import encodable, legend, shaded, shades_of, words

LONGEST_NAME = 16  # cells for the token that was looked at most
NARROWEST = 8  # cells for the columns, however narrow the terminal
COPIED = "= "  # stands before what was copied from the input


class Layout(NamedTuple):
    """One map's labels, and the cells they may take on one console."""

    source: list[str]
    target: list[str]
    peaks: list[str]  # for each row, what it looked at most
    top: float  # the weight where the scale ends
    left: int  # cells for the labels of the rows
    room: int  # cells for the columns beside each other


class Panel(NamedTuple):
    """Some of the columns, as many as fit beside each other."""

    columns: range
    widths: list[int]  # in cells, one for each column


def lines(map: AttentionMap, console: Console) -> Iterator[Text]:
    """The lines of `map` as a heat map; each row also names the token it looked at most.

    Columns that do not fit beside each other go into further panels below: nothing is cut.
    """
    yield from words([("read", map.text), ("wrote", map.answer), ("", map.note)], console)
    if map.source and map.target:
        layout, shades = _layout(map, console), shades_of(console)
        for panel in _panels(layout):
            yield from _header(layout, panel)
            for row in range(len(map.target)):
                yield from _row(map, layout, panel, row, shades)
            yield Text()
        yield legend(shades, layout.top)
        if any(copies(map, row) for row in range(len(map.target))):
            yield Text(f"{COPIED}copied from the input", Style(dim=True))


def _layout(map: AttentionMap, console: Console) -> Layout:
    source = [encodable(visible(token), console) for token in map.source]
    signs = [COPIED if copies(map, row) else "" for row in range(len(map.target))]
    indent = len(COPIED) if any(signs) else 0
    target = [
        f"{sign:{indent}}" + encodable(visible(token), console) for sign, token in zip(signs, map.target, strict=True)
    ]
    arrow = "→" if encodable("→", console) == "→" else "->"
    longest = min(LONGEST_NAME, console.width // 4)
    peaks = [f" {arrow} {_peak(map, row, source, longest)}" for row in range(len(target))]
    left = min(max(cell_len(label) for label in target), max(console.width // 3, NARROWEST))
    right = max(cell_len(peak) for peak in peaks)
    top = scale_end(map.weights)
    return Layout(source, target, peaks, top, left, max(console.width - left - 1 - right, NARROWEST))


def _peak(map: AttentionMap, row: int, source: list[str], longest: int) -> str:
    column = looked_at_most(map.weights[row])
    if column is None:
        return "nothing"
    name = source[column]
    if cell_len(name) > longest:
        name = chop_cells(name, max(longest - 3, 2))[0] + "..."
    return f"'{name}' {map.weights[row, column]:.2f}"


def _panels(layout: Layout) -> Iterator[Panel]:
    widths = [min(_width(label), layout.room) for label in layout.source]
    start = 0
    for stop in range(1, len(widths) + 1):
        if stop == len(widths) or sum(widths[start : stop + 1]) > layout.room:
            yield Panel(range(start, stop), widths[start:stop])
            start = stop


def _width(label: str) -> int:
    # Two cells hold any one character, Chinese or Latin, so that characters line up; words want a gap.
    return 2 if len(label) == 1 else max(cell_len(label), 1) + 1


def _header(layout: Layout, panel: Panel) -> Iterator[Text]:
    labels = [chop_cells(layout.source[column], width) for column, width in zip(*panel, strict=True)]
    for parts in zip_longest(*labels, fillvalue=""):
        cells = (set_cell_size(part, width) for part, width in zip(parts, panel.widths, strict=True))
        yield Text(" " * (layout.left + 1) + "".join(cells).rstrip())


def _row(map: AttentionMap, layout: Layout, panel: Panel, row: int, shades: str) -> Iterator[Text]:
    *above, label = chop_cells(layout.target[row], layout.left)
    yield from (Text(part) for part in above)
    line = Text(set_cell_size(label, layout.left) + " ")
    for column, width in zip(*panel, strict=True):
        line.append_text(_cell(float(map.weights[row, column]) / layout.top, width, shades))
    # Only the panel that shows the peak names it.
    if looked_at_most(map.weights[row]) in (*panel.columns, None):
        line.append(layout.peaks[row])
    yield line


def _cell(part: float, width: int, shades: str) -> Text:
    gap = 0 if width == 2 else 1
    shade, style = shaded(part, shades)
    return Text.assemble((shade * (width - gap), style), " " * gap)
