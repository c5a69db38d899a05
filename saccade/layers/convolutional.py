"""Convolutional encoders over images of different sizes, and lines of text read off their maps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from saccade import masks
from saccade.attention.gates import ConvolutionalBlockAttention, SqueezeExcitation, norm_of_places, only_places
from saccade.attention.results import exportable
from saccade.errors import at_least_one
from saccade.layers import GateName


@exportable
class Mapped(NamedTuple):
    """What an encoder of images returns.

    map:   `[batch, dim, rows, columns]`, zero at padding.
    mask:  boolean `[batch, rows, columns]`, True = there is a place.
    sizes: rows and columns of each, integers `[batch, 2]`.
    """

    map: Tensor
    mask: Tensor
    sizes: Tensor


class ConvolutionalEncoder(nn.Module):
    """Stages of 3 x 3 convolutions, each with less places and more channels (Simonyan and Zisserman 2015, §2.1).

    A stage is `x = relu(norm(conv(x)))`, where it is deeper a residual branch of the same, `x = x + f(x)` (He et al.
    2016), a gate where there is one, and the largest of each `stride` of places. Norms are those of batches (Ioffe and
    Szegedy 2015), taken over real places alone. Padding has no influence: in evaluation an image comes out alike
    alone and in any batch. Strides round up.

    Args:
        channels: how many an image has.
        widths: how many come out of each stage.
        strides: how many rows and columns become one at the end of each stage.
        depth: convolutions in a stage.
        gates: "squeeze-excitation" (Hu et al. 2018), "cbam" (Woo et al. 2018) or "none", at the end of each stage.
        dropout: probability that a channel is dropped between stages (Tompson et al. 2015, §3.2).

    Raises:
        ValueError: a size below one, no stages, or another number of strides than of widths.

    >>> encoder = ConvolutionalEncoder(1, [4, 8], strides=[(2, 2), (2, 1)])
    >>> found = encoder(torch.zeros(2, 1, 9, 7), torch.tensor([[9, 7], [5, 3]]))
    >>> found.map.shape, found.sizes.tolist()
    (torch.Size([2, 8, 3, 4]), [[3, 4], [2, 2]])
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        *,
        strides: Sequence[tuple[int, int]],
        depth: int = 1,
        gates: GateName = "none",
        dropout: float = 0.0,
    ):
        super().__init__()
        if not widths or len(strides) != len(widths):
            raise ValueError(f"strides must be one for each of the widths, at least one; got {strides} for {widths}")
        at_least_one({"channels": channels, "depth": depth, "widths": min(widths), "strides": min(map(min, strides))})
        self.channels, self.dim = channels, widths[-1]
        self.strides = [(rows, columns) for rows, columns in strides]
        self.stages = nn.ModuleList(
            _Stage(before, width, stride, depth, gates)
            for before, width, stride in zip([channels, *widths], widths, self.strides, strict=False)
        )
        self.dropout = nn.Dropout2d(dropout)

    def grid(self, sizes: Int[Tensor, "*batch 2"]) -> Int[Tensor, "*batch 2"]:
        """Rows and columns of the maps of images of these sizes."""
        for stride in self.strides:
            sizes = _shrunk(sizes, stride)
        return sizes

    def forward(self, x: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"]) -> Mapped:
        """Encode images, `[batch, channels, height, width]`, of which the first `sizes[b]` rows and columns are real.

        Raises:
            ValueError: axes or channels that do not fit, sizes that are none, or larger than the images.
        """
        mask = check_images(x, sizes, self.channels)
        # Where nothing is padded, nothing needs to be hidden, and norms are PyTorch's own.
        whole = not torch.compiler.is_compiling() and bool(mask.all())
        x = (x if whole else only_places(x, mask)).contiguous(memory_format=torch.channels_last)
        for index, (stage, stride) in enumerate(zip(self.stages, self.strides, strict=True)):
            x = stage(self.dropout(x) if index else x, None if whole else mask)
            sizes = _shrunk(sizes, stride)
            mask = masks.places(sizes, *x.shape[2:])
        return Mapped(x, mask, sizes)


class _Stage(nn.Module):
    """Convolutions, a gate and a pooling; see `ConvolutionalEncoder`."""

    def __init__(self, before: int, width: int, stride: tuple[int, int], depth: int, gate: GateName):
        super().__init__()
        self.stride = stride
        self.blocks = nn.ModuleList(_Block(width if index else before, width) for index in range(depth))
        self.gate = _gate(gate, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = branch = self.blocks[0](x, mask)
        for block in self.blocks[1:]:
            branch = block(branch, mask)
        if len(self.blocks) > 1:
            x = x + branch
        if self.gate is not None:
            x = self.gate(x, mask=mask).output
        # Nothing here is below zero, so that zeros beyond the border are no larger than what stands within.
        return x if self.stride == (1, 1) else max_pool2d(x, self.stride, ceil_mode=True)


class _Block(nn.Module):
    """A convolution, a norm and a rectifier."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # Channels last are faster on CPU; of a single channel PyTorch does not see that it is last.
        x = self.convolution(x).contiguous(memory_format=torch.channels_last)
        return torch.relu(only_places(norm_of_places(self.norm, x, mask), mask))


def _gate(name: GateName, channels: int) -> nn.Module | None:
    # The papers' 16 leaves a narrow stage one or two rectified units, which are soon dead.
    reduction = min(16, max(channels // 8, 1))
    if name == "none":
        return None
    if name == "cbam":
        return ConvolutionalBlockAttention(channels, reduction)
    if name == "squeeze-excitation":
        return SqueezeExcitation(channels, reduction)
    raise ValueError(f"gates must be none, cbam or squeeze-excitation; got {name!r}")


def _shrunk(sizes: Tensor, stride: tuple[int, int]) -> Tensor:
    steps = torch.tensor(stride, device=sizes.device)
    return (sizes + steps - 1) // steps


def check_images(x: Tensor, sizes: Tensor, channels: int | None = None) -> Bool[Tensor, "batch height width"]:
    """The mask of a batch of images, of so many channels; None: of any number.

    Raises:
        ValueError: axes or channels that do not fit, sizes that are none, or larger than the images.
    """
    if x.dim() != 4 or channels not in (None, x.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ValueError(f"x must be [batch, {wanted}, height, width]; got {list(x.shape)}")
    if sizes.shape != (len(x), 2):
        raise ValueError(f"sizes must be [batch, 2] = [{len(x)}, 2]; got {list(sizes.shape)}")
    return masks.places(sizes, *x.shape[2:])


class Columns(NamedTuple):
    """The columns of a map, as the steps of a sequence.

    states:  `[batch, columns, dim * rows]`, zero at padding.
    lengths: how many columns each has, integers `[batch]`.
    """

    states: Tensor
    lengths: Tensor


def columns(mapped: Mapped) -> Columns:
    """Read a map column by column, as a line of text: all rows of a column are one step (Shi et al. 2017, §2.1).

    Images must have been of one height: a step has the numbers of all rows.

    >>> encoder = ConvolutionalEncoder(1, [4], strides=[(2, 2)])
    >>> columns(encoder(torch.zeros(1, 1, 6, 9), torch.tensor([[6, 9]]))).states.shape
    torch.Size([1, 5, 12])
    """
    return Columns(mapped.map.permute(0, 3, 1, 2).flatten(2), mapped.sizes[:, 1])
