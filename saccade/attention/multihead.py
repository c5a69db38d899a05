"""Multi-head attention: several attentions side by side, each over a projection of its own."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import dropout, pad

from saccade import kernels, normalizers
from saccade.attention.base import Asked, Attention, Noise
from saccade.attention.fused import fused_multihead, patterned_multihead, with_heads
from saccade.attention.positions import Positions
from saccade.attention.results import Attended, Memory
from saccade.normalizers.base import precise


def multihead(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key value_dim"],
    mask: Bool[Tensor, "batch query key"] | Bool[Tensor, "batch heads query key"] | None = None,
    bias: Float[Tensor, "batch query key"] | Float[Tensor, "batch heads query key"] | None = None,
) -> tuple[Tensor, Tensor]:
    """`softmax(Q_h K_h^T / sqrt(d_h) + bias) V_h` for every head h, with its weights (Vaswani et al. 2017, eq. 1).

    Args:
        mask: True = may attend, broadcastable to `[batch, query, key]`, or with heads after the batch.
        bias: added to the scores, likewise.

    Returns:
        context `[batch, heads, query, value_dim]` and weights `[batch, heads, query, key]` in the dtype of the values;
        everything between is float32 or better.

    >>> one = torch.ones(1, 2, 1, 3)
    >>> multihead(one, one.expand(-1, -1, 4, -1), one.expand(-1, -1, 4, -1))[1][0, 0].tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    weights = multihead_weights(query, key, mask, bias)
    return kernels.read_values(weights, value, mask), weights.to(value.dtype)


