"""The Transformer as a writer: steps equal teacher forcing, padding has no influence, beams are kept apart."""

import math

import pytest
import torch

from saccade.decoding import Symbols, beam_search, greedy
from saccade.models.transformerdecoder import TransformerWriter, WriterConfig

VOCAB, SLOTS, MEMORY, STEPS = 13, 7, 11, 5
LENGTHS = torch.tensor([7, 3, 5])
MASK = torch.arange(SLOTS) < LENGTHS[:, None]
SYMBOLS = Symbols(1, 2, (0, 1, 3))
every_width = pytest.mark.parametrize("memory", [MEMORY, 6])


def writer_of(memory: int = MEMORY, dropout: float = 0.0) -> TransformerWriter:
    torch.manual_seed(4)
    config = WriterConfig(VOCAB, dim=6, heads=2, layers=3, dropout=dropout, memory=memory)
    return TransformerWriter(config).double().eval()


def batch(memory: int = MEMORY) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    return torch.randn(3, SLOTS, memory, dtype=torch.float64), torch.randint(1, VOCAB, (3, STEPS))


@every_width
def test_step_by_step_equals_teacher_forcing(memory):
    writer, (states, target) = writer_of(memory), batch(memory)
    source, state = writer.begin(states, MASK)
    logits, weights, after = writer(target, source, state)
    for i, token in enumerate(target.unbind(1)):
        stepped = writer.step(token, source, state)
        torch.testing.assert_close(stepped.logits, logits[:, i], rtol=0, atol=1e-12)
        torch.testing.assert_close(stepped.weights, weights[:, i], rtol=0, atol=1e-12)
        state = stepped.state
    assert after.layers[0].steps.tolist() == state.layers[0].steps.tolist() == [STEPS] * 3
    torch.testing.assert_close(after.layers[2].key, state.layers[2].key, rtol=0, atol=1e-12)


def test_several_tokens_go_on_where_others_ended():
    writer, (states, target) = writer_of(), batch()
    source, state = writer.begin(states, MASK)
    whole = writer(target, source, state)
    first = writer(target[:, :2], source, state)
    rest = writer(target[:, 2:], source, first.state)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole.logits, rtol=0, atol=1e-12)


def test_embeddings_and_waves_go_through_the_layers_over_the_projected_memory():
    writer, (states, target) = writer_of(), batch()
    waves = torch.tensor(
        [[f(i / 10_000 ** (2 * n / 6)) for n in range(3) for f in (math.sin, math.cos)] for i in range(STEPS)],
        dtype=torch.float64,
    )
    x = 6**0.5 * writer.embedding.weight[target] + waves
    memory = states @ writer.project.weight.T + writer.project.bias
    x = writer.stack(x, memory, memory_mask=MASK).output
    found = writer(target, *writer.begin(states, MASK)).logits
    torch.testing.assert_close(found, x @ writer.output.weight.T + writer.output.bias, rtol=0, atol=1e-12)


def test_later_tokens_are_not_seen():
    writer, (states, target) = writer_of(), batch()
    other = torch.cat([target[:, :3], target[:, 3:] % 3 + 4], 1)
    one, two = (writer(tokens, *writer.begin(states, MASK)).logits for tokens in (target, other))
    torch.testing.assert_close(one[:, :3], two[:, :3], rtol=0, atol=0)
    assert (one[:, 3:] - two[:, 3:]).abs().max() > 1e-3


@every_width
@pytest.mark.parametrize("poison", [9.0, float("nan")])
def test_padding_has_no_influence(memory, poison):
    writer, (states, target) = writer_of(memory), batch(memory)
    logits, weights, _ = writer(target, *writer.begin(states, MASK))
    poisoned = states.masked_fill(~MASK[..., None], poison)
    found = writer(target, *writer.begin(poisoned, MASK))
    torch.testing.assert_close(found.logits, logits, rtol=0, atol=0)
    found.logits.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in writer.parameters() if parameter.grad is not None)
    for row, length in enumerate(LENGTHS):
        alone = writer(target[row : row + 1], *writer.begin(states[row : row + 1, :length], None))
        torch.testing.assert_close(alone.logits[0], logits[row], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.weights[0], weights[row, :, :length], rtol=0, atol=1e-12)
        assert (weights[row, :, length:] == 0).all()


def test_it_shows_the_mean_of_the_last_layers_heads_where_asked():
    writer, (states, target) = writer_of(), batch()
    seen = []
    original = writer.stack.layers[2].cross_attention.attend

    def spied(*given):
        seen.append(original(*given))
        return seen[-1]

    writer.stack.layers[2].cross_attention.attend = spied
    source, state = writer.begin(states, MASK)
    asked, silent = (writer(target, source, state, need_weights=need) for need in (True, False))
    assert seen[0].weights.shape == (3, 2, STEPS, SLOTS)
    torch.testing.assert_close(asked.weights, seen[0].weights.mean(1), rtol=0, atol=0)
    torch.testing.assert_close(asked.weights.sum(-1), torch.ones(3, STEPS, dtype=torch.float64))
    assert silent.weights is None
    torch.testing.assert_close(silent.logits, asked.logits, rtol=0, atol=1e-12)


def test_every_weight_learns():
    writer, (states, target) = writer_of(dropout=0.1).train(), batch()
    writer(target, *writer.begin(states, MASK), need_weights=False).logits.log_softmax(-1)[..., 4].mean().backward()
    for name, parameter in writer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_answers_do_not_depend_on_the_batch_and_beams_are_kept_apart():
    writer, (states, _) = writer_of(), batch()
    limits = [9, 4, 6]
    with torch.inference_mode():
        together = beam_search(writer, *writer.begin(states, MASK), SYMBOLS, limits, 4)
        straight = greedy(writer, *writer.begin(states, MASK), SYMBOLS, limits)
        for row, (limit, length) in enumerate(zip(limits, LENGTHS, strict=True)):
            alone = writer.begin(states[row : row + 1, :length], None)
            assert greedy(writer, *alone, SYMBOLS, [limit])[0].tokens == straight[row].tokens
            (found,) = beam_search(writer, *alone, SYMBOLS, [limit], 4)
            assert [h.tokens for h in found] == [h.tokens for h in together[row]]
            for hypothesis in found:
                written = torch.tensor([[1, *hypothesis.tokens, 2]])
                forced = writer(written[:, :-1], *alone)
                steps = len(hypothesis.weights)
                scores = forced.logits.float().log_softmax(-1)[0].gather(1, written[0, 1:, None])[:steps]
                assert hypothesis.score == pytest.approx(float(scores.sum()), abs=1e-4)
                torch.testing.assert_close(hypothesis.weights, forced.weights[0, :steps], rtol=0, atol=1e-9)


def test_it_exports():
    writer, (states, target) = writer_of().float(), batch()

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.writer = writer

        def forward(self, states, mask, target):
            return self.writer(target, *self.writer.begin(states, mask))

    inputs = (states.float(), MASK, target)
    found, expected = torch.export.export(Whole(), inputs).module()(*inputs), Whole()(*inputs)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.weights, expected.weights)
