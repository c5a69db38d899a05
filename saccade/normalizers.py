"""From scores to weights."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def softmax(
    scores: Float[Tensor, "*batch query key"], mask: Bool[Tensor, "*batch query key"] | None = None
) -> Float[Tensor, "*batch query key"]:
    """Weights that sum to one over the slots that may be attended: `w_j = exp(s_j) / sum_k exp(s_k)`.

    A row with no allowed slot gets zero weights and a zero gradient, never NaN. What stands under the mask, NaN and
    infinity included, has no influence.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> softmax(torch.zeros(1, 4), torch.tensor([[True, True, False, False]])).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    if mask is None:
        return scores.softmax(-1)
    # The lowest finite number, not -inf: a row without an allowed slot is then even, not 0 / 0, before it is wiped out.
    hidden = ~mask
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(hidden, lowest).softmax(-1).masked_fill(hidden, 0.0)
