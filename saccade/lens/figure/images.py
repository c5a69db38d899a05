"""The attended image: the image, then for each word a copy that is bright where the word looked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, blank, caption, lettering
from saccade.lens.images import AttendedImage, lit
from saccade.lens.maps import readable, visible
from saccade.lens.page.image import small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 24  # words
AREA, ACROSS, LONGEST = 1.75, 12.4, 6.0  # inches: the side of a square copy, of all beside each other, of one at most
GAP, LINE = 0.1, 0.24  # inches, between copies and for their words
SIDE = 420  # pixels of a copy: what its inches hold
FONT = 9.0  # points


def draw(image: AttendedImage, *, title: str = "") -> Figure:
    """`image` as it is, then once for each word, as Xu et al. 2015, figure 3; beside a word its largest weight.

    A copy's scale runs from zero, veiled, to that weight, bright, smoothed between the middles of cells: see `lit`.
    """
    rows, columns = image.weights.shape[1:]
    note = f"bright where it looked, smoothed between {rows} by {columns} cells; number: the word's largest weight"
    note = f"{image.note}{'; ' if image.note else ''}{note}"
    if len(image.words) > MOST:
        note += f"; left out: the last {len(image.words) - MOST:,} of {len(image.words):,} words"
    words = [visible(word).replace("␣", " ") for word in image.words[:MOST]]
    title, note = (" ".join(readable(said).split()) for said in (title, note))
    families, missing = fonts.choose([*words, title, note, "…"])
    style = lettering(families) | {"size": FONT}

    wide, tall = _size(*image.pixels.shape[:2])
    across = max(min(int(ACROSS / (wide + GAP)), len(words) + 1), 1)
    down = math.ceil((len(words) + 1) / across)
    width, height = across * (wide + GAP) - GAP, down * (tall + LINE)
    drawn, pixels = blank(width, height), small(image.pixels, SIDE)
    for place in range(len(words) + 1):
        x, y = place % across * (wide + GAP), height - place // across * (tall + LINE) - LINE - tall
        axes = drawn.add_axes((x / width, y / height, wide / width, tall / height))
        _copy(axes, pixels if place == 0 else lit(pixels, image.weights[place - 1]))
        if place > 0:
            word, most = fonts.boxed(words[place - 1], missing), f"{image.weights[place - 1].max():.2g}"
            room = int(wide * 72 / (0.62 * FONT)) - len(most) - 1
            axes.set_title(word if len(word) <= room else word[: room - 1] + "…", loc="left", pad=3, **style)
            axes.set_title(most, loc="right", pad=3, **(style | {"color": FAINT, "size": FONT - 2}))
    caption(drawn, fonts.boxed(title, missing), fonts.boxed(note, missing), style)
    return drawn


def _size(height: int, width: int) -> tuple[float, float]:
    """Inches of a copy, wide and tall: of one area whatever its shape, within what a page holds."""
    wide = AREA * math.sqrt(width / height)
    shrunk = min(1.0, LONGEST / wide, LONGEST * wide / AREA**2)
    return max(wide * shrunk, 0.2), max(AREA**2 / wide * shrunk, 0.2)


def _copy(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)
    axes.imshow(pixels, aspect="auto")