def multihead_weights(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    mask: Bool[Tensor, "batch query key"] | Bool[Tensor, "batch heads query key"] | None = None,
    bias: Float[Tensor, "batch query key"] | Float[Tensor, "batch heads query key"] | None = None,
) -> Float[Tensor, "batch heads query key"]:
    """The weights of `multihead`, in float32 or better.

    >>> multihead_weights(torch.ones(1, 2, 1, 3), torch.ones(1, 2, 4, 3))[0, 0].tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = kernels.seen_scores(_scaled_dot, query, key, mask)
        if bias is not None:
            scores = scores + with_heads(bias)
        return normalizers.softmax(scores, None if mask is None else with_heads(mask))


def _scaled_dot(query: Tensor, key: Tensor) -> Tensor:
    return precise(query) @ precise(key).transpose(-1, -2) / math.sqrt(query.shape[-1])


class MultiHeadAttention(Attention):
    """Multi-head attention of Vaswani et al. 2017, §3.2.2: `W_o [head_1; ...; head_H]` over projected heads.

    `head_h = softmax((W_q q)_h (W_k k)_h^T / sqrt(d_h)) (W_v v)_h`. Keys and values are projected once, by `remember`.
    Weights are `[batch, heads, query, key]`, never averaged and as they were before dropout; without them the fused
    kernels of PyTorch are taken, and a `masks.Pattern` costs what its places cost. Masks and biases may have heads,
    `[batch or 1, heads or 1, query or 1, key]`.

    Args:
        query_dim: width of the query, and of what comes out.
        key_dim: width of the keys.
        heads: how many heads; or how many of queries and how many of keys and values, which they share in groups:
            `(8, 2)` is grouped-query attention (Ainslie et al. 2023), `(8, 1)` multi-query (Shazeer 2019).
        value_dim: width of the values, that of the keys where None.
        head_dim: width of a head; or of its queries and keys, and of its values. `query_dim / heads` where None.
        bias: whether the four projections have one.
        dropout: the chance that a weight is dropped in training.
        positions: what the heads know of places: see `saccade.attention.positions`.
        sinks: slots of its own behind those of the memory, the last columns of the weights: "learned" (`add_bias_kv`
            of nn.MultiheadAttention), "zero" (`add_zero_attn`: a head may look at nothing), or both.

    >>> attend = MultiHeadAttention(query_dim=6, key_dim=4, heads=2)
    >>> context, weights, _ = attend(torch.ones(1, 3, 6), torch.ones(1, 5, 4), torch.ones(1, 5, 4))
    >>> context.shape, weights.shape
    (torch.Size([1, 3, 6]), torch.Size([1, 2, 3, 5]))
    """

    heads: int
    patterned = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        *,
        heads: int | tuple[int, int],
        value_dim: int | None = None,
        head_dim: int | tuple[int, int] | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        positions: Positions | None = None,
        sinks: Sequence[Literal["learned", "zero"]] = (),
    ):
        super().__init__(query_dim, key_dim)
        self.heads, self.shared = heads if isinstance(heads, tuple) else (heads, heads)
        if head_dim is None and (self.heads < 1 or query_dim % self.heads):
            raise ValueError(f"heads must divide query_dim = {query_dim}; got {self.heads}")
        if min(self.heads, self.shared) < 1 or self.heads % self.shared:
            raise ValueError(f"heads of keys must divide those of queries, {self.heads}; got {self.shared}")
        both = query_dim // self.heads if head_dim is None else head_dim
        self.head_dim, self.value_head_dim = both if isinstance(both, tuple) else (both, both)
        if min(self.head_dim, self.value_head_dim) < 1:
            raise ValueError(f"head_dim must be at least 1; got {head_dim}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1; got {dropout}")
        self.value_dim, self.dropout = key_dim if value_dim is None else value_dim, dropout
        self.query = nn.Linear(query_dim, self.heads * self.head_dim, bias=bias)
        self.key = nn.Linear(key_dim, self.shared * self.head_dim, bias=bias)
        self.value = nn.Linear(self.value_dim, self.shared * self.value_head_dim, bias=bias)
        self.output = nn.Linear(self.heads * self.value_head_dim, query_dim, bias=bias)
        self._start()
        self.positions = Positions() if positions is None else positions
        self.positions.check(self.heads, self.head_dim)
        self.sinks = tuple(sinks)
        if set(self.sinks) - {"learned", "zero"} or len(set(self.sinks)) < len(self.sinks):
            raise ValueError(f"sinks must be of learned and zero, each once; got {self.sinks}")
        if self.sinks and positions is not None:
            raise ValueError(f"sinks have no place, so there are none beside positions; got {type(positions).__name__}")
        if "learned" in self.sinks:
            self.sink_key = nn.Parameter(torch.empty(self.key.out_features).normal_(std=self.head_dim**-0.5))
            self.sink_value = nn.Parameter(torch.empty(self.value.out_features).normal_(std=self.value_head_dim**-0.5))

    @torch.no_grad()
    def _start(self) -> None:
        """Begin as nn.MultiheadAttention does: Glorot's weights for queries, keys and values, no bias."""
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.query, self.key, self.value, self.output):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @classmethod
    def from_torch(cls, module: nn.MultiheadAttention) -> "MultiHeadAttention":
        """The same with the weights of PyTorch's module, whatever its options; ours is always batch first.

        >>> theirs = nn.MultiheadAttention(6, 2, batch_first=True)
        >>> x = torch.randn(1, 3, 6)
        >>> torch.allclose(MultiHeadAttention.from_torch(theirs)(x, x, x).context, theirs(x, x, x)[0], atol=1e-6)
        True
        """
        sinks: list[Literal["learned", "zero"]] = ["learned"] if module.bias_k is not None else []
        own = cls(
            module.embed_dim,
            module.kdim,
            heads=module.num_heads,
            value_dim=module.vdim,
            bias=module.in_proj_bias is not None,
            dropout=module.dropout,
            sinks=[*sinks, "zero"] if module.add_zero_attn else sinks,
        )
        own.to(module.out_proj.weight).train(module.training)
        with torch.no_grad():
            for mine, theirs in own._beside(module):
                mine.copy_(theirs.view_as(mine))
        return own

    def to_torch(self) -> nn.MultiheadAttention:
        """PyTorch's module with the same weights, batch first.

        Raises:
            ValueError: what that module has not: shared heads, other widths of heads, positions.
        """
        plain = self.heads == self.shared and self.head_dim == self.value_head_dim == self.query_dim / self.heads
        if type(self) is not MultiHeadAttention or not plain or type(self.positions) is not Positions:
            raise ValueError("nn.MultiheadAttention has heads of query_dim / heads, none shared, no positions")
        bias = self.output.bias is not None
        theirs = nn.MultiheadAttention(
            self.query_dim,
            self.heads,
            dropout=self.dropout,
            bias=bias,
            add_bias_kv="learned" in self.sinks,
            add_zero_attn="zero" in self.sinks,
            kdim=self.key_dim,
            vdim=self.value_dim,
            batch_first=True,
        )
        theirs.to(self.output.weight).train(self.training)
        with torch.no_grad():
            for mine, other in self._beside(theirs):
                other.copy_(mine.view_as(other))
        return theirs

    def _beside(self, module: nn.MultiheadAttention) -> list[tuple[Tensor, Tensor]]:
        """Each of our weights and the part of PyTorch's that it is."""
        layers = (self.query, self.key, self.value)
        if module.in_proj_weight is not None:
            parts = module.in_proj_weight.chunk(3)
        else:
            parts = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        pairs = [(mine.weight, part) for mine, part in zip(layers, parts, strict=True)]
        pairs.append((self.output.weight, module.out_proj.weight))
        if module.in_proj_bias is not None:
            pairs += [(x.bias, part) for x, part in zip(layers, module.in_proj_bias.chunk(3), strict=True)]
            pairs.append((self.output.bias, module.out_proj.bias))
        if module.bias_k is not None and module.bias_v is not None:
            pairs += [(self.sink_key, module.bias_k), (self.sink_value, module.bias_v)]
        return pairs

    def project_key(self, key: Tensor) -> Tensor:
        """`W_k k`, `[batch, key, heads * head_dim]`, heads of keys."""
        projected: Tensor = self.key(key)
        return projected

    def placed(self, key: Tensor, start: int | Tensor) -> Tensor:
        """Keys turned to their places."""
        return joined(self.positions.turn(split(key, self.shared), start))

    def project_value(self, value: Tensor) -> Tensor:
        """`W_v v`, `[batch, key, heads * head_dim]`, heads and widths of values."""
        if value.shape[-1] != self.value_dim:
            raise ValueError(f"value must be [batch, key, {self.value_dim}]; got {list(value.shape)}")
        projected: Tensor = self.value(value)
        return projected

    def completed(self, memory: Memory) -> Memory:
        """The sinks come behind the slots."""
        for sink in self.sinks:
            batch = len(memory.key)
            if sink == "learned":
                rows = [x.expand(batch, 1, -1) for x in (self.sink_key, self.sink_value)]
            else:
                rows = [x.new_zeros(batch, 1, x.shape[2]) for x in (memory.key, memory.value)]
            key, value = torch.cat([memory.key, rows[0]], 1), torch.cat([memory.value, rows[1]], 1)
            mask, slots = memory.mask, memory.key.shape[1]
            if memory.pattern is not None:
                mask = memory.pattern.dense(slots, device=key.device)
            memory = Memory(key, value, None if mask is None else pad(mask, (0, 1), value=True))
        return memory

    def nothing(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Zeros through the output projection, and the weights of every head over no slots."""
        weights = memory.value.new_zeros(len(query), self.heads, query.shape[1], 0)
        return self.output(memory.value.new_zeros(*query.shape[:2], self.output.in_features)), weights

    def read(
        self,
        query: Float[Tensor, "batch query query_dim"] | Float[Tensor, "batch query_dim"],
        memory: Memory,
        state: Any = None,
        *,
        bias: Tensor | None = None,
        noise: Noise | None = None,
        place: int | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a memory with one query or many; a bias is over its slots without the sinks."""
        if bias is not None and self.sinks:
            bias = pad(bias, (0, len(self.sinks)))
        return super().read(query, memory, state, bias=bias, noise=noise, place=place, need_weights=need_weights)

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """Every head, and the projection of them all."""
        if asked.noise is not None:
            raise ValueError("MultiHeadAttention draws nothing, so it takes no noise")
        q, k, v = self.split_heads(query, memory, asked.place)
        bias, drop = asked.bias, self.dropout if self.training else 0.0
        if (own := self.positions.bias(q, k.shape[2], asked.place)) is not None:
            bias = own if bias is None else own + with_heads(bias)
        needed = asked.need_weights or self.positions.needs_weights
        mask, pattern, weights = memory.mask, memory.pattern, None
        if pattern is not None and (needed or bias is not None):
            mask, pattern = pattern.dense(q.shape[2], device=q.device), None
        if needed:
            weights = multihead_weights(q, repeated(k, self.heads), mask, bias)
            dropped = dropout(weights, drop) if drop else weights
            context = kernels.read_values(dropped, repeated(v, self.heads), mask)
            if (more := self.positions.read(dropped, asked.place)) is not None:
                context = context + more.to(context.dtype)
            weights = weights.to(v.dtype)
        elif pattern is not None:
            context = patterned_multihead(q, k, v, pattern, drop=drop)
        else:
            context = fused_multihead(q, k, v, mask, bias, drop=drop)
        return Attended(self.output(joined(context)), weights, None)

    def split_heads(self, query: Tensor, memory: Memory, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """Projected queries at their places, keys and values, `[batch, heads, slot, dim]`; those of keys are shared."""
        q = self.positions.turn(split(self.query(query), self.heads), memory.start + place)
        return q, split(memory.key, self.shared), split(memory.value, self.shared)


def split(x: Float[Tensor, "batch slot all"], heads: int) -> Float[Tensor, "batch heads slot dim"]:
    """The heads that stand side by side in each vector."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # type: ignore[no-any-return, no-untyped-call]


def joined(x: Float[Tensor, "batch heads slot dim"]) -> Float[Tensor, "batch slot all"]:
    """The heads side by side in each vector."""
    return x.transpose(1, 2).flatten(2)


def repeated(x: Float[Tensor, "batch shared slot dim"], heads: int) -> Float[Tensor, "batch heads slot dim"]:
    """Heads of keys or values once for each head of queries that shares them."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)
