"""Self-attention: a sequence reads itself, whole or step by step."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.base import Attention, check_alike, check_sequence
from saccade.attention.results import Attended, Memory, exportable


@exportable
class KeyValueCache(NamedTuple):
    """What a self-attention has read so far; it grows by every step, up to what later steps may read.

    key, value: projected, `[batch, slots, dim]`.
    mask:       which of them may be attended, boolean `[batch, slots]`.
    steps:      how many there have been, int64 `[batch]`.
    """

    key: Tensor
    value: Tensor
    mask: Tensor
    steps: Tensor


class SelfAttention(nn.Module):
    """Any attention of a sequence to itself, whole or step by step (Vaswani et al. 2017, §3.2.3; Cheng et al. 2016).

    With `MultiHeadAttention` it is what stands in a Transformer; over the states of a recurrent network, with
    `AdditiveAttention` or any other, it is intra-attention. Whole with `after=0` and step by step, with the state that
    the step before gave back, are equal. A step reads what is in the cache, and itself.

    Args:
        attend: what reads: as wide in keys as in queries, and without a state of its own.
        before: how many steps before its own a step may read; None: all of them.
        after: how many after its own; 0 is causal, -1 only what came before (Paulus et al. 2018, §2.2).

    >>> from saccade import MultiHeadAttention
    >>> attend = SelfAttention(MultiHeadAttention(6, 6, heads=2), after=0)
    >>> x, state = torch.randn(1, 3, 6), attend.initial(1)
    >>> whole = attend(x)
    >>> for step in x.unbind(1):
    ...     context, weights, state = attend(step, state=state)
    >>> torch.allclose(context, whole.context[:, -1], atol=1e-6), weights.shape
    (True, torch.Size([1, 2, 3]))
    """

    def __init__(self, attend: Attention, *, before: int | None = None, after: int | None = None):
        super().__init__()
        if attend.query_dim != attend.key_dim:
            came = f"{attend.query_dim} and {attend.key_dim}"
            raise ValueError(f"self-attention needs query_dim = key_dim, as one sequence is both; got {came}")
        one = torch.zeros(1, 1, attend.key_dim)
        if attend.initial(Memory(one, one, None)) is not None:
            raise ValueError(f"self-attention needs a mechanism without a state; got {type(attend).__name__}")
        self.attend, self.dim = attend, attend.query_dim
        self.pattern = masks.Pattern(before, after)
        self.pattern.check(1, 0)

    def initial(self, batch: int, *, like: Tensor | None = None) -> KeyValueCache:
        """An empty cache.

        Args:
            like: of the dtype and device of the steps; those of the weights where None.
        """
        like = next(self.attend.parameters(), torch.zeros(())) if like is None else like
        one = like.new_zeros(batch, 1, self.dim)
        memory, nothing = self.attend.remember(one, one), torch.zeros_like(one[:, :0, 0], dtype=torch.bool)
        return KeyValueCache(memory.key[:, :0], memory.value[:, :0], nothing, nothing.sum(1))

    def forward(
        self,
        x: Float[Tensor, "batch query dim"] | Float[Tensor, "batch dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | masks.Pattern | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        state: KeyValueCache | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a sequence `[batch, query, dim]`, or with a state one more step `[batch, dim]`, or several.

        Args:
            mask: whole: over the sequence. With a state: `[batch, steps]`, whether a step is real and may be attended.
            bias: added to the scores, `[batch or 1, query or 1, key]`; with a state the keys are those of the cache.
            state: what the step before gave back, or `initial`; None for a whole sequence.

        Raises:
            ValueError: widths, shapes or a cache that do not fit.
        """
        check_sequence(x, self.dim, step=state is not None)
        if state is None:
            mask = self._whole(mask, x)
            return self.attend(x, x, x, mask=mask, bias=bias, need_weights=need_weights)  # type: ignore[no-any-return]
        if isinstance(mask, masks.Pattern):
            raise ValueError("mask of a step must be boolean, [batch, steps]; got a Pattern")
        cache = self._grown(x, mask, state)
        slots, after = cache.key.shape[1], -1 if self.pattern.after == -1 else 0
        places = self.pattern._replace(after=after).dense(slots - state.key.shape[1], slots, device=x.device)
        # Nothing that was cached may come back as NaN: hidden steps were zeroed before they were projected.
        memory = Memory(cache.key, cache.value, cache.mask[:, None] & places, start=cache.steps - slots)
        memory = self.attend.completed(memory)
        context, weights, _ = self.attend.read(x, memory, bias=bias, need_weights=need_weights)
        past = slots if self.pattern.before is None else min(self.pattern.before, slots)
        key, value, mask = (part[:, slots - past :] for part in cache[:3])
        return Attended(context, weights, KeyValueCache(key, value, mask, cache.steps))

    def _whole(self, mask: masks.Mask | None, x: Tensor) -> masks.Mask | None:
        """What the call's mask and the module's places allow together."""
        own = self.pattern
        if own.before is own.after is None:
            return mask
        if isinstance(mask, Tensor):
            masks.with_axes(mask, len(x), x.shape[1], x.shape[1], self.attend.heads)
        if mask is None or (isinstance(mask, Tensor) and mask.dim() == 2):
            return own._replace(padding=mask)
        if isinstance(mask, Tensor):
            places = own.dense(x.shape[1], device=x.device)
            return mask & (places if mask.dim() == 3 else places[:, None])
        sides = ([side for side in pair if side is not None] for pair in zip(own[:2], mask[:2], strict=True))
        before, after = (min(some, default=None) for some in sides)
        return mask._replace(before=before, after=after)

    def _grown(self, x: Tensor, mask: Tensor | None, state: KeyValueCache) -> KeyValueCache:
        if not isinstance(state, KeyValueCache):
            raise ValueError(f"state must be a KeyValueCache; got {type(state).__name__}")
        x = x if x.dim() == 3 else x[:, None]
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        masks.check_padding(mask, *x.shape[:2])
        step = self.attend.remember(x, x, mask=mask, start=state.steps)
        key, value = (part[:, : x.shape[1]] for part in step[:2])  # without what stands behind every memory
        for name, mine, cached in (("keys", key, state.key), ("values", value, state.value)):
            if cached.shape[0] != len(x) or cached.shape[2:] != mine.shape[2:]:
                expected = f"KeyValueCache with {name} of [{len(x)}, steps, {mine.shape[2]}]"
                raise ValueError(f"state must be a {expected}; got {list(cached.shape)}")
            check_alike("x", x, "the cache", cached)
        key, value = torch.cat([state.key, key], 1), torch.cat([state.value, value], 1)
        return KeyValueCache(key, value, torch.cat([state.mask, mask], 1), state.steps + x.shape[1])
