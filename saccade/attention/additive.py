"""Additive attention: a small network scores the query and the key together."""

from typing import Any

import torch
from torch import Tensor, nn

from saccade import kernels
from saccade.attention.base import Asked
from saccade.attention.content import ContentAttention
from saccade.attention.results import Attended, Memory
from saccade.attention.windows import Window
from saccade.kernels import Prepared, additive_scores
from saccade.normalizers import Normalizer, Softmax


def start_v(hidden_dim: int) -> nn.Parameter:
    """A first v, uniform within `1 / sqrt(hidden_dim)`."""
    return nn.Parameter(torch.empty(hidden_dim).uniform_(-(hidden_dim**-0.5), hidden_dim**-0.5))


class AdditiveScore(ContentAttention):
    """Content attention that scores `v . tanh(q_i + k_j)`: a subclass defines `project_query`, `project_key`, `vector`.

    Where nobody wants the weights of a plain softmax on CUDA, they are never made.
    """

    def project_query(self, query: Tensor) -> Tensor:
        """q_i, `[batch, query, hidden_dim]`."""
        raise TypeError(f"{type(self).__name__} defines no project_query")

    def vector(self) -> Tensor:
        """v, `[hidden_dim]`."""
        raise TypeError(f"{type(self).__name__} defines no vector")

    def prepare(self, key: Tensor) -> Prepared | None:
        """What the kernels make of the projected keys once."""
        return kernels.prepare(key) if self.window is None else None

    def score(self, query: Tensor, key: Tensor, prepared: Prepared | None = None) -> Tensor:
        """`v . tanh(q_i + k_j)`, `[batch, query, key]`."""
        return additive_scores(self.project_query(query), key, self.vector(), prepared=prepared)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """In one kernel where there is one for this, else as all content attention does."""
        plain = isinstance(self.normalizer, Softmax) and self.normalizer.temperature == 1 and self.window is None
        if query.device.type != "cuda" or asked.need_weights or asked.bias is not None or not plain:
            return super().attend(query, memory, state, asked)
        context, _ = kernels.additive_attention(
            self.project_query(query), memory.key, self.vector(), memory.value, memory.mask, need_weights=False
        )
        return Attended(context, None, state)


class AdditiveAttention(AdditiveScore):
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

    def project_query(self, query: Tensor) -> Tensor:
        """`W s_i`, `[batch, query, hidden_dim]`."""
        projected: Tensor = self.query(query)
        return projected

    def vector(self) -> Tensor:
        """v, or with weight normalisation `g v / |v|`."""
        return self.v if self.g is None else self.g * self.v / self.v.norm()


class ConcatAttention(AdditiveScore):
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

    def project_query(self, query: Tensor) -> Tensor:
        """The query's half of `W [s_i; h_j]`, `[batch, query, hidden_dim]`."""
        return nn.functional.linear(query, self.joined.weight[:, : self.query_dim])

    def vector(self) -> Tensor:
        """V."""
        return self.v


class TanhSumAttention(AdditiveScore):
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

    def project_query(self, query: Tensor) -> Tensor:
        """The query's half of `W [s_i; h_j] + b`, `[batch, query, hidden_dim]`."""
        return nn.functional.linear(query, self.joined.weight[:, : self.query_dim])

    def vector(self) -> Tensor:
        """Ones."""
        return self.joined.weight.new_ones(self.hidden_dim)
