"""Answers of every task become drawings; what looks at nothing, or is no answer, is refused."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

import saccade
from saccade.lens.answers import drawing_of
from saccade.lens.capture.answered import drawing_of_heads
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap
from saccade.lens.series import AttendedSeries
from saccade.lens.strips import AlignedStrip
from saccade.lens.texts import ShadedText
from saccade.tasks.classify.classifier import Verdict
from saccade.tasks.regress.regressor import Foreseen
from saccade.tasks.tag.tagger import TaggedWords
from saccade.tasks.translate.translator import Answer

HALF = np.full((2, 3), 0.5, np.float32)


def test_a_translation_is_a_map_with_what_was_copied():
    drawing = drawing_of(Answer("x y", -0.5, tuple("abc"), tuple("xy"), HALF, (0.9, 0.1)), text="abc", note="so")
    assert isinstance(drawing, AttentionMap)
    assert (drawing.answer, drawing.text, drawing.note) == ("x y", "abc", "so")
    assert drawing.copied == pytest.approx((0.9, 0.1))


def test_what_looks_like_a_translation_is_drawn_as_one():
    class Mine(NamedTuple):
        text: str
        source: str
        target: str
        weights: np.ndarray

    assert drawing_of(Mine("xy", "abc", "xy", HALF)).target == ("x", "y")


def test_a_verdict_is_a_shaded_text():
    weights = (np.full((2, 1), 1.0, np.float32), np.full((2, 2), 0.5, np.float32))
    verdict = Verdict(("pos",), {"pos": 0.8, "neg": 0.2}, (("a",), ("fine", "film")), weights, HALF[:, :2])
    drawing = drawing_of(verdict, text="a fine film")
    assert isinstance(drawing, ShadedText)
    assert drawing.sentences == verdict.source
    assert drawing.sentence_weights.tolist() == [0.5, 0.5]
    assert dict(drawing.scores) == pytest.approx(verdict.probabilities)
    assert drawing.answer == "pos"


@pytest.mark.parametrize("heads", [0, 5])
def test_tags_are_a_map_whose_rows_name_word_and_tag(heads):
    shape = (heads, 2, 2) if heads else (2, 2)
    weights = np.random.default_rng(0).random(shape, np.float32)
    drawing = drawing_of(TaggedWords(("Ann", "sleeps"), ("NOUN", "VERB"), (0.9, 0.8), weights))
    assert drawing.target == ("Ann/NOUN", "sleeps/VERB")
    assert drawing.weights == pytest.approx(weights.mean(0) if heads else weights)
    assert drawing.note == ("the mean of 5 heads" if heads else "")


def test_numbers_are_a_series():
    past, looked = np.arange(6.0).reshape(3, 2), np.full((2, 7, 3), 1 / 3, np.float32)
    forecast = drawing_of(Foreseen(np.ones((5, 1)), past, ("a", "b"), (1,), looked, tuple("xyz"), None))
    assert isinstance(forecast, AttendedSeries)
    assert (forecast.targets, forecast.predicted.shape, forecast.weights.shape) == (("b",), (5, 1), (2, 3))
    numbers = drawing_of(Foreseen(np.ones(5), past, ("a", "b"), (), looked[:1], None, None))
    assert numbers.targets == ("y1", "y2", "y3", "y4", "y5")
    assert numbers.weights.shape == (1, 3)


class Caption(NamedTuple):
    text: str
    pixels: np.ndarray
    target: tuple[str, ...]
    weights: np.ndarray | None


class Transcript(NamedTuple):
    text: str
    strip: np.ndarray
    target: tuple[str, ...]
    weights: np.ndarray | None
    unit: str
    extent: float


def test_a_caption_is_an_attended_image_with_its_end():
    weights = np.full((2, 3, 4), 1 / 12, np.float32)
    drawing = drawing_of(Caption("dog", np.zeros((6, 8, 3), np.uint8), ("dog", "</s>"), weights), text="dog.jpg")
    assert isinstance(drawing, AttendedImage)
    assert (drawing.words, drawing.answer, drawing.text) == (("dog", "</s>"), "dog", "dog.jpg")
    assert drawing.weights.shape == (2, 3, 4)


def test_a_transcript_is_an_aligned_strip_with_its_end_and_length():
    drawing = drawing_of(Transcript("a", np.eye(4), ("a", "</s>"), HALF, "s", 2.5), text="a.wav", note="so")
    assert isinstance(drawing, AlignedStrip)
    assert (drawing.tokens, drawing.answer, drawing.text, drawing.note) == (("a", "</s>"), "a", "a.wav", "so")
    assert (drawing.unit, drawing.extent, drawing.weights.shape) == ("s", 2.5, (2, 3))


def test_what_also_has_a_source_is_still_a_caption_or_a_transcript():
    class Sourced(Caption):
        source = ("dog.jpg",)

    class Heard(Transcript):
        source = ("a.wav",)

    assert isinstance(drawing_of(Sourced("", np.zeros((2, 2), np.uint8), (), np.zeros((0, 1, 1)))), AttendedImage)
    assert isinstance(drawing_of(Heard("", np.eye(2), (), np.zeros((0, 1)), "", 0)), AlignedStrip)


def test_heads_of_a_caption_have_the_cells_of_its_image_and_those_of_a_transcript_places():
    attention, memory = saccade.AdditiveAttention(4, 5, 6), torch.randn(1, 6, 5)
    with saccade.look(attention) as seen:
        for _ in range(2):
            attention(torch.randn(1, 1, 4), memory, memory)
    image = Caption("dog", np.zeros((6, 9, 3), np.uint8), ("dog", "</s>"), np.full((2, 2, 3), 1 / 6, np.float32))
    (site,) = drawing_of_heads(seen, image).sites
    assert site.target.labels == ("dog", "</s>")
    assert site.source.labels == ("(1, 1)", "(1, 2)", "(1, 3)", "(2, 1)", "(2, 2)", "(2, 3)")
    (site,) = drawing_of_heads(seen, Transcript("a", np.eye(4), ("a", "</s>"), HALF, "s", 2.5)).sites
    assert (site.target.labels, site.source.labels) == (("a", "</s>"), tuple("012345"))


def test_nothing_to_look_at_and_no_answer():
    with pytest.raises(ValueError, match="answer must come from a model with attention; this one has no weights"):
        drawing_of(TaggedWords(("Ann",), ("NOUN",), (0.9,), None))
    with pytest.raises(ValueError, match="this one has no weights"):
        drawing_of(Caption("dog", np.zeros((2, 2), np.uint8), ("dog",), None))
    with pytest.raises(TypeError, match="answer must be one of a trained model; got str"):
        drawing_of("Ann")
