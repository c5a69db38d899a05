"""Multiplicative attention: the score is a product of query and key."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.content import ContentAttention
from saccade.attention.windows import Window
from saccade.normalizers import Normalizer
from saccade.normalizers.base import precise


def dot_scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"]
) -> Float[Tensor, "batch query key"]:
    """Scores `e_ij = q_i . k_j` (Luong et al. 2015, §3.1).

    Computed in float32 for lower precisions, also under autocast; float64 stays float64.

    >>> dot_scores(torch.ones(1, 2, 3), torch.ones(1, 5, 3))[0, 0].tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    with torch.autocast(query.device.type, enabled=False):
        return precise(query) @ precise(key).transpose(1, 2)


class DotAttention(ContentAttention):
    """The dot score of Luong et al. 2015, §3.1: `e_ij = s_i . h_j`, then softmax over j. It has no weights.

    Args:
        query_dim: width of the query; the keys must have the same.
        normalizer, window: see `ContentAttention`.

    >>> attend = DotAttention(query_dim=4)
    >>> attend(torch.zeros(2, 4), torch.ones(2, 5, 4), torch.ones(2, 5, 3)).context.shape
    torch.Size([2, 3])
    """

    def __init__(self, query_dim: int, *, normalizer: Normalizer | None = None, window: Window | None = None):
        super().__init__(query_dim, query_dim, normalizer=normalizer, window=window)

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`s_i . h_j`, `[batch, query, key]`."""
        return dot_scores(query, key)


class ScaledDotAttention(DotAttention):
    """The scaled dot score of Vaswani et al. 2017, eq. 1: `e_ij = s_i . h_j / sqrt(query_dim)`, then softmax over j.

    Arguments as for `DotAttention`.

    >>> attend = ScaledDotAttention(query_dim=4)
    >>> attend(torch.ones(1, 4), torch.ones(1, 2, 4), torch.eye(2)[None]).context.tolist()
    [[0.5, 0.5]]
    """

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`s_i . h_j / sqrt(query_dim)`, `[batch, query, key]`."""
        return dot_scores(query, key) / math.sqrt(self.query_dim)


class GeneralAttention(ContentAttention):
    """The general score of Luong et al. 2015, §3.1: `e_ij = s_i . W h_j`, then softmax over j.

    Args:
        query_dim: width of the query s_i.
        key_dim: width of the keys h_j.
        normalizer, window: see `ContentAttention`.

    >>> attend = GeneralAttention(query_dim=4, key_dim=6)
    >>> attend(torch.zeros(2, 4), torch.ones(2, 5, 6), torch.ones(2, 5, 3)).weights.shape
    torch.Size([2, 5])
    """

    def __init__(
        self, query_dim: int, key_dim: int, *, normalizer: Normalizer | None = None, window: Window | None = None
    ):
        super().__init__(query_dim, key_dim, normalizer=normalizer, window=window)
        self.key = nn.Linear(key_dim, query_dim, bias=False)

    def project_key(self, key: Tensor) -> Tensor:
        """`W h_j`, `[batch, key, query_dim]`."""
        projected: Tensor = self.key(key)
        return projected

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`s_i . W h_j`, `[batch, query, key]`."""
        return dot_scores(query, key)
