"""Warps: each kind of change is what it says, sizes stay, padding has no influence, evaluation changes nothing."""

import math
import re

import pytest
import torch
from torch import Tensor

from saccade.layers.augment import RandomWarp

SIZES = torch.tensor([[17, 13], [5, 7], [1, 1], [11, 3]])


def images() -> Tensor:
    x = torch.rand(4, 2, 17, 13, generator=torch.Generator().manual_seed(2)).double() + 1
    for image, (height, width) in zip(x, SIZES.tolist(), strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return x


def warped(warp: RandomWarp, x: Tensor, sizes: Tensor) -> Tensor:
    torch.manual_seed(5)
    return warp(x, sizes)


def drawn_as(monkeypatch: pytest.MonkeyPatch, *draws: float) -> None:
    """Each limit times such a number between -1 and 1: rotation, scale, shear, down, right."""
    monkeypatch.setattr(torch, "rand", lambda batch, count: ((torch.tensor(draws) + 1) / 2).expand(batch, count))


def test_in_evaluation_nothing_changes():
    warp, x = RandomWarp(rotation=30, scale=0.2, shear=0.2, shift=0.2), images()
    assert warp.eval()(x, SIZES) is x
    assert not torch.equal(warp.train()(x, SIZES), x)


def test_every_image_has_its_own_draw_from_torch_s_generator():
    warp, x = RandomWarp(rotation=30), images()[:1].expand(3, -1, -1, -1)
    found = warped(warp, x, SIZES[:1].expand(3, 2))
    assert not torch.equal(found[0], found[1])
    assert torch.equal(warped(warp, x, SIZES[:1].expand(3, 2)), found)


@pytest.mark.parametrize("fill", [None, 0.5])
def test_padding_has_no_influence_and_stays(fill):
    warp, x = RandomWarp(rotation=20, scale=0.3, shear=0.3, shift=0.3, fill=fill), images()
    dirty = x.clone()
    for image, (height, width) in zip(dirty, SIZES.tolist(), strict=True):
        image[:, height:] = torch.nan
        image[:, :, width:] = 1e6
    wider = torch.nn.functional.pad(dirty, (0, 3, 0, 2), value=1e6)
    found = warped(warp, x, SIZES)
    torch.testing.assert_close(warped(warp, dirty, SIZES), found, rtol=0, atol=1e-8)
    torch.testing.assert_close(warped(warp, wider, SIZES)[:, :, :17, :13], found, rtol=0, atol=1e-8)
    for image, (height, width) in zip(found, SIZES.tolist(), strict=True):
        assert (image[:, :height, :width] >= (fill or 1.0) - 1e-6).all()
        assert (image[:, height:] == 0).all()
        assert (image[:, :, width:] == 0).all()


@pytest.mark.parametrize("fill", [None, -1.0])
def test_a_shift_moves_places(monkeypatch, fill):
    x = images()[:1, :, :10, :10]
    drawn_as(monkeypatch, 0, 0, 0, 1, -1)
    found = RandomWarp(shift=0.2, fill=fill).double()(x, torch.tensor([[10, 10]]))
    torch.testing.assert_close(found[:, :, 2:, :8], x[:, :, :8, 2:], rtol=0, atol=1e-6)
    border = x[:, :, :1, 2:].expand(1, 2, 2, 8) if fill is None else torch.full((1, 2, 2, 8), fill).double()
    torch.testing.assert_close(found[:, :, :2, :8], border, rtol=0, atol=1e-6)


def test_a_quarter_turn_is_one(monkeypatch):
    x = images()[:1, :, :7, :7]
    drawn_as(monkeypatch, 1, 0, 0, 0, 0)
    found = RandomWarp(rotation=90)(x, torch.tensor([[7, 7]]))
    turned = [torch.rot90(x, k, (2, 3)) for k in (1, 3)]
    assert min((found - by).abs().max() for by in turned) < 1e-5


def test_a_scale_spreads_places_from_the_middle(monkeypatch):
    drawn_as(monkeypatch, 0, 1, 0, 0, 0)
    x = torch.zeros(1, 1, 13, 13)
    x[0, 0, 6, 8] = x[0, 0, 4, 6] = 1
    found = RandomWarp(scale=0.5)(x, torch.tensor([[13, 13]]))[0, 0]
    assert float(found[6, 9]) == pytest.approx(1, abs=1e-5)
    assert float(found[3, 6]) == pytest.approx(1, abs=1e-5)


def test_a_shear_leans_columns(monkeypatch):
    drawn_as(monkeypatch, 0, 0, 1, 0, 0)
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4] = 1  # a column that stands
    found = RandomWarp(shear=0.5)(x, torch.tensor([[9, 9]]))[0, 0]
    assert found[[0, 2, 4, 6, 8], [6, 5, 4, 3, 2]].tolist() == pytest.approx([1] * 5, abs=1e-5)


def test_low_precision_and_every_dtype():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert RandomWarp(rotation=5)(images().to(dtype), SIZES).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert RandomWarp(rotation=5)(images().float(), SIZES).isfinite().all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: RandomWarp(shift=-0.1), "shift must be at least 0; got -0.1"),
        (lambda: RandomWarp(rotation=math.nan), "rotation must be at least 0; got nan"),
        (lambda: RandomWarp(scale=1.0), "scale must be below 1; got 1.0"),
        (lambda: RandomWarp(shift=0.1)(torch.zeros(2, 3), SIZES), "x must be [batch, channels, height, width]; got"),
        (lambda: RandomWarp(shift=0.1)(images(), SIZES + 1), "sizes must be from [1, 1] to [17, 13]; got"),
    ],
)
def test_errors_name_what_was_expected(call, error):
    with pytest.raises(ValueError, match=f"^{re.escape(error)}"):
        call()
