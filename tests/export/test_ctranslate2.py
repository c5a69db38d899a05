"""CTranslate2 writes what our own engine writes, whatever the shape of a Transformer; what it has not is named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from untrained import ASKED, HALVES, TEXTS, untrained

from saccade import decoding
from saccade.data import tokens
from saccade.errors import DataError, ExportError, OptionError
from saccade.export.ctranslate2 import CTranslate2
from saccade.export.spec import refuse, save
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Translator

pytest.importorskip("ctranslate2", reason="needs CTranslate2: pip install 'saccade[export]'")


def exported(translator: Translator, folder, positions: int = 200) -> CTranslate2:
    save(translator.model, translator.vocabularies, positions, folder)
    added = translator.model.config.positions in ("sinusoidal", "learned")
    return CTranslate2(folder, translator.vocabularies, translator.longest, positions=positions if added else 0)


@pytest.mark.parametrize("tied", ["none", "target", "all"])
@pytest.mark.parametrize("shared", [0, 2, 1], ids="shared{}".format)
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize("norm", ["first", "last"])
def test_every_shape_writes_the_same(norm, positions, shared, tied, tmp_path):
    shape = {"norm": norm, "positions": positions, "shared_heads": shared, "tied": tied}
    own = untrained(TranslateOptions(**HALVES, **shape))
    other = exported(own, tmp_path)
    expected, found = own.answer(ASKED), other.answer(ASKED)
    assert len({answer.target for (answer,) in expected}) > 3
    for (mine,), (its,) in zip(expected, found, strict=True):
        assert (its.text, its.source, its.target) == (mine.text, mine.source, mine.target)
        if mine.weights is not None:
            np.testing.assert_allclose(its.weights, mine.weights, atol=5e-5)
    alone = [other.answer([text])[0][0] for text in ASKED]
    assert [answer.target for answer in alone] == [answer.target for (answer,) in found]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Translator, CTranslate2]:
    """A translator that gives what is never written no probability, so that scores can be compared; and its export."""
    own = untrained(TranslateOptions(**HALVES, feedforward=24))
    with torch.no_grad():
        own.model.decoder.output.bias[[tokens.PAD, tokens.START, tokens.UNKNOWN]] = -1e4
    return own, exported(own, tmp_path_factory.mktemp("exported"))


def test_scores_are_log_probabilities(pair):
    own, other = pair
    for (mine,), (its,) in zip(own.answer(ASKED), other.answer(ASKED), strict=True):
        assert its.score == pytest.approx(mine.score, rel=1e-4, abs=1e-4)


def test_a_beam_gives_answers_with_the_scores_that_the_model_gives_them(pair):
    own, other = pair
    for alpha in (0.0, 0.6):
        manner = decoding.Manner(penalty=decoding.power(alpha)) if alpha else decoding.SEARCHED
        best = other.answer(TEXTS, beam=4, nbest=3, manner=manner)
        for some in best:
            ranks = [answer.score / len(answer.target) ** alpha for answer in some]
            assert ranks == sorted(ranks, reverse=True)
            assert len({answer.target for answer in some}) == len(some) == 3
        mine = {(n, a.target): a.score for n, some in enumerate(own.answer(TEXTS, beam=9, nbest=9)) for a in some}
        shared = {(n, a.target): a.score for n, some in enumerate(best) for a in some if (n, a.target) in mine}
        assert shared
        for key, score in shared.items():
            assert score == pytest.approx(mine[key], rel=1e-4, abs=1e-4)


def test_what_it_has_not_is_said(pair):
    _, other = pair
    with pytest.raises(OptionError, match=r"--penalty must be power with --engine ctranslate2.*; got wu"):
        other.answer(TEXTS, beam=3, manner=decoding.Manner(penalty=decoding.wu(0.6)))
    with pytest.raises(OptionError, match="--sample draws as our own engine draws; got --engine ctranslate2"):
        other.answer(TEXTS, manner=decoding.Manner(sampling=decoding.Sampling()))
    with pytest.raises(OptionError, match="--ensemble is for runs that our own engine runs; got one that ctranslate2"):
        other.joined([other])
    with pytest.raises(OptionError, match="evaluate is for runs; got a folder that was exported to ctranslate2"):
        other.evaluate([])


def test_places_have_an_end_and_answers_stop_there(tmp_path):
    own = untrained(TranslateOptions(**HALVES))
    other = exported(own, tmp_path, positions=12)
    (mine,), (its,) = own.answer(["hello"])[0], other.answer(["hello"])[0]
    assert len(mine.target) == 19, "it was to be cut"
    assert its.target == mine.target[:12]
    with pytest.raises(DataError, match=r"expected an input of at most 12 tokens, .*; got 14"):
        other.answer(["hello hello z"])


REFUSED = {
    "--to ctranslate2 needs Transformers on both sides; got --encoder gru": {"encoder": "gru"},
    "--to ctranslate2 needs Transformers on both sides; got --decoder lstm": {"decoder": "lstm"},
    "got ALiBi": {"positions": "alibi"},
    "got buckets of distances": {"positions": "buckets"},
    "got relative vectors": {"positions": "relative"},
}


@pytest.mark.parametrize("said", REFUSED)
def test_refused_by_name(said, tmp_path):
    own = untrained(replace(TranslateOptions(**HALVES), **REFUSED[said]))
    with pytest.raises(ExportError) as refused:
        save(own.model, own.vocabularies, 200, tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not any(tmp_path.iterdir())


def test_copying_is_refused_with_its_decoder():
    copying = untrained(TranslateOptions(level="char", hidden=8, embedding=4, copy=True, encoder="transformer"))
    with pytest.raises(ExportError, match="got --decoder lstm"):
        refuse(copying.model.config)


def test_what_ended_stands_before_what_was_cut(pair, monkeypatch):
    _, other = pair
    said = [(["a", "b", "c"], -0.1), (["a", "</s>"], -2.9), (["b", "a"], -3.0), (["b", "</s>"], -3.5)]

    def translate_batch(texts, *, num_hypotheses, beam_size, **options):
        some = said[:num_hypotheses]
        looked = [[[1.0]] * len(written) for written, _ in some]
        found = SimpleNamespace(hypotheses=[one for one, _ in some], scores=[one for _, one in some], attention=looked)
        return [found for _ in texts]

    monkeypatch.setattr(other, "_model", SimpleNamespace(translate_batch=translate_batch))
    assert [a.score for a in other.answer(["a"], beam=4, nbest=4)[0]] == [-2.9, -3.5, -0.1, -3.0]
    assert [a.score for a in other.answer(["a"], beam=4, nbest=1)[0]] == [-2.9]
    assert [a.score for a in other.answer(["a"])[0]] == [-0.1]
