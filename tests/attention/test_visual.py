"""What images are looked at with, by name; and SCA-CNN read as a memory. Its laws are those of attention."""

import re
import subprocess
import sys

import pytest
import torch

from saccade.attention.additive import AdditiveAttention
from saccade.attention.build import build, build_visual
from saccade.attention.catalogue import MECHANISMS, OTHERS
from saccade.attention.images import SpatialChannelAttention, VisualAttention, regions
from saccade.attention.spatialchannel import SpatialChannelReading
from saccade.attention.visual import VISUAL, check_visual
from saccade.normalizers import Sample, Softmax, Sparsemax

WIDTHS = {"query_dim": 11, "key_dim": 11, "hidden_dim": 5}


def image() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 13, 5, 3, dtype=torch.float64), torch.randn(2, 11, dtype=torch.float64)


@pytest.mark.parametrize("order", ["channel-spatial", "spatial-channel"])
def test_it_reads_what_the_gate_leaves_of_the_image(order):
    x, query = image()
    attend = SpatialChannelReading(11, 13, 7, order=order).double()
    gate = SpatialChannelAttention(11, 13, 7, order=order).double()
    gate.load_state_dict(attend.weigh.state_dict())
    context, weights, state = attend(query, regions(x), regions(x))
    output, _, place = gate(x, query)
    torch.testing.assert_close(context, 13 * output.sum((2, 3)), rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, place.flatten(1), rtol=0, atol=1e-12)
    assert state is None


def test_with_even_weights_it_is_the_mean_of_the_regions():
    x, query = image()
    attend = SpatialChannelReading(11, 13, 7).double()
    for score in (attend.weigh.channel_score, attend.weigh.place_score):
        torch.nn.init.zeros_(score.weight)
    mask = torch.arange(15) < torch.tensor([[15], [4]])
    context = attend(query, regions(x), regions(x), mask=mask).context
    means = torch.stack([regions(x)[0].mean(0), regions(x)[1, :4].mean(0)])
    torch.testing.assert_close(context, means, rtol=0, atol=1e-12)


def test_what_it_cannot_read_is_refused():
    x, query = image()
    attend, memory = SpatialChannelReading(11, 13, 7).double(), regions(x)
    with pytest.raises(ValueError, match=r"^value must be \[batch, key, 13\], as wide as key; got \[2, 15, 4\]$"):
        attend(query, memory, memory[..., :4])
    with pytest.raises(ValueError, match=r"^SpatialChannelReading draws nothing, so it takes no noise$"):
        attend(query, memory, memory, noise=torch.Generator())
    with pytest.raises(ValueError, match=r"^order must be channel-spatial or spatial-channel; got 'both'$"):
        SpatialChannelReading(11, 13, 7, order="both")


@pytest.mark.parametrize(
    ("name", "normalizer"),
    [("visual", Softmax), ("visual+reinforce", Sample), ("sparsemax+visual", Sparsemax)],
)
def test_the_attention_of_show_attend_and_tell_has_any_normaliser(name, normalizer):
    attend = build_visual(name, **WIDTHS)
    assert type(attend) is VisualAttention
    assert type(attend.normalizer) is normalizer


def test_what_images_are_read_with_is_of_the_catalogue():
    assert type(build_visual("sca-cnn", **WIDTHS)) is SpatialChannelReading
    assert all(OTHERS[name].family == "images" for name in VISUAL)
    assert isinstance(build_visual("additive+local-p", **WIDTHS, half_width=3), AdditiveAttention)


@pytest.mark.parametrize("name", MECHANISMS)
def test_every_mechanism_of_a_decoder_looks_at_images_too(name):
    check_visual(name)
    mine, theirs = build_visual(name, **WIDTHS, slots=7, half_width=3), build(name, **WIDTHS, slots=7, half_width=3)
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize(
    "name",
    [
        *("visual+dot", "visual+local-m", "visual+softmax+sparsemax", "visual+visual", "visual+sca-cnn"),
        *("sca-cnn+softmax", "sca-cnn+reinforce", "none+softmax", "dot+dot", "Visual", ""),
    ],
)
def test_what_does_not_combine_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match=re.escape(f"got {name!r}")) as error:
        check_visual(name)
    assert str(error.value).startswith("attention must ")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=re.escape(str(error.value))):
        build_visual(name, **WIDTHS)


def test_names_are_checked_without_torch():
    program = "import sys; from saccade.attention.visual import check_visual; check_visual('visual+reinforce'); "
    subprocess.run([sys.executable, "-c", f"{program}assert 'torch' not in sys.modules"], check=True)
