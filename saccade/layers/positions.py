"""Positions that are added to the input of a whole model, from waves or from a table.

Places as the heads of multi-head attention know them (rotary, ALiBi, relative) stand in `saccade.attention.positions`.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.errors import at_least_one
from saccade.normalizers.base import precise


def sinusoids(
    places: Int[Tensor, "*shape"], dim: int, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*shape dim"]:
    """Waves of a place, from fast ones to slow ones, a sine beside its cosine (Vaswani et al. 2017, §3.5).

    `PE(pos, 2i) = sin(pos / 10000^(2i / dim))`, `PE(pos, 2i+1) = cos(pos / 10000^(2i / dim))`. An odd dim ends with a
    sine.

    Args:
        places: integers of any shape.
        dim: how many numbers for each of them.
        dtype: of the result; angles are float32 or better.

    >>> [[round(number, 3) for number in row] for row in sinusoids(torch.tensor([0, 2]), 3).tolist()]
    [[0.0, 1.0, 0.0], [0.909, -0.416, 0.004]]
    """
    wide = torch.promote_types(dtype, torch.float32)
    speed = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=wide, device=places.device) / dim)
    angle = places[..., None] * speed
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., :dim].to(dtype)


class SinusoidalPositions(nn.Module):
    """Each slot plus the waves of its place: `x_t + PE(t)` (Vaswani et al. 2017, §3.5); see `sinusoids`.

    Nothing is learned, and there is no last place. The paper multiplies its embeddings by `sqrt(dim)` before (§3.4);
    that is the caller's.

    Args:
        dim: width of a slot.

    >>> add, x = SinusoidalPositions(4), torch.randn(1, 3, 4)
    >>> torch.equal(add(x)[:, 2], add(x[:, 2], start=2))
    True
    """

    def __init__(self, dim: int):
        super().__init__()
        at_least_one({"dim": dim})
        self.dim = dim

    def forward(
        self,
        x: Float[Tensor, "batch slot dim"] | Float[Tensor, "batch dim"],
        *,
        start: int | Int[Tensor, " batch"] = 0,
        mask: Bool[Tensor, "batch slot"] | None = None,
    ) -> Tensor:
        """Add the position of each slot; the shape and dtype of `x`.

        Args:
            x: `[batch, slot, dim]`, or one step `[batch, dim]`.
            start: the place of the first slot, or `[batch]` of them: for a step, how many real slots there were.
            mask: `[batch, slot]` (of a step `[batch, 1]`), True = real. Places count real slots alone, so padding on
                either side changes nothing; padding itself is left as it is.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        places = _places(x, self.dim, start, mask)
        wide = precise(x)
        return _added(x, sinusoids(places, self.dim, dtype=wide.dtype), mask)


