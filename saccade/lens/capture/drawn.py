"""What was seen of a model as a drawing: plain arrays and labels of one example, which everything that draws knows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens import heads
from saccade.lens.capture.measures import Measures
from saccade.lens.capture.site import Site, placed
from saccade.lens.capture.tokens import Sequence as Side
from saccade.lens.capture.tokens import Tokens as Known
from saccade.lens.faithfulness import Faithfulness
from saccade.lens.heads import Curves, Layers, Top, layers, top
from saccade.lens.tokens import Patches, Tokens, patches, tokens
from saccade.lens.views import Merge, at, merged

DENSE = 1024 * 1024
"""Weights of a head that are drawn as they are; of more the largest of each row."""
MOST = 2**28
"""Weights of a head that are made, a few rows at a time; beyond, somebody must say which rows."""
KEPT = 32
"""How many of the largest weights of a row are kept of a long input."""


class Shown(NamedTuple):
    """What of what was seen is drawn: see `Seen.drawing`."""

    example: int = 0
    rows: Sequence[int] | slice | None = None
    image: ArrayLike | Patches | None = None


def drawing_of(
    found: Sequence[Site],
    known: Known,
    shown: Shown,
    *,
    measures: Measures | None = None,
    head: str | int | None = None,
    merge: Merge = "pieces",
    faithfulness: Faithfulness | None = None,
) -> Layers:
    """The sites and heads of one example, without its padding: see `Seen.drawing`.

    Args:
        known: the tokens.
        measures: of every head of these sites, in their order.
    """
    if merge not in ("pieces", "words"):
        raise ValueError(f"merge must be pieces or words; got {merge!r}")
    batch = max(site.shape[0] for site in found)
    if not 0 <= shown.example < batch:
        raise ValueError(f"example must be 0 to {batch - 1}; got {shown.example}")
    sites = [_site(site, known, shown._replace(example=shown.example * site.shape[0] // batch)) for site in found]
    figures = {} if measures is None else _figures(found, measures)
    curves = None if faithfulness is None else _curves(faithfulness)
    drawn = at(layers(sites, figures=figures, curves=curves), head=head)
    return drawn._replace(sites=tuple(map(merged, drawn.sites))) if merge == "words" else drawn


def _figures(found: Sequence[Site], table: Measures) -> dict[str, list[NDArray[Any]]]:
    ends = np.cumsum([site.shape[1] for site in found])[:-1]
    columns = table.values.double().numpy().T
    return {name: np.split(column, ends) for name, column in zip(table.columns, columns, strict=True)}


def _curves(found: Faithfulness) -> Curves:
    return {
        "deletion": {name: (found.shares, scores) for name, scores in found.deletion.items()},
        "insertion": {name: (found.shares, scores) for name, scores in found.insertion.items()},
    }


def _site(site: Site, known: Known, shown: Shown) -> heads.Site:
    example = shown.example
    asked, read = known.of(site.kind, *site.shape[2:])
    rows = _rows(site, asked, example, shown.rows)
    image = _patches(shown.image, site.shape[3])
    source = _axis(read, example, range(site.shape[3]), image)
    square = site.kind == "self" and site.shape[2] == site.shape[3]
    target = _axis(asked, example, rows, image if square and len(rows) == site.shape[3] else None)
    weights = _weights(site, example, rows)
    slots = _slots(read, example, weights, site.shape[3])
    if len(slots) < site.shape[3]:
        source, weights = _axis(read, example, slots, None), _narrowed(weights, slots, site.shape[3])
    if isinstance(weights, Top):
        return heads.site(site.name, source, target, weights.weights, keys=weights.keys, rest=weights.rest)
    return heads.site(site.name, source, target, weights)


def _rows(site: Site, asked: Side | None, example: int, wanted: Sequence[int] | slice | None) -> list[int]:
    """The rows to draw: those that were asked for, or all real ones."""
    if isinstance(wanted, slice):
        return list(range(*wanted.indices(site.shape[2])))
    if wanted is not None:
        return [placed("row", row, site.shape[2]) for row in wanted]
    real = None if asked is None or asked.real is None else asked.real[example]
    rows = [row for row in site.places if real is None or bool(real[row])]
    if len(rows) * site.shape[3] > MOST:
        sizes = f"{len(rows):,} rows of {site.shape[3]:,} slots"
        raise ValueError(
            f"rows must say which to draw, {site.name} has {sizes}: rows=slice(-100, None) are the last hundred"
        )
    return rows


def _weights(site: Site, example: int, rows: Sequence[int]) -> NDArray[np.float32] | Top:
    slots = site.shape[3]
    if len(rows) * slots <= DENSE:
        found: NDArray[np.float32] = site.rows(rows)[example].float().cpu().numpy()
        return found
    size = max(DENSE // slots, 1)
    parts = []
    for first in range(0, len(rows), size):
        some = site.rows(rows[first : first + size])[example].float().cpu().numpy()
        parts.append(top(some, KEPT))
    return Top(*(np.concatenate(part, 1) for part in zip(*parts, strict=True)))


def _slots(read: Side | None, example: int, weights: NDArray[np.float32] | Top, slots: int) -> list[int]:
    """The slots that are no padding, and padding that was looked at all the same."""
    if read is None or read.real is None:
        return list(range(slots))
    there: NDArray[np.bool_] = read.real[example].cpu().numpy().copy()
    if isinstance(weights, Top):
        there[weights.keys[weights.weights > 0]] = True
    else:
        there |= (weights > 0).any((0, 1))
    return np.flatnonzero(there).tolist()


def _narrowed(weights: NDArray[np.float32] | Top, slots: Sequence[int], size: int) -> NDArray[np.float32] | Top:
    if not isinstance(weights, Top):
        return weights[..., slots]
    place = np.zeros(size, np.int32)
    place[list(slots)] = np.arange(len(slots))
    return weights._replace(keys=place[weights.keys])


def labels_of(side: Side | None, example: int, places: Sequence[int]) -> list[str]:
    """Labels of some places: tokens as text, or their numbers; places where nobody knows the tokens."""
    if side is None:
        return [str(place) for place in places]
    if side.texts is None:
        return [str(int(side.ids[example, place])) for place in places]
    return [side.texts[example][place] for place in places]


def _axis(side: Side | None, example: int, places: Sequence[int], image: Patches | None) -> Tokens:
    labels = labels_of(side, example, places)
    if side is None:
        for number, place in enumerate(image.places if image is not None else ()):
            labels[place] = f"{number // image.grid[1]},{number % image.grid[1]}"  # type: ignore[union-attr]
        return tokens(labels, image=image)
    special = () if side.special is None else [n for n, place in enumerate(places) if side.special[example, place]]
    return tokens(labels, words=None if side.texts is None else "auto", special=special, image=image)


def _patches(image: ArrayLike | Patches | None, slots: int) -> Patches | None:
    """The image under a site's slots: the largest square of patches that they hold, at the end."""
    if image is None or isinstance(image, Patches):
        return image
    side = math.isqrt(slots)
    return patches(image, (side, side), places=range(slots - side * side, slots))
