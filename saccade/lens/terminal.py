"""The heat map in a terminal: a row for each token written, a column for each token read."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from saccade.lens.maps import AttentionMap, looked_at_most, scale_end, visible

# Density carries the weight, so the map reads without colour and on any background. Where there is colour, hues of
# middle brightness add to it: they stand out from black and from white.
BLOCKS = " ·░▒▓█"
ASCII = " .:-=+*#%@"
COLOURS = ((112, 140, 166), (52, 130, 216), (122, 96, 228), (214, 70, 150), (238, 98, 36))

LONGEST_NAME = 16  # cells for the token that was looked at most
NARROWEST = 8  # cells for the columns, however narrow the terminal


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


def draw(map: AttentionMap, *, console: Console | None = None) -> None:
    """Print `map` as a heat map; each row also names the token it looked at most.

    Columns that do not fit beside each other go into further panels below: nothing is cut. Without colour the shades
    remain; where the output's encoding has no blocks, ASCII shades stand in.

    >>> from saccade.lens.maps import attention_map
    >>> draw(attention_map("ab", "x", [[0.1, 0.9]], text="ab", answer="x"), console=Console(width=60))
    read   ab
    wrote  x
    <BLANKLINE>
      a b
    x ░░██ → 'b' 0.90
    <BLANKLINE>
    · 0.009  ░ 0.081  ▒ 0.23  ▓ 0.44  █ 0.73
    """
    console = console or Console()
    shades = BLOCKS if _encodable(BLOCKS, console) == BLOCKS else ASCII
    for line in _lines(map, shades, console):
        # Rich would fold a line that is too wide, and colour the numbers in it.
        console.print(line, soft_wrap=True, highlight=False)


def _lines(map: AttentionMap, shades: str, console: Console) -> Iterator[Text]:
    yield from _words(map, console)
    if map.source and map.target:
        layout = _layout(map, console)
        for panel in _panels(layout):
            yield from _header(layout, panel)
            for row in range(len(map.target)):
                yield from _row(map, layout, panel, row, shades)
            yield Text()
        yield _legend(shades, layout.top)


def _words(map: AttentionMap, console: Console) -> Iterator[Text]:
    for name, words in (("read", map.text), ("wrote", map.answer), ("", map.note)):
        if words:
            # Here a space between words is just that: the reader reads a sentence.
            shown = _encodable(visible(words).replace("␣", " "), console)
            yield Text(f"{name:<7}", style="dim").append(shown, Style(bold=name == "wrote", dim=not name))
    if map.text or map.answer or map.note:
        yield Text()


def _layout(map: AttentionMap, console: Console) -> Layout:
    source = [_encodable(visible(token), console) for token in map.source]
    target = [_encodable(visible(token), console) for token in map.target]
    arrow = "→" if _encodable("→", console) == "→" else "->"
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
    # The root gives small weights, which most are, the larger share of the scale.
    strength = math.sqrt(min(part, 1.0))
    gap = 0 if width == 2 else 1
    shade = shades[round(strength * (len(shades) - 1))]
    return Text.assemble((shade * (width - gap), _colour(strength)), " " * gap)


def _legend(shades: str, top: float) -> Text:
    steps = len(shades) - 1
    least = (top * ((step - 0.5) / steps) ** 2 for step in range(1, len(shades)))
    entries = (
        Text.assemble((shade, _colour(step / steps)), (f" {weight:.2g}", Style(dim=True)))
        for step, (shade, weight) in enumerate(zip(shades[1:], least, strict=True), 1)
    )
    return Text("  ").join(entries)


def _colour(strength: float) -> Style:
    place = strength * (len(COLOURS) - 1)
    below = min(int(place), len(COLOURS) - 2)
    part = place - below
    mixed = (a + (b - a) * part for a, b in zip(COLOURS[below], COLOURS[below + 1], strict=True))
    return Style(color=Color.from_rgb(*mixed))


def _encodable(words: str, console: Console) -> str:
    if not "␣".encode(console.encoding, "ignore"):
        words = words.replace("␣", "_")
    return words.encode(console.encoding, "backslashreplace").decode(console.encoding)