class SinusoidalPositions2d(nn.Module):
    """Each place of an image plus the waves of its row and its column: `x_ij + [PE(i); PE(j)]`; see `sinusoids`.

    Half of the numbers tell the row and half the column (Parmar et al. 2018, §3.2; Carion et al. 2020, appendix A.4).
    Nothing is learned, and there is no last place.

    Args:
        dim: width of a place; even.

    >>> add = SinusoidalPositions2d(4)
    >>> [[round(number, 2) for number in place] for place in add(torch.zeros(1, 1, 2, 4))[0, 0].tolist()]
    [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.84, 0.54]]
    """

    def __init__(self, dim: int):
        super().__init__()
        if dim < 2 or dim % 2:
            raise ValueError(f"dim must be even, half for the row and half for the column; got {dim}")
        self.dim = dim

    def forward(
        self, x: Float[Tensor, "batch row column dim"], *, mask: Bool[Tensor, "batch row column"] | None = None
    ) -> Float[Tensor, "batch row column dim"]:
        """Add the position of each place; the shape and dtype of `x`.

        Args:
            x: `[batch, row, column, dim]`, padded at the bottom and right where images are of several sizes.
            mask: `[batch, row, column]`, True = there is a place; padding is left as it is. None: everywhere.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        if x.dim() != 4 or x.shape[-1] != self.dim:
            raise ValueError(f"x must be [batch, row, column, {self.dim}]; got {list(x.shape)}")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:3]):
            came = f"{mask.dtype} {list(mask.shape)}"
            raise ValueError(f"mask must be boolean [batch, row, column] = {list(x.shape[:3])}; got {came}")
        wide = precise(x)
        rows, columns = (
            sinusoids(torch.arange(size, device=x.device), self.dim // 2, dtype=wide.dtype) for size in x.shape[1:3]
        )
        shape = (len(rows), len(columns), -1)
        waves = torch.cat([rows[:, None].expand(shape), columns[None].expand(shape)], -1)[None]
        return (wide + (waves if mask is None else waves * mask[..., None])).to(x.dtype)


class LearnedPositions(nn.Module):
    """Each slot plus the vector that is learned for its place: `x_t + P_t` (Gehring et al. 2017, §3.1).

    The vectors begin like those of nn.Embedding, normal with a deviation of one.

    Args:
        dim: width of a slot.
        slots: how many places there are.
        beyond: whether slots beyond take the vector of the last place; else they are refused.

    >>> add, x = LearnedPositions(4, slots=9), torch.randn(1, 3, 4)
    >>> torch.equal(add(x)[:, 2], add(x[:, 2], start=2))
    True
    """

    def __init__(self, dim: int, slots: int, *, beyond: bool = False):
        super().__init__()
        at_least_one({"dim": dim, "slots": slots})
        self.dim, self.slots, self.beyond = dim, slots, beyond
        self.table = nn.Embedding(slots, dim)

    def forward(
        self,
        x: Float[Tensor, "batch slot dim"] | Float[Tensor, "batch dim"],
        *,
        start: int | Int[Tensor, " batch"] = 0,
        mask: Bool[Tensor, "batch slot"] | None = None,
    ) -> Tensor:
        """Add the position of each slot; arguments as for `SinusoidalPositions`.

        Raises:
            ValueError: widths or shapes that do not fit, or a real slot at a place that is not in the table (which is
                not looked at while compiling).
        """
        places = _places(x, self.dim, start, mask)
        if self.beyond:
            places = places.clamp(max=self.slots - 1)
        # Where the last slot is known to have a vector, nobody waits for the device to say so.
        known = self.beyond or (isinstance(start, int) and start + places.shape[1] <= self.slots)
        if not known and not torch.compiler.is_compiling() and places.numel():
            least, most = int(places.min()), int(places.max())
            if least < 0 or most >= self.slots:
                raise ValueError(f"places must be 0 to {self.slots - 1}; got {least if least < 0 else most}")
        return _added(x, self.table(places), mask)


def _places(x: Tensor, dim: int, start: int | Tensor, mask: Tensor | None) -> Int[Tensor, "batch_or_1 slot"]:
    """The place of each slot, 0 where there is padding."""
    if x.dim() not in (2, 3) or x.shape[-1] != dim:
        raise ValueError(f"x must be [batch, slot, {dim}] or [batch, {dim}]; got {list(x.shape)}")
    batch, slots = len(x), x.shape[1] if x.dim() == 3 else 1
    if isinstance(start, Tensor):
        if start.shape != (batch,) or start.is_floating_point() or start.dtype == torch.bool:
            came = f"{start.dtype} {list(start.shape)}"
            raise ValueError(f"start must be an int, or integers [batch] = [{batch}]; got {came}")
        start = start[:, None]
    elif start < 0:
        raise ValueError(f"start must be at least 0; got {start}")
    if mask is None:
        return torch.arange(slots, device=x.device)[None] + start
    masks.check_padding(mask, batch, slots)
    return (mask.cumsum(1) - 1 + start).masked_fill(~mask, 0)


def _added(x: Tensor, positions: Float[Tensor, "batch_or_1 slot dim"], mask: Tensor | None) -> Tensor:
    if mask is not None:
        positions = positions.masked_fill(~mask[..., None], 0.0)
    if x.dim() == 2:
        positions = positions[:, 0]
    return (precise(x) + positions).to(x.dtype)
