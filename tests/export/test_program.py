"""Programs of torch.export and graphs of ONNX take the steps of the models, for batches, sources and answers of any
length.
"""

import numpy as np
import pytest
import torch
from untrained import ASKED, HALVES, untrained

from saccade import decoding
from saccade.export import onnx, pt2
from saccade.export.program import programs
from saccade.export.stepping import Stepping
from saccade.export.twin import UnpackedEncoder
from saccade.layers.recurrent import BidirectionalEncoder, packed_layer
from saccade.tasks.translate.options import TranslateOptions

RECURRENT = {"level": "char", "embedding": 6, "hidden": 10}
SMALL = {**HALVES, "hidden": 12, "layers": 1}
KINDS = {
    "recurrent": RECURRENT,
    "transformer": {**SMALL, "shared_heads": 2},
}
OTHERS = {
    "luong": {**RECURRENT, "encoder": "gru", "decoder": "gru", "attend": "after", "attention": "general"},
    "fed": {**RECURRENT, "layers": 2, "attend": "after", "feed": "input", "tied": "target", "embedding": 10},
    "copying": {**RECURRENT, "copy": True},
    "nothing": {**RECURRENT, "attention": "none"},
    "window": {**RECURRENT, "attention": "general+local-p", "half_width": 3},
    "coverage": {**RECURRENT, "attention": "coverage"},
    "mixed": {**RECURRENT, "encoder": "transformer", "decoder": "gru", "heads": 2},
    "alibi": {**SMALL, "positions": "alibi", "norm": "last"},
    "buckets": {**SMALL, "positions": "buckets"},
    "relative": {**SMALL, "positions": "relative"},
    "learned": {**SMALL, "positions": "learned", "tied": "all"},
    "rotary": {**SMALL, "hidden": 16, "layers": 2, "positions": "rotary"},
}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_twin_equals_packed_sequences(cell, layers):
    encoder = BidirectionalEncoder(cell, 3, 10, layers=layers, dropout=0.5).eval()
    x, lengths = torch.randn(5, 7, 3), torch.tensor([7, 1, 4, 6, 7])
    found = UnpackedEncoder(encoder)(x.masked_fill((torch.arange(7) >= lengths[:, None])[..., None], 1e9), lengths)
    states = x
    for layer in encoder.layers:
        states, summary = packed_layer(layer, states, lengths)
    torch.testing.assert_close(found.states, states, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.summary, summary, atol=1e-6, rtol=0)


def made(name: str, folder) -> tuple:
    """A translator, and its programs in both forms."""
    own = untrained(TranslateOptions(**{**KINDS, **OTHERS}[name]))
    said = programs(own.model)
    onnx.save(said, folder)
    pt2.save(said, folder)
    program = {"memory": said.memory, "weights": said.weights, "copies": own.copies}
    return own, [Stepping(folder, engine, own.vocabularies, own.longest, program) for engine in ("onnx", "pt2")]


@pytest.fixture(scope="module", params=KINDS)
def engines(request, tmp_path_factory):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'saccade[export]'")
    pytest.importorskip("onnxscript", reason="needs onnxscript: pip install 'saccade[export]'")
    return made(request.param, tmp_path_factory.mktemp("programs"))


def same(own, engine) -> None:
    expected = own.answer(ASKED)
    assert len({answer.target for (answer,) in expected}) > 3
    for (mine,), (its,), text in zip(expected, engine.answer(ASKED), ASKED, strict=True):
        assert (its.text, its.target, its.source) == (mine.text, mine.target, mine.source)
        assert its.score == pytest.approx(mine.score, abs=1e-3)
        assert (its.weights is None) == (mine.weights is None)
        if mine.weights is not None:
            np.testing.assert_allclose(its.weights, mine.weights, atol=1e-4)
        assert engine.answer([text])[0][0].target == mine.target


def test_greedy_answers(engines):
    own, exported = engines
    for engine in exported:
        same(own, engine)


def test_beams_penalties_and_drawing_are_our_own(engines):
    own, exported = engines
    drawn = decoding.Manner(sampling=decoding.Sampling(0.7), seed=5)
    for manner, beam in ((decoding.SEARCHED, 4), (decoding.Manner(penalty=decoding.wu(0.6)), 4), (drawn, 1)):
        expected = own.answer(ASKED, beam=beam, nbest=2, manner=manner)
        for engine in exported:
            found = engine.answer(ASKED, beam=beam, nbest=2, manner=manner)
            assert [[a.text for a in some] for some in found] == [[a.text for a in some] for some in expected]


def test_one_row_and_one_token(engines):
    own, exported = engines
    for batch, source in (1, 1), (1, 9), (6, 1), (4, 23):
        ids, lengths = torch.full((batch, source), 5), torch.full((batch,), source)
        memory, state = own.model.remember(ids, lengths)
        begun = [engine._steps.remember(ids, lengths) for engine in exported]
        token = torch.ones(batch, dtype=torch.long)
        for _ in range(3):
            step = own.model.step(token, memory, state)
            for place, engine in enumerate(exported):
                its = engine._steps.step(token, *begun[place])
                torch.testing.assert_close(its.logits, step.logits, atol=1e-4, rtol=0)
                begun[place] = begun[place][0], its.state
            state, token = step.state, step.logits.argmax(-1)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_translators(name, tmp_path):
    own, exported = made(name, tmp_path)
    for engine in exported:
        same(own, engine)
