"""Cross-entropy over a large vocabulary, with its gradient, in one pass over the logits."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BYTES = 1 << 20  # of float32 logits worked on at a time, which a core's cache holds
_BYTES_GPU = 1 << 28


def rows_at_once(logits: Float[Tensor, "places vocab"]) -> int:
    """How many rows of logits, as float32, the cache of a core holds, or a GPU takes in one go; at least 1."""
    return max((_BYTES if logits.device.type == "cpu" else _BYTES_GPU) // (4 * logits.shape[1]), 1)


class TokenLoss(NamedTuple):
    """What `token_loss` gives, in nats, float32.

    total: the smoothed loss, summed over all places: a scalar with a gradient.
    plain: `-log p(y)` of each place, without one, `[places]`.
    """

    total: Tensor
    plain: Tensor


def token_loss(
    logits: Float[Tensor, "places vocab"], target: Int[Tensor, " places"], *, smoothing: float = 0.0
) -> TokenLoss:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, §7):

        (1 - e) (-log p(y)) + e mean(-log p),    p = softmax(z)

    as torch.nn.functional.cross_entropy gives it. That one passes over logits ten times forward and backward and holds
    three copies of them; this takes some rows at a time while the cache holds them, makes the gradient of the sum,
    `p - (1 - e) onehot(y) - e / vocab`, with them, and holds that alone, in the dtype of the logits.

    Args:
        logits: of any float dtype; sums are taken in float32.
        target: the token that comes, from 0 to vocab - 1.
        smoothing: e, from 0 to below 1.

    >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    >>> total, plain = token_loss(logits, torch.tensor([0, 2]), smoothing=0.1)
    >>> plain
    tensor([0.2395, 1.5514])
    >>> torch.allclose(total, torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2]), label_smoothing=0.1) * 2)
    True
    """
    found: tuple[Tensor, Tensor] = _TokenLoss.apply(logits, target, smoothing)  # type: ignore[no-untyped-call]
    return TokenLoss(*found)


class _TokenLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        places, vocab = logits.shape
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        plain, total = logits.new_empty(2, places, dtype=torch.float32).unbind()
        rows = rows_at_once(logits)
        for begin in range(0, places, rows):
            some = slice(begin, begin + rows)
            z, y = logits[some].float(), target[some, None]
            z = z - z.amax(1, keepdim=True)
            right, mean = z.gather(1, y), z.mean(1, keepdim=True)
            shares = z.exp_()
            mass = shares.sum(1, keepdim=True)
            plain[some] = (mass.log() - right)[:, 0]
            total[some] = (mass.log() - (1 - smoothing) * right - smoothing * mean)[:, 0]
            if gradient is not None:
                shares.mul_(1 / mass).sub_(smoothing / vocab)
                gradient[some] = shares.scatter_add_(1, y, shares.new_full(y.shape, smoothing - 1))
        ctx.mark_non_differentiable(plain)
        ctx.gradient = gradient
        return total.sum(), plain

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient * upstream, None, None
