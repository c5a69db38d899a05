"""Hard weights: all of it on the best slot."""

import torch
from torch import Tensor

from saccade.normalizers.base import Mask, Normalizer, Scores, confined, top, wiped
from saccade.normalizers.soft import softmax


def argmax(scores: Scores, mask: Mask | None = None) -> Scores:
    """One on the best slot that may be attended, the first of equals, and zero elsewhere; no gradient.

    A row with no allowed slot is zero; a row with an allowed NaN has no best and is NaN.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> argmax(torch.tensor([[1.0, 3.0, 3.0, 9.0]]), torch.tensor([True, True, True, False])).tolist()
    [[0.0, 1.0, 0.0, 0.0]]
    """
    x = confined(scores.detach(), mask)
    best = x == top(x)
    if mask is not None:
        best = best & mask
    weights = (best & (best.cumsum(-1) == 1)).to(scores.dtype)
    return wiped(weights.masked_fill(top(x).isnan(), torch.nan), mask)


def straight_through(scores: Scores, mask: Mask | None = None) -> Scores:
    """Forward, exactly `argmax`; backward, the gradient of `softmax`.

    The straight-through estimator of Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic
    Neurons", §4, for one choice among many, as Jang et al. 2017, §2.2, write it.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> straight_through(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return passed_through(argmax(scores, mask), softmax(scores, mask))


def passed_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The values of one, the gradient of the other: a number less itself is exactly zero, so the values stay exact."""
    return hard + (soft - soft.detach())


class Argmax(Normalizer):
    """`argmax`.

    >>> Argmax()(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[0.0, 1.0, 0.0]]
    """

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return argmax(scores, mask)


class StraightThrough(Normalizer):
    """`straight_through`.

    >>> StraightThrough()(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[0.0, 1.0, 0.0]]
    """

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return straight_through(scores, mask)
