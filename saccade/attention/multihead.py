"""Multi-head attention: several scaled dot products side by side, over another sequence or over one's own."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from saccade import normalizers
from saccade.attention.base import Asked, Attention, check_alike
from saccade.attention.content import seen_scores
from saccade.attention.results import Attended, Memory, exportable
from saccade.kernels import read_values
from saccade.normalizers.base import precise


def multihead(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key value_dim"],
    mask: Bool[Tensor, "batch query key"] | None = None,
    bias: Float[Tensor, "batch query key"] | None = None,
) -> tuple[Tensor, Tensor]:
    """`softmax(Q_h K_h^T / sqrt(d_h) + bias) V_h` for every head h, with its weights (Vaswani et al. 2017, eq. 1).

    Args:
        mask: True = may attend, broadcastable to `[batch, query, key]`.
        bias: added to the scores, broadcastable likewise.

    Returns:
        context `[batch, heads, query, value_dim]` and weights `[batch, heads, query, key]` in the dtype of the values;
        everything between is float32 or better.

    >>> one = torch.ones(1, 2, 1, 3)
    >>> multihead(one, one.expand(-1, -1, 4, -1), one.expand(-1, -1, 4, -1))[1][0, 0].tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = seen_scores(_scaled_dot, query, Memory(key, value, mask))
        if bias is not None:
            scores = scores + bias[:, None]
        weights = normalizers.softmax(scores, None if mask is None else mask[:, None])
    return read_values(weights, value, mask), weights.to(value.dtype)


def _scaled_dot(query: Tensor, key: Tensor) -> Tensor:
    return precise(query) @ precise(key).transpose(-1, -2) / math.sqrt(query.shape[-1])


def fused_multihead(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key value_dim"],
    mask: Bool[Tensor, "batch query key"] | None = None,
    bias: Float[Tensor, "batch query key"] | None = None,
) -> Tensor:
    """The context of `multihead` by PyTorch's fused kernels, which make no weights.

    >>> one = torch.ones(1, 2, 1, 3)
    >>> fused_multihead(one, one, one).shape
    torch.Size([1, 2, 1, 3])
    """
    added = None if mask is None else mask[:, None]
    if bias is not None:
        bias = bias[:, None].to(query.dtype)
        added = bias if added is None else torch.where(added, bias, -math.inf)
    # From PyTorch 2.5 on a row without an allowed slot gives zeros here, in every kernel.
    context: Tensor = scaled_dot_product_attention(query, key, value, attn_mask=added)
    return context


