"""The four steps that every mechanism of this house takes, and what goes in and comes out.

scores = score(query, key);  scores = masked(scores);  weights = normalise(scores);  context = weights @ value
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils._pytree import _register_namedtuple

from saccade import masks, normalizers


class Attended(NamedTuple):
    """What an attention mechanism returns.

    context: `[batch, query, value_dim]`, or `[batch, value_dim]` where the query had no query axis.
    weights: `[batch, query, key]` (or `[batch, key]`), zero where masked; None where none were asked for or are.
    state:   what the mechanism carries from one query to the next; None for the mechanisms that carry nothing.
    """

    context: Tensor
    weights: Tensor | None
    state: None


class Memory(NamedTuple):
    """What is read: made once per sentence by `remember`, read by every query.

    key:   `[batch, key, ...]`, already projected where the mechanism projects its keys.
    value: `[batch, key, value_dim]`.
    mask:  boolean `[batch or 1, query or 1, key]`, True = may attend, or None.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None


# torch.export writes down what a module returns; of a NamedTuple it must be told the name.
_register_namedtuple(Attended, serialized_type_name="saccade.Attended")
_register_namedtuple(Memory, serialized_type_name="saccade.Memory")


class Attention(nn.Module):
    """A mechanism that scores a query against keys; a subclass says how.

    A subclass defines `score(query, key)`, which returns `[batch, query, key]` in float32 or better, and
    `project_key(key)` for what depends on the memory alone and is made once per sentence.
    """

    def __init__(self, query_dim: int, key_dim: int):
        super().__init__()
        for name, size in (("query_dim", query_dim), ("key_dim", key_dim)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}")
        self.query_dim, self.key_dim = query_dim, key_dim

    def project_key(self, key: Tensor) -> Tensor:
        """The part of the score that depends on the key alone."""
        return key

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores `[batch, query, key]` of a query `[batch, query, query_dim]` and projected keys."""
        raise TypeError(f"{type(self).__name__} defines no score")

    def remember(
        self,
        key: Float[Tensor, "batch key key_dim"],
        value: Float[Tensor, "batch key value_dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | None = None,
    ) -> Memory:
        """Prepare a memory that many queries will read: the keys are projected here, once.

        Raises:
            ValueError: widths, lengths or batch sizes that do not fit.
        """
        if key.dim() != 3 or key.shape[2] != self.key_dim:
            raise ValueError(f"key must be [batch, key, {self.key_dim}]; got {list(key.shape)}")
        if value.dim() != 3 or value.shape[:2] != key.shape[:2]:
            expected = f"[{key.shape[0]}, {key.shape[1]}, value_dim]"
            raise ValueError(f"value must be [batch, key, value_dim] = {expected}; got {list(value.shape)}")
        if mask is None:
            return Memory(self.project_key(key), value, None)
        mask = masks.with_query_axis(mask, key.shape[0], None, key.shape[1])
        # A slot that no query may attend must not be seen at all: NaN times a weight of zero would still be NaN.
        nowhere = ~mask.any(1)[..., None]
        return Memory(self.project_key(key.masked_fill(nowhere, 0.0)), value.masked_fill(nowhere, 0.0), mask)

    def read(
        self,
        query: Float[Tensor, "batch query query_dim"] | Float[Tensor, "batch query_dim"],
        memory: Memory,
        state: None = None,
        *,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a memory with one query `[batch, query_dim]` or many `[batch, query, query_dim]`.

        Args:
            bias: added to the scores, `[batch or 1, query or 1, key]`, before the mask.

        Raises:
            ValueError: widths or batch sizes that do not fit.
        """
        batch, slots = memory.value.shape[:2]
        if query.dim() not in (2, 3) or query.shape[0] != batch or query.shape[-1] != self.query_dim:
            expected = f"[batch, query, query_dim] = [{batch}, query, {self.query_dim}] or [{batch}, {self.query_dim}]"
            raise ValueError(f"query must be {expected}; got {list(query.shape)}")
        queries = query[:, None] if query.dim() == 2 else query
        mask = memory.mask
        if mask is not None:
            mask = masks.with_query_axis(mask, batch, queries.shape[1], slots)
            # A query that may look nowhere must not be seen either, or its NaN would reach the weights' gradients.
            queries = torch.where(mask.any(-1, keepdim=True), queries, 0.0)
        context, weights = self._four_steps(queries, memory.key, memory.value, mask, bias)
        if query.dim() == 2:
            context, weights = context[:, 0], weights[:, 0]
        return Attended(context, weights if need_weights else None, None)

    def _four_steps(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        differs = mask is not None and mask.shape[1] > 1
        clean_key, clean_value = (_finite(key), _finite(value)) if differs else (key, value)
        scores = self.score(query, clean_key)
        if differs:
            scores = scores.masked_fill(~key.isfinite().all(-1)[:, None], float("nan"))
        if bias is not None:
            scores = scores + bias
        weights = normalizers.softmax(scores, mask)
        # Sums of many low-precision products lose what softmax kept: they stay in the precision of the scores.
        with torch.autocast(query.device.type, enabled=False):
            context = weights @ clean_value.to(weights.dtype)
            if differs:
                attended = (weights != 0).to(weights.dtype) @ (~value.isfinite()).to(weights.dtype) > 0
                context = context.masked_fill(attended, float("nan"))
        return context.to(value.dtype), weights.to(value.dtype)

    def forward(
        self,
        query: Float[Tensor, "batch query query_dim"] | Float[Tensor, "batch query_dim"],
        key: Float[Tensor, "batch key key_dim"],
        value: Float[Tensor, "batch key value_dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        state: None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Remember `key` and `value`, then read them with `query`: see `remember` and `read`."""
        if mask is not None and key.dim() == 3:
            mask = masks.with_query_axis(mask, key.shape[0], query.shape[1] if query.dim() == 3 else 1, key.shape[1])
        memory = self.remember(key, value, mask=mask)
        return self.read(query, memory, state, bias=bias, need_weights=need_weights)


def precise(x: Tensor) -> Tensor:
    """Float32 for what comes in a lower precision; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _finite(x: Tensor) -> Tensor:
    # Under masks that differ by query a slot may be hidden from one query and seen by another, so it cannot be zeroed
    # beforehand; its NaN or infinity is taken out here and put back only where it was really attended.
    return x.masked_fill(~x.isfinite(), 0.0)
