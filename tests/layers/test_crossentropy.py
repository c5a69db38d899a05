"""Cross-entropy in one pass is PyTorch's, with its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from saccade.layers import crossentropy
from saccade.layers.crossentropy import token_loss


@settings(max_examples=50, deadline=None)
@given(
    places=st.integers(0, 9),
    vocab=st.integers(2, 40),
    smoothing=st.sampled_from([0.0, 0.1, 0.6]),
    scale=st.sampled_from([1.0, 100.0]),
    rows=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_it_is_pytorchs(places, vocab, smoothing, scale, rows, seed):
    random = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(places, vocab, generator=random)).requires_grad_()
    target = torch.randint(vocab, (places,), generator=random)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossentropy, "_BYTES", 4 * vocab * rows)
        total, plain = token_loss(logits, target, smoothing=smoothing)
    (gradient,) = torch.autograd.grad(3 * total, logits)
    expected = cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(total, expected.sum())
    torch.testing.assert_close(plain, cross_entropy(logits, target, reduction="none"))
    torch.testing.assert_close(gradient, torch.autograd.grad(3 * expected.sum(), logits)[0])
    assert not plain.requires_grad


def test_low_precision_is_summed_in_float32():
    logits = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)).bfloat16()
    total, plain = token_loss(logits.requires_grad_(), torch.arange(4))
    assert total.dtype == plain.dtype == torch.float32
    torch.testing.assert_close(total, cross_entropy(logits.float(), torch.arange(4), reduction="sum"))
    assert torch.autograd.grad(total, logits)[0].dtype == torch.bfloat16
