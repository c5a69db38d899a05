"""The recurrent decoder over a memory of another width than its own, of words or of an image."""

import pytest
import torch

from saccade.attention.build import build_visual
from saccade.attention.catalogue import MECHANISMS
from saccade.decoding import Symbols, beam_search, greedy
from saccade.models.decoder import DecoderConfig, RecurrentDecoder

VOCAB, SLOTS, MEMORY, HIDDEN, STEPS = 13, 7, 10, 6, 5
LENGTHS = torch.tensor([7, 3, 5])
MASK = torch.arange(SLOTS) < LENGTHS[:, None]
SYMBOLS = Symbols(1, 2, (0, 1, 3))
SAME_WIDTH = ("dot", "scaled-dot", "cosine", "gaussian-kernel")
NAMES = [name for name in MECHANISMS if name not in SAME_WIDTH]
NAMES += ["visual", "visual+reinforce", "sca-cnn", "general+sparsemax"]
every_mechanism = pytest.mark.parametrize("name", NAMES)
orders = pytest.mark.parametrize("attend", ["before", "after"])


def decoder_of(name: str, attend: str = "before", copy: bool = False, dropout: float = 0.0) -> RecurrentDecoder:
    torch.manual_seed(4)
    attention = build_visual(name, query_dim=HIDDEN, key_dim=MEMORY, hidden_dim=3, slots=SLOTS, half_width=2)
    sizes = {"embedding": 5, "hidden": HIDDEN, "layers": 2, "dropout": dropout, "memory": MEMORY}
    return RecurrentDecoder(DecoderConfig(VOCAB, "lstm", **sizes, copy=copy, attend=attend), attention).double().eval()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    states = torch.randn(3, SLOTS, MEMORY, dtype=torch.float64)
    return states, torch.randn(3, MEMORY, dtype=torch.float64), torch.randint(1, VOCAB, (3, STEPS))


@every_mechanism
@orders
def test_step_by_step_equals_teacher_forcing(name, attend):
    decoder, (states, summary, target) = decoder_of(name, attend), batch()
    source, state = decoder.begin(states, MASK, summary)
    logits, weights, _ = decoder(target, source, state)
    assert (weights is None) == (name == "none")
    for i, token in enumerate(target.unbind(1)):
        stepped = decoder.step(token, source, state)
        torch.testing.assert_close(stepped.logits, logits[:, i], rtol=0, atol=1e-12)
        if weights is not None:
            torch.testing.assert_close(stepped.weights, weights[:, i], rtol=0, atol=1e-12)
        state = stepped.state


@every_mechanism
@orders
def test_padding_has_no_influence(name, attend):
    decoder, (states, summary, target) = decoder_of(name, attend), batch()
    poisoned = states.masked_fill(~MASK[..., None], float("nan"))
    logits, weights, _ = decoder(target, *decoder.begin(poisoned, MASK, summary))
    for row, length in enumerate(LENGTHS):
        here = slice(row, row + 1)
        alone = decoder(target[here], *decoder.begin(states[here, :length], None, summary[here]))
        torch.testing.assert_close(alone.logits[0], logits[row], rtol=0, atol=1e-12)
        if weights is not None:
            torch.testing.assert_close(alone.weights[0], weights[row, :, :length], rtol=0, atol=1e-12)


@every_mechanism
def test_answers_do_not_depend_on_the_batch(name):
    decoder, (states, summary, _) = decoder_of(name), batch()
    limits = [9, 4, 6]
    with torch.inference_mode():
        together = beam_search(decoder, *decoder.begin(states, MASK, summary), SYMBOLS, limits, 4)
        straight = greedy(decoder, *decoder.begin(states, MASK, summary), SYMBOLS, limits)
        for row, (limit, length) in enumerate(zip(limits, LENGTHS, strict=True)):
            here = slice(row, row + 1)
            alone = decoder.begin(states[here, :length], None, summary[here])
            assert greedy(decoder, *alone, SYMBOLS, [limit])[0].tokens == straight[row].tokens
            (found,) = beam_search(decoder, *alone, SYMBOLS, [limit], 4)
            assert [h.tokens for h in found] == [h.tokens for h in together[row]]


