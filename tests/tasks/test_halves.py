"""Translators with Transformers, tied embeddings and presets: from a file of pairs to answers, saved and loaded."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

import saccade
from saccade.cli import main, parse
from saccade.data.paircorpus import Vocabularies, collate
from saccade.data.pairs import Pair, PairFile
from saccade.data.tokens import PAD, learn
from saccade.errors import OptionError
from saccade.models.transformerdecoder import TransformerWriter
from saccade.runs import Run, take_weights
from saccade.tasks.base import Start
from saccade.tasks.translate.learner import TranslateLearner
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.presets import PRESETS, preset
from saccade.tasks.translate.translator import new_model
from saccade.training.fit import fit

TINY = TranslateOptions(
    level="char",
    encoder="transformer",
    decoder="transformer",
    hidden=32,
    heads=2,
    feedforward=64,
    tied="target",
    positions="buckets",
    label_smoothing=0.1,
    epochs=30,
    batch_size=16,
    learning_rate=0.005,
)
VOCABULARY = learn(["0123456789-"], "char")
SAME = Vocabularies(VOCABULARY, VOCABULARY)


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory, digits):
    """A tiny Transformer that turns digits around."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fit(folder, TINY, Start(PairFile((digits,)), None), device="cpu", say=lambda line: None)
    return folder


def test_a_tiny_transformer_learns(tiny_run, digits):
    translate = saccade.load(tiny_run)
    rows = [Pair(*line.split("\t")) for line in digits.read_text("utf-8").splitlines()]
    assert translate.evaluate(rows).exact_match >= 0.9
    answer = translate("123")
    assert answer.text == "3-2-1"
    assert answer.weights.shape == (6, 4)
    assert answer.weights.sum(-1) == pytest.approx(1, abs=1e-5)
    assert answer.copied == ()


def test_weights_of_several_names_are_stored_once_and_load_to_the_same_bits(tiny_run, tmp_path):
    stored = load_file(tiny_run / "weights.safetensors")
    model = saccade.load(tiny_run).model
    assert isinstance(model.decoder, TransformerWriter)
    assert model.decoder.output.weight is model.decoder.embedding.weight
    own = model.state_dict()
    left_out = sorted(own.keys() - stored.keys())
    table = "stack.layers.0.self_attention.attend.positions.table.weight"
    assert left_out == ["decoder.output.weight"]
    assert all(torch.equal(own[name], stored[name]) for name in stored)
    assert torch.equal(own["decoder.output.weight"], stored["decoder.embedding.weight"])
    assert f"encoder.{table}" in stored
    deep = new_model(replace(TINY, layers=3, tied="all"), SAME)
    run = Run(tmp_path / "run")
    run.create()
    run.write_config({"task": "translate"})
    run.write_weights(deep.state_dict())
    other = new_model(replace(TINY, layers=3, tied="all", seed=1), SAME)
    take_weights(other, run.read_weights(), run)
    names = load_file(run.path("weights.safetensors")).keys()
    assert sum("positions.table" in name for name in names) == 2  # one of the encoder, one of the decoder
    assert sum("embedding" in name or "output.weight" in name for name in names if "stack" not in name) == 1
    assert all(torch.equal(x, other.state_dict()[name]) for name, x in deep.state_dict().items())


def test_every_head_can_be_drawn(tiny_run, tmp_path):
    assert main(["show", str(tiny_run), "123", "--heads", "--page", str(tmp_path / "heads.html")]) == 0
    assert main(["show", str(tiny_run), "123", "--png", str(tmp_path / "map.png")]) == 0
    assert main(["describe", str(tiny_run)]) == 0


def test_labels_are_smoothed_in_training_alone():
    torch.manual_seed(1)
    options = TranslateOptions(level="char", hidden=8, embedding=4, dropout=0.0, label_smoothing=0.3)
    model, batch = new_model(options, SAME), collate([[4, 5, 6, 2], [5, 2]], [[4, 2], [5, 6, 7, 2]])
    logits = model(batch.source, batch.lengths, batch.before).logits.flatten(0, 1)
    expected = [
        cross_entropy(logits, batch.target.flatten(), ignore_index=PAD, label_smoothing=share) for share in (0.3, 0.0)
    ]
    learner = TranslateLearner(model, options)
    found = learner.objective(batch)
    torch.testing.assert_close(found.loss, expected[0])
    torch.testing.assert_close(found.total / found.counted, expected[1].detach())
    with torch.no_grad():
        checked = learner.check(batch)
    assert learner.figures([checked])["loss"] == pytest.approx(float(expected[1].detach()), abs=1e-6)


def with_and_without(halves, some, **others):
    """Two learners of one small model, the first with these options, and a batch of two pairs."""
    torch.manual_seed(1)
    plain = TranslateOptions(level="char", encoder=halves[0], decoder=halves[1], hidden=8, embedding=8, **others)
    model, batch = new_model(plain, SAME), collate([[4, 5, 6, 2], [5, 2]], [[4, 2], [5, 6, 7, 2]])
    return TranslateLearner(model, replace(plain, **some)), TranslateLearner(model, plain), batch