class MultiHeadAttention(Attention):
    """Multi-head attention of Vaswani et al. 2017, §3.2.2: `W_o [head_1; ...; head_H]` over projected heads.

    `head_h = softmax((W_q q)_h (W_k k)_h^T / sqrt(d_h)) (W_v v)_h`. Keys and values are projected once, by `remember`.
    Weights are `[batch, heads, query, key]`, never averaged; without them the fused kernels of PyTorch are taken.

    Args:
        query_dim: width of the query, and of what comes out.
        key_dim: width of the keys.
        heads: how many heads; they divide `query_dim`.
        value_dim: width of the values, that of the keys where None.
        bias: whether the four projections have one.

    >>> attend = MultiHeadAttention(query_dim=6, key_dim=4, heads=2)
    >>> context, weights, _ = attend(torch.ones(1, 3, 6), torch.ones(1, 5, 4), torch.ones(1, 5, 4))
    >>> context.shape, weights.shape
    (torch.Size([1, 3, 6]), torch.Size([1, 2, 3, 5]))
    """

    def __init__(self, query_dim: int, key_dim: int, *, heads: int, value_dim: int | None = None, bias: bool = True):
        super().__init__(query_dim, key_dim)
        if heads < 1 or query_dim % heads:
            raise ValueError(f"heads must divide query_dim = {query_dim}; got {heads}")
        self.heads, self.value_dim = heads, key_dim if value_dim is None else value_dim
        self.query = nn.Linear(query_dim, query_dim, bias=bias)
        self.key = nn.Linear(key_dim, query_dim, bias=bias)
        self.value = nn.Linear(self.value_dim, query_dim, bias=bias)
        self.output = nn.Linear(query_dim, query_dim, bias=bias)

    def project_key(self, key: Tensor) -> Tensor:
        """`W_k k`, `[batch, key, query_dim]`."""
        projected: Tensor = self.key(key)
        return projected

    def project_value(self, value: Tensor) -> Tensor:
        """`W_v v`, `[batch, key, query_dim]`."""
        if value.shape[-1] != self.value_dim:
            raise ValueError(f"value must be [batch, key, {self.value_dim}]; got {list(value.shape)}")
        projected: Tensor = self.value(value)
        return projected

    def nothing(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Zeros through the output projection, and the weights of every head over no slots."""
        context, weights = super().nothing(query, memory)
        return self.output(context), weights[:, None].expand(-1, self.heads, -1, -1)

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """Every head, and the projection of them all."""
        if asked.noise is not None:
            raise ValueError("MultiHeadAttention draws nothing, so it takes no noise")
        heads = [_split(x, self.heads) for x in (self.query(query), memory.key, memory.value)]
        if asked.need_weights:
            context, weights = multihead(heads[0], heads[1], heads[2], memory.mask, asked.bias)
        else:
            context, weights = fused_multihead(heads[0], heads[1], heads[2], memory.mask, asked.bias), None
        return Attended(self.output(context.transpose(1, 2).flatten(2)), weights, None)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # type: ignore[no-any-return, no-untyped-call]


@exportable
class KeyValueCache(NamedTuple):
    """What a self-attention has read so far; it grows by every step.

    key, value: projected, `[batch, steps, dim]`.
    mask:       which of them may be attended, boolean `[batch, steps]`.
    """

    key: Tensor
    value: Tensor
    mask: Tensor


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself (Vaswani et al. 2017, §3.2.3), whole or step by step.

    Whole, with `masks.causal`, and step by step, with the state that the step before gave back, are equal. A step reads
    everything in the cache and itself.

    Args:
        dim: width of what goes in and comes out.
        heads: how many heads; they divide `dim`.
        bias: whether the four projections have one.

    >>> from saccade import masks
    >>> attend = SelfAttention(6, heads=2)
    >>> x, state = torch.randn(1, 3, 6), attend.initial(1)
    >>> whole = attend(x, mask=masks.causal(3))
    >>> for step in x.unbind(1):
    ...     context, weights, state = attend(step, state=state)
    >>> torch.allclose(context, whole.context[:, -1], atol=1e-6), weights.shape
    (True, torch.Size([1, 2, 3]))
    """

    def __init__(self, dim: int, *, heads: int, bias: bool = True):
        super().__init__()
        self.heads = MultiHeadAttention(dim, dim, heads=heads, bias=bias)
        self.dim = dim

    def initial(self, batch: int) -> KeyValueCache:
        """An empty cache."""
        weight = self.heads.key.weight
        nothing = weight.new_zeros(batch, 0, self.dim)
        return KeyValueCache(nothing, nothing, torch.zeros(batch, 0, dtype=torch.bool, device=weight.device))

    def forward(
        self,
        x: Float[Tensor, "batch query dim"] | Float[Tensor, "batch dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        state: KeyValueCache | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a sequence `[batch, query, dim]`, or with a state one more step `[batch, dim]`.

        Args:
            mask: whole: over the sequence. With a state: `[batch, 1]`, whether this step is real and may be attended.
            bias: added to the scores, `[batch or 1, query or 1, key]`; with a state the keys are those of the cache.
            state: what the step before gave back; None for a whole sequence.

        Raises:
            ValueError: widths, shapes or a cache that do not fit.
        """
        if state is None:
            if x.dim() != 3 or x.shape[2] != self.dim:
                raise ValueError(f"x must be [batch, query, {self.dim}]; got {list(x.shape)}")
            return self.heads(x, x, x, mask=mask, bias=bias, need_weights=need_weights)  # type: ignore[no-any-return]
        cache = self._grown(x, mask, state)
        # Nothing that was cached may come back as NaN: hidden steps were zeroed before they were projected.
        memory = Memory(cache.key, cache.value, cache.mask[:, None])
        context, weights, _ = self.heads.read(x, memory, bias=bias, need_weights=need_weights)
        return Attended(context, weights, cache)

    def _grown(self, x: Tensor, mask: Tensor | None, state: KeyValueCache) -> KeyValueCache:
        if x.dim() != 2 or x.shape[1] != self.dim:
            raise ValueError(f"a step must be [batch, {self.dim}]; got {list(x.shape)}")
        expected = f"KeyValueCache of [{len(x)}, steps, {self.dim}]"
        if not isinstance(state, KeyValueCache):
            raise ValueError(f"state must be a {expected}; got {type(state).__name__}")
        if state.key.shape[0] != len(x) or state.key.shape[2] != self.dim:
            raise ValueError(f"state must be a {expected}; got {list(state.key.shape)}")
        check_alike("x", x, "the cache", state.key)
        mask = torch.ones(len(x), 1, dtype=torch.bool, device=x.device) if mask is None else mask
        step = self.heads.remember(x[:, None], x[:, None], mask=mask)
        key, value = torch.cat([state.key, step.key], 1), torch.cat([state.value, step.value], 1)
        return KeyValueCache(key, value, torch.cat([state.mask, mask], 1))
