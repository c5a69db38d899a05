"""The encoder-decoder: steps equal teacher forcing, padding has no influence, every mechanism trains."""

import pytest
import torch

from saccade.attention.catalogue import MECHANISMS
from saccade.decoding import Symbols, beam_search, greedy
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig

SOURCE, TARGET = 17, 13
LENGTHS = torch.tensor([7, 3, 5])
SYMBOLS = Symbols(1, 2, (0, 1, 3))
MODELS = [*MECHANISMS, *(f"{name}, copying" for name in MECHANISMS if name != "none")]
MODELS += [*(f"{name}, after" for name in MECHANISMS), "additive, after, copying"]
every_mechanism = pytest.mark.parametrize("name", MODELS)


def model_of(name: str, encoder: str = "lstm", decoder: str = "lstm", layers: int = 1, dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(4)
    attention, *more = name.split(", ")
    attend = "after" if "after" in more else "before"
    sizes = {"embedding": 5, "hidden": 6, "layers": layers, "dropout": dropout}
    config = Seq2SeqConfig(SOURCE, TARGET, attention, encoder, decoder, **sizes, copy="copying" in more, attend=attend)
    return Seq2Seq(config).double().eval()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    source = torch.randint(4, SOURCE, (3, 7)).masked_fill(torch.arange(7) >= LENGTHS[:, None], 0)
    return source, LENGTHS, torch.randint(1, TARGET, (3, 11))


def copies_of(model: Seq2Seq, source: torch.Tensor) -> torch.Tensor | None:
    """Even tokens are words of the target vocabulary, odd ones one of three of the source alone; the first is none."""
    if not model.config.copy:
        return None
    place = torch.arange(source.shape[1])
    return torch.where(source % 2 == 0, 4 + source % 7, TARGET + place % 3).masked_fill(place == 0, 0)


def run(model: Seq2Seq, source: torch.Tensor, lengths: torch.Tensor, target: torch.Tensor) -> tuple:
    return model(source, lengths, target, copy=copies_of(model, source))


def remember(model: Seq2Seq, source: torch.Tensor, lengths: torch.Tensor) -> tuple:
    return model.remember(source, lengths, copies_of(model, source))


@every_mechanism
@pytest.mark.parametrize(("encoder", "decoder", "layers"), [("lstm", "gru", 1), ("gru", "lstm", 2)])
def test_step_by_step_equals_teacher_forcing(name, encoder, decoder, layers):
    model, (source, lengths, target) = model_of(name, encoder, decoder, layers), batch()
    logits, weights, _ = run(model, source, lengths, target)
    memory, state = remember(model, source, lengths)
    for i, token in enumerate(target.unbind(1)):
        stepped = model.step(token, memory, state)
        torch.testing.assert_close(stepped.logits, logits[:, i], rtol=0, atol=1e-12)
        if model.config.attention != "none":
            torch.testing.assert_close(stepped.weights, weights[:, i], rtol=0, atol=1e-12)
        state = stepped.state
    assert (weights is None) == (model.config.attention == "none")


@every_mechanism
def test_padding_has_no_influence(name):
    model, (source, lengths, target) = model_of(name), batch()
    logits, weights, _ = run(model, source, lengths, target)
    other = source.masked_fill(source == 0, 9)
    torch.testing.assert_close(run(model, other, lengths, target)[0], logits, rtol=0, atol=0)
    for row, length in enumerate(lengths):
        alone, alone_weights, _ = run(
            model, source[row : row + 1, :length], lengths[row : row + 1], target[row : row + 1]
        )
        torch.testing.assert_close(alone[0], logits[row, :, : alone.shape[-1]], rtol=0, atol=1e-12)
        if weights is not None:
            torch.testing.assert_close(alone_weights[0], weights[row, :, :length], rtol=0, atol=1e-12)
            assert (weights[row, :, length:] == 0).all()


@every_mechanism
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_weight_learns(name, cell):
    model, (source, lengths, target) = model_of(name, cell, cell, layers=2, dropout=0.1).train(), batch()
    name = model.config.attention
    logits, _, state = run(model, source, lengths, target)
    gain = logits.log_softmax(-1)[..., 4].mean()
    if name == "reinforce":
        gain = gain + state.attention.drawn.log_probability.sum()
    gain.backward()
    for parameter_name, parameter in model.named_parameters():
        if name == "argmax" and parameter_name.startswith("decoder.attention."):
            continue  # the best slot does not say how to be better
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_mechanism
def test_answers_do_not_depend_on_the_batch(name):
    model, (source, lengths, _) = model_of(name), batch()
    limits = [9, 4, 6]
    with torch.inference_mode():
        together = beam_search(model, *remember(model, source, lengths), SYMBOLS, limits, 4)
        straight = greedy(model, *remember(model, source, lengths), SYMBOLS, limits)
        for row, (limit, length) in enumerate(zip(limits, lengths, strict=True)):
            alone = remember(model, source[row : row + 1, :length], lengths[row : row + 1])
            assert greedy(model, *alone, SYMBOLS, [limit])[0].tokens == straight[row].tokens
            (found,) = beam_search(model, *alone, SYMBOLS, [limit], 4)
            assert [h.tokens for h in found] == [h.tokens for h in together[row]]
            assert [h.score for h in found] == pytest.approx([h.score for h in together[row]], abs=1e-5)


def test_no_attention_sees_the_source_through_its_summary_alone():
    model, (source, lengths, _) = model_of("none"), batch()
    memory, _ = remember(model, source, lengths)
    assert memory.memory.value.shape == (3, 1, 6)


@pytest.mark.slow  # the quick laws of attention export every mechanism by itself
@every_mechanism
def test_it_exports(name):
    source, lengths, target = batch()
    model, inputs = model_of(name).float(), (source, lengths, target[:, :2])
    options = {"copy": copies_of(model, inputs[0])}
    found, expected = torch.export.export(model, inputs, options).module()(*inputs, **options), run(model, *inputs)
    torch.testing.assert_close(found.logits, expected.logits)
    if expected.weights is not None:
        torch.testing.assert_close(found.weights, expected.weights)


def test_a_copied_word_is_read_as_unknown():
    model, (source, lengths, _) = model_of("additive, copying"), batch()
    memory, state = remember(model, source, lengths)
    unknown, copied = (model.step(torch.full((3,), token), memory, state).logits for token in (3, TARGET + 1))
    torch.testing.assert_close(copied, unknown, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^copy must be given to a model that copies, and to no other; got None$"):
        model(source, lengths, torch.ones(3, 2, dtype=torch.long))


def test_words_of_other_sources_have_no_chance():
    model, (source, lengths, target) = model_of("additive, copying"), batch()
    copy = torch.tensor([[0, 4, 13, 13, 14, 5, 0], [0, 4, 5, 19, 19, 19, 19], [13, 0, 0, 0, 0, 19, 19]])
    chances = model(source, lengths, target, copy=copy)[0].exp()
    torch.testing.assert_close(chances.sum(-1), torch.ones(3, 11, dtype=torch.float64), rtol=0, atol=1e-11)
    for row, words in enumerate(([13, 14], [], [13])):  # what stands under padding is no word of the source
        possible = chances[row].gt(0).all(0).nonzero().flatten().tolist()
        assert possible == [*range(TARGET), *words]
        assert chances[row].gt(0).any(0).sum() == len(possible)


def test_a_model_that_does_not_copy_takes_no_copy():
    inputs = batch()
    with pytest.raises(ValueError, match="copy must be given to a model that copies, and to no other; got tensor"):
        model_of("additive")(*inputs, copy=inputs[0])