@pytest.mark.parametrize("halves", [("lstm", "gru"), ("transformer", "transformer")])
def test_dropped_tokens_are_read_as_zeros_in_training_alone(halves):
    learner, plain, batch = with_and_without(halves, {"token_dropout": 0.4}, dropout=0.0)
    torch.manual_seed(2)
    found = learner.objective(batch).loss
    torch.manual_seed(2)
    source, before = (read * (torch.rand(read.shape) >= 0.4) for read in (batch.source, batch.before))
    assert (source != batch.source).any()
    assert (before != batch.before).any()
    torch.testing.assert_close(found, plain.objective(batch._replace(source=source, before=before)).loss)
    assert found != plain.objective(batch).loss
    with torch.no_grad():
        torch.testing.assert_close(learner.check(batch).loss, plain.check(batch).loss, rtol=0, atol=0)


@pytest.mark.parametrize("halves", [("lstm", "gru"), ("transformer", "transformer")])
def test_what_is_read_twice_shall_agree(halves):
    """The mean of both times, and of each token so many times how far they are apart; nothing where none is dropped."""
    learner, plain, batch = with_and_without(halves, {"r_drop": 5.0}, dropout=0.3)
    model, both = learner.model, collate([[4, 5, 6, 2], [5, 2]] * 2, [[4, 2], [5, 6, 7, 2]] * 2)
    torch.manual_seed(2)
    found = learner.objective(batch)
    torch.manual_seed(2)
    real = both.target != PAD
    p, q = model(both.source, both.lengths, both.before, where=real).logits.log_softmax(-1).chunk(2)
    apart = ((p.exp() - q.exp()) * (p - q)).sum() / 2
    torch.manual_seed(2)
    torch.testing.assert_close(found.loss, plain.objective(both).loss + 5 * apart / (2 * len(p)))
    assert apart > 0
    model.eval()
    torch.testing.assert_close(learner.objective(batch).loss, plain.objective(batch).loss)


MISTAKES = {
    "--r-drop must be at least 0; got -1": {"r_drop": -1.0, "dropout": 0.1},
    "--r-drop must be a number; got inf": {"r_drop": float("inf"), "dropout": 0.1},
    "--r-drop needs --dropout or --token-dropout, or both times are one; got 5": {"r_drop": 5.0, "dropout": 0.0},
    "--r-drop must be 0 with --copy, where words that are not in the source have no probability": {
        "copy": True,
        "dropout": 0.1,
        "r_drop": 5.0,
    },
    "--token-dropout must be at least 0 and below 1; got -0.1": {"token_dropout": -0.1},
    "--label-smoothing must be at least 0 and below 1; got 1.0": {"label_smoothing": 1.0},
    "--label-smoothing must be 0 with --copy, where words that are not in the source have no probability": {
        "copy": True,
        "label_smoothing": 0.1,
    },
    "--feed input needs --attend after; got before": {"feed": "input"},
    "--layer-norm is for recurrent networks: a Transformer always has norms": {
        "encoder": "transformer",
        "decoder": "transformer",
        "layer_norm": True,
    },
    "--attention is for --decoder lstm or gru; got --attention dot": {"decoder": "transformer", "attention": "dot"},
    "--copy is for --decoder lstm or gru; got --copy": {"decoder": "transformer", "copy": True},
    "--attend is for --decoder lstm or gru; got --attend after": {"decoder": "transformer", "attend": "after"},
    "--hidden must be a multiple of --heads; got 128 and 3": {"encoder": "transformer", "heads": 3},
    "--shared-heads must divide --heads; got 3 and 4": {"encoder": "transformer", "shared_heads": 3},
    "--positions rotary needs heads of an even width, --hidden / --heads; got 3": {
        "encoder": "transformer",
        "positions": "rotary",
        "hidden": 12,
    },
    "--tied all needs embeddings of one width on both sides; got --embedding 64 and --hidden 128": {
        "encoder": "transformer",
        "tied": "all",
    },
}


@pytest.mark.parametrize("said", MISTAKES)
def test_what_does_not_go_together_is_one_line(said):
    with pytest.raises(OptionError) as error:
        TranslateOptions(**MISTAKES[said])
    assert str(error.value).startswith(said)


def test_one_table_needs_one_vocabulary():
    other = learn(["0123456789"], "char")
    with pytest.raises(OptionError, match=r"^--tied all needs one vocabulary for both sides; got two that differ$"):
        new_model(replace(TINY, tied="all"), Vocabularies(VOCABULARY, other))


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_typed_wins_over_a_preset(name):
    command = ["train", "translate", "--out", "x", "--preset"]
    assert parse([*command, name]).training == preset(name)
    assert vars(preset(name)).items() >= PRESETS[name].items()
    found = parse([*command[:-1], f"--preset={name}", "--batch_size", "7", "--hidden=16"]).training
    assert found == preset(name, TranslateOptions(batch_size=7, hidden=16))
    assert (found.batch_size, found.hidden, found.dropout) == (7, 16, PRESETS[name]["dropout"])
    new_model(replace(preset(name), hidden=16, embedding=8, heads=4, feedforward=8), SAME)


def test_a_comparison_keeps_its_attentions_and_an_unknown_preset_is_refused(capsys):
    found = parse(["compare", "translate", "--out", "x", "--preset", "rnn-small"]).training
    assert found.attention == parse(["compare", "translate", "--out", "x"]).training.attention
    assert found.hidden == 256
    with pytest.raises(SystemExit):
        parse(["train", "translate", "--out", "x", "--preset", "huge"])
    line = capsys.readouterr().err
    assert "'huge'" in line
    assert "transformer-base" in line
    with pytest.raises(OptionError, match=r"--preset must be one of rnn-small, .*; got 'huge'"):
        preset("huge")
