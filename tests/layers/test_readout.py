"""Readouts: their weights are those of the states, they sum to one, and padding has none."""

import pytest
import torch

from saccade.attention.additive import AdditiveAttention
from saccade.attention.build import build
from saccade.attention.poolings import POOLINGS
from saccade.layers.readout import NoReadout, QueriedReadout, pooled

LENGTHS = torch.tensor([7, 3, 1])
MASK = torch.arange(7) < LENGTHS[:, None]
MADE = {name: lambda name=name: pooled(name, 6, 2) for name in (*POOLINGS, "self")}
MADE |= {"last": lambda: QueriedReadout(AdditiveAttention(6, 6, 5))}
MADE |= {"learned": lambda: QueriedReadout(AdditiveAttention(6, 6, 5), queries=5)}
MADE |= {"general+local-m": lambda: QueriedReadout(build("general+local-m", query_dim=6, key_dim=6, hidden_dim=5))}
ROWS = {"structured-self-attention": (2, 2), "multi-hop": (1, 2), "learned": (5, 5)}
every_readout = pytest.mark.parametrize("name", MADE)


def made(name: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return MADE[name]().double(), *(torch.randn(*shape, dtype=torch.float64) for shape in ((3, 7, 6), (3, 6)))


@every_readout
def test_weights_sum_to_one_and_padding_has_no_influence(name):
    readout, states, last = made(name)
    contexts, weights = readout(states, last, MASK)
    rows = ROWS.get(name, (1, 1))
    assert (contexts.shape, weights.shape) == ((3, rows[0], 6), (3, rows[1], 7))
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, rows[1], dtype=torch.float64))
    assert (weights.masked_fill(MASK[:, None], 0.0) == 0).all()
    other = readout(states.masked_fill(~MASK[..., None], float("nan")), last, MASK)
    torch.testing.assert_close(other.contexts, contexts, rtol=0, atol=0)
    for b, length in enumerate(LENGTHS):
        alone = readout(states[b : b + 1, :length], last[b : b + 1], None)
        torch.testing.assert_close(alone.contexts[0], contexts[b], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.weights[0], weights[b, :, :length], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["context-vector", "structured-self-attention", "bag", "gated-bag", "self", "learned"])
def test_contexts_are_the_states_by_their_weights(name):
    readout, states, last = made(name)
    contexts, weights = readout(states, last, MASK)
    torch.testing.assert_close(contexts, weights @ states, rtol=0, atol=1e-12)


def test_the_last_state_stands_beside_what_it_found():
    readout, states, last = made("last")
    contexts, weights = readout(states, last, None)
    for b in range(3):
        both = torch.cat([weights[b, 0] @ states[b], last[b]])
        expected = torch.tanh(readout.attentional.weight @ both)
        torch.testing.assert_close(contexts[b, 0], expected, rtol=0, atol=1e-12)


def test_no_attention_is_the_last_state_or_the_mean():
    _, states, last = made("last")
    assert NoReadout(mean=False)(states, last, MASK).weights is None
    torch.testing.assert_close(NoReadout(mean=False)(states, last, MASK).contexts[:, 0], last, rtol=0, atol=0)
    states[~MASK] = float("nan")
    found = NoReadout(mean=True)(states, last, MASK).contexts[:, 0]
    for b, length in enumerate(LENGTHS):
        torch.testing.assert_close(found[b], states[b, :length].mean(0))
    whole = NoReadout(mean=True)(states[:1], last[:1], None).contexts[0, 0]
    torch.testing.assert_close(whole, states[0].mean(0))


def test_an_unknown_pooling():
    with pytest.raises(ValueError, match=r"^pooling must be self, .*context-vector, .*; got 'max'$"):
        pooled("max", 6, 1)
