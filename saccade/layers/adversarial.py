"""Training against the worst small change of the embeddings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def adversarial_loss(embedding: nn.Module, loss: Callable[[], Tensor], length: float) -> Tensor:
    """`L(x) + L(x + r)`, `r = length g / |g|_2`, `g = dL / dx` of the vectors x of each sequence.

    Miyato et al. 2017, eq. 2 and 6: r is the change of that length which, to first order, raises the loss most; it is
    taken as a constant. A sequence that the loss does not depend on is not changed. They give every word a vector of
    variance one, where lengths are larger; here the vectors are as they are.

    Args:
        embedding: what makes vectors `[batch, ..., dim]`, a sequence for each row; it may be called several times in a
            pass, and must then be called with the same rows in the next.
        loss: one pass and its loss, called twice.
        length: of the change of a sequence.

    >>> embed = nn.Embedding.from_pretrained(torch.tensor([[3.0, 4.0]]), freeze=False)
    >>> adversarial_loss(embed, lambda: embed(torch.tensor([[0]])).square().sum(), 1.0)  # 5 squared and 6 squared
    tensor(61., grad_fn=<AddBackward0>)
    """
    seen: list[Tensor] = []
    with _each(embedding, seen.append):
        found = loss()
    # The loss comes first, so that its graph is still whole when both are differentiated.
    slopes = torch.autograd.grad(found, seen, retain_graph=True)
    shifts = iter([length * _unit(slope) for slope in slopes])
    with _each(embedding, lambda vectors: vectors + next(shifts)):
        return found + loss()


def _unit(slope: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(slope.float().flatten(1), dim=1).view(-1, *[1] * (slope.dim() - 1))
    return torch.where(norm > 0, slope / norm.clamp(min=torch.finfo(torch.float32).tiny), 0.0).to(slope.dtype)


@contextmanager
def _each(module: nn.Module, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """With every output of a module shown to `change`, and replaced by what it returns, if anything."""
    handle = module.register_forward_hook(lambda _, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()
