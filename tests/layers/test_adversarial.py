"""The worst small change of the embeddings."""

import pytest
import torch
from torch import nn

from saccade.layers.adversarial import adversarial_loss
from saccade.layers.hierarchical import Hierarchy
from saccade.layers.reader import Reader
from saccade.layers.reading import Reading


def example() -> tuple[nn.Embedding, nn.Module, torch.Tensor]:
    torch.manual_seed(5)
    return nn.Embedding(11, 3, padding_idx=0).double(), nn.Linear(3, 2).double(), torch.tensor([[4, 7, 2], [9, 0, 0]])


def test_no_change_of_that_length_raises_the_loss_more():
    embed, read, tokens = example()
    losses = []

    def loss():
        losses.append(read(embed(tokens)).exp().sum((1, 2)))
        return losses[-1].sum()

    length = 1e-4
    found = adversarial_loss(embed, loss, length)
    clean, worst = losses
    torch.testing.assert_close(found, clean.sum() + worst.sum())
    for seed in range(20):
        change = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        change = length * change / change.flatten(1).norm(dim=1)[:, None, None]
        other = read(embed(tokens).detach() + change).exp().sum((1, 2))
        assert (other <= worst + 1e-10).all()
    # To first order it rises by the length of the gradient, in each sequence by its own.
    vectors = embed(tokens).detach().requires_grad_()
    (slope,) = torch.autograd.grad(read(vectors).exp().sum(), vectors)
    torch.testing.assert_close(worst - clean, length * slope.flatten(1).norm(dim=1), rtol=1e-3, atol=0)


def test_the_change_is_a_constant():
    embed, read, tokens = example()
    adversarial_loss(embed, lambda: read(embed(tokens)).square().sum(), 0.5).backward()
    found = embed.weight.grad.clone()
    vectors = embed(tokens).detach().requires_grad_()
    (slope,) = torch.autograd.grad(read(vectors).square().sum(), vectors)
    shift = 0.5 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    embed.weight.grad = None
    (read(embed(tokens)).square().sum() + read(embed(tokens) + shift).square().sum()).backward()
    torch.testing.assert_close(found, embed.weight.grad)


def test_an_embedding_that_is_asked_in_parts_is_changed_in_parts():
    torch.manual_seed(2)
    embed, how = nn.Embedding(13, 4, padding_idx=0), Reading("gru")
    read = Hierarchy(Reader(4, 6, how), Reader(6, 2, how), dropout=0.0)
    tokens = torch.tensor([[[5, 2, 9, 4, 4], [3, 0, 0, 0, 0]], [[1, 8, 0, 0, 0], [0, 0, 0, 0, 0]]])
    losses = []

    def loss():
        losses.append(read(tokens, mask=tokens != 0, embed=embed).vector.square().sum())
        return losses[-1]

    adversarial_loss(embed, loss, 0.1).backward()
    assert losses[1] > losses[0]
    assert embed.weight.grad[tokens.unique()[1:]].abs().sum(1).all()


def test_nothing_is_left_behind():
    embed, read, tokens = example()
    before = embed(tokens)

    def loss():
        embed(tokens)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        adversarial_loss(embed, loss, 1.0)
    adversarial_loss(embed, lambda: read(embed(tokens)).sum(), 1.0)
    assert torch.equal(embed(tokens), before)
    assert not embed._forward_hooks


def test_what_the_loss_does_not_depend_on_stays():
    embed, _, tokens = example()
    found = adversarial_loss(embed, lambda: embed(tokens)[0].square().sum(), 1.0)
    found.backward()
    assert embed.weight.grad.isfinite().all()
    assert not embed.weight.grad[9].any()
