"""Additive attention: a small network scores the query and the key together."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.base import precise
from saccade.attention.content import ContentAttention
from saccade.attention.windows import Window
from saccade.normalizers import Normalizer


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


def start_v(hidden_dim: int) -> nn.Parameter:
    """A first v, uniform within `1 / sqrt(hidden_dim)`."""
    return nn.Parameter(torch.empty(hidden_dim).uniform_(-(hidden_dim**-0.5), hidden_dim**-0.5))


class AdditiveAttention(ContentAttention):
    """Additive attention of Bahdanau et al. 2015, A.1.2: `e_ij = v . tanh(W s_i + U h_j)`, then softmax over j.

    With weight normalisation `e_ij = g v / |v| . tanh(W s_i + U h_j + b)` (Salimans and Kingma 2016, eq. 2; the form
    of tfa.seq2seq), where g starts at `1 / sqrt(hidden_dim)` and b at zero.

    Args:
        query_dim: width of the query s_i, a decoder's previous state.
        key_dim: width of the keys h_j, an encoder's states.
        hidden_dim: width n' of the small network.
        weight_norm: learn the length g of v apart from its direction.
        normalizer, window: see `ContentAttention`.

    >>> attend = AdditiveAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> context, weights, _ = attend(torch.zeros(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8))
    >>> context.shape, weights.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 3, 7]))
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        weight_norm: bool = False,
        normalizer: Normalizer | None = None,
        window: Window | None = None,
    ):
        super().__init__(query_dim, key_dim, normalizer=normalizer, window=window)
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.key = nn.Linear(key_dim, hidden_dim, bias=weight_norm)
        self.v = start_v(hidden_dim)
        self.g = nn.Parameter(torch.tensor(hidden_dim**-0.5)) if weight_norm else None
        if weight_norm:
            nn.init.zeros_(self.key.bias)

    def project_key(self, key: Tensor) -> Tensor:
        """`U h_j`, `[batch, key, hidden_dim]`; with weight normalisation `U h_j + b`."""
        projected: Tensor = self.key(key)
        return projected

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`v . tanh(W s_i + U h_j)`, `[batch, query, key]`."""
        v = self.v if self.g is None else self.g * self.v / self.v.norm()
        return additive_scores(self.query(query), key, v)


class ConcatAttention(ContentAttention):
    """The concat score of Luong et al. 2015, §3.1: `e_ij = v . tanh(W [s_i; h_j])`, then softmax over j.

    One matrix over the joined vectors is two matrices side by side, so the key's half is applied once per sentence.
    Arguments as for `AdditiveAttention`.

    >>> attend = ConcatAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attend(torch.zeros(2, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).weights.shape
    torch.Size([2, 7])
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        normalizer: Normalizer | None = None,
        window: Window | None = None,
    ):
        super().__init__(query_dim, key_dim, normalizer=normalizer, window=window)
        self.joined = nn.Linear(query_dim + key_dim, hidden_dim, bias=False)
        self.v = start_v(hidden_dim)

    def project_key(self, key: Tensor) -> Tensor:
        """The key's half of `W [s_i; h_j]`, `[batch, key, hidden_dim]`."""
        return nn.functional.linear(key, self.joined.weight[:, self.query_dim :])

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`v . tanh(W [s_i; h_j])`, `[batch, query, key]`."""
        return additive_scores(nn.functional.linear(query, self.joined.weight[:, : self.query_dim]), key, self.v)


class TanhSumAttention(ContentAttention):
    """Additive attention without v, as many tutorials write it: `e_ij = sum_d tanh(W [s_i; h_j] + b)_d`, then softmax.

    Every hidden unit counts the same, so scores lie between `-hidden_dim` and `hidden_dim`. Arguments as for
    `AdditiveAttention`.

    >>> attend = TanhSumAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attend(torch.zeros(2, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).context.shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        normalizer: Normalizer | None = None,
        window: Window | None = None,
    ):
        super().__init__(query_dim, key_dim, normalizer=normalizer, window=window)
        self.joined = nn.Linear(query_dim + key_dim, hidden_dim)
        self.hidden_dim = hidden_dim

    def project_key(self, key: Tensor) -> Tensor:
        """The key's half of `W [s_i; h_j] + b`, `[batch, key, hidden_dim]`."""
        return nn.functional.linear(key, self.joined.weight[:, self.query_dim :], self.joined.bias)

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`sum_d tanh(W [s_i; h_j] + b)_d`, `[batch, query, key]`."""
        projected = nn.functional.linear(query, self.joined.weight[:, : self.query_dim])
        return additive_scores(projected, key, projected.new_ones(self.hidden_dim))
