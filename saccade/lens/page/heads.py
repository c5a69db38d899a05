"""What a page holds of a whole model: the largest weights of each row, as many as fit, packed into bytes.

A site is sent whole, each weight in 16 bits, or as cells: for each weight the place of its key and 12 bits of the
weight, in as few bytes as hold both, the largest first. A weight is a share of the largest weight of its head, so it
is exact to 1/131,070 of that where a site is whole, and to 1/8,190 of it in cells. `rest` is a byte for each row, a
share of the largest rest of the site.
"""

import base64
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.lens.heads import Curve, Layers, Measured, Site, Top, short_names, top
from saccade.lens.maps import readable, visible
from saccade.lens.page.image import picture
from saccade.lens.tokens import Patches, Tokens

ROOM = 3_700_000  # characters for the weights of a page, which keeps it under 4 MB
WHOLE, PART = 2**16 - 1, 2**12 - 1  # the largest weight of a head, in a whole site and in cells


def layers_data(drawing: Layers, room: int = ROOM) -> dict[str, object]:
    """The example that the page's script draws, its weights in about `room` characters."""
    axes: dict[tuple[object, ...], tuple[int, Tokens]] = {}
    for one in drawing.sites:
        for axis in (one.source, one.target):
            axes.setdefault(_key(axis), (len(axes), axis))
    k = _k(drawing.sites, room)
    return {
        "kind": "layers",
        "axes": [_axis(axis) for _, axis in axes.values()],
        "sites": [
            {"source": axes[_key(one.source)][0], "target": axes[_key(one.target)][0], "short": short, **_site(one, k)}
            for one, short in zip(drawing.sites, map(readable, short_names(drawing)), strict=True)
        ],
        "figures": [_figure(measured) for measured in drawing.figures],
        "curves": [_curve(curve) for curve in drawing.curves],
        "text": readable(drawing.text),
        "answer": readable(drawing.answer),
        "note": readable(drawing.note),
    }


def _key(axis: Tokens) -> tuple[object, ...]:
    return (*axis[:4], id(axis.image))


def _k(sites: Sequence[Site], room: int) -> int | None:
    """How many weights of each row fit; None: all of them."""
    longest = max(len(one.source.labels) for one in sites)
    if _characters(sites, None) <= room:
        return None
    return max(bisect_right(range(1, longest), room, key=lambda k: _characters(sites, k)), 1)


def _characters(sites: Sequence[Site], k: int | None) -> int:
    return sum(4 * math.ceil(_bytes(one, k) / 3) for one in sites)


def _bytes(one: Site, k: int | None) -> int:
    rows, keys = len(one.heads) * len(one.target.labels), len(one.source.labels)
    if isinstance(one.weights, Top):
        given: int = one.weights.keys.shape[2]
        return rows * (min(given, k or given) * _width(keys) + 1)
    return rows * keys * 2 if _is_whole(keys, k) else rows * ((k or 0) * _width(keys) + 1)


def _is_whole(keys: int, k: int | None) -> bool:
    return k is None or k >= keys or 2 * keys <= k * _width(keys) + 1


def _width(keys: int) -> int:
    """Bytes for a place among the keys and a weight."""
    return math.ceil((max(keys - 1, 0).bit_length() + 12) / 8)


def _axis(axis: Tokens) -> dict[str, object]:
    grouped = axis.names != axis.labels
    return {
        "labels": [visible(label) for label in axis.labels],
        "words": axis.words if grouped else None,
        "names": [visible(name) for name in axis.names] if grouped else None,
        "special": axis.special,
        "image": axis.image and _image(axis.image),
    }


def _image(image: Patches) -> dict[str, object]:
    return {**picture(image.pixels), "grid": image.grid, "places": image.places}


def _site(one: Site, k: int | None) -> dict[str, object]:
    named = {"name": readable(one.name), "heads": [readable(head) for head in one.heads]}
    weights = one.weights
    if not isinstance(weights, Top):
        if _is_whole(len(one.source.labels), k):
            units = _units(weights)
            whole = np.rint(weights / units[:, None, None] * WHOLE).astype("<u2")
            return {**named, "k": None, "units": units.tolist(), "cells": _text(whole.tobytes())}
        weights = top(weights, k or 1)
    elif k is not None and weights.keys.shape[2] > k:
        kept = top(weights.weights, k)
        weights = Top(np.take_along_axis(weights.keys, kept.keys, -1), kept.weights, weights.rest + kept.rest)
    return {**named, **_cells(weights, _width(len(one.source.labels)))}


def _cells(weights: Top, width: int) -> dict[str, object]:
    units = _units(weights.weights)
    values = np.rint(weights.weights / units[:, None, None] * PART).astype("<u8")
    cells = weights.keys.astype("<u8") * (PART + 1) + values
    rest = float(weights.rest.max(initial=0)) or 1.0
    return {
        "k": weights.keys.shape[2],
        "width": width,
        "units": units.tolist(),
        "cells": _text(np.ascontiguousarray(cells).view(np.uint8).reshape(-1, 8)[:, :width].tobytes()),
        "rest": _text(np.rint(weights.rest / rest * 255).astype(np.uint8).tobytes()),
        "most_rest": rest,
    }


def _units(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    largest = weights.reshape(len(weights), -1).max(1, initial=0).astype(np.float64)
    return np.where(largest > 0, largest, 1.0)


def _figure(measured: Measured) -> dict[str, object]:
    values = [[None if math.isnan(value) else float(f"{value:.6g}") for value in row] for row in measured.values]
    return {"name": readable(measured.name), "values": values}


def _curve(curve: Curve) -> dict[str, object]:
    numbers: list[Any] = [[float(f"{value:.6g}") for value in part] for part in (curve.fractions, curve.scores)]
    named = {"measure": readable(curve.measure), "name": readable(curve.name)}
    return {**named, "fractions": numbers[0], "scores": numbers[1]}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
