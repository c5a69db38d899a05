"""Local windows: a query reads the few slots around a centre, whatever the length of the memory."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade.attention.results import exportable


@exportable
class Steps(NamedTuple):
    """How many queries have been read, int64 `[batch]`."""

    step: Tensor


@exportable
class Centre(NamedTuple):
    """Where the latest query's window was centred, in slots, `[batch]`."""

    centre: Tensor


class Window(nn.Module):
    """Where a query looks: a subclass gives the centre p of each query; the window is the slots from p - D to p + D.

    Args:
        half_width: D, in slots.
    """

    gaussian = False
    """Whether weights fall off from the centre as exp(-(s - p)^2 / 2 sigma^2) with sigma = D / 2."""

    def __init__(self, half_width: int = 10):
        super().__init__()
        if half_width < 0:
            raise ValueError(f"half_width must be at least 0; got {half_width}")
        self.half_width = half_width

    def initial(self, batch: int, like: Tensor) -> NamedTuple:
        """The state before the first query."""
        raise TypeError(f"{type(self).__name__} defines no initial")

    def forward(self, query: Tensor, length: Tensor, state: NamedTuple) -> tuple[Tensor, NamedTuple]:
        """Centres `[batch, query]` of queries `[batch, query, dim]` over `length` slots, `[batch, query or 1]`."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def extra_repr(self) -> str:
        """For print."""
        return f"half_width={self.half_width}"


class LocalMonotonic(Window):
    """The window local-m of Luong et al. 2015, §3.2: the t-th query looks around the t-th slot, `p_t = t`.

    Args:
        half_width: D, in slots; the window holds `[p_t - D, p_t + D]`.

    >>> window = LocalMonotonic(half_width=2)
    >>> window(torch.zeros(1, 3, 4), torch.tensor([[9]]), window.initial(1, torch.zeros(1)))[0].tolist()
    [[0.0, 1.0, 2.0]]
    """

    def initial(self, batch: int, like: Tensor) -> Steps:
        """No query has been read."""
        return Steps(torch.zeros(batch, dtype=torch.long, device=like.device))

    def forward(self, query: Tensor, length: Tensor, state: NamedTuple) -> tuple[Tensor, Steps]:
        """`p_t = t`."""
        (step,) = state
        count = query.shape[1]
        place = step[:, None] + torch.arange(count, device=query.device)
        return place.to(query.dtype), Steps(step + count)


class LocalPredictive(Window):
    """The window local-p of Luong et al. 2015, eq. 9 and 10: the query itself says where to look.

    `p_t = S sigmoid(v_p . tanh(W_p h_t))`, with S the number of slots that the query may attend; the weights inside the
    window are multiplied by `exp(-(s - p_t)^2 / (2 sigma^2))`, `sigma = D / 2`, and so sum to less than one.

    Args:
        query_dim: width of the query h_t.
        hidden_dim: width of W_p h_t.
        half_width: D, in slots, at least 1; the window holds the slots in `[p_t - D, p_t + D]`.
    """

    gaussian = True

    def __init__(self, query_dim: int, hidden_dim: int, half_width: int = 10):
        super().__init__(half_width)
        if half_width < 1:
            raise ValueError(f"half_width must be at least 1, twice the Gaussian's sigma; got {half_width}")
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def initial(self, batch: int, like: Tensor) -> Centre:
        """No window has been placed."""
        return Centre(torch.zeros(batch, dtype=like.dtype, device=like.device))

    def forward(self, query: Tensor, length: Tensor, state: NamedTuple) -> tuple[Tensor, Centre]:
        """`p_t = S sigmoid(v_p . tanh(W_p h_t))`."""
        hidden = torch.tanh(self.query(query))
        with torch.autocast(query.device.type, enabled=False):
            # In float32: a bfloat16 centre would be half a slot off from slot 128 on.
            wide = torch.promote_types(query.dtype, torch.float32)
            logit = (hidden.to(wide) * self.v.weight[0].to(wide)).sum(-1)
            centre = length * torch.sigmoid(logit)
        return centre, Centre(centre[:, -1])


class Neighbours(NamedTuple):
    """The slots in a window.

    start:  the first, int64 `[batch, query]`; it may lie before slot 0.
    place:  every slot of the window, held inside the memory, int64 `[batch, query, width]`.
    inside: which of them are inside window and memory, boolean `[batch, query, width]`.
    """

    start: Tensor
    place: Tensor
    inside: Tensor


def neighbours(centre: Float[Tensor, "batch query"], half_width: int, slots: int) -> Neighbours:
    """The slots s of a memory with `centre - half_width <= s <= centre + half_width`.

    >>> neighbours(torch.tensor([[0.5]]), 1, 9).place[0, 0].tolist()
    [0, 1, 2]
    """
    start = torch.ceil(centre.detach() - half_width).long()
    place = start[..., None] + torch.arange(2 * half_width + 1, device=start.device)
    near = place <= centre.detach()[..., None] + half_width
    return Neighbours(start, place.clamp(0, slots - 1), near & (place >= 0) & (place < slots))


def gather(x: Float[Tensor, "batch key dim"], place: Int[Tensor, "batch query width"]) -> Tensor:
    """The rows of `x` at these slots, `[batch, query, width, dim]`."""
    row = place + x.shape[1] * torch.arange(x.shape[0], device=x.device)[:, None, None]
    return x.flatten(0, 1).index_select(0, row.flatten()).view(*place.shape, x.shape[2])


def gather_scores(x: Tensor, place: Int[Tensor, "batch query width"]) -> Tensor:
    """What stands at these slots in a mask, bias or noise `[batch or 1, query or 1, key]`."""
    return x.expand(*place.shape[:2], x.shape[2]).gather(2, place)


def gaussian(
    centre: Float[Tensor, "batch query"], start: Int[Tensor, "batch query"], half_width: int
) -> Float[Tensor, "batch query width"]:
    """`exp(-(s - p)^2 / (2 sigma^2))` over a window, `sigma = half_width / 2` (Luong et al. 2015, eq. 10)."""
    place = start[..., None] + torch.arange(2 * half_width + 1, device=start.device)
    return torch.exp(-2.0 * ((place - centre[..., None]) / half_width).square())
