"""Attention by place: the query alone says which slots to read, among a fixed number of them."""

import torch
from torch import Tensor, nn

from saccade.attention.base import Asked
from saccade.attention.content import ContentAttention
from saccade.attention.results import Attended, Memory
from saccade.errors import at_least_one
from saccade.normalizers import Normalizer
from saccade.normalizers.base import precise


class LocationAttention(ContentAttention):
    """The location score of Luong et al. 2015, eq. 8: `a_i = softmax(W s_i)`, one row of W for each slot.

    A shorter memory uses the first rows, as in the paper; slots beyond the last row get no weight.

    Args:
        query_dim: width of the query s_i.
        key_dim: width of the keys, which are not looked at.
        slots: how many slots there can be.
        normalizer: see `ContentAttention`.

    >>> attend = LocationAttention(query_dim=4, key_dim=6, slots=9)
    >>> attend(torch.ones(2, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 3)).weights.shape
    torch.Size([2, 7])
    """

    by_place = True

    def __init__(self, query_dim: int, key_dim: int, slots: int, *, normalizer: Normalizer | None = None):
        super().__init__(query_dim, key_dim, normalizer=normalizer)
        at_least_one({"slots": slots})
        self.slots = slots
        self.place = nn.Linear(query_dim, slots, bias=False)

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """`W s_i`, `[batch, query, key]`; for slots beyond the last row, zero (the mask hides them)."""
        count = key.shape[1]
        bias = None if self.place.bias is None else self.place.bias[:count]
        scores = precise(nn.functional.linear(query, self.place.weight[:count], bias))
        return nn.functional.pad(scores, (0, max(count - self.slots, 0)))

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """The four steps; slots that W has no row for are masked."""
        return super().attend(*self._known(query, memory), state, asked)

    def _known(self, query: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """The memory without slots that W has no row for; a query that may read no other looks nowhere, and is zero."""
        slots = memory.value.shape[1]
        if slots <= self.slots:
            return query, memory
        known = (torch.arange(slots, device=query.device) < self.slots)[None, None]
        mask = known if memory.mask is None else memory.mask & known
        return torch.where(mask.any(-1, keepdim=True), query, 0.0), memory._replace(mask=mask)


class FixedSlotAttention(LocationAttention):
    """The concat rule of the tutorials: `a_i = softmax(W [q; k] + b)` over a fixed number of slots, combined with q.

    There q is the embedded token and k the decoder's state, so neither belongs to the memory: the query is `[q; k]`.
    Where `output_dim` is given, what comes out is `C [q; a_i @ value] + c`, as in those programs; else `a_i @ value`.

    Args:
        query_dim: width of `[q; k]`.
        key_dim: width of the keys of the memory, which are not looked at.
        slots: how many slots there can be.
        token_dim: width of q, the first part of the query; all of the query where None.
        value_dim, output_dim: widths of values and of what comes out, for the combination.
        normalizer: see `ContentAttention`.

    >>> attend = FixedSlotAttention(query_dim=6, key_dim=3, slots=9, token_dim=4, value_dim=3, output_dim=5)
    >>> attend(torch.ones(2, 6), torch.ones(2, 7, 3), torch.ones(2, 7, 3)).context.shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        slots: int,
        *,
        token_dim: int | None = None,
        value_dim: int | None = None,
        output_dim: int | None = None,
        normalizer: Normalizer | None = None,
    ):
        super().__init__(query_dim, key_dim, slots, normalizer=normalizer)
        if (value_dim is None) != (output_dim is None):
            raise ValueError(f"value_dim and output_dim must be given together; got {value_dim} and {output_dim}")
        self.place = nn.Linear(query_dim, slots)
        self.token_dim = query_dim if token_dim is None else token_dim
        self.combine: nn.Linear | None = None
        if value_dim is not None and output_dim is not None:
            self.combine = nn.Linear(self.token_dim + value_dim, output_dim)

    def nothing(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """What comes out where there is no slot to read: the combination of q with zeros."""
        context, weights = super().nothing(query, memory)
        return self._combined(query, context), weights

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """The four steps, and the combination with q."""
        query, memory = self._known(query, memory)
        attended = super().attend(query, memory, state, asked)
        return attended._replace(context=self._combined(query, attended.context))

    def _combined(self, query: Tensor, context: Tensor) -> Tensor:
        if self.combine is None:
            return context
        token = query[..., : self.token_dim]
        combined: Tensor = self.combine(torch.cat([token, context.to(token.dtype)], -1))
        return combined
