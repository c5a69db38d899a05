"""Instance normalisation: its own inverse, each series by itself, and blind to padding."""

import pytest
import torch

from saccade.layers.instance_norm import instance_normalized, instance_restored, instance_statistics

LENGTHS = torch.tensor([7, 3, 1])
MASK = torch.arange(7) < LENGTHS[:, None]


def series(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.randn(3, 7, 5, dtype=torch.float64) * 3 + 11).to(dtype)


def test_it_is_mean_and_deviation_series_by_series():
    x = series()
    found = instance_normalized(x, instance_statistics(x, eps=0.0))
    for b in range(3):
        for v in range(5):
            one = x[b, :, v]
            expected = (one - one.mean()) / one.std(correction=0)
            torch.testing.assert_close(found[b, :, v], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [None, MASK])
def test_it_inverts(mask):
    x = series()
    statistics = instance_statistics(x, mask=mask)
    torch.testing.assert_close(instance_restored(instance_normalized(x, statistics), statistics), x, rtol=0, atol=1e-12)
    some = instance_restored(instance_normalized(x, statistics)[..., [4, 0]], statistics.of([4, 0]))
    torch.testing.assert_close(some, x[..., [4, 0]], rtol=0, atol=1e-12)


def test_padding_has_no_influence():
    x = series()
    x[~MASK] = float("nan")
    x.requires_grad_()
    found = instance_statistics(x, mask=MASK)
    for b, length in enumerate(LENGTHS):
        alone = instance_statistics(x[b : b + 1, :length])
        for mine, other in zip(found, alone, strict=True):
            torch.testing.assert_close(mine[b : b + 1], other, rtol=0, atol=1e-12)
    (found.mean.sum() + found.std.sum()).backward()
    assert x.grad.isfinite().all()


def test_a_constant_series_becomes_zeros_and_comes_back():
    x = torch.full((2, 7, 3), 41.5, requires_grad=True)
    statistics = instance_statistics(x)
    normalized = instance_normalized(x, statistics)
    assert (normalized == 0).all()
    assert (instance_restored(normalized, statistics) == 41.5).all()
    normalized.sum().backward()
    assert x.grad.isfinite().all()


def test_low_precision_is_float32_inside():
    x = series(torch.bfloat16)
    statistics = instance_statistics(x)
    assert statistics.mean.dtype == torch.float32
    assert instance_normalized(x, statistics).dtype == torch.bfloat16
    torch.testing.assert_close(statistics.mean, x.double().mean(1, keepdim=True).float())
