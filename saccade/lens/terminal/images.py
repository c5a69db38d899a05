"""The attended image: for each word the places it looked at most, and a small map of the image, without its pixels."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

from saccade.lens.images import AttendedImage, strongest, whereabouts
from saccade.lens.maps import visible
from saccade.lens.terminal.shades import encodable, means, shaded, shades_of, words

LONGEST_NAME = 16  # cells for a word
HIGH, WIDE = 7, (6, 28)  # lines of a map, and cells from and to
GAP = 2  # cells between maps
MOST = 24  # maps; every word has its line


class Layout(NamedTuple):
    """How large maps are on one console, and how its words and shades look."""

    labels: list[str]
    left: int  # cells for the words before their places
    arrow: str
    high: int  # lines of a map
    wide: int  # cells of a map
    across: int  # maps beside each other
    shades: str


def lines(image: AttendedImage, console: Console) -> Iterator[Text]:
    """The lines of `image`: a word's places, then maps, whose scale ends at the word's own largest weight."""
    yield from words([("read", image.text), ("wrote", image.answer), ("", image.note)], console)
    if not image.words:
        return
    layout = _layout(image, console)
    for place in range(len(image.words)):
        yield _places(image, layout, place, console.width)
    yield Text()
    shown = range(min(len(image.words), MOST))
    for start in range(0, len(shown), layout.across):
        yield from _maps(image, layout, shown[start : start + layout.across])
        yield Text()
    yield from _legend(image, layout)


def _layout(image: AttendedImage, console: Console) -> Layout:
    labels = [encodable(visible(word), console) for word in image.words]
    left = min(max(cell_len(label) for label in labels), LONGEST_NAME, max(console.width // 3, 4))
    arrow = "→" if encodable("→", console) == "→" else "->"
    height, width = image.pixels.shape[:2]
    high = min(image.weights.shape[1], HIGH)
    # A cell of a terminal is about twice as high as it is wide.
    wide = min(max(round(2 * high * width / height), WIDE[0]), WIDE[1])
    wide = min(wide, max((console.width - GAP) // 2, WIDE[0]))  # two beside each other, however narrow the terminal
    across = max((console.width + GAP) // (wide + GAP), 1)
    return Layout(labels, left, arrow, high, wide, across, shades_of(console))


def _places(image: AttendedImage, layout: Layout, place: int, width: int) -> Text:
    rows, columns = image.weights.shape[1:]
    line = Text(_cut(layout.labels[place], layout.left)).append(f" {layout.arrow} ", "dim")
    cells = strongest(image.weights[place])
    told = [f"({row + 1}, {column + 1}) {image.weights[place, row, column]:.2g}" for row, column in cells]
    named = [f"{whereabouts(*cell, rows, columns)} {said}" for cell, said in zip(cells, told, strict=True)]
    first, *others = named if named and line.cell_len + len(named[0]) <= width else told or ["nothing"]
    line.append(first)
    for more in others:
        if line.cell_len + 2 + len(more) <= width:
            line.append(f", {more}", "dim")
    return line


def _cut(label: str, cells: int) -> str:
    return set_cell_size(chop_cells(label, cells)[0] if label else "", cells)


def _maps(image: AttendedImage, layout: Layout, shown: range) -> Iterator[Text]:
    gap = " " * GAP
    yield Text(gap.join(_cut(layout.labels[place], layout.wide) for place in shown).rstrip(), "bold")
    # What stands for several cells shows their mean.
    small = [means(means(image.weights[place], layout.high).T, layout.wide).T for place in shown]
    for row in range(layout.high):
        line = Text()
        for part in small:
            line.append(gap if line else "")
            for weight in part[row]:
                line.append(*shaded(float(weight / (part.max() or 1)), layout.shades))
        yield line


def _legend(image: AttendedImage, layout: Layout) -> Iterator[Text]:
    rows, columns = image.weights.shape[1:]
    yield Text(f"Places: (row, column) of {rows} by {columns} cells over the image, and their weights.", "dim")
    full = layout.shades[-1]
    yield Text(f"Maps: from blank, nothing, to {full}, the most of the word; shade: root of the weight.", "dim")
    if len(image.words) > MOST:
        yield Text(f"Left out: the last {len(image.words) - MOST:,} of {len(image.words):,} maps.", "dim")
