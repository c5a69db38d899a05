"""Gates: channels or places of an image weighed between nothing and one, each by itself; they do not sum to one."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from saccade.attention.base import check_alike
from saccade.attention.results import Gated, exportable
from saccade.errors import at_least_one
from saccade.normalizers.base import precise

Image = Float[Tensor, "batch channels height width"]
Places = Bool[Tensor, "batch height width"]
"""True = there is a place; the others pad the image."""


class ImageGate(nn.Module):
    """Multiplies an image with a gate between 0 and 1; a subclass says how wide it is open in `opening`."""

    channels: int | None = None
    """How many the image must have; None: any number."""

    def opening(self, x: Image, mask: Places | None) -> Float[Tensor, "batch channels_or_1 height_or_1 width_or_1"]:
        """What the sigmoid is taken of; the image is zero where the mask says that there is no place."""
        raise TypeError(f"{type(self).__name__} defines no opening")

    def forward(self, x: Image, *, mask: Places | None = None) -> Gated:
        """Gate an image `[batch, channels, height, width]`; the gate is as wide as it differs, 1 elsewhere.

        Args:
            x: the image.
            mask: boolean `[batch, height, width]`, True = there is a place; None: everywhere. What pads the image has
                no influence, and comes out as zero, image and gate.

        Raises:
            ValueError: not four axes, another number of channels, another dtype or device, a mask of another shape.
        """
        check_image(self, x, self.channels)
        x = only_places(x, mask)
        gate = torch.sigmoid(precise(self.opening(x, mask))).to(x.dtype)
        if gate.shape[2:] == x.shape[2:]:
            gate = only_places(gate, mask)
        return Gated(x * gate, gate)


def check_image(module: nn.Module, x: Tensor, channels: int | None) -> None:
    """Refuse what is no image of so many channels, or of another dtype or device than a module's weights.

    Raises:
        ValueError: naming the argument; it knows channels that stand last.
    """
    wanted = "channels" if channels is None else channels
    if x.dim() != 4 or (channels is not None and x.shape[1] != channels):
        last = x.dim() == 4 and x.shape[3] == channels
        hint = ", channels last: x.permute(0, 3, 1, 2) puts them second" if last else ""
        raise ValueError(f"x must be [batch, {wanted}, height, width]; got {list(x.shape)}{hint}")
    if 0 in x.shape[2:]:
        raise ValueError(f"x must have at least one place; got {list(x.shape)}")
    check_alike("x", x, f"the weights of {type(module).__name__}", next(module.parameters()))


def only_places(x: Image, mask: Places | None) -> Image:
    """An image with zeros where there is no place.

    Raises:
        ValueError: a mask that is not boolean, or of another shape.
    """
    if mask is None:
        return x
    wanted = (len(x), *x.shape[2:])
    if mask.dtype != torch.bool or mask.shape != wanted:
        came = f"{mask.dtype} {list(mask.shape)}"
        raise ValueError(f"mask must be boolean [batch, height, width] = {list(wanted)}; got {came}")
    return _nowhere(x, mask, None)


def _nowhere(x: Image, mask: Places, value: Float[Tensor, " channels"] | None) -> Image:
    """An image with other values, or zero, where there is no place.

    Place by place, all channels of each: three times faster than `torch.where`, which goes through a mask that all
    channels share number by number, and channels that are last in memory stay so.
    """
    if torch.compiler.is_compiling():  # how many places are hidden depends on the numbers
        return torch.where(mask[:, None], x, x.new_zeros(()) if value is None else value[:, None, None])
    places = x.permute(0, 2, 3, 1)
    hidden = (~mask).flatten().nonzero()[:, 0]
    flat = places.reshape(-1, x.shape[1])
    if value is None:
        flat = flat.index_fill(0, hidden, 0.0)
    else:
        flat = flat.index_copy(0, hidden, value.expand(len(hidden), -1))
    return flat.view(places.shape).permute(0, 3, 1, 2)


def mean_of_places(x: Image, mask: Places | None = None) -> Float[Tensor, "batch channels"]:
    """Each channel's mean, taken in float32: over many places low precision loses too much.

    Where there is a mask, the image is zero outside it; an image without a place has a mean of zero.
    """
    if mask is None:
        return precise(x).mean((2, 3)).to(x.dtype)
    return (precise(x).sum((2, 3)) / mask.sum((1, 2)).clamp(min=1)[:, None]).to(x.dtype)


def most_of_places(x: Image, mask: Places | None = None) -> Float[Tensor, "batch channels"]:
    """Each channel's largest number; of an image without a place, zero."""
    if mask is None:
        return x.amax((2, 3))
    nowhere = ~mask.any(2).any(1)
    return x.masked_fill(~(mask | nowhere[:, None, None])[:, None], -torch.inf).amax((2, 3))


