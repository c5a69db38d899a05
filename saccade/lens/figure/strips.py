"""The aligned strip: the picture that was read, and below it the heat map on the same axis, a row for each token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, blank, caption, lettering, palette
from saccade.lens.maps import readable, scale_end, visible
from saccade.lens.page.image import small
from saccade.lens.strips import AlignedStrip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LONGEST = 8.4, 14.0  # inches, of the axis and of the rows
ROW, THINNEST = 0.18, 0.085  # inches
FLATTEST, TALLEST = 0.5, 1.5  # inches, of the picture
GAP = 0.06  # inches between picture and map
SIDE = 2000  # pixels of the longer side
LABEL = 24  # characters of a token
FONT, SMALL, SMALLEST = 9.0, 8.0, 5.5  # points


def draw(strip: AlignedStrip, *, title: str = "") -> Figure:
    """`strip` as its picture over its weights; of many tokens every second or fewer are named.

    The scale begins at zero and ends at the largest weight, rounded up; neither picture nor weights are smoothed.
    """
    tokens = [visible(token) for token in strip.tokens]
    tokens = [token if len(token) <= LABEL else token[: LABEL - 1] + "…" for token in tokens]
    title, note, unit = (" ".join(readable(words).split()) for words in (title, strip.note, strip.unit))
    families, missing = fonts.choose([*tokens, title, note, unit])
    style = lettering(families) | {"size": FONT}

    rows = max(min(len(tokens) * ROW, LONGEST), ROW)
    pixels = small(strip.picture, SIDE)
    tall = min(max(WIDTH * pixels.shape[0] / pixels.shape[1], FLATTEST), TALLEST)
    height = tall + GAP + rows
    drawn = blank(WIDTH, height)
    end = strip.extent or max(strip.weights.shape[1], 1)
    above = drawn.add_axes((0, 1 - tall / height, 1, tall / height))
    above.imshow(pixels, aspect="auto", extent=(0, end, 0, 1), interpolation="nearest")
    below = drawn.add_axes((0, 0, 1, rows / height), facecolor="white")
    _frame(above)
    _frame(below)
    above.set(xticks=[], yticks=[])
    _rows(drawn, below, strip, end, style)
    _label(below, [fonts.boxed(token, missing) for token in tokens], rows, style)
    label = fonts.boxed(unit, missing) if strip.extent else "slot"
    below.set_xlabel(label, labelpad=3, **(style | {"color": FAINT, "size": SMALL}))
    caption(drawn, fonts.boxed(title, missing), fonts.boxed(note, missing), style, below=0.42)
    return drawn


def _frame(axes: Axes) -> None:
    axes.grid(False)
    axes.tick_params(which="both", length=0, pad=4)
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)


def _rows(drawn: Figure, axes: Axes, strip: AlignedStrip, end: float, style: dict[str, Any]) -> None:
    count = len(strip.tokens)
    axes.set(xlim=(0, end), ylim=(max(count, 1), 0))  # the first token written comes first
    for label in axes.get_xticklabels():
        label.set(**(style | {"color": FAINT, "size": SMALL}))
    if not strip.weights.size:
        return
    # As an image, without lines between cells: there may be thousands.
    top = scale_end(strip.weights)
    mesh = axes.imshow(
        strip.weights,
        cmap=palette(),
        vmin=0,
        vmax=top,
        aspect="auto",
        extent=(0, end, count, 0),
        interpolation="nearest",
    )
    for row in range(1, count):
        axes.axhline(row, color=GRID, linewidth=0.5)
    width, height = drawn.get_size_inches()
    tall = min(height, 1.5)
    place = drawn.add_axes((1 + 0.16 / width, 1 - tall / height, 0.1 / width, tall / height))
    bar = drawn.colorbar(mesh, cax=place)
    bar.outline.set(edgecolor=GRID, linewidth=0.8)
    place.tick_params(which="both", length=0, pad=4)
    place.set_yticks([0, top / 2, top], [f"{tick:.3g}" for tick in (0, top / 2, top)], **(style | {"color": FAINT}))


def _label(axes: Axes, tokens: list[str], rows: float, style: dict[str, Any]) -> None:
    row = rows / max(len(tokens), 1)
    shown = range(0, len(tokens), math.ceil(round(THINNEST / row, 6)))
    size = max(min(FONT, row / THINNEST * SMALLEST), SMALLEST)
    axes.set_yticks(
        [at + 0.5 for at in shown], [tokens[at] for at in shown], **(style | {"size": size, "va": "center"})
    )
