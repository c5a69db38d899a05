"""Poolings and self-attentions by name, and poolings without attention."""

import re
import subprocess
import sys

import pytest
import torch

from saccade.attention.build import build_pooling, build_self_attention
from saccade.attention.catalogue import OTHERS
from saccade.attention.poolings import PLAIN, POOLINGS, SELF_ATTENTIONS, check_self_attention
from saccade.attention.unweighted import LastPooling, MeanPooling

BATCH, KEY, DIM, HIDDEN, HOPS = 3, 7, 10, 5, 2
LENGTHS = torch.tensor([7, 3, 0])
MASK = torch.arange(KEY) < LENGTHS[:, None]
SELVES = [name for name in SELF_ATTENTIONS if name != "none"]


def states() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(BATCH, KEY, DIM, dtype=torch.float64)


@pytest.mark.parametrize("name", POOLINGS)
def test_every_pooling_of_the_catalogue_has_a_builder(name):
    pool = build_pooling(name, DIM, hidden_dim=HIDDEN, hops=HOPS)
    assert OTHERS[name].where == f"attention.pooling:{type(pool).__name__}"
    assert "pooling" in OTHERS[name].family


@pytest.mark.parametrize("name", PLAIN)
def test_poolings_without_attention_are_their_formulas(name):
    pool, x = build_pooling(name, DIM, hidden_dim=HIDDEN, hops=HOPS), states()
    x[~MASK] = float("nan")
    x.requires_grad_()
    context, weights, _ = pool(x, mask=MASK)
    for row, length in enumerate(LENGTHS[:2]):
        real, half = x[row, :length], DIM // 2
        expected = {"none": real.mean(0), "last": torch.cat([real[-1, :half], real[0, half:]])}[name]
        torch.testing.assert_close(context[row], expected, rtol=0, atol=1e-12)
    assert weights is None
    assert (context[2] == 0).all()
    context.sum().backward()
    assert (x.grad[~MASK] == 0).all()
    torch.testing.assert_close(pool(x[:1]).context, context[:1])


@pytest.mark.parametrize("name", SELVES)
def test_every_self_attention_has_a_builder(name):
    torch.manual_seed(2)
    attend, x = build_self_attention(name, DIM, heads=2, hidden_dim=HIDDEN).double(), states()
    whole = attend(x, mask=MASK).context
    torch.testing.assert_close(attend(x[1:2, :3]).context, whole[1:2, :3], rtol=0, atol=1e-12)
    assert whole.shape == x.shape


@pytest.mark.parametrize(
    "name", ["local-m", "reinforce", "dot+reinforce", "location", "coverage", "monotonic", "dot+dot", "Dot", ""]
)
def test_what_a_sequence_cannot_read_itself_with(name):
    with pytest.raises(
        ValueError, match=rf"^self_attention must be of none, multi-head, additive, .*got '{re.escape(name)}'$"
    ):
        check_self_attention(name)


WRONG = {
    "pooling must be of structured-self-attention, context-vector, multi-hop, bag, gated-bag, none, last; got 'max'": (
        lambda: build_pooling("max", DIM, hidden_dim=HIDDEN, hops=HOPS)
    ),
    "x must be [batch, key, 10]; got [3, 7, 11]": lambda: MeanPooling(DIM)(torch.zeros(3, 7, 11)),
    "mask must be [batch, key] = [3, 7]; got [7, 3]": lambda: LastPooling(DIM)(states(), mask=MASK.T),
    "dim must be at least 1; got 0": lambda: MeanPooling(0),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()


def test_names_need_no_torch():
    program = "import sys, saccade.attention.poolings, saccade.layers.reading; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
