"""What is drawn of an answer: a map, a text, a series, an image or a strip, by what the answer holds."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from saccade.lens.drawings import Drawing
from saccade.lens.images import AttendedImage, attended_image
from saccade.lens.maps import AttentionMap, attention_map
from saccade.lens.series import AttendedSeries, attended_series
from saccade.lens.strips import AlignedStrip, aligned_strip
from saccade.lens.texts import ShadedText, shaded_text

Weights = NDArray[np.float32]


@runtime_checkable
class Written(Protocol):
    """Tokens written for tokens read, as a translator's `Answer`; weights are `[target, source]`."""

    @property
    def text(self) -> str: ...
    @property
    def source(self) -> Sequence[str]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def weights(self) -> Weights | None: ...


@runtime_checkable
class Judged(Protocol):
    """A text that was read for a label, as a classifier's `Verdict`; for each sentence weights are `[hop, word]`."""

    @property
    def text(self) -> str: ...
    @property
    def source(self) -> Sequence[Sequence[str]]: ...
    @property
    def weights(self) -> Sequence[Weights] | None: ...
    @property
    def sentences(self) -> Weights | None: ...
    @property
    def probabilities(self) -> Mapping[str, float]: ...


@runtime_checkable
class Tagged(Protocol):
    """Words with their tags, as a tagger's `TaggedWords`; weights are `[word, word]`, or `[head, word, word]`."""

    @property
    def text(self) -> str: ...
    @property
    def source(self) -> Sequence[str]: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def weights(self) -> Weights | None: ...


@runtime_checkable
class Foreseen(Protocol):
    """Numbers for a series, as a regressor's `Foreseen`; weights are `[variable, row, time]`."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def targets(self) -> Sequence[int]: ...
    @property
    def past(self) -> NDArray[Any]: ...
    @property
    def values(self) -> NDArray[Any]: ...
    @property
    def truth(self) -> NDArray[Any] | None: ...
    @property
    def times(self) -> Sequence[str] | None: ...
    @property
    def weights(self) -> Weights | None: ...


@runtime_checkable
class Captioned(Protocol):
    """Tokens written for an image, as a captioner's `Caption`; weights are `[token, row, column]`, over the image."""

    @property
    def text(self) -> str: ...
    @property
    def pixels(self) -> NDArray[np.uint8]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def weights(self) -> Weights | None: ...


@runtime_checkable
class Transcribed(Protocol):
    """Tokens written for a recording or a scanned line, as a transcriber's `Transcript`; weights are `[token, slot]`.

    `strip` is its picture, the first row at the top; `extent` its length in `unit`, such as seconds, or 0.
    """

    @property
    def text(self) -> str: ...
    @property
    def strip(self) -> NDArray[Any]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def weights(self) -> Weights | None: ...
    @property
    def unit(self) -> str: ...
    @property
    def extent(self) -> float: ...


Looked = Written | Judged | Tagged | Foreseen | Captioned | Transcribed


def drawing_of(answer: Looked, *, text: str = "", note: str = "") -> Drawing:
    """The drawing of an answer of a model of any task, or of what looks like one.

    Heads of a tagger, hops among sentences and rows of a regressor are drawn as their mean.

    Args:
        text: the whole input as it was given; of an image or a recording its name.
        note: one line more, such as "expected pos".

    Raises:
        ValueError: the answer comes from a model that looks at nothing.
        TypeError: something that is no answer.
    """
    if not isinstance(answer, Looked):
        raise TypeError(f"answer must be one of a trained model; got {type(answer).__name__}")
    if answer.weights is None:
        raise ValueError("answer must come from a model with attention; this one has no weights")
    if isinstance(answer, Foreseen):
        return _series(answer, answer.weights, text, note)
    if isinstance(answer, Judged):
        return _shaded(answer, answer.weights, text, note)
    if isinstance(answer, Captioned):
        return _image(answer, answer.weights, text, note)
    if isinstance(answer, Transcribed):
        return _strip(answer, answer.weights, text, note)
    if isinstance(answer, Written):
        return _map(answer, answer.weights, text, note)
    return _tags(answer, answer.weights, text, note)


def _map(answer: Written, weights: Weights, text: str, note: str) -> AttentionMap:
    copied = getattr(answer, "copied", ())  # only a translator that copies has it
    return attention_map(answer.source, answer.target, weights, answer=answer.text, text=text, note=note, copied=copied)


def _shaded(answer: Judged, weights: Sequence[Weights], text: str, note: str) -> ShadedText:
    return shaded_text(
        answer.source,
        weights,
        sentence_weights=None if answer.sentences is None else answer.sentences.mean(0),
        answer=answer.text,
        scores=answer.probabilities,
        text=text,
        note=note,
    )


def _tags(answer: Tagged, weights: Weights, text: str, note: str) -> AttentionMap:
    if weights.ndim == 3:
        note, weights = note or f"the mean of {len(weights)} heads", weights.mean(0)
    rows = [f"{word}/{tag}" for word, tag in zip(answer.source, answer.tags, strict=True)]
    return attention_map(answer.source, rows, weights, answer=answer.text, text=text, note=note)


def _series(answer: Foreseen, weights: Weights, text: str, note: str) -> AttendedSeries:
    looked = weights.mean(1)
    named = [answer.names[i] for i in answer.targets] or [f"y{i + 1}" for i in range(len(answer.values))]
    return attended_series(
        answer.names,
        answer.past,
        looked[0] if len(looked) == 1 else looked,
        answer.values,
        targets=named,
        truth=answer.truth,
        times=answer.times or (),
        text=text,
        note=note,
    )


def _image(answer: Captioned, weights: Weights, text: str, note: str) -> AttendedImage:
    return attended_image(answer.pixels, answer.target, weights, answer=answer.text, text=text, note=note)


def _strip(answer: Transcribed, weights: Weights, text: str, note: str) -> AlignedStrip:
    return aligned_strip(
        answer.strip,
        answer.target,
        weights,
        unit=answer.unit,
        extent=answer.extent,
        answer=answer.text,
        text=text,
        note=note,
    )