def norm_of_places(norm: nn.BatchNorm2d, x: Image, mask: Places | None) -> Image:
    """Batch normalisation that learns what it knows of real places alone, so that padding does not dilute it.

    What comes out where there is no place is to be hidden. One place has no deviation: there, and in evaluation, it
    goes by what it has learned before.
    """
    count = x.numel() // x.shape[1] if mask is None else int(mask.sum()) if norm.training else 0
    if norm.training and count > 1:
        normed: Tensor = norm(x) if mask is None else _norm_of_some(norm, x, mask, count)
        return normed
    return batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def _norm_of_some(norm: nn.BatchNorm2d, x: Image, mask: Places, count: int) -> Image:
    """PyTorch's own kernel over all places, where those that are none hold the mean of the others.

    Then the mean of all is that of the real ones, and their variance r times that of the real ones, r of the places
    being real: `sqrt(r) (x - m) / sqrt(r v + r eps) = (x - m) / sqrt(v + eps)`.
    """
    places = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    share = count / len(places)
    mean = torch.mv(places.t(), mask.flatten().to(x.dtype) / count)
    x = _nowhere(x, mask, mean.to(x.dtype))
    known = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    now = torch.zeros_like(known[0]), torch.ones_like(known[1])
    weight, eps = norm.weight * share**0.5, norm.eps * share
    normed = batch_norm(x, *now, weight, norm.bias, training=True, momentum=1.0, eps=eps)
    assert norm.momentum is not None
    known[0].lerp_(now[0], norm.momentum)
    known[1].lerp_(now[1] * ((len(places) - 1) / (count - 1)), norm.momentum)  # both unbiased, as PyTorch keeps it
    norm.get_buffer("num_batches_tracked").add_(1)
    return normed


