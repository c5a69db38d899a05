"""What the weights of a run mean: models of every task, with given weights, lose what is written here.

A run that somebody keeps is read by every later version. Where a model computes something else from the same weights,
runs of before answer with nonsense, and nothing says so. Who has to change a number here changes the format of runs
too (`saccade.runs.FORMAT`), and reads or refuses those of before.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import CAPTION, LINES, TAG, TRANSCRIBE
from torch import nn

from saccade.tasks.base import Start
from saccade.tasks.caption.options import CaptionOptions
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.course import Course
from saccade.tasks.load import task_of
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.transcribe.options import TranscribeOptions
from saccade.tasks.translate.options import TranslateOptions

SMALL: dict[str, Any] = {"level": "char", "hidden": 16}
BOTH: dict[str, Any] = {**SMALL, "encoder": "transformer", "decoder": "transformer", "heads": 2, "feedforward": 24}
TIED: dict[str, Any] = {"shared": True, "tied": "all"}
FROZEN: dict[str, tuple[str, Course, float]] = {
    "translate": ("digits", TranslateOptions(**SMALL, embedding=12), 3.16649),
    "translate, gru, input feeding": (
        "digits",
        TranslateOptions(**SMALL, encoder="gru", decoder="gru", attend="after", feed="input", layers=2),
        3.71213,
    ),
    "translate, tied": ("digits", TranslateOptions(**SMALL, **TIED, embedding=16, attend="after"), 2.79685),
    "translate, copying": ("digits", TranslateOptions(**SMALL, shared=True, copy=True, coverage_loss=1.0), 2.57666),
    "translate, layer normalisation": ("digits", TranslateOptions(**SMALL, layer_norm=True), 2.70291),
    "translate, Transformer": ("digits", TranslateOptions(**BOTH), 3.30764),
    "translate, Transformer, tied": (
        "digits",
        TranslateOptions(**BOTH, **TIED, norm="post", positions="rotary"),
        3.10429,
    ),
    "translate, Transformer, buckets": (
        "digits",
        TranslateOptions(**BOTH, positions="buckets", shared_heads=1),
        3.22780,
    ),
    "classify": ("films", ClassifyOptions(embedding=12, hidden=16), 1.25741),
    "tag": ("names", TagOptions(attention="additive", **TAG), 1.31340),
    "regress": ("waves", RegressOptions(horizon=3, window=12, hidden=16, patch=2), 3.83908),
    "caption": ("painted", CaptionOptions(**CAPTION), 2.80184),
    "caption, lines": ("lines_of_text", CaptionOptions(**{**CAPTION, **LINES}), 3.26908),
    "transcribe": ("sounds", TranscribeOptions(**TRANSCRIBE), 4.48001),
}
"""By name: a file of examples, options, and the loss in nats of what a training holds out."""


def give(model: nn.Module) -> None:
    """Weights that the name of each decides."""
    for name, parameter in model.named_parameters():
        numbers = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.5, tuple(parameter.shape))
        parameter.data.copy_(torch.from_numpy(numbers))


def loss(folder: Path, options: Course, path: Path) -> float:
    """What a model with given weights loses, in nats, on the examples that a training holds out."""
    task = task_of(options)
    start = Start(task.files((path,), task.columns, options), None)
    training, held_out = task.parts(start, options, lambda line: None)
    codec = task.learn(start, training, options)
    corpus = task.corpus(folder, "held", held_out, codec, options)
    learner = task.learner(task.new_model(options, codec), options, codec).eval()
    give(learner.model)
    with torch.no_grad():
        checks = [learner.check(corpus.batch(some)) for some in task.measured(corpus, options)]
    return learner.figures(checks)["loss"]


@pytest.mark.parametrize("name", FROZEN)
def test_weights_mean_what_they_meant(name, tmp_path, request):
    data, options, expected = FROZEN[name]
    found = loss(tmp_path, options, request.getfixturevalue(data))
    assert found == pytest.approx(expected, rel=1e-4)
