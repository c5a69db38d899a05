"""Encoder-decoders of recurrent halves and Transformers: the laws of `test_seq2seq`, and embeddings that are shared."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import linear

from saccade.decoding import Symbols, beam_search, greedy
from saccade.dropout import VariationalDropout
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig

SOURCE, TARGET, STEPS = 17, 13, 11
LENGTHS = torch.tensor([7, 3, 5])
SYMBOLS = Symbols(1, 2, (0, 1, 3))
BOTH = {"encoder": "transformer", "decoder": "transformer"}
MODELS: dict[str, dict[str, Any]] = {
    "transformer": BOTH,
    "norms last": BOTH | {"norm": "last"},
    "shared heads": BOTH | {"shared_heads": 1, "feedforward": 5},
    **{name: BOTH | {"positions": name} for name in ("learned", "rotary", "alibi", "buckets", "relative")},
    "tied": BOTH | {"tied": "all", "source_vocab": TARGET},
    "transformer to lstm": {"encoder": "transformer"},
    "gru to transformer": {"encoder": "gru", "decoder": "transformer", "tied": "target"},
    "fed": {"attend": "after", "feed": True},
    "fed, gru, tied": {"attend": "after", "feed": True, "decoder": "gru", "tied": "target"},
    "fed, location-sensitive": {"attend": "after", "feed": True, "attention": "location-sensitive"},
    "fed, copying": {"attend": "after", "feed": True, "copy": True},
    "recurrent, tied": {"tied": "all", "source_vocab": TARGET},
    "variational": {"variational": True},
    "variational, after": {"variational": True, "attend": "after", "decoder": "gru"},
    "variational, fed": {"variational": True, "attend": "after", "feed": True},
    "normed": {"layer_norm": True},
    "normed, gru, after": {"layer_norm": True, "attend": "after", "encoder": "gru", "decoder": "gru"},
    "normed, fed": {"layer_norm": True, "attend": "after", "feed": True},
}
PLAIN = Seq2SeqConfig(
    SOURCE, TARGET, "additive", "lstm", "lstm", embedding=5, hidden=12, layers=2, dropout=0.0, heads=2
)
every_model = pytest.mark.parametrize("name", MODELS)


def model_of(name: str, dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(4)
    return Seq2Seq(replace(PLAIN, **MODELS[name], dropout=dropout)).double().eval()


def batch(model: Seq2Seq) -> dict[str, Any]:
    torch.manual_seed(5)
    source = torch.randint(4, model.config.source_vocab, (3, 7)).masked_fill(torch.arange(7) >= LENGTHS[:, None], 0)
    copy = {"copy": 4 + source % 9} if model.config.copy else {}
    return {"source": source, "lengths": LENGTHS, **copy}


def target() -> torch.Tensor:
    torch.manual_seed(6)
    return torch.randint(1, TARGET, (3, STEPS))


def rows(given: dict[str, Any], row: int) -> dict[str, Any]:
    """One row alone, without its padding."""
    here, length = slice(row, row + 1), int(given["lengths"][row])
    return {key: x[here] if key == "lengths" else x[here, :length] for key, x in given.items()}


@every_model
def test_step_by_step_equals_teacher_forcing(name):
    model = model_of(name)
    given = batch(model)
    logits, weights, _ = model(**given, target=target())
    memory, state = model.remember(**given)
    for i, token in enumerate(target().unbind(1)):
        stepped = model.step(token, memory, state)
        torch.testing.assert_close(stepped.logits, logits[:, i], rtol=0, atol=1e-12)
        torch.testing.assert_close(stepped.weights, weights[:, i], rtol=0, atol=1e-12)
        state = stepped.state


@every_model
def test_padding_has_no_influence(name):
    model = model_of(name)
    given = batch(model)
    logits, weights, _ = model(**given, target=target())
    other = given | {"source": given["source"].masked_fill(given["source"] == 0, 9)}
    torch.testing.assert_close(model(**other, target=target()).logits, logits, rtol=0, atol=0)
    for row, length in enumerate(LENGTHS):
        alone = model(**rows(given, row), target=target()[row : row + 1])
        width = alone.logits.shape[-1]
        torch.testing.assert_close(alone.logits[0], logits[row, :, :width], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(alone.weights[0], weights[row, :, :length], rtol=0, atol=1e-12)


@every_model
def test_places_that_are_asked_for_are_those_of_all(name):
    model, where = model_of(name), torch.arange(STEPS) < torch.tensor([11, 0, 4])[:, None]
    given = batch(model)
    whole = model(**given, target=target()).logits
    torch.testing.assert_close(model(**given, target=target(), where=where).logits, whole[where], rtol=0, atol=1e-12)


@every_model
def test_every_weight_learns(name):
    model = model_of(name, dropout=0.1).train()
    logits = model(**batch(model), target=target(), need_weights=False).logits
    logits.log_softmax(-1)[..., 4].mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_answers_do_not_depend_on_the_batch(name):
    model, limits = model_of(name), [9, 4, 6]
    given = batch(model)
    with torch.inference_mode():
        together = beam_search(model, *model.remember(**given), SYMBOLS, limits, 4)
        straight = greedy(model, *model.remember(**given), SYMBOLS, limits)
        for row, limit in enumerate(limits):
            alone = model.remember(**rows(given, row))
            assert greedy(model, *alone, SYMBOLS, [limit])[0].tokens == straight[row].tokens
            (found,) = beam_search(model, *alone, SYMBOLS, [limit], 4)
            assert [h.tokens for h in found] == [h.tokens for h in together[row]]


@pytest.mark.parametrize("name", ["transformer", "rotary", "transformer to lstm", "fed"])
def test_it_exports(name):
    model = model_of(name).float()
    given = {**batch(model), "target": target()[:, :2]}
    found, expected = torch.export.export(model, (), given).module()(**given), model(**given)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.weights, expected.weights)


def test_what_was_predicted_from_is_fed_back():
    model = model_of("fed")
    decoder, tokens = model.decoder, target()
    source, state = model.remember(**batch(model))
    fed, cells, logits = torch.zeros(3, 12, dtype=torch.float64), state.cells, []
    for token in tokens.unbind(1):
        output, cells = decoder.cells(torch.cat([decoder.embedding(token), fed], -1), cells)
        context = decoder.attention.read(output, source.memory).context
        fed = torch.tanh(decoder.attentional(torch.cat([output, context], -1)))
        logits.append(decoder.output(fed))
    found = decoder(tokens, source, state).logits
    torch.testing.assert_close(found, torch.stack(logits, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["tied", "gru to transformer", "fed, gru, tied", "recurrent, tied"])
def test_tied_tokens_are_predicted_with_their_embeddings(name):
    model = model_of(name)
    table, decoder = model.decoder.embedding.weight, model.decoder
    assert decoder.output.weight is table
    assert (model.source_embedding.weight is table) == (model.config.tied == "all")
    seen = []
    decoder.output.register_forward_hook(lambda _, given, found: seen.append((given[0], found)))
    model(**batch(model), target=target())
    torch.testing.assert_close(seen[0][1], linear(seen[0][0], table, decoder.output.bias), rtol=0, atol=0)


@pytest.mark.parametrize("tied", ["none", "target", "all"])
def test_what_is_read_begins_as_large_as_if_nothing_were_tied(tied):
    torch.manual_seed(0)
    model = Seq2Seq(replace(PLAIN, tied=tied, source_vocab=300, target_vocab=300, embedding=64)).eval()
    source, seen = torch.randint(1, 300, (4, 50)), []
    model.encoder.register_forward_hook(lambda _, given, found: seen.append(given[0]))
    logits = model(source, torch.full((4,), 50), source).logits
    read = model.decoder._embed(source)
    assert float(seen[0].detach().std()) == pytest.approx(1, abs=0.1)
    assert float(read.detach().std()) == pytest.approx(1, abs=0.1)
    assert float(logits.detach().std()) < 1


@pytest.mark.parametrize("name", ["variational", "variational, after", "variational, fed"])
def test_the_same_numbers_are_dropped_at_every_step(name):
    model = model_of(name, dropout=0.5).train()
    given, zeros = batch(model), []
    model.decoder.output.register_forward_hook(lambda _, vectors, found: zeros.append(vectors[0] == 0))
    model(**given, target=target())
    assert (zeros[0] == zeros[0][:, :1]).all()
    assert 0.2 < zeros[0].double().mean() < 0.8
    between = [module for module in model.modules() if isinstance(module, VariationalDropout)]
    assert len(between) >= 3 - ("fed" in name or "after" not in name)


def test_what_does_not_fit_is_refused():
    expected = r"^embeddings must be of one size of source and target to be shared, \[13, 5\]; got \[17, 5\]$"
    with pytest.raises(ValueError, match=expected):
        Seq2Seq(replace(PLAIN, tied="all"))
    with pytest.raises(ValueError, match=r"^copy needs a recurrent decoder; got a Transformer$"):
        Seq2Seq(replace(PLAIN, decoder="transformer", copy=True))
    with pytest.raises(ValueError, match=r"^feed needs a decoder that attends after its cell; got attend 'before'$"):
        Seq2Seq(replace(PLAIN, feed=True))