class SqueezeExcitation(ImageGate):
    """Squeeze-and-excitation of Hu et al. 2018, eq. 2 to 4: what all channels hold says how much each one counts.

    `z_c = mean over places of x_c`, `s = sigmoid(W_2 relu(W_1 z + b_1) + b_2)`, `out_c = s_c x_c`.

    Args:
        channels: how many the image has.
        reduction: how many times narrower the layer between is; at least one unit is left.

    >>> gate = SqueezeExcitation(channels=8, reduction=4)
    >>> output, opened = gate(torch.ones(2, 8, 5, 3))
    >>> output.shape, opened.shape
    (torch.Size([2, 8, 5, 3]), torch.Size([2, 8, 1, 1]))
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        at_least_one({"channels": channels, "reduction": reduction})
        self.channels = channels
        self.squeeze = nn.Linear(channels, max(channels // reduction, 1))
        self.excite = nn.Linear(self.squeeze.out_features, channels)

    def opening(self, x: Image, mask: Places | None) -> Tensor:
        """`W_2 relu(W_1 z + b_1) + b_2`, `[batch, channels, 1, 1]`."""
        found: Tensor = self.excite(torch.relu(self.squeeze(mean_of_places(x, mask))))
        return found[..., None, None]


class EfficientChannelGate(ImageGate):
    """Efficient channel attention of Wang et al. 2020, eq. 9 and 12: each channel hears its neighbours alone.

    `z_c = mean over places of x_c`, `out_c = sigmoid((w * z)_c) x_c`, `*` a convolution over channels of
    `k = |log2(C) / gamma + b / gamma|` (the odd number at or above its whole part, at least 3), gamma = 2 and b = 1.

    Args:
        channels: how many the image has.
        kernel_size: how many neighbours, itself among them; odd. From the number of channels where None.

    >>> gate = EfficientChannelGate(channels=256)
    >>> gate.kernel.kernel_size, gate(torch.ones(2, 256, 5, 3)).gate.shape
    ((5,), torch.Size([2, 256, 1, 1]))
    """

    def __init__(self, channels: int, kernel_size: int | None = None):
        super().__init__()
        at_least_one({"channels": channels})
        if kernel_size is None:
            whole = int(abs(math.log2(channels) + 1) / 2)
            kernel_size = max(whole + 1 - whole % 2, 3)
        check_odd(kernel_size)
        self.channels = channels
        self.kernel = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def opening(self, x: Image, mask: Places | None) -> Tensor:
        """`w * z`, `[batch, channels, 1, 1]`."""
        found: Tensor = self.kernel(mean_of_places(x, mask)[:, None])
        return found[:, 0, :, None, None]


class ChannelGate(ImageGate):
    """The channel attention of CBAM (Woo et al. 2018, eq. 2): from the mean of each channel, and its largest.

    `M_c = sigmoid(W_1 relu(W_0 mean(x)) + W_1 relu(W_0 max(x)))`.

    Args:
        channels: how many the image has.
        reduction: how many times narrower the layer between is; at least one unit is left.

    >>> ChannelGate(channels=8, reduction=4)(torch.ones(2, 8, 5, 3)).gate.shape
    torch.Size([2, 8, 1, 1])
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        at_least_one({"channels": channels, "reduction": reduction})
        self.channels = channels
        self.squeeze = nn.Linear(channels, max(channels // reduction, 1), bias=False)
        self.excite = nn.Linear(self.squeeze.out_features, channels, bias=False)

    def opening(self, x: Image, mask: Places | None) -> Tensor:
        """The sum of both, `[batch, channels, 1, 1]`."""
        both = mean_of_places(x, mask), most_of_places(x, mask)
        mean, most = (precise(self.excite(torch.relu(self.squeeze(z)))) for z in both)
        return (mean + most)[..., None, None]


class SpatialGate(ImageGate):
    """The spatial attention of CBAM (Woo et al. 2018, eq. 3): from the mean of each place, and its largest.

    `M_s = sigmoid(f * [mean over channels of x; max over channels of x])`, f a convolution, and batch normalisation
    behind it as in the authors' program where `normed`.

    Args:
        kernel_size: of the convolution, odd.
        normed: whether its output is normalised over the batch.

    >>> SpatialGate()(torch.ones(2, 8, 9, 7)).gate.shape
    torch.Size([2, 1, 9, 7])
    """

    def __init__(self, kernel_size: int = 7, *, normed: bool = True):
        super().__init__()
        check_odd(kernel_size)
        self.kernel = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(1) if normed else None

    def opening(self, x: Image, mask: Places | None) -> Tensor:
        """The convolution of mean and largest, `[batch, 1, height, width]`."""
        both = torch.stack([precise(x).mean(1).to(x.dtype), x.amax(1)], 1)
        found: Tensor = self.kernel(both)
        return found if self.norm is None else norm_of_places(self.norm, found, mask)


@exportable
class BlockGated(NamedTuple):
    """What CBAM and SCA-CNN return: the image, gated by channel and by place, and both gates.

    output:  `[batch, channels, height, width]`.
    channel: `[batch, channels, 1, 1]`.
    place:   `[batch, 1, height, width]`.
    """

    output: Tensor
    channel: Tensor
    place: Tensor


class ConvolutionalBlockAttention(nn.Module):
    """CBAM of Woo et al. 2018, eq. 1: a gate over channels, and then one over places of what it let through.

    `x' = M_c(x) x`, `x'' = M_s(x') x'`.

    Args:
        channels: how many the image has.
        reduction: how many times narrower the layer of the channel gate is.
        kernel_size: of the spatial gate, odd.
        normed: whether the spatial gate is normalised over the batch, as in the authors' program.

    >>> found = ConvolutionalBlockAttention(channels=8, reduction=4)(torch.ones(2, 8, 9, 7))
    >>> found.output.shape, found.channel.shape, found.place.shape
    (torch.Size([2, 8, 9, 7]), torch.Size([2, 8, 1, 1]), torch.Size([2, 1, 9, 7]))
    """

    def __init__(self, channels: int, reduction: int = 16, *, kernel_size: int = 7, normed: bool = True):
        super().__init__()
        self.channel = ChannelGate(channels, reduction)
        self.place = SpatialGate(kernel_size, normed=normed)

    def forward(self, x: Image, *, mask: Places | None = None) -> BlockGated:
        """Gate an image `[batch, channels, height, width]`.

        Args:
            x: the image.
            mask: boolean `[batch, height, width]`, True = there is a place; see `ImageGate.forward`.

        Raises:
            ValueError: not four axes, another number of channels, another dtype or device, a mask of another shape.
        """
        let_through, channel = self.channel(x, mask=mask)
        output, place = self.place(let_through, mask=mask)
        return BlockGated(output, channel, place)


def check_odd(kernel_size: int) -> None:
    """Refuse a kernel that has no middle.

    Raises:
        ValueError: an even size, or none.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that it has a middle; got {kernel_size}")
