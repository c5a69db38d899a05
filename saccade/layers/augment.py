"""Images changed at random while a model trains, so that it learns what stays the same."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from saccade.attention.gates import only_places
from saccade.layers.convolutional import check_images
from saccade.normalizers.base import precise


class RandomWarp(nn.Module):
    """Turns, scales, shears and shifts images at random, each by itself (Simard et al. 2003, §2).

    A place p of what comes out is the place `S R^-1 (p - c) / s + c - d` of what went in: c the middle of the image,
    R a rotation, s a scale, S a shear along rows, d a shift. All are drawn evenly, between their limits on both sides,
    from PyTorch's generator; between places it is interpolated. Only in training; sizes stay as they are.

    Args:
        rotation: at most so many degrees.
        scale: smaller or larger by at most this fraction.
        shear: leaning by at most this fraction of the height.
        shift: moved by at most this fraction of the height, and of the width.
        fill: what stands where nothing was, in the numbers of the images; None: what stands at the border.

    Raises:
        ValueError: a limit below zero, or a scale that leaves nothing.

    >>> warp = RandomWarp(rotation=10.0, shift=0.1)
    >>> warp(torch.rand(2, 1, 9, 7), torch.tensor([[9, 7], [5, 3]])).shape
    torch.Size([2, 1, 9, 7])
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        fill: float | None = None,
    ):
        super().__init__()
        for name, limit in {"rotation": rotation, "scale": scale, "shear": shear, "shift": shift}.items():
            if not 0 <= limit < math.inf:
                raise ValueError(f"{name} must be at least 0; got {limit}")
        if scale >= 1:
            raise ValueError(f"scale must be below 1; got {scale}")
        self.fill = fill
        self.limits = (math.radians(rotation), scale, shear, shift, shift)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Warp images, of which the first `sizes[b]` rows and columns are real; the rest comes out as zero.

        Raises:
            ValueError: axes that do not fit, sizes that are none, or larger than the images.
        """
        if not self.training or not any(self.limits):
            return x
        mask = check_images(x, sizes)
        # Drawn where the generator is that a run keeps and restores.
        drawn = (2 * torch.rand(len(x), 5) - 1) * torch.tensor(self.limits)
        sizes = sizes.to(x.device)
        places = _sources(drawn.to(x.device, precise(x).dtype), sizes, *x.shape[2:])
        last = (sizes - 1)[:, None, None]
        inside = places.clamp(min=0).minimum(last)
        ends = torch.tensor(x.shape[2:], device=x.device).sub(1).clamp(min=1)
        grid = (2 * inside / ends - 1).flip(-1)  # grid_sample wants the column first
        # Rounding may reach a hair beyond the last place.
        warped = grid_sample(precise(only_places(x, mask)), grid, align_corners=True)
        if self.fill is not None:
            outside = ((places < -0.5) | (places > last + 0.5)).any(-1)
            warped = warped.masked_fill(outside[:, None], self.fill)
        return only_places(warped.to(x.dtype), mask)


def _sources(drawn: Tensor, sizes: Tensor, height: int, width: int) -> Float[Tensor, "batch height width 2"]:
    """The row and column that each place is taken from."""
    angle, scale, shear, down, right = (drawn[:, index, None, None] for index in range(5))
    rows, columns = torch.meshgrid(
        torch.arange(height, device=drawn.device), torch.arange(width, device=drawn.device), indexing="ij"
    )
    middle = ((sizes - 1) / 2)[:, :, None, None]
    i, j = rows - middle[:, 0], columns - middle[:, 1]
    i, j = (i * angle.cos() - j * angle.sin()) / (1 + scale), (i * angle.sin() + j * angle.cos()) / (1 + scale)
    j = j + shear * i
    i = i + middle[:, 0] - down * sizes[:, 0, None, None]
    j = j + middle[:, 1] - right * sizes[:, 1, None, None]
    return torch.stack([i, j], -1)
