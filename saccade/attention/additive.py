"""Additive attention: a small network scores the query and the key together."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.base import Attention, precise


def additive_scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"], v: Float[Tensor, " dim"]
) -> Float[Tensor, "batch query key"]:
    """Scores of projected queries and keys: `e_ij = v . tanh(q_i + k_j)` (Bahdanau et al. 2015, A.1.2).

    Computed in float32 for lower precisions, also under autocast; float64 stays float64.

    >>> additive_scores(torch.zeros(1, 2, 3), torch.zeros(1, 5, 3), torch.ones(3)).shape
    torch.Size([1, 2, 5])
    """
    with torch.autocast(query.device.type, enabled=False):
        return torch.tanh(precise(query)[:, :, None] + precise(key)[:, None]) @ precise(v)


class AdditiveAttention(Attention):
    """Additive attention of Bahdanau et al. 2015, A.1.2: `e_ij = v . tanh(W s_i + U h_j)`, then softmax over j.

    Args:
        query_dim: width of the query s_i, a decoder's previous state.
        key_dim: width of the keys h_j, an encoder's states.
        hidden_dim: width n' of the small network.

    >>> attend = AdditiveAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> context, weights, _ = attend(torch.zeros(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8))
    >>> context.shape, weights.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 3, 7]))
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int):
        super().__init__(query_dim, key_dim)
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.key = nn.Linear(key_dim, hidden_dim, bias=False)
        self.v = nn.Parameter(torch.empty(hidden_dim))
        nn.init.uniform_(self.v, -(hidden_dim**-0.5), hidden_dim**-0.5)

    def project_key(self, key: Tensor) -> Tensor:
        """`U h_j`, `[batch, key, hidden_dim]`."""
        projected: Tensor = self.key(key)
        return projected

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`v . tanh(W s_i + U h_j)`, `[batch, query, key]`."""
        return additive_scores(self.query(query), key, self.v)


class ConcatAttention(Attention):
    """The concat score of Luong et al. 2015, §3.1: `e_ij = v . tanh(W [s_i; h_j])`, then softmax over j.

    One matrix over the joined vectors is two matrices side by side, so the key's half is applied once per sentence.
    Arguments as for `AdditiveAttention`.

    >>> attend = ConcatAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attend(torch.zeros(2, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).weights.shape
    torch.Size([2, 7])
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int):
        super().__init__(query_dim, key_dim)
        self.joined = nn.Linear(query_dim + key_dim, hidden_dim, bias=False)
        self.v = nn.Parameter(torch.empty(hidden_dim))
        nn.init.uniform_(self.v, -(hidden_dim**-0.5), hidden_dim**-0.5)

    def project_key(self, key: Tensor) -> Tensor:
        """The key's half of `W [s_i; h_j]`, `[batch, key, hidden_dim]`."""
        return nn.functional.linear(key, self.joined.weight[:, self.query_dim :])

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`v . tanh(W [s_i; h_j])`, `[batch, query, key]`."""
        return additive_scores(nn.functional.linear(query, self.joined.weight[:, : self.query_dim]), key, self.v)
