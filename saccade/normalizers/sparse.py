"""Sparse weights: slots far below the best get exactly zero.

Each function finds which slots are in the support, a choice without a gradient, and then writes the weights of that
support in plain differentiable operations, so derivatives of any order that exist are exact.
"""

import torch
from torch import Tensor, nn

from saccade.normalizers.base import Mask, Normalizer, Scores, below_top, check_above, precise, wiped

# A slot 1 or more below the best is never in the support. It is put here, close by, so that a sum over sorted scores
# does not drown in it.
OUTSIDE = -2.0


def sparsemax(scores: Scores, mask: Mask | None = None) -> Scores:
    """The point of the simplex nearest to the scores: `w_j = [z_j - tau]_+`, `tau = (sum_{k in S} z_k - 1) / |S|`.

    Martins & Astudillo 2016, "From Softmax to Sparsemax", Proposition 1 and Algorithm 1: of the sorted scores, S is
    the longest head with `1 + k z_(k) > sum_{j <= k} z_(j)`.

    Args:
        scores: z, `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> sparsemax(torch.tensor([[1.0, 0.5, -1.0]])).tolist()
    [[0.75, 0.25, 0.0]]
    """
    x = below_top(scores, mask)
    z = x.masked_fill(x <= -1, OUTSIDE)
    ordered = z.sort(-1, descending=True).values
    k = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    # Written as what is not outside, here and in entmax15, so that a NaN counts as inside and is seen.
    inside = ~(1 + k * ordered <= ordered.cumsum(-1))
    tau = (torch.where(inside, ordered, 0.0).sum(-1, keepdim=True) - 1) / inside.sum(-1, keepdim=True)
    return wiped((z - tau).relu(), mask).to(scores.dtype)


def entmax15(scores: Scores, mask: Mask | None = None) -> Scores:
    """Halfway between softmax and sparsemax, in closed form: `w_j = [z_j / 2 - tau]_+ ^ 2` with sum one.

    Peters et al. 2019, "Sparse Sequence-to-Sequence Models", Algorithm 2: with the mean M and the summed squared
    deviation Q of the halved scores in the support S, `tau = M - sqrt((1 - Q) / |S|)`.

    Args:
        scores: z, `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> entmax15(torch.tensor([[0.0, 0.0, 0.0, 0.0, -4.0]])).tolist()
    [[0.25, 0.25, 0.25, 0.25, 0.0]]
    """
    x = below_top(scores, mask) / 2
    z = x.masked_fill(x <= -1, OUTSIDE)
    ordered = z.sort(-1, descending=True).values
    k = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    mean = ordered.cumsum(-1) / k
    spread = (ordered**2).cumsum(-1) - k * mean**2
    inside = ~(mean - ((1 - spread) / k).clamp(min=0).sqrt() > ordered)
    size = inside.sum(-1, keepdim=True)
    mean = torch.where(inside, ordered, 0.0).sum(-1, keepdim=True) / size
    spread = torch.where(inside, ordered - mean, 0.0).square().sum(-1, keepdim=True)
    tau = mean - ((1 - spread) / size).sqrt()
    return wiped((z - tau).relu().square(), mask).to(scores.dtype)


def entmax(scores: Scores, mask: Mask | None = None, alpha: float | Tensor = 1.5) -> Scores:
    """From softmax (alpha near 1) over sparsemax (2) to argmax: `w_j = [(alpha - 1) z_j - tau]_+ ^ (1 / (alpha - 1))`.

    Peters et al. 2019, "Sparse Sequence-to-Sequence Models", §3 and Algorithm 1 (bisection). We search for t in
    `tau = (alpha - 1) t - 1`, which stays finite as alpha goes to 1: with b = alpha - 1 and the best score shifted to
    zero, `w_j = [1 + b (z_j - t)]_+ ^ (1 / b)`, which is exp(z_j - t) in the limit.

    Args:
        scores: z, `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.
        alpha: above 1. A tensor is broadcastable to `scores` and may learn; it is not checked under a compiler.

    Raises:
        ValueError: an alpha that is not above 1.

    >>> entmax(torch.tensor([[1.0, 0.5, -1.0]]), alpha=2.0).tolist()
    [[0.75, 0.25, 0.0]]
    """
    check_above("alpha", alpha, 1.0)
    return _entmax(scores, mask, alpha - 1)