@pytest.mark.parametrize("name", ["visual", "visual+reinforce", "sca-cnn"])
@orders
def test_every_weight_learns(name, attend):
    decoder, (states, summary, target) = decoder_of(name, attend, dropout=0.1).train(), batch()
    logits, _, state = decoder(target, *decoder.begin(states, MASK, summary), need_weights=False)
    gain = logits.log_softmax(-1)[..., 4].mean()
    if "reinforce" in name:
        gain = gain + state.attention.drawn.log_probability.sum()
    gain.backward()
    for parameter_name, parameter in decoder.named_parameters():
        if parameter_name.endswith("_score.bias"):
            continue  # softmax does not see what is added to every score
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_no_attention_sees_the_summary_alone():
    decoder, (states, summary, target) = decoder_of("none"), batch()
    one, two = (decoder(target, *decoder.begin(x, MASK, summary)).logits for x in (states, 2 * states))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert decoder.begin(states, MASK, summary)[0].memory.value.shape == (3, 1, MEMORY)


@orders
def test_it_copies_from_any_memory(attend):
    decoder, (states, summary, target) = decoder_of("additive", attend, copy=True), batch()
    copy = torch.tensor([[0, 4, 13, 13, 14, 5, 0], [0, 4, 5, 19, 19, 19, 19], [13, 0, 0, 0, 0, 19, 19]])
    source, state = decoder.begin(states, MASK, summary, copy)
    assert (source.copy == copy * MASK).all()
    logits = decoder(target, source, state).logits
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(3, STEPS, dtype=torch.float64))
    shares = decoder.copied(target, torch.full((3, STEPS), 13), source, state)
    assert shares[0].tolist() == pytest.approx([1.0] * STEPS)  # a word of the source alone can only be copied
    everywhere, _ = decoder.begin(states, None, summary, copy)
    assert (everywhere.copy == copy).all()
    with pytest.raises(ValueError, match=r"^copy must be given to a model that copies, and to no other; got None$"):
        decoder.begin(states, MASK, summary)


def test_it_takes_a_table_of_tokens_and_refuses_a_mechanism_of_other_widths():
    attention = build_visual("additive", query_dim=HIDDEN, key_dim=MEMORY, hidden_dim=3)
    config = DecoderConfig(VOCAB, "gru", embedding=5, hidden=HIDDEN, layers=1, dropout=0.0, memory=MEMORY)
    table = torch.nn.Embedding(VOCAB, 5, padding_idx=0)
    assert RecurrentDecoder(config, attention, embedding=table).embedding is table
    other = build_visual("additive", query_dim=MEMORY, key_dim=MEMORY, hidden_dim=3)
    with pytest.raises(ValueError, match=r"^attention must have query_dim and key_dim 6 and 10; got 10 and 10$"):
        RecurrentDecoder(config, other)


@pytest.mark.parametrize("name", ["additive", "general+sparsemax", "location-sensitive", "general+local-p"])
def test_what_was_looked_at_given_what_was_written(name):
    """A slot's share is its weight times how likely it alone would have made the token; padding has none."""
    decoder, (states, summary, before) = decoder_of(name, "after"), batch()
    poisoned, target = states.masked_fill(~MASK[..., None], float("nan")), before.flip(1)
    found = decoder.posterior(before, target, *decoder.begin(poisoned, MASK, summary))
    read, state = decoder.begin(poisoned, MASK, summary)
    for i, token in enumerate(before.unbind(1)):
        step = decoder.step(token, read, state)
        state = step.state
        for b, length in enumerate(LENGTHS):
            joint = []
            for j in range(length):
                vector = torch.tanh(decoder.attentional(torch.cat([state.cells.hidden[b, -1], states[b, j]])))
                joint.append(step.weights[b, j] * decoder.output(vector).softmax(-1)[target[b, i]])
            expected = torch.stack(joint) / sum(joint)
            torch.testing.assert_close(found[b, i, :length], expected, rtol=0, atol=1e-10)
            assert not found[b, i, length:].any()


def test_nothing_was_looked_at_where_nothing_looks():
    decoder, (states, summary, target) = decoder_of("none", "after"), batch()
    assert decoder.posterior(target, target, *decoder.begin(states, MASK, summary)) is None


@pytest.mark.parametrize(("attend", "copy"), [("before", False), ("after", True)])
def test_a_posterior_of_other_decoders(attend, copy):
    decoder, (states, summary, target) = decoder_of("additive", attend, copy), batch()
    begun = decoder.begin(states, MASK, summary, torch.zeros(3, SLOTS, dtype=torch.long) if copy else None)
    with pytest.raises(ValueError, match="posterior needs a decoder that attends after its cell and does not copy"):
        decoder.posterior(target, target, *begun)
