"""The frame of every attention mechanism: what is remembered once, what each query reads, and what is refused.

scores = score(query, key);  scores = masked(scores);  weights = normalise(scores);  context = weights @ value
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.results import Attended, Memory, Windowed
from saccade.errors import at_least_one

Noise = Tensor | torch.Generator
"""What a random mechanism draws from: the noise itself, or a generator."""


class Asked(NamedTuple):
    """What a reading may be asked beside its query.

    bias:         added to the scores, before the mask.
    noise:        what random mechanisms draw from.
    need_weights: whether anybody will look at the weights; who need not make them may leave them out.
    place:        the slot that the first query stands at, for mechanisms that know places.
    """

    bias: Tensor | None
    noise: Noise | None
    need_weights: bool
    place: int


class Attention(nn.Module):
    """A mechanism that reads a memory with a query; a subclass says how in `attend`.

    It may also define `project_key(key)`, for what depends on the memory alone and is made once per sentence, and
    `initial(memory)`, for what is carried from one query to the next.
    """

    heads: int | None = None
    """How many the mechanism has, by which masks and biases may differ; None: it has none."""
    patterned = False
    """Whether `attend` takes a pattern that is not written out, where nobody wants the weights."""

    def __init__(self, query_dim: int, key_dim: int):
        super().__init__()
        at_least_one({"query_dim": query_dim, "key_dim": key_dim})
        self.query_dim, self.key_dim = query_dim, key_dim

    def project_key(self, key: Tensor) -> Tensor:
        """The part of the score that depends on the key alone."""
        return key

    def placed(self, key: Tensor, start: int | Tensor) -> Tensor:
        """Projected keys at the places from `start` on, for mechanisms that turn a key to its place."""
        return key

    def completed(self, memory: Memory) -> Memory:
        """A memory with what stands behind the slots of every one, for mechanisms that have such."""
        return memory

    def prepare(self, key: Tensor) -> Any:
        """What a kernel makes of the projected keys once, or None."""
        return None

    def project_value(self, value: Tensor) -> Tensor:
        """What is read of a value, for mechanisms that project values too."""
        return value

    def initial(self, memory: Memory) -> Any:
        """The state before the first query: a NamedTuple of tensors `[batch, ...]`, or None."""
        return None

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """Read at least one slot with queries `[batch, query, query_dim]`; everything has been checked."""
        raise TypeError(f"{type(self).__name__} defines no attend")

    def nothing(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Context and weights of queries `[batch, query, query_dim]` that have no slot to read: zeros."""
        rows = query.shape[:2]
        return memory.value.new_zeros(*rows, memory.value.shape[2]), memory.value.new_zeros(*rows, 0)

    def remember(
        self,
        key: Float[Tensor, "batch key key_dim"],
        value: Float[Tensor, "batch key value_dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | masks.Pattern | None = None,
        start: int | Tensor = 0,
    ) -> Memory:
        """Prepare a memory that many queries will read: the keys are projected here, once.

        Args:
            start: the place of the first slot, or `[batch]` of them, where this memory goes on with another.

        Raises:
            ValueError: widths, lengths, batch sizes, dtypes or devices that do not fit.
        """
        pattern = mask if isinstance(mask, masks.Pattern) else None
        if pattern is not None and key.dim() == 3:
            pattern.check(*key.shape[:2])
        key, value, mask = self.checked_memory(key, value, mask.padding if isinstance(mask, masks.Pattern) else mask)
        if mask is not None:
            # A slot that no query may attend must not be seen at all: NaN times a weight of zero would still be NaN.
            nowhere = ~masks.any_head(mask).any(1)[..., None]
            key, value = key.masked_fill(nowhere, 0.0), value.masked_fill(nowhere, 0.0)
        key = self.placed(self.project_key(key), start)
        # Under masks that differ by query, what one query must not see would be in what is made for all of them.
        prepared = self.prepare(key) if pattern is None and (mask is None or not masks.differs(mask)) else None
        return self.completed(Memory(key, self.project_value(value), mask, prepared, start, pattern))

    def read(
        self,
        query: Float[Tensor, "batch query query_dim"] | Float[Tensor, "batch query_dim"],
        memory: Memory,
        state: Any = None,
        *,
        bias: Float[Tensor, "batch query key"] | None = None,
        noise: Noise | None = None,
        place: int | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a memory with one query `[batch, query_dim]` or many `[batch, query, query_dim]`.

        Args:
            state: what the query before gave back; None before the first.
            bias: added to the scores, `[batch or 1, query or 1, key]`, before the mask.
            noise: for mechanisms that draw, `[batch, query, key]` or a generator; drawn by themselves where None.
            place: the slot that the first query stands at, for mechanisms that know places; where None, the queries
                stand at the last slots of the memory, as in `masks.causal`.

        Raises:
            ValueError: widths, batch sizes, dtypes or devices that do not fit, or the state of another mechanism.
        """
        batch, slots = memory.value.shape[:2]
        if query.dim() not in (2, 3) or query.shape[0] != batch or query.shape[-1] != self.query_dim:
            expected = f"[batch, query, query_dim] = [{batch}, query, {self.query_dim}] or [{batch}, {self.query_dim}]"
            raise ValueError(f"query must be {expected}; got {list(query.shape)}")
        check_alike("query", query, "the memory", memory.value)
        queries, mask = query[:, None] if query.dim() == 2 else query, memory.mask
        if mask is not None:
            mask = masks.with_axes(mask, batch, queries.shape[1], slots, self.heads)
        pattern = memory.pattern
        if pattern is not None and self._writes_out(queries.shape[1], slots, need_weights):
            mask, pattern = pattern.dense(queries.shape[1], slots, device=query.device), None
        if mask is not None and pattern is None:
            # A query that may look nowhere must not be seen either, or its NaN would reach the weights' gradients.
            queries = torch.where(masks.any_head(mask).any(-1, keepdim=True), queries, 0.0)
        for name, added in (("bias", bias), ("noise", noise)):
            if isinstance(added, Tensor):
                _check_scores(name, added, (batch, self.heads, queries.shape[1], slots), queries.device)
        state = self._checked_state(state, memory)
        if slots:
            place = slots - queries.shape[1] if place is None else place
            asked = Asked(bias, noise, need_weights, place)
            context, weights, state = self.attend(queries, memory._replace(mask=mask, pattern=pattern), state, asked)
        else:
            context, weights = self.nothing(queries, memory)
        if query.dim() == 2:
            context, weights = context[:, 0], _first(weights)
        return Attended(context, weights if need_weights else None, state)

    def forward(
        self,
        query: Float[Tensor, "batch query query_dim"] | Float[Tensor, "batch query_dim"],
        key: Float[Tensor, "batch key key_dim"],
        value: Float[Tensor, "batch key value_dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | masks.Pattern | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        state: Any = None,
        noise: Noise | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Remember `key` and `value`, then read them with `query`: see `remember` and `read`."""
        queries = query.shape[1] if query.dim() == 3 else 1
        if mask is not None and key.dim() == 3:
            if isinstance(mask, Tensor):
                mask = masks.with_axes(mask, key.shape[0], queries, key.shape[1], self.heads)
            elif self._writes_out(queries, key.shape[1], need_weights):
                mask.check(*key.shape[:2])
                mask = mask.dense(queries, key.shape[1], device=key.device)
        memory = self.remember_for(queries, key, value, mask)
        return self.read(query, memory, state, bias=bias, noise=noise, need_weights=need_weights)

    def remember_for(self, queries: int, key: Tensor, value: Tensor, mask: masks.Mask | None) -> Memory:
        """A memory that so many queries will read, and no others: `remember`, unless there is a shorter way."""
        return self.remember(key, value, mask=mask)

    def checked_memory(self, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Key, value and mask (with all its axes) once they are known to fit this mechanism and each other."""
        if key.dim() != 3 or key.shape[2] != self.key_dim:
            raise ValueError(f"key must be [batch, key, {self.key_dim}]; got {list(key.shape)}")
        if value.dim() != 3 or value.shape[:2] != key.shape[:2]:
            expected = f"[{key.shape[0]}, {key.shape[1]}, value_dim]"
            raise ValueError(f"value must be [batch, key, value_dim] = {expected}; got {list(value.shape)}")
        check_alike("value", value, "key", key)
        weight = next(self.parameters(), None)
        if weight is not None:
            check_alike("key", key, f"the weights of {type(self).__name__}", weight)
        if mask is None:
            return key, value, None
        if mask.device != key.device:
            raise ValueError(f"mask must be on {key.device}, as key; got {mask.device}")
        return key, value, masks.with_axes(mask, key.shape[0], None, key.shape[1], self.heads)

    def _writes_out(self, queries: int, slots: int, need_weights: bool) -> bool:
        """Whether a pattern has to become a mask: weights are over all slots, and places those of one sequence."""
        return need_weights or not self.patterned or queries != slots

    def _checked_state(self, state: Any, memory: Memory) -> Any:
        initial = self.initial(memory)
        if state is None:
            return initial
        if not _alike(initial, state):
            expected, came = _outline(initial), _outline(state)
            raise ValueError(f"state must be that of {type(self).__name__}, {expected}; got {came}")
        return state


def check_sequence(x: Tensor, dim: int, *, step: bool) -> None:
    """Refuse what is no sequence of vectors of `dim`, or where there is a state, no step and no several of them.

    Raises:
        ValueError: another number of axes, or another width.
    """
    if x.dim() not in ((2, 3) if step else (3,)) or x.shape[-1] != dim:
        steps = f"a step must be [batch, {dim}], or several [batch, steps, {dim}]"
        raise ValueError(f"{steps if step else f'x must be [batch, query, {dim}]'}; got {list(x.shape)}")


def check_alike(name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Refuse two tensors of different devices, or of different dtypes where autocast does not settle that.

    Raises:
        ValueError: naming both.
    """
    if x.device != y.device:
        raise ValueError(f"{name} must be on {y.device}, as {other}; got {x.device}")
    if x.dtype != y.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{name} must be {y.dtype}, as {other}; got {x.dtype}")


def _check_scores(name: str, x: Tensor, sizes: tuple[int, int | None, int, int], device: torch.device) -> None:
    axes = dict(zip(("batch", "heads", "query", "key"), sizes, strict=True))
    if x.dim() != 4 or axes["heads"] is None:
        del axes["heads"]
    if x.dim() != len(axes) or any(size not in (1, full) for size, full in zip(x.shape, axes.values(), strict=True)):
        raise ValueError(f"{name} must be [{', '.join(axes)}] = {list(axes.values())}; got {list(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must be a floating-point tensor; got {x.dtype}")
    if x.device != device:
        raise ValueError(f"{name} must be on {device}, as the query; got {x.device}")


def _alike(state: Any, other: Any) -> bool:
    """Whether two states have the same outline; said without a text, so that shapes may be symbols of a compiler."""
    if isinstance(state, Tensor):
        return isinstance(other, Tensor) and state.shape == other.shape
    if type(state) is not type(other):
        return False
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return all(_alike(a, b) for a, b in zip(state, other, strict=True))
    return True


def _outline(state: Any) -> str:
    """What a state looks like: the name of each tuple in it, and the shape of each tensor."""
    if isinstance(state, Tensor):
        return str(list(state.shape))
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        parts = (f"{name}={_outline(part)}" for name, part in zip(state._fields, state, strict=True))
        return f"{type(state).__name__}({', '.join(parts)})"
    return "None" if state is None else type(state).__name__


def _first(weights: Tensor | Windowed | None) -> Tensor | Windowed | None:
    if isinstance(weights, Windowed):
        return Windowed(weights.start[:, 0], weights.values[:, 0], weights.slots)
    return None if weights is None else weights.select(-2, 0)  # heads, if there are any, stand before the query
