"""What goes into a mechanism and what comes out: named tuples of tensors, known to torch.export."""

from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import _register_namedtuple

from saccade.kernels import Prepared
from saccade.masks import Pattern

Kind = TypeVar("Kind", bound=type)
_EXPORTABLE: dict[str, type] = {}


def exportable(kind: Kind) -> Kind:
    """Tell torch.export the name of a NamedTuple, under which it writes down what a module takes and returns.

    A saved program also holds the inputs that it was made with, which are loaded with `weights_only=True`.
    """
    assert _EXPORTABLE.setdefault(kind.__name__, kind) is kind, f"two kinds are called {kind.__name__}"
    _register_namedtuple(kind, serialized_type_name=f"saccade.{kind.__name__}")
    torch.serialization.add_safe_globals([kind])
    return kind


exportable(Prepared)
exportable(Pattern)


@exportable
class Memory(NamedTuple):
    """What is read: made once per sentence by `remember`, read by every query.

    key:   `[batch, key, ...]`, already projected where the mechanism projects its keys.
    value: `[batch, key, value_dim]`.
    mask:  boolean `[batch or 1, query or 1, key]` (or with heads after the batch), True = may attend, or None.
    prepared: what a kernel makes of the projected keys once, or None; it is read in place of them and changes no
             result, so whoever replaces the key replaces it too, by None if by nothing better.
    start: the place of the first slot in a longer sequence, or `[batch]` of them.
    pattern: what else a query may not attend, by its place, if it is not written out in the mask.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None
    prepared: Any = None
    start: int | Tensor = 0
    pattern: Pattern | None = None


@exportable
class Windowed(NamedTuple):
    """Weights of a few neighbouring slots of a long memory: all others are zero.

    start:  the first slot of each window, int64 `[batch, query]` (or `[batch]`); it may lie before slot 0.
    values: the weights from there on, `[batch, query, width]` (or `[batch, width]`), zero outside the memory.
    slots:  how many slots the memory has.
    """

    start: Tensor
    values: Tensor
    slots: int

    def dense(self) -> Tensor:
        """The same weights over every slot, `[batch, query, slots]` (or `[batch, slots]`).

        >>> Windowed(torch.tensor([-1]), torch.tensor([[0.0, 0.25, 0.75]]), 4).dense().tolist()
        [[0.25, 0.75, 0.0, 0.0]]
        """
        place = self.start[..., None] + torch.arange(self.values.shape[-1], device=self.start.device)
        inside = (place >= 0) & (place < self.slots)
        # A slot past the end takes what lies outside, so that no window is cut.
        place = torch.where(inside, place, self.slots)
        whole = self.values.new_zeros(*self.values.shape[:-1], self.slots + 1)
        return whole.scatter(-1, place, self.values)[..., : self.slots]


@exportable
class Attended(NamedTuple):
    """What attention, self-attention and pooling return.

    context: `[batch, query, value_dim]`, or `[batch, value_dim]` where the query had no query axis.
    weights: `[batch, query, key]` (or `[batch, key]`), zero where masked; `Windowed` from a local window; None where
             none were asked for, or where there are none.
    state:   what the mechanism carries from one query to the next, a NamedTuple of tensors `[batch, ...]`; None for
             the mechanisms that carry nothing.
    """

    context: Tensor
    weights: "Tensor | Windowed | None"
    state: Any


@exportable
class Gated(NamedTuple):
    """What a gate returns: the gated input, and the gate between 0 and 1 that it was multiplied with."""

    output: Tensor
    gate: Tensor


def dense(weights: "Tensor | Windowed | None") -> Tensor | None:
    """Weights over every slot, whichever way a mechanism gave them."""
    return weights.dense() if isinstance(weights, Windowed) else weights
