"""Readouts: what is taken from an encoded sequence to answer with, one context or one for each answer."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Attention
from saccade.attention.build import build_pooling
from saccade.attention.pooling import ContextVectorPooling
from saccade.attention.poolings import POOLINGS
from saccade.attention.results import dense
from saccade.attention.selfattention import SelfAttention

QueryName = Literal["last", "learned"]
"""What asks a mechanism: the last state, or learned vectors, one for each answer."""


class Read(NamedTuple):
    """What a readout gives.

    contexts: `[batch, row, dim]`.
    weights:  `[batch, row, key]`; None where there are none.
    """

    contexts: Tensor
    weights: Tensor | None


class NoReadout(nn.Module):
    """No attention: the last state, or the mean of all states, so that what attention buys can be measured.

    Args:
        mean: whether it is the mean.
    """

    def __init__(self, *, mean: bool):
        super().__init__()
        self.mean = mean

    def forward(self, states: Tensor, last: Tensor, mask: Tensor | None) -> Read:
        """Arguments as for `PooledReadout`."""
        if not self.mean:
            return Read(last[:, None], None)
        if mask is None:
            return Read(states.mean(1, keepdim=True), None)
        real = mask[..., None]
        return Read(states.masked_fill(~real, 0.0).sum(1, keepdim=True) / real.sum(1, keepdim=True), None)


class PooledReadout(nn.Module):
    """One context, or one for each hop, from a pooling whose query is a parameter.

    With self-attention before it, states first read each other: `s_i = sum_j a_ij h_j`, `c = sum_i p_i s_i`. The
    weights are then those of the states themselves, `w_j = sum_i p_i a_ij`, for which `c = sum_j w_j h_j` holds too.

    Args:
        pool: what weighs the states: a `saccade.attention.pooling.Pooling`.
        attend: self-attention before it, of a mechanism that reads its values as they are; None: none.

    >>> from saccade.attention.pooling import StructuredSelfAttention
    >>> pool = PooledReadout(StructuredSelfAttention(dim=6, hidden_dim=5, hops=2))
    >>> contexts, weights = pool(torch.zeros(3, 7, 6), torch.zeros(3, 6), None)
    >>> contexts.shape, weights.shape
    (torch.Size([3, 2, 6]), torch.Size([3, 2, 7]))
    """

    def __init__(self, pool: nn.Module, attend: SelfAttention | None = None):
        super().__init__()
        self.pool, self.attend = pool, attend

    def forward(
        self,
        states: Float[Tensor, "batch key dim"],
        last: Float[Tensor, "batch dim"],
        mask: Bool[Tensor, "batch key"] | None,
    ) -> Read:
        """Read encoded sequences `[batch, key, dim]`.

        Args:
            last: the last state of each.
            mask: True where there is a state.
        """
        among = None
        if self.attend is not None:
            states, among, _ = self.attend(states, mask=mask)
        context, weights, _ = self.pool(states, mask=mask)
        if weights.dim() == 2:
            weights = weights[:, None]
        if among is not None:
            weights = weights @ dense(among)
        return Read(context if context.dim() == 3 else context[:, None], weights)


class QueriedReadout(nn.Module):
    """Contexts from any mechanism that reads a memory, asked by the last state or by learned queries.

    The last state asks once and stands beside what it found: `tanh(W_c [c; h])` (Luong et al. 2015, eq. 5). Learned
    queries ask once for each answer, so that each answer has weights of its own.

    Args:
        attend: the mechanism.
        queries: how many are learned; 0: the last state asks.

    >>> read = QueriedReadout(AdditiveAttention(6, 6, 5), queries=2)
    >>> contexts, weights = read(torch.zeros(3, 7, 6), torch.zeros(3, 6), None)
    >>> contexts.shape, weights.shape
    (torch.Size([3, 2, 6]), torch.Size([3, 2, 7]))
    """

    def __init__(self, attend: Attention, *, queries: int = 0):
        super().__init__()
        self.attend = attend
        learned = torch.empty(queries, attend.query_dim).normal_(std=attend.query_dim**-0.5)
        self.queries = nn.Parameter(learned) if queries else None
        both = attend.key_dim + attend.query_dim
        self.attentional = None if queries else nn.Linear(both, attend.key_dim, bias=False)

    def forward(self, states: Tensor, last: Tensor, mask: Tensor | None) -> Read:
        """Arguments as for `PooledReadout`."""
        memory = self.attend.remember(states, states, mask=mask)
        query = last[:, None] if self.queries is None else self.queries.expand(len(states), -1, -1)
        context, weights, _ = self.attend.read(query, memory)
        if self.attentional is not None:
            context = torch.tanh(self.attentional(torch.cat([context, query], -1)))
        return Read(context, dense(weights))


def pooled(name: str, dim: int, hops: int) -> PooledReadout:
    """The pooling called `name`, hidden layers as wide as the states; `self` is self-attention before one context.

    Raises:
        ValueError: an unknown name.
    """
    if name == "self":
        attend = SelfAttention(AdditiveAttention(dim, dim, dim))
        return PooledReadout(ContextVectorPooling(dim, dim), attend)
    if name not in POOLINGS:
        raise ValueError(f"pooling must be self, {', '.join(POOLINGS)}; got {name!r}")
    return PooledReadout(build_pooling(name, dim, hidden_dim=dim, hops=hops))
