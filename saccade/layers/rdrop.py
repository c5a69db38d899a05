"""R-Drop: what a model predicts twice, with two dropouts, shall agree."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.layers.crossentropy import rows_at_once


def r_drop_loss(logits: Float[Tensor, "twice vocab"]) -> Float[Tensor, ""]:
    """How far two predictions of each place are from one another (Liang et al. 2021, eq. 2):

        sum over places of (KL(p || q) + KL(q || p)) / 2,    p = softmax(z), q = softmax(z')

    in nats, float32, a scalar. Like `token_loss` it takes some rows at a time and makes the gradient with them.

    Args:
        logits: of any float dtype, the places once and then, in the same order, again.

    Raises:
        ValueError: an odd number of rows.

    >>> logits = torch.tensor([[0.0, 0.0], [3.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    >>> r_drop_loss(logits), r_drop_loss(logits[::2])
    (tensor(0.1155), tensor(0.1155))
    """
    if len(logits) % 2:
        raise ValueError(f"logits must be places twice, an even number of rows; got {len(logits)}")
    found: Tensor = _RDrop.apply(logits)  # type: ignore[no-untyped-call]
    return found


class _RDrop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        places = len(logits) // 2
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        total = logits.new_zeros((), dtype=torch.float32)
        rows = rows_at_once(logits)
        for begin in range(0, places, rows):
            once = slice(begin, min(begin + rows, places))
            again = slice(once.start + places, once.stop + places)
            logs = [logits[some].float().log_softmax(1) for some in (once, again)]
            p, q = (log.exp() for log in logs)
            apart, surer = logs[0].sub_(logs[1]), p - q
            total += (surer * apart).sum() / 2
            if gradient is None:
                continue
            # Of KL(p || q) p (log p - log q - KL(p || q)), and of KL(q || p) p - q.
            for some, shares, sign in ((once, p, 1), (again, q, -1)):
                divergence = (shares * apart).sum(1, keepdim=True)
                gradient[some] = shares.mul_(apart - divergence).add_(surer).mul_(sign / 2)
        ctx.gradient = gradient
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        gradient: Tensor = ctx.gradient * upstream
        return gradient
