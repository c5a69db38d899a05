"""The heat map: tokens as read on top, tokens as written on the left, dark where it looked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, blank, lettering, palette
from saccade.lens.maps import AttentionMap, copies, readable, scale_end, visible

if TYPE_CHECKING:  # Matplotlib takes half a second to load: only who draws a picture waits for it
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

CELL = 0.3  # inches
LONGEST = 16.0  # inches, of either side of the map
MANY = 5000  # cells, beyond which a vector file holds the map as an image
LABEL = 24  # characters of a token
FONT, READABLE, SMALLEST = 11.0, 9.0, 6.0  # points
LINE = 1.25 / 72  # inches of height for a point of type
COPIED = "= "  # stands before what was copied from the input


def draw(map: AttentionMap, *, title: str = "") -> Figure:
    """`map` as a heat map; labels stand outside the figure's bounds, so save it "tight".

    The scale begins at zero and ends at the largest weight, rounded up. Long inputs get smaller cells and fewer labels.
    """
    signs = [COPIED if copies(map, row) else "" for row in range(len(map.target))]
    source = [_label(token) for token in map.source]
    target = [sign + _label(token) for sign, token in zip(signs, map.target, strict=True)]
    # Line ends, for which no font has a glyph, come from the wrapping alone.
    title, note = (" ".join(readable(words).split()) for words in (title, map.note))
    if any(signs):
        note += f"{'; ' if note else ''}{COPIED}copied from the input"
    families, missing = fonts.choose([*source, *target, title, note])
    style = lettering(families)

    rows, columns = max(len(target), 1), max(len(source), 1)
    width, height = min(columns * CELL, LONGEST), min(rows * CELL, LONGEST)
    drawn = blank(width, height)
    axes = drawn.add_axes((0, 0, 1, 1), facecolor="white")
    _frame(axes)
    if map.weights.size:
        mesh = _mesh(axes, map, cell=min(width / columns, height / rows))
        _bar(drawn, mesh, style)
    _label_columns(axes, [fonts.boxed(label, missing) for label in source], width / columns, style)
    _label_rows(axes, [fonts.boxed(label, missing) for label in target], height / rows, style)
    _caption(axes, fonts.boxed(title, missing), fonts.boxed(note, missing), width, style)
    return drawn


def _label(token: str) -> str:
    label = visible(token)
    return label if len(label) <= LABEL else label[: LABEL - 1] + "…"


def _frame(axes: Axes) -> None:
    axes.grid(False)
    axes.tick_params(which="both", length=0, bottom=False, right=False, labelbottom=False, labeltop=True, pad=5)
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)


def _mesh(axes: Axes, map: AttentionMap, cell: float) -> QuadMesh:
    mesh = axes.pcolormesh(
        map.weights,
        cmap=palette(),
        vmin=0,
        vmax=scale_end(map.weights),
        rasterized=map.weights.size > MANY,
        edgecolors=GRID if cell > CELL / 3 else "none",  # a grid of tiny cells is all grid
        linewidth=0.5 * cell / CELL,
    )
    axes.invert_yaxis()  # the first token written comes first
    return mesh


def _bar(drawn: Figure, mesh: QuadMesh, style: dict[str, Any]) -> None:
    width, height = drawn.get_size_inches()
    tall = min(height, 1.8)
    place = drawn.add_axes((1 + 0.16 / width, 1 - tall / height, 0.1 / width, tall / height))
    top = mesh.get_clim()[1]
    ticks = [0, top / 2, top] if tall > 2 * CELL else [0, top]
    bar = drawn.colorbar(mesh, cax=place, drawedges=False)
    bar.outline.set(edgecolor=GRID, linewidth=0.8)
    place.tick_params(which="both", length=0, pad=4)
    place.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks], **(style | {"color": FAINT, "size": 8}))


def _label_columns(axes: Axes, labels: Sequence[str], cell: float, style: dict[str, Any]) -> None:
    rotation, size = _lettering(labels, cell)
    step = math.ceil(round(SMALLEST * LINE / cell, 6)) if size < SMALLEST else 1
    shown = range(0, len(labels), step)
    # A slanted label starts above its column's middle; the others are centred there.
    aligned = {"ha": "left", "rotation_mode": "anchor"} if rotation == 45 else {"ha": "center"}
    axes.set_xticks(
        [place + 0.5 for place in shown],
        [labels[place] for place in shown],
        **(style | aligned | {"rotation": rotation, "va": "bottom", "size": max(size, SMALLEST)}),
    )


def _lettering(labels: Sequence[str], cell: float) -> tuple[int, float]:
    """How columns of `cell` inches are labelled: the rotation in degrees, and the size of type that then fits."""
    widest = max((cell_len(label) for label in labels), default=1)
    room = {0: cell * 72 / (0.62 * widest), 45: cell / LINE / math.sqrt(2), 90: cell / LINE}
    sizes = {rotation: min(size, FONT) for rotation, size in room.items()}
    # The least turned of those that read well, or else the largest.
    turn = next((turn for turn in sizes if sizes[turn] >= READABLE), max(sizes, key=lambda turn: sizes[turn]))
    return turn, sizes[turn]


def _label_rows(axes: Axes, labels: Sequence[str], cell: float, style: dict[str, Any]) -> None:
    size = max(min(cell / LINE, FONT), SMALLEST)
    shown = range(0, len(labels), math.ceil(round(SMALLEST * LINE / cell, 6)))
    axes.set_yticks(
        [place + 0.5 for place in shown], [labels[place] for place in shown], **(style | {"size": size, "va": "center"})
    )


def _caption(axes: Axes, title: str, note: str, width: float, style: dict[str, Any]) -> None:
    # A line of the title may be somewhat wider than a small map, no more.
    line = max(int(width * 11), 40)
    heading = "\n".join(textwrap.wrap(title, line))
    axes.set_title(heading, loc="left", pad=12, **(style | {"size": FONT + 2}))
    axes.annotate(
        "\n".join(textwrap.wrap(note, line)),
        (0, 0),
        xycoords="axes fraction",
        xytext=(0, -8),
        textcoords="offset points",
        va="top",
        annotation_clip=False,
        **(style | {"size": FONT - 2, "color": FAINT}),
    )
