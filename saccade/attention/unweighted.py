"""Poolings without attention, so that what attention buys can be measured."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.results import Attended
from saccade.errors import at_least_one


class UnweightedPooling(nn.Module):
    """The frame of poolings that weigh nothing; a subclass says in `pool` what becomes of the states.

    They have the call of the other poolings, so that nothing around them changes, and no weights to show.
    """

    def __init__(self, dim: int):
        super().__init__()
        at_least_one({"dim": dim})
        self.dim = dim

    def pool(self, x: Tensor, lengths: Tensor) -> Tensor:
        """One vector `[batch, dim]` of each sequence, whose padding is zeros; zeros where there is nothing."""
        raise TypeError(f"{type(self).__name__} defines no pool")

    def forward(
        self,
        x: Float[Tensor, "batch key dim"],
        *,
        mask: Bool[Tensor, "batch key"] | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Pool sequences `[batch, key, dim]` into `[batch, dim]`; there are no weights.

        Raises:
            ValueError: a width or a mask that does not fit.
        """
        if x.dim() != 3 or x.shape[2] != self.dim:
            raise ValueError(f"x must be [batch, key, {self.dim}]; got {list(x.shape)}")
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        masks.check_padding(mask, *x.shape[:2])
        return Attended(self.pool(x.masked_fill(~mask[..., None], 0.0), mask.sum(1, keepdim=True)), None, None)


class MeanPooling(UnweightedPooling):
    """The mean of the states: `s = sum_t h_t / T`.

    >>> mask = torch.tensor([[True, True, False]])
    >>> MeanPooling(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]), mask=mask).context.tolist()
    [[2.0, 3.0]]
    """

    def pool(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`sum_t h_t / T`."""
        return x.sum(1) / lengths.clamp(min=1)


class LastPooling(UnweightedPooling):
    """The last state of each direction: `s = [h_T forwards; h_1 backwards]`, each of them half of a state.

    Of a bidirectional recurrent encoder that is its summary: each direction has read everything where it ends. Padding
    stands behind a sequence.

    >>> LastPooling(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).context.tolist()
    [[3.0, 2.0]]
    """

    def pool(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`[h_T forwards; h_1 backwards]`."""
        half = self.dim // 2
        end = (lengths - 1).clamp(min=0)[..., None].expand(-1, 1, half)
        return torch.cat([x[..., :half].gather(1, end)[:, 0], x[:, 0, half:]], -1)