def _entmax(scores: Tensor, mask: Tensor | None, b: float | Tensor) -> Tensor:
    x = below_top(scores, mask)
    with torch.no_grad():
        t = _bisected(x, b)
        weights = _power(x - t, b)
        slope = weights.pow(1 - b).masked_fill(weights == 0, 0.0).sum(-1, keepdim=True)
    # Newton's steps from the root with a fixed slope: each makes one more order of derivatives of t exact.
    for _ in range(2):
        t = t + (_power(x - t, b).sum(-1, keepdim=True) - 1) / slope
    weights = _power(x - t, b)
    # The sum is one but for rounding; that of a row with NaN is zero, and the quotient shows it.
    return wiped(weights / weights.sum(-1, keepdim=True), mask).to(scores.dtype)


def _power(u: Tensor, b: float | Tensor) -> Tensor:
    """`[1 + b u]_+ ^ (1 / b)`, by way of log1p: exact for small b."""
    inside = b * u > -1
    # What is outside may be infinite; it must not even be multiplied, or the gradient of b would be NaN.
    return torch.where(inside, ((b * torch.where(inside, u, 0.0)).log1p() / b).exp(), 0.0)


def _bisected(x: Tensor, b: float | Tensor) -> Tensor:
    """The t at which the powers of `x - t` sum to one, `[..., query, 1]`."""
    # A slot alone has t = 0; n equal ones have the largest, where n (1 - b t) ^ (1 / b) = 1.
    slots = (b * x > -1).sum(-1, keepdim=True).clamp(min=1).to(x.dtype)
    width = -torch.expm1(-b * slots.log()) / b
    t = torch.zeros_like(width)
    for _ in range(53 if x.dtype == torch.float64 else 24):  # a halving for each bit
        width = width / 2
        # As `_power`; without a gradient, a clamp will do.
        total = ((b * (x - t - width)).clamp(min=-1).log1p() / b).exp().sum(-1, keepdim=True)
        t = torch.where(total >= 1, t + width, t)
    return t


class Sparsemax(Normalizer):
    """`sparsemax`.

    >>> Sparsemax()(torch.tensor([[1.0, 0.5, -1.0]])).tolist()
    [[0.75, 0.25, 0.0]]
    """

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return sparsemax(scores, mask)


class Entmax15(Normalizer):
    """`entmax15`.

    >>> Entmax15()(torch.tensor([[0.0, 0.0, 0.0, 0.0, -4.0]])).tolist()
    [[0.25, 0.25, 0.25, 0.25, 0.0]]
    """

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return entmax15(scores, mask)


class Entmax(Normalizer):
    """`entmax` that learns its alpha, `1 + sigmoid(a)`: Correia et al. 2019, "Adaptively Sparse Transformers", §3.

    Args:
        alpha: what it starts from, between 1 and 2.

    >>> Entmax(alpha=1.5)(torch.tensor([[0.0, 0.0, -4.0]])).tolist()
    [[0.5, 0.5, 0.0]]
    """

    def __init__(self, alpha: float = 1.5):
        super().__init__()
        if not 1 < alpha < 2:
            raise ValueError(f"alpha must be between 1 and 2; got {alpha}")
        self.a = nn.Parameter(torch.tensor(alpha - 1).logit())

    @property
    def alpha(self) -> Tensor:
        """The alpha of now, a scalar."""
        return 1 + precise(self.a).sigmoid()

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        # Not by way of alpha, which rounds to 1 long before alpha - 1 does to 0, and whose check would stop a GPU.
        return _entmax(scores, mask, precise(self.a).sigmoid())
