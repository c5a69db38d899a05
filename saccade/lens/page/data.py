"""What a page holds of a drawing: plain data that its script draws, weights as short whole numbers."""

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saccade.lens.drawings import Drawing, unknown
from saccade.lens.heads import Layers
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap, readable, scale_end, spacing, visible
from saccade.lens.page.heads import ROOM, layers_data
from saccade.lens.page.image import picture
from saccade.lens.series import AttendedSeries, Panel, panels
from saccade.lens.strips import AlignedStrip
from saccade.lens.texts import ShadedText, drawn_weights

SCALE = 10_000  # weights are written as whole ten-thousandths: short, and exact enough to read
LONG = 1600  # pixels of the longer side of a strip
DIGITS = 6  # of values, which have no scale


class Piece(NamedTuple):
    """A stretch of the input as the page shows it."""

    text: str
    token: int  # index of the source token, or -1 for what lies between tokens
    mark: bool  # a token that is not in the text, such as </s>


def examples_of(drawings: Sequence[Drawing | None]) -> list[dict[str, object]]:
    """The example of each drawing; those of whole models share the room that a page has for weights."""
    room = ROOM // max(sum(isinstance(drawing, Layers) for drawing in drawings), 1)
    return [layers_data(drawing, room) if isinstance(drawing, Layers) else data_of(drawing) for drawing in drawings]


@singledispatch
def data_of(drawing: Drawing | None) -> dict[str, object]:
    """The example that the page's script draws; its `kind` names the script's view. None: there is nothing to draw."""
    raise unknown(drawing)


@data_of.register
def _(drawing: None) -> dict[str, object]:
    return {"kind": "none", "text": "", "answer": "", "note": ""}


@data_of.register
def _(drawing: AttentionMap) -> dict[str, object]:
    return {
        "kind": "map",
        "source": [visible(token) for token in drawing.source],
        "target": [visible(token) for token in drawing.target],
        "weights": _whole(drawing.weights),
        "copied": _whole(np.array(drawing.copied)),
        "top": _whole(scale_end(drawing.weights)),
        "pieces": _pieces(drawing),
        "text": readable(drawing.text or _joined(drawing.source)),
        "answer": readable(drawing.answer or _joined(drawing.target)),
        "note": readable(drawing.note),
    }


@data_of.register
def _(drawing: ShadedText) -> dict[str, object]:
    hops = max((len(weights) for weights in drawing.weights), default=1)
    shown = [drawn_weights(drawing), *(drawn_weights(drawing, hop) for hop in range(hops if hops > 1 else 0))]
    nothing = [np.zeros(0, dtype=np.float32)]
    return {
        "kind": "text",
        "sentences": [[visible(word).replace("␣", " ") for word in words] for words in drawing.sentences],
        "weights": [_whole(weights) for weights in drawing.weights],
        "shares": None if drawing.sentence_weights is None else _whole(drawing.sentence_weights),
        "tops": [_whole(scale_end(np.concatenate(weights or nothing))) for weights in shown],
        "gap": spacing(word for words in drawing.sentences for word in words),
        "scores": [(readable(label), _whole(probability)) for label, probability in drawing.scores],
        "text": readable(drawing.text),
        "answer": readable(drawing.answer),
        "note": readable(drawing.note),
    }


@data_of.register
def _(drawing: AttendedSeries) -> dict[str, object]:
    return {
        "kind": "series",
        "panels": [_panel(drawing, panel) for panel in panels(drawing)],
        "weights": _whole(drawing.weights),
        "top": _whole(scale_end(drawing.weights)),
        "length": len(drawing.past),
        "horizon": len(drawing.predicted),
        "times": [readable(time) for time in drawing.times],
        "text": readable(drawing.text),
        "answer": readable(drawing.answer),
        "note": readable(drawing.note),
    }


@data_of.register
def _(drawing: AttendedImage) -> dict[str, object]:
    shares, units = _rows(drawing.weights.reshape(len(drawing.words), math.prod(drawing.weights.shape[1:])))
    return {
        "kind": "image",
        **picture(drawing.pixels),
        "grid": drawing.weights.shape[1:],
        "words": [visible(word).replace("␣", " ") for word in drawing.words],
        "weights": shares,
        "units": units,
        "text": readable(drawing.text),
        "answer": readable(drawing.answer),
        "note": readable(drawing.note),
    }


@data_of.register
def _(drawing: AlignedStrip) -> dict[str, object]:
    shares, units = _rows(drawing.weights)
    return {
        "kind": "strip",
        **picture(drawing.picture, LONG),
        "tokens": [visible(token) for token in drawing.tokens],
        "weights": shares,
        "units": units,
        "top": scale_end(drawing.weights),
        "slots": drawing.weights.shape[1],
        "unit": readable(drawing.unit),
        "extent": drawing.extent,
        "text": readable(drawing.text),
        "answer": readable(drawing.answer),
        "note": readable(drawing.note),
    }


def _panel(series: AttendedSeries, panel: Panel) -> dict[str, object]:
    column = series.variables.index(panel.name) if panel.name in series.variables else -1
    return {
        "name": visible(panel.name).replace("␣", " "),
        "row": 0 if len(series.weights) == 1 else column,
        "past": _values(panel.past),
        "predicted": _values(panel.predicted),
        "truth": _values(panel.truth),
    }


def _whole(weights: NDArray[np.floating[Any]] | float) -> Any:
    return np.rint(np.asarray(weights, dtype=np.float64) * SCALE).astype(int).tolist()


def _rows(weights: NDArray[np.float32]) -> tuple[Any, list[float]]:
    """Weights [row, place] as whole shares of the largest of their row, and those: rows differ by orders of size."""
    largest = weights.max(1, initial=0).astype(np.float64)
    return _whole(weights / np.where(largest > 0, largest, 1)[:, None]), _values(largest)


def _values(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def _joined(tokens: Sequence[str]) -> str:
    return spacing(tokens).join(tokens)


def _pieces(map: AttentionMap) -> list[Piece]:
    """The input cut where its tokens lie, or the tokens alone if they are not the words of the text."""
    text = map.text or _joined(map.source)
    pieces, place = [], 0
    for index, token in enumerate(map.source):
        start, stop = _find(token, text, place)
        if start == stop:
            pieces.append(Piece(visible(token), index, True))
            continue
        if start > place:
            pieces.append(Piece(readable(text[place:start]), -1, False))
        pieces.append(Piece(readable(text[start:stop]), index, False))
        place = stop
    if text[place:].strip():
        return [Piece(visible(token), index, True) for index, token in enumerate(map.source)]
    return pieces


def _find(token: str, text: str, place: int) -> tuple[int, int]:
    """Where `token` stands in `text` at `place` or behind the spaces there; an empty range if it does not."""
    word = token.replace("▁", " ")  # how SentencePiece writes a space
    if text.startswith(word, place):
        return place, place + len(word)
    behind = len(text) - len(text[place:].lstrip())
    word = word.strip()
    return (behind, behind + len(word)) if text.startswith(word, behind) else (place, place)
