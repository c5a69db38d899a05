"""What a mask hides has no part in scores and contexts, whatever stands there."""

from collections.abc import Callable

import torch
from torch import Tensor

from saccade.masks import differs


def shown(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Zeros for slots that no query may attend and for queries that may attend nowhere: zero times NaN would be NaN."""
    if mask is None:
        return query, key, value
    nowhere, nobody = ~mask.any(1)[..., None], ~mask.any(-1, keepdim=True)
    return query.masked_fill(nobody, 0.0), key.masked_fill(nowhere, 0.0), value.masked_fill(nowhere, 0.0)


def seen_scores(score: Callable[[Tensor, Tensor], Tensor], query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """`score(query, key)`, in which keys that a query's mask hides from it have no part.

    Under masks that differ by query a slot may be hidden from one query and seen by another, so it cannot be zeroed
    beforehand; its NaN or infinity is taken out here and put back where the normaliser will see it if it is allowed.

    Args:
        score: from `[batch, query, ...]` and `[batch, key, ...]` to `[batch, query, key]`.
        mask: True = may attend, `[batch or 1, query or 1, key]`, or with heads after the batch; what it hides from
            every query is zero already.
    """
    if mask is None or not differs(mask):
        return score(query, key)
    finite = key.isfinite()
    scores = score(query, key.masked_fill(~finite, 0.0))
    return scores.masked_fill(~finite.all(-1)[..., None, :], float("nan"))


def read_values(weights: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """`weights @ value` in the precision of the weights, given in that of the values.

    Sums of many low-precision products would lose what the normaliser kept. Mask as for `seen_scores`.
    """
    with torch.autocast(weights.device.type, enabled=False):
        if mask is None or not differs(mask):
            return (weights @ value.to(weights.dtype)).to(value.dtype)
        broken = ~value.isfinite()
        context = weights @ value.masked_fill(broken, 0.0).to(weights.dtype)
        attended = (weights != 0).to(weights.dtype) @ broken.to(weights.dtype) > 0
        return context.masked_fill(attended, float("nan")).to(value.dtype)
