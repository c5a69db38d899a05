"""Encoders of images: padding has no influence, norms learn from real places alone, columns are read in order."""

import re

import pytest
import torch
from torch import Tensor, nn

from saccade.layers.convolutional import ConvolutionalEncoder, Mapped, columns

SIZES = torch.tensor([[17, 19], [4, 7], [11, 2], [1, 1], [5, 18]])
GATES = ["none", "squeeze-excitation", "cbam"]
every_gate = pytest.mark.parametrize("gates", GATES)
every_depth = pytest.mark.parametrize("depth", [1, 2, 3])


def encoder_of(gates: str = "none", depth: int = 1, dropout: float = 0.0) -> ConvolutionalEncoder:
    torch.manual_seed(1)
    strides = [(2, 2), (1, 1), (3, 2)]
    encoder = ConvolutionalEncoder(3, [5, 7, 11], strides=strides, gates=gates, depth=depth, dropout=dropout)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):  # what a norm adds would stand in padding too
            nn.init.normal_(module.bias)
    return encoder.double()


def images() -> Tensor:
    return torch.randn(len(SIZES), 3, 17, 19, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 1


def poisoned(x: Tensor, value: float) -> Tensor:
    x = x.clone()
    for image, (height, width) in zip(x, SIZES.tolist(), strict=True):
        image[:, height:] = value
        image[:, :, width:] = value
    return x


@every_gate
@every_depth
def test_padding_has_no_influence(gates, depth):
    encoder, x = encoder_of(gates, depth), images()
    encoder(x, SIZES)  # norms know something
    encoder.eval()
    found = encoder(x, SIZES)
    assert torch.equal(found.sizes, encoder.grid(SIZES))
    for value in (1e6, torch.nan, torch.inf):
        torch.testing.assert_close(encoder(poisoned(x, value), SIZES).map, found.map, rtol=0, atol=0)
    for index, (height, width) in enumerate(SIZES.tolist()):
        alone = encoder(x[index : index + 1, :, :height, :width], SIZES[index : index + 1])
        rows, places = found.sizes[index].tolist()
        assert alone.map.shape[2:] == (rows, places)
        assert alone.mask.all()
        torch.testing.assert_close(alone.map[0], found.map[index, :, :rows, :places], rtol=0, atol=1e-12)
        assert found.mask[index, :rows, :places].all()
        assert found.mask[index].sum() == rows * places
        assert (found.map[index].masked_select(~found.mask[index]) == 0).all()


@every_gate
def test_in_training_too_padding_has_no_influence(gates):
    results = []
    for wider in (0, 6):
        encoder, x = encoder_of(gates), poisoned(images(), 3.0)
        x = nn.functional.pad(x, (0, wider, 0, wider), value=7.0).requires_grad_()
        found = encoder(x, SIZES)
        found.map.square().sum().backward()
        rows, places = encoder.grid(SIZES).amax(0).tolist()
        learned = [parameter.grad for parameter in encoder.parameters()] + list(encoder.buffers())
        results.append([found.map[:, :, :rows, :places], x.grad[:, :, :17, :19], *learned])
    for narrow, wide in zip(*results, strict=True):
        torch.testing.assert_close(wide, narrow, rtol=1e-9, atol=1e-9)


def test_one_stage_is_torch_s_own():
    torch.manual_seed(1)
    encoder, x = ConvolutionalEncoder(3, [5], strides=[(2, 2)]), torch.randn(4, 3, 7, 5)
    block = encoder.stages[0].blocks[0]
    whole = torch.tensor([[7, 5]]).expand(4, 2)
    expected = nn.MaxPool2d(2, ceil_mode=True)(torch.relu(nn.BatchNorm2d(5)(block.convolution(x))))
    torch.testing.assert_close(encoder(x, whole).map, expected)


def test_a_deeper_stage_adds_what_its_branch_finds():
    encoder, x = encoder_of(depth=3).eval(), images()[:1]
    stage = encoder.stages[1]
    start = torch.randn(1, 5, 4, 3, dtype=torch.float64)
    first, second, third = stage.blocks
    begun = first(start, None)
    torch.testing.assert_close(stage(start, None), begun + third(second(begun, None), None))
    assert encoder(x, SIZES[:1]).map.shape == (1, 11, 3, 5)


@every_gate
def test_gradients_reach_every_weight_and_pixel(gates):
    encoder, x = encoder_of(gates, depth=2), images().requires_grad_()
    encoder(x, SIZES).map.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    for image, (height, width) in zip(x.grad, SIZES.tolist(), strict=True):
        assert image[:, :height, :width].abs().sum() > 0
        assert (image[:, height:] == 0).all()
        assert (image[:, :, width:] == 0).all()


@every_gate
@pytest.mark.parametrize("training", [True, False])
def test_low_precision_by_autocast(gates, training):
    encoder, x = encoder_of(gates, depth=2).float().train(training), images().float()
    exact = encoder(x, SIZES).map
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(x, SIZES).map
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() < 0.03 * exact.norm()
    found.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_channels_stay_last_in_memory():
    for sizes in (SIZES, torch.tensor([[17, 19]]).expand(5, 2)):
        for gates in GATES:
            found = encoder_of(gates, depth=2)(images(), sizes).map
            assert found.is_contiguous(memory_format=torch.channels_last)


def test_whole_channels_are_dropped_between_stages():
    encoder = ConvolutionalEncoder(1, [64, 3], strides=[(1, 1), (1, 1)], dropout=0.5)
    seen = []
    encoder.stages[1].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    encoder(torch.randn(2, 1, 5, 5), torch.tensor([[5, 5], [5, 5]]))
    dropped = (seen[0] == 0).all(3).all(2)
    assert 30 < dropped.sum() < 98
    encoder.eval()(torch.randn(2, 1, 5, 5), torch.tensor([[5, 5], [5, 5]]))
    assert not (seen[1] == 0).all(3).all(2).any()


def test_one_place_of_one_image_can_be_trained_on():
    encoder = ConvolutionalEncoder(1, [4], strides=[(1, 1)])
    assert encoder(torch.randn(1, 1, 1, 1), torch.tensor([[1, 1]])).map.isfinite().all()
    assert encoder(torch.randn(1, 1, 3, 3), torch.tensor([[1, 1]])).map.isfinite().all()


def test_columns_hold_all_rows():
    mapped = Mapped(torch.arange(60.0).view(1, 3, 4, 5), torch.ones(1, 4, 5).bool(), torch.tensor([[4, 5]]))
    found = columns(mapped)
    assert found.lengths.tolist() == [5]
    assert found.states.shape == (1, 5, 12)
    for column in range(5):
        for channel in range(3):
            for row in range(4):
                assert found.states[0, column, channel * 4 + row] == mapped.map[0, channel, row, column]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ConvolutionalEncoder(1, [], strides=[]), "strides must be one for each of the widths, at least one"),
        (lambda: ConvolutionalEncoder(1, [4], strides=[]), "strides must be one for each of the widths, at least one"),
        (lambda: ConvolutionalEncoder(1, [4, 0], strides=[(1, 1)] * 2), "widths must be at least 1; got 0"),
        (lambda: ConvolutionalEncoder(1, [4], strides=[(2, 0)]), "strides must be at least 1; got 0"),
        (lambda: ConvolutionalEncoder(0, [4], strides=[(2, 2)]), "channels must be at least 1; got 0"),
        (lambda: ConvolutionalEncoder(1, [4], strides=[(2, 2)], depth=0), "depth must be at least 1; got 0"),
        (
            lambda: ConvolutionalEncoder(1, [4], strides=[(2, 2)], gates="se"),
            "gates must be none, cbam or squeeze-excitation; got 'se'",
        ),
        (lambda: encoder_of()(torch.zeros(2, 1, 5, 5), SIZES), "x must be [batch, 3, height, width]; got [2, 1, 5, 5]"),
        (lambda: encoder_of()(images(), SIZES[:2]), "sizes must be [batch, 2] = [5, 2]; got [2, 2]"),
        (lambda: encoder_of()(images(), SIZES + 1), "sizes must be from [1, 1] to [17, 19]; got [2, 2] to [18, 20]"),
        (lambda: encoder_of()(images(), SIZES - 1), "sizes must be from [1, 1] to [17, 19]; got [0, 0] to [16, 18]"),
        (lambda: encoder_of()(images(), SIZES / 1), "sizes must be integers of shape [batch, 2]; got torch.float32"),
    ],
)
def test_errors_name_what_was_expected(call, error):
    with pytest.raises(ValueError, match=f"^{re.escape(error)}"):
        call()
