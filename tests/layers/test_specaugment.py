"""SpecAugment: bands and stretches, each example its own, never beyond its bounds, and nothing outside of training."""

import pytest
import torch

from saccade.layers.specaugment import SpecAugment

LENGTHS = torch.tensor([37, 23, 11, 0])


def spectra() -> torch.Tensor:
    """Numbers above zero, so that zeros are masks; NaN where there is padding."""
    x = torch.rand(4, 37, 13) + 1
    x[torch.arange(37) >= LENGTHS[:, None]] = float("nan")
    return x


def hidden(rows: torch.Tensor) -> list[tuple[int, int]]:
    """Of each example the first place and the number of places that one mask hides; the first is -1 where none."""
    found = []
    for row in rows:
        places = row.nonzero()[:, 0].tolist()
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        found.append((places[0] if places else -1, len(places)))
    return found


def test_outside_of_training_nothing_happens_and_nothing_is_drawn():
    x, before = spectra(), torch.get_rng_state()
    assert SpecAugment().eval()(x, LENGTHS) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_one_frequency_mask_hides_a_band_of_every_frame():
    augment = SpecAugment(frequency=5, frequency_masks=1, time_masks=0)
    x, lengths = torch.ones(3000, 7, 13), torch.full((3000,), 7)
    y = augment(x, lengths)
    assert (y == y[:, :1]).all()
    bands = hidden(y[:, 0] == 0)
    counts = torch.tensor([sum(width == w for _, width in bands) for w in range(6)])
    assert (counts.sum(), counts.min() > 400, counts.max() < 600) == (3000, True, True)  # 500 each, deviation 20
    assert {(first, 5) for first in range(9)} == {band for band in bands if band[1] == 5}  # every place, the last too
    assert len(set(bands)) > 40  # examples differ


def test_one_time_mask_hides_whole_frames_within_the_length():
    augment = SpecAugment(frequency_masks=0, time=6, time_masks=1)
    lengths = torch.tensor([11, 4, 1]).repeat(1000)
    y = augment(torch.ones(3000, 11, 3), lengths)
    assert (y == y[..., :1]).all()
    stretches = hidden(y[..., 0] == 0)
    for n, longest in ((11, 6), (4, 4), (1, 1)):
        mine = {stretch for stretch, length in zip(stretches, lengths.tolist(), strict=True) if length == n}
        every = {(first, t) for t in range(1, longest + 1) for first in range(n - t + 1)}
        assert mine == every | {(-1, 0)}


def test_a_time_mask_hides_no_more_than_its_share():
    augment = SpecAugment(frequency_masks=0, time=100, time_masks=1, share=0.25)
    y = augment(torch.ones(2000, 37, 3), LENGTHS.repeat(500))
    widths = [width for _, width in hidden(y[..., 0] == 0)]
    assert [max(widths[i::4]) for i in range(4)] == [9, 5, 2, 0]


def test_several_masks_are_drawn_apart():
    y = SpecAugment(frequency=2, frequency_masks=3, time=2, time_masks=2)(
        torch.ones(400, 37, 29), torch.full((400,), 37)
    )
    bands, frames = (y == 0).all(1).sum(1), (y == 0).all(2).sum(1)
    assert (bands.max(), frames.max()) == (6, 4)


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_padding_stays_and_takes_no_part(fill):
    x = spectra()
    real = torch.arange(37) < LENGTHS[:, None]
    augment = SpecAugment(frequency=9, time=9, fill=fill)
    y = augment(x, LENGTHS)
    assert y[~real].isnan().all()
    assert y[real].isfinite().all()
    torch.manual_seed(0)
    other = x.clone()
    other[~real] = 5.0
    y = augment(x, LENGTHS)
    torch.manual_seed(0)
    z = augment(other, LENGTHS)
    assert torch.equal(z[real], y[real])
    assert (z[~real] == 5).all()


def test_the_mean_is_of_each_feature_over_the_frames_of_the_example():
    x, changed = spectra(), 0
    y = SpecAugment(frequency=9, time=9, fill="mean")(x, LENGTHS)
    for example, answer, length in zip(x, y, LENGTHS.tolist(), strict=True):
        mean = example[:length].mean(0).expand(length, 13)
        masked = answer[:length] != example[:length]
        changed += int(masked.sum())
        torch.testing.assert_close(answer[:length][masked], mean[masked])
    assert changed


def test_copies_of_a_band_are_hidden_together():
    y = SpecAugment(frequency=5, time_masks=0, copies=3)(torch.ones(50, 2, 21), torch.full((50,), 2))
    copies = y.view(50, 2, 3, 7)
    assert (copies == copies[:, :, :1]).all()
    assert 0 < (y == 0).float().mean() < 1


def test_the_seed_says_which_masks():
    x, augment = spectra(), SpecAugment(fill="zero")
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(augment(x, LENGTHS).nan_to_num(-1))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("fill", ["zero", "mean"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_stays_and_gradients_are_none_under_a_mask_of_zeros(dtype, fill):
    x = torch.rand(2, 19, 7, dtype=dtype, requires_grad=True)
    y = SpecAugment(frequency=4, time=9, fill=fill)(x, torch.tensor([19, 13]))
    y.sum().backward()
    assert y.dtype == dtype
    if fill == "zero":
        assert torch.equal(x.grad, (y != 0).to(dtype))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frequency": -1}, "frequency must be at least 0; got -1"),
        ({"time_masks": -2}, "time_masks must be at least 0; got -2"),
        ({"share": 1.5}, r"share must be in \[0, 1\]; got 1.5"),
        ({"fill": "noise"}, "fill must be of zero, mean; got 'noise'"),
        ({"copies": 0}, "copies must be at least 1; got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SpecAugment(**settings)


@pytest.mark.parametrize(
    ("shape", "lengths"), [((2, 7), (2,)), ((2, 7, 5), (3,)), ((2, 7, 5), (2, 1)), ((2, 7, 5), (2,))]
)
def test_other_axes_are_refused(shape, lengths):
    with pytest.raises(ValueError, match="x and lengths must be"):
        SpecAugment(copies=2)(torch.zeros(shape), torch.zeros(lengths, dtype=torch.long))
