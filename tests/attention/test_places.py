"""Images of several sizes in one batch: gates and attention see real places alone, and norms learn from them alone."""

import re

import pytest
import torch
from torch import Tensor, nn

from saccade import masks
from saccade.attention.gates import (
    ChannelGate,
    ConvolutionalBlockAttention,
    EfficientChannelGate,
    SpatialGate,
    SqueezeExcitation,
    norm_of_places,
)
from saccade.attention.images import SpatialChannelAttention

BATCH, CHANNELS, HEIGHT, WIDTH, QUERY = 4, 13, 7, 5, 3
SIZES = torch.tensor([[7, 5], [3, 4], [1, 1], [5, 2]])
KINDS = {
    "squeeze-excitation": lambda: SqueezeExcitation(CHANNELS, 2),
    "efficient channel": lambda: EfficientChannelGate(CHANNELS, 3),
    "channel gate": lambda: ChannelGate(CHANNELS, 2),
    "spatial gate": lambda: SpatialGate(3),
    "cbam": lambda: ConvolutionalBlockAttention(CHANNELS, 2, kernel_size=3),
    "channel-spatial": lambda: SpatialChannelAttention(QUERY, CHANNELS, 11),
    "spatial-channel": lambda: SpatialChannelAttention(QUERY, CHANNELS, 11, order="spatial-channel"),
}
every_kind = pytest.mark.parametrize("name", KINDS)


def made(name: str) -> nn.Module:
    torch.manual_seed(1)
    return KINDS[name]().double()


def image() -> Tensor:
    return torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH, dtype=torch.float64) - 1  # the largest may be below zero


def called(module: nn.Module, x: Tensor, rows: slice, mask: Tensor | None) -> tuple[Tensor, ...]:
    query = torch.randn(BATCH, QUERY, dtype=torch.float64, generator=torch.Generator().manual_seed(3))[rows].to(x.dtype)
    return module(x, query, mask=mask) if isinstance(module, SpatialChannelAttention) else module(x, mask=mask)


@every_kind
def test_padding_has_no_influence(name):
    module, x = made(name), image()
    mask = masks.places(SIZES, HEIGHT, WIDTH)
    called(module, x, slice(None), mask)  # norms know something
    module.eval()
    found = called(module, x, slice(None), mask)
    for value in (0.0, 1e6, torch.nan, torch.inf):
        dirty = called(module, torch.where(mask[:, None], x, value), slice(None), mask)
        for one, other in zip(dirty, found, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    for index, (height, width) in enumerate(SIZES.tolist()):
        rows = slice(index, index + 1)
        alone = called(module, x[rows, :, :height, :width], rows, None)
        for one, other in zip(alone, found, strict=True):
            part = other[rows]
            if part.shape[2:] == (HEIGHT, WIDTH):
                assert (part.masked_select(~mask[index]) == 0).all()
                part = part[:, :, :height, :width]
            torch.testing.assert_close(part, one, rtol=0, atol=1e-12)


@every_kind
def test_a_mask_of_every_place_changes_nothing(name):
    module, x = made(name).eval(), image()
    everywhere = torch.ones(BATCH, HEIGHT, WIDTH, dtype=torch.bool)
    for one, other in zip(
        called(module, x, slice(None), everywhere), called(module, x, slice(None), None), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@every_kind
def test_an_image_without_a_place_is_zero_and_not_nan(name):
    module, x = made(name).eval(), image().requires_grad_()
    mask = masks.places(SIZES, HEIGHT, WIDTH)
    mask[1] = False
    output = called(module, x, slice(None), mask)[0]
    assert (output[1] == 0).all()
    output.square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad.masked_select(~mask[:, None]) == 0).all()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_norm_of_real_places_is_torch_s_norm_of_their_list(layout):
    mask, results = torch.rand(BATCH, HEIGHT, WIDTH) < 0.4, []
    x = 3 * image() + 2
    for run in ("ours", "torch"):
        torch.manual_seed(1)
        norm = (nn.BatchNorm2d if run == "ours" else nn.BatchNorm1d)(CHANNELS).double()
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        given = x.clone(memory_format=layout).requires_grad_()
        for _ in range(2):
            if run == "ours":
                found = norm_of_places(norm, given, mask).permute(0, 2, 3, 1)[mask]
            else:
                found = norm(given.permute(0, 2, 3, 1)[mask].contiguous())
        weighing = torch.arange(found.numel(), dtype=found.dtype).view(found.shape).cos()
        (found.sin() * weighing).sum().backward()
        results.append([found, given.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for ours, torch_s in zip(*results, strict=True):
        torch.testing.assert_close(ours, torch_s, rtol=0, atol=1e-10)


def test_a_norm_in_evaluation_and_of_one_place_goes_by_what_it_knows():
    norm, x = nn.BatchNorm2d(CHANNELS).double(), image()
    norm(x)
    mask = torch.zeros(BATCH, HEIGHT, WIDTH, dtype=torch.bool)
    mask[1, 2, 3] = True
    found = norm_of_places(norm, x, mask)
    known = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    torch.testing.assert_close(found, norm.eval()(x))
    torch.testing.assert_close(norm_of_places(norm, x, mask), found)
    assert all(torch.equal(known[name], buffer) for name, buffer in norm.named_buffers())


@every_kind
def test_masks_that_do_not_fit_are_refused(name):
    module, x = made(name), image()
    for mask in (torch.ones(BATCH, HEIGHT, WIDTH), torch.ones(BATCH, WIDTH, HEIGHT, dtype=torch.bool)):
        error = f"mask must be boolean [batch, height, width] = [4, 7, 5]; got {mask.dtype} {list(mask.shape)}"
        with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
            called(module, x, slice(None), mask)


def test_low_precision_by_autocast():
    mask = masks.places(SIZES, HEIGHT, WIDTH)
    for name in KINDS:
        module = made(name).float()
        with torch.autocast("cpu", torch.bfloat16):
            output = called(module, image().bfloat16(), slice(None), mask)[0]
        assert output.dtype == torch.bfloat16
        assert output.isfinite().all()
