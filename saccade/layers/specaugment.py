"""SpecAugment: bands and stretches of a spectrogram are hidden in training."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade.errors import at_least_one


class SpecAugment(nn.Module):
    """Frequency and time masking (Park et al. 2019, §2), in training alone; what comes is returned as it is otherwise.

    Each of m_F masks hides the features `[f_0, f_0 + f)` of all frames, `f ~ U{0..F}`, `f_0 ~ U{0..v - f}` of v
    features; each of m_T masks hides all features of the frames `[t_0, t_0 + t)`, `t ~ U{0..min(T, p n)}`,
    `t_0 ~ U{0..n - t}` of n frames. Every example has its own masks, which may be empty or overlap. (In the paper f_0
    and t_0 stay below their last value.) Time warping is left out: of the three it costs most and gains least (§5).
    Draws are of torch's generator for the device of the lengths.

    Args:
        frequency: F, the widest frequency mask, in features.
        frequency_masks: m_F.
        time: T, the longest time mask, in frames.
        time_masks: m_T.
        share: p, which share of its frames one time mask hides of an example at most.
        fill: what stands in a mask: zero, or the mean of the feature over the example's frames.
        copies: how often the bands stand side by side in x, as with deltas behind them; a mask hides all copies.

    Raises:
        ValueError: a size below zero, a share out of [0, 1], another fill.

    >>> SpecAugment().eval()(torch.ones(1, 2, 3), torch.tensor([2])).sum().item()
    6.0
    """

    def __init__(
        self,
        *,
        frequency: int = 27,
        frequency_masks: int = 2,
        time: int = 100,
        time_masks: int = 2,
        share: float = 1.0,
        fill: Literal["zero", "mean"] = "zero",
        copies: int = 1,
    ):
        super().__init__()
        at_least_one({"copies": copies})
        sizes = {"frequency": frequency, "frequency_masks": frequency_masks, "time": time, "time_masks": time_masks}
        for name, size in sizes.items():
            if size < 0:
                raise ValueError(f"{name} must be at least 0; got {size}")
        if not 0 <= share <= 1:
            raise ValueError(f"share must be in [0, 1]; got {share}")
        if fill not in ("zero", "mean"):
            raise ValueError(f"fill must be of zero, mean; got {fill!r}")
        self.frequency, self.frequency_masks = frequency, frequency_masks
        self.time, self.time_masks = time, time_masks
        self.share, self.fill, self.copies = share, fill, copies

    def forward(
        self, x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch time dim"]:
        """Hide parts of the first `lengths` frames of each example; padding stays as it is.

        Raises:
            ValueError: x or lengths of other axes, or a dim that is no multiple of `copies`.
        """
        if x.dim() != 3 or lengths.shape != x.shape[:1] or x.shape[2] % self.copies:
            expected = f"x and lengths must be [batch, time, dim] and [batch], dim a multiple of {self.copies}"
            raise ValueError(f"{expected}; got {list(x.shape)} and {list(lengths.shape)}")
        if not self.training:
            return x
        real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]  # [batch, time]
        bands = torch.full_like(lengths, x.shape[2] // self.copies)
        features = _masks(bands, bands.clamp(max=self.frequency), self.frequency_masks, int(bands.max()))
        longest = (lengths * self.share).long().clamp(max=self.time)
        frames = _masks(lengths, longest, self.time_masks, x.shape[1])
        hidden = (frames[..., None] | features.repeat(1, self.copies)[:, None]) & real[..., None]
        if self.fill == "zero":
            return x.masked_fill(hidden, 0.0)
        known = x.masked_fill(~real[..., None], 0.0)
        mean = known.sum(1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
        return torch.where(hidden, mean.to(x.dtype), x)


def _masks(
    sizes: Int[Tensor, "batch"], widest: Int[Tensor, "batch"], count: int, places: int
) -> Bool[Tensor, "batch places"]:
    """Where one of `count` stretches lies, each at most `widest` long and within the first `sizes` of the places."""
    draws = torch.rand(2, count, len(sizes), device=sizes.device)
    width = (draws[0] * (widest + 1)).long().minimum(widest)  # [count, batch]; float32 may round up to the whole
    first = (draws[1] * (sizes - width + 1)).long().minimum(sizes - width)
    place = torch.arange(places, device=sizes.device)[:, None, None]
    return ((place >= first) & (place < first + width)).any(1).T
