"""Attention by similarity: the score grows as query and key point the same way, or lie close together."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.content import ContentAttention
from saccade.attention.multiplicative import dot_scores
from saccade.attention.windows import Window
from saccade.normalizers import Normalizer
from saccade.normalizers.base import precise

_SHORTEST = 1e-6


def cosine_scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"], sharpness: Float[Tensor, ""]
) -> Float[Tensor, "batch query key"]:
    """Scores `e_ij = beta (q_i . k_j) / (|q_i| |k_j|)` (Graves et al. 2014, eq. 5 and 6).

    Lengths below 1e-6 count as 1e-6, so that the cosine with a vector of zeros is zero and has a gradient.

    >>> cosine_scores(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[3.0, 0.0], [0.0, 1.0]]]), torch.tensor(5.0))
    tensor([[[5., 0.]]])
    """
    with torch.autocast(query.device.type, enabled=False):
        unit_query, unit_key = (_unit(precise(x)) for x in (query, key))
        return precise(sharpness) * dot_scores(unit_query, unit_key)


def _unit(x: Tensor) -> Tensor:
    return x * x.square().sum(-1, keepdim=True).clamp_min(_SHORTEST**2).rsqrt()


def gaussian_kernel_scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"], width: Float[Tensor, ""]
) -> Float[Tensor, "batch query key"]:
    """Scores `e_ij = -|q_i - k_j|^2 / (2 width^2)`: under softmax the regression of Nadaraya and Watson 1964.

    >>> gaussian_kernel_scores(torch.zeros(1, 1, 2), torch.tensor([[[0.0, 2.0]]]), torch.tensor(1.0)).item()
    -2.0
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key = precise(query), precise(key)
        square = query.square().sum(-1)[:, :, None] + key.square().sum(-1)[:, None] - 2.0 * dot_scores(query, key)
        return -0.5 * square / precise(width).square()


class CosineAttention(ContentAttention):
    """The content addressing of Graves et al. 2014, eq. 5 and 6: `e_ij = beta cos(s_i, h_j)`, then softmax over j.

    Args:
        query_dim: width of the query; the keys must have the same.
        sharpness: the first beta; it is learned as its logarithm, so that it stays positive.
        normalizer, window: see `ContentAttention`.

    >>> attend = CosineAttention(query_dim=4)
    >>> attend(torch.ones(1, 4), torch.ones(1, 2, 4), torch.eye(2)[None]).context.tolist()
    [[0.5, 0.5]]
    """

    def __init__(
        self,
        query_dim: int,
        *,
        sharpness: float = 10.0,
        normalizer: Normalizer | None = None,
        window: Window | None = None,
    ):
        super().__init__(query_dim, query_dim, normalizer=normalizer, window=window)
        self.log_sharpness = nn.Parameter(torch.tensor(_log("sharpness", sharpness)))

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`beta cos(s_i, h_j)`, `[batch, query, key]`."""
        return cosine_scores(query, key, self.log_sharpness.exp())


class GaussianKernelAttention(ContentAttention):
    """Kernel regression as attention: `e_ij = -|s_i - h_j|^2 / (2 width^2)` (Nadaraya 1964; Watson 1964), then softmax.

    Args:
        query_dim: width of the query; the keys must have the same.
        width: the first width of the kernel; it is learned as its logarithm. Distances grow with the square root of
            `query_dim`, so where it is None the width starts there.
        normalizer, window: see `ContentAttention`.

    >>> attend = GaussianKernelAttention(query_dim=1, width=1.0)
    >>> places = torch.tensor([[[0.0], [1.0], [5.0]]])
    >>> attend(torch.tensor([[0.5]]), places, places).context.round(decimals=3).item()
    0.5
    """

    def __init__(
        self,
        query_dim: int,
        *,
        width: float | None = None,
        normalizer: Normalizer | None = None,
        window: Window | None = None,
    ):
        super().__init__(query_dim, query_dim, normalizer=normalizer, window=window)
        self.log_width = nn.Parameter(torch.tensor(_log("width", math.sqrt(query_dim) if width is None else width)))

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`-|s_i - h_j|^2 / (2 width^2)`, `[batch, query, key]`."""
        return gaussian_kernel_scores(query, key, self.log_width.exp())


def _log(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0; got {value}")
    return math.log(value)
