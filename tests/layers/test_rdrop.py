"""The loss of R-Drop is that of its formula, with its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.layers import crossentropy
from saccade.layers.rdrop import r_drop_loss


def written_out(logits):
    """Equation 2 of Liang et al. 2021, by PyTorch's gradients."""
    p, q = logits.log_softmax(1).chunk(2)
    return ((p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()) / 2


@settings(max_examples=50, deadline=None)
@given(
    places=st.integers(0, 9),
    vocab=st.integers(2, 40),
    scale=st.sampled_from([0.0, 1.0, 30.0]),
    rows=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_it_is_its_formula(places, vocab, scale, rows, seed):
    logits = scale * torch.randn(2 * places, vocab, generator=torch.Generator().manual_seed(seed))
    logits.requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossentropy, "_BYTES", 4 * vocab * rows)
        found = r_drop_loss(logits)
    expected = written_out(logits)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(3 * loss, logits)[0] for loss in (found, expected))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_low_precision_is_summed_in_float32():
    logits = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    found = r_drop_loss(logits)
    torch.testing.assert_close(found, written_out(logits.float()))
    assert torch.autograd.grad(found, logits)[0].dtype == torch.bfloat16


def test_places_must_come_twice():
    with pytest.raises(ValueError, match=r"^logits must be places twice, an even number of rows; got 3$"):
        r_drop_loss(torch.zeros(3, 5))
