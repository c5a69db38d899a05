"""A whole model: a small map for every head, layers below each other; one head alone is a map, or lies on its image."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, blank, lettering, palette
from saccade.lens.figure.maps import draw as draw_map
from saccade.lens.heads import Layers, Site, short_names
from saccade.lens.maps import readable, scale_end, visible
from saccade.lens.tokens import Patches
from saccade.lens.views import left_out, map_of, row_of, thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TILE, LARGEST = 0.9, 16.0  # inches, of a head and of all of them
GAP, LINE = 0.08, 0.2  # inches, between heads and for their names
SIDE = 96  # cells of a head, beyond which cells share one
NAME = 28  # characters
FONT, SMALL = 11.0, 8.0  # points
IMAGES, ACROSS, PICTURE = 24, 6, 1.9  # images at most, beside each other, and inches of each
VEIL = 0.78  # over what was not looked at


def draw(layers: Layers, *, title: str = "") -> Figure:
    """All heads of `layers`, small, on one scale; the map or the images of a single head: take it with `views.at`.

    On an image each token that looked has its own copy, bright where it looked. Where there are figures of the heads,
    the first of them stands below each.
    """
    notes = [layers.note, *dict.fromkeys(left_out(one) for one in layers.sites)]
    note = "; ".join(words for words in notes if words)
    if sum(len(one.heads) for one in layers.sites) == 1:
        one = next(one for one in layers.sites if one.heads)
        if one.source.image is not None:
            return _draw_images(one, one.source.image, title, note)
        return draw_map(map_of(one)._replace(note=note), title=title)
    return _draw_grid(layers, title, note)


def _draw_grid(layers: Layers, title: str, note: str) -> Figure:
    most = max(max(len(one.heads) for one in layers.sites), 1)
    figure = layers.figures[0] if layers.figures else None
    if figure:
        note += f"{'; ' if note else ''}below each head its {figure.name}"
    names = [_short(name) for name in short_names(layers)]
    title, note = (" ".join(readable(words).split()) for words in (title, note))
    heads = [[_short(head) for head in one.heads] for one in layers.sites]
    families, missing = fonts.choose([*names, *(head for row in heads for head in row), title, note])
    style = lettering(families)

    below = LINE if figure else 0.0
    tile = min(TILE, LARGEST / most - GAP, LARGEST / len(layers.sites) - GAP - below)
    pitch = tile + GAP, tile + GAP + below
    width, height = most * pitch[0], len(layers.sites) * pitch[1]
    drawn = blank(width, height)
    small = [thumbnails(one, SIDE) for one in layers.sites]
    top = scale_end(np.concatenate([part.ravel() for part in small]))
    for row, part in enumerate(small):
        for head, weights in enumerate(part):
            x, y = head * pitch[0], height - (row + 1) * pitch[1] + GAP + below
            axes = drawn.add_axes((x / width, y / height, tile / width, tile / height))
            _tile(axes, weights, top)
            if head == 0:
                label = fonts.boxed(names[row], missing)
                axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8, **(style | {"size": SMALL + 1}))
            if row == 0 or heads[row] != heads[row - 1]:
                axes.set_title(fonts.boxed(heads[row][head], missing), pad=3, **(style | {"size": SMALL}))
            if figure:
                value = f"{figure.values[row][head]:.3g}"
                axes.set_xlabel(value, labelpad=2, **(style | {"size": SMALL - 1, "color": FAINT}))
    _scale(drawn, top, style)
    _caption(drawn, fonts.boxed(title, missing), fonts.boxed(note, missing), style)
    return drawn


def _short(name: str) -> str:
    label = visible(name).replace("␣", " ")
    return label if len(label) <= NAME else "…" + label[1 - NAME :]


def _tile(axes: Axes, weights: NDArray[np.float32], top: float) -> None:
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)
    if weights.size:
        axes.imshow(weights, cmap=palette(), vmin=0, vmax=top, aspect="auto", interpolation="nearest")


def _scale(drawn: Figure, top: float, style: dict[str, Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    width, height = drawn.get_size_inches()
    tall = min(height, 1.8)
    place = drawn.add_axes((1 + 0.12 / width, 1 - tall / height, 0.1 / width, tall / height))
    bar = drawn.colorbar(ScalarMappable(Normalize(0, top), palette()), cax=place)
    bar.outline.set(edgecolor=GRID, linewidth=0.8)
    place.tick_params(which="both", length=0, pad=4)
    place.set_yticks([0, top], ["0", f"{top:.3g}"], **(style | {"color": FAINT, "size": SMALL}))


def _caption(drawn: Figure, title: str, note: str, style: dict[str, Any]) -> None:
    width, height = drawn.get_size_inches()
    line = max(int(width * 11), 40)
    above, below = "\n".join(textwrap.wrap(title, line)), "\n".join(textwrap.wrap(note, line))
    drawn.text(0, 1 + 0.26 / height, above, ha="left", va="bottom", **(style | {"size": FONT + 2}))
    drawn.text(0, -0.1 / height, below, ha="left", va="top", **(style | {"size": FONT - 2, "color": FAINT}))


def _draw_images(one: Site, image: Patches, title: str, note: str) -> Figure:
    count = len(one.target.labels)
    if count > IMAGES:
        note += f"{'; ' if note else ''}the first {IMAGES} of {count:,} tokens that looked"
    labels = [_short(label) for label in one.target.labels[:IMAGES]]
    title, note = (" ".join(readable(words).split()) for words in (title, note))
    families, missing = fonts.choose([*labels, title, note])
    style = lettering(families)
    across = min(ACROSS, max(len(labels), 1))
    down = max(math.ceil(len(labels) / across), 1)
    tall = PICTURE * image.pixels.shape[0] / image.pixels.shape[1]
    width, height = across * (PICTURE + GAP), down * (tall + GAP + LINE)
    drawn = blank(width, height)
    for place, label in enumerate(labels):
        x = place % across * (PICTURE + GAP)
        y = height - (place // across + 1) * (tall + GAP + LINE) + GAP
        axes = drawn.add_axes((x / width, y / height, PICTURE / width, tall / height))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=GRID, linewidth=0.8)
        axes.imshow(veiled(image, row_of(one, 0, place)), aspect="auto")
        axes.set_title(fonts.boxed(label, missing), pad=3, **(style | {"size": SMALL + 1}))
    _caption(drawn, fonts.boxed(title, missing), fonts.boxed(note, missing), style)
    return drawn


def veiled(image: Patches, weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image, dark but for the patches that one row [key] looked at: the largest weight among them is as it was.

    >>> from saccade.lens.tokens import patches
    >>> white = patches(np.full((1, 2), 255, np.uint8), (1, 2))
    >>> veiled(white, np.array([1, 0], np.float32))[0, :, 0].tolist()
    [255, 56]
    """
    height, width, _ = image.pixels.shape
    rows, columns = image.grid
    parts = weights[list(image.places)].reshape(rows, columns)
    largest = float(parts.max())
    seen = parts / largest if largest > 0 else np.zeros_like(parts)
    light = 1 - VEIL * (1 - seen[np.arange(height) * rows // height][:, np.arange(width) * columns // width])
    return np.asarray(np.rint(image.pixels * light[..., None]), np.uint8)
