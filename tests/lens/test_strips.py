"""Aligned strips: what is refused, how picture and weights share an axis, in a terminal, in a picture, on a page."""

import io

import numpy as np
import pytest
from rich.console import Console

from saccade.lens import figure
from saccade.lens.page.data import SCALE, data_of
from saccade.lens.strips import aligned_strip, place_of
from saccade.lens.terminal import draw
from saccade.lens.terminal.shades import ASCII, means, shares

LOUD = aligned_strip(
    np.eye(3), "ab", [[0.1, 0.9, 0.0], [0.0, 0.2, 0.8]], unit="s", extent=1.2, answer="ab", text="ab.wav", note="so"
)


def random_strip(tokens, slots, height=20, width=300, **options):
    generator = np.random.default_rng(5)
    weights = generator.dirichlet(np.full(slots, 0.2), size=tokens)
    picture = generator.integers(0, 256, (height, width), np.uint8)
    return aligned_strip(picture, [f"t{place}" for place in range(tokens)], weights, **options)


def drawn(strip, width=40, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(strip, console=Console(file=file, width=width))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": np.zeros((4, 8), int)}, r"picture must be uint8 \[height, width, 3\]; got int64 \[4, 8, 3\]"),
        ({"picture": np.zeros((4, 8, 3))}, r"picture must be uint8 .* got float64 \[4, 8, 3\]"),
        ({"picture": np.full((4, 8), np.nan)}, r"picture must have values, all finite; got \[4, 8\]"),
        ({"picture": np.zeros((0, 8))}, r"picture must have values, all finite; got \[0, 8\]"),
        ({"weights": np.zeros((3, 5))}, r"weights must be \[token, slot\] = \[2, 5\]; got \[3, 5\]"),
        ({"weights": np.zeros(5)}, r"weights must be \[token, slot\] = \[2, 0\]; got \[5\]"),
        ({"weights": np.full((2, 5), np.inf)}, "weights must be finite and at least 0"),
        ({"extent": -1.0}, "extent must be at least 0 and finite; got -1.0"),
        ({"extent": float("nan")}, "extent must be at least 0 and finite; got nan"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"picture": np.zeros((4, 8)), "weights": np.zeros((2, 5)), "extent": 1.0} | change
    with pytest.raises(ValueError, match=message):
        aligned_strip(given["picture"], "ab", given["weights"], extent=given["extent"])


def test_floats_are_coloured_from_dark_to_bright_and_bytes_stay_as_they_are():
    rising = aligned_strip(np.arange(1000.0)[None], "", np.zeros((0, 1))).picture[0].astype(int)
    assert (np.diff(rising.sum(-1)) >= -1).all()  # each of three channels is rounded
    assert rising[0].tolist() == [0, 0, 4]
    assert rising[-1].tolist() == [252, 253, 191]
    grey = aligned_strip(np.array([[3, 200]], np.uint8), "", np.zeros((0, 1))).picture
    assert grey.tolist() == [[[3] * 3, [200] * 3]]
    silent = aligned_strip(np.zeros((2, 2)), "", np.zeros((0, 1))).picture
    assert np.ptp(silent, axis=(0, 1)).max() == 0


def test_a_single_value_without_bounds_does_not_take_the_whole_scale():
    quiet = np.random.default_rng(0).normal(size=(50, 50))
    quiet[3, 3] = -1e9
    colours = aligned_strip(quiet, "", np.zeros((0, 1))).picture.reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 300


def test_a_slot_lies_at_its_middle():
    assert [place_of(LOUD, slot) for slot in range(3)] == ["0.2 s", "0.6 s", "1 s"]
    assert place_of(random_strip(1, 7), 6) == "slot 7"


# In the terminal


def test_the_picture_and_the_weights_stand_in_the_same_columns():
    assert [line.rstrip() for line in drawn(LOUD, 40).splitlines()] == [
        "read   ab.wav",
        "wrote  ab",
        "       so",
        "",
        "  ████████",
        "          ████████",
        "                  ████████",
        "a ░░░░░░░░████████         → 0.6 s 0.90",
        "b         ░░░░░░░░████████ → 1 s 0.80",
        "  0                  1.2 s",
        "",
        "· 0.009  ░ 0.081  ▒ 0.23  ▓ 0.44  █ 0.73",
    ]


@pytest.mark.parametrize(("slots", "width"), [(1, 30), (7, 30), (500, 60), (61, 100), (97, 40)])
def test_rows_stay_within_the_terminal_and_no_weight_is_lost(slots, width):
    strip = random_strip(5, slots)
    lines = drawn(strip, width, "ascii").splitlines()
    assert max(map(len, [line for line in lines if line.startswith("t")])) <= width
    assert any(ASCII[-1] in line for line in lines)


@pytest.mark.parametrize(("length", "cells"), [(7, 3), (500, 41), (3, 7), (4, 4)])
def test_cells_share_all_there_is(length, cells):
    values = np.random.default_rng(0).random(length)
    part = shares(length, cells)
    assert part.sum(0) == pytest.approx(np.ones(length))
    assert (part @ values).sum() == pytest.approx(values.sum())
    assert means(values, cells).mean() == pytest.approx(values.mean())


def test_ink_is_dense_on_a_white_page_and_sound_in_the_dark():
    page = np.full((4, 12), 255, np.uint8)
    page[:, :3] = 0
    for picture in (page, 255 - page):
        line = drawn(aligned_strip(picture, "a", np.ones((1, 4)) / 4), 30).splitlines()[0]
        assert line.startswith("  ███")
        assert not line[5:].strip("█ ")
        assert line.rstrip().count("█") * 4 == len(line) - 2


# As a picture


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_strip_is_the_same_picture(tmp_path, suffix):
    for name in "ab":
        figure.save(LOUD, tmp_path / f"{name}{suffix}", title="Sound")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_picture_stands_above_its_weights_on_one_axis():
    above, below, _ = figure.draw(LOUD, title="Sound").axes
    assert np.array_equal(above.images[0].get_array(), LOUD.picture)
    assert np.array_equal(below.images[0].get_array(), LOUD.weights)
    assert above.get_xlim() == below.get_xlim() == (0, 1.2)
    assert above.get_position().x0 == below.get_position().x0
    assert above.get_position().width == below.get_position().width
    assert above.get_position().y0 > below.get_position().y1
    assert [label.get_text() for label in below.get_yticklabels()] == ["a", "b"]
    assert below.yaxis_inverted()
    assert below.get_xlabel() == "s"
    assert figure.draw(LOUD._replace(extent=0)).axes[1].get_xlim() == (0, 3)


@pytest.mark.filterwarnings("ignore:no installed font")
@pytest.mark.parametrize(
    "strip",
    [
        random_strip(300, 40),
        aligned_strip(np.zeros((2, 3)), [], np.zeros((0, 0))),
        aligned_strip(np.zeros((2, 3)), "ab", np.zeros((2, 0)), unit="$x^{$", extent=3),
        aligned_strip(np.zeros((900, 1), np.uint8), ["$x^{$", "\x1b", ""], np.zeros((3, 9)), note="</script>"),
    ],
)
def test_strange_strips_are_drawn_everywhere(tmp_path, strip):
    figure.save(strip, tmp_path / "strip.png", title="$x^{$")
    assert drawn(strip, 20, "ascii")
    assert data_of(strip)["kind"] == "strip"


# What a page holds


def test_a_page_holds_weights_exact_to_a_share_of_each_row():
    strip = random_strip(4, 50, width=1700, unit="s", extent=2.5)
    data = data_of(strip)
    weights = np.array(data["weights"]) / SCALE * np.array(data["units"])[:, None]
    assert weights == pytest.approx(strip.weights, abs=1e-4)
    assert (data["slots"], data["extent"], data["unit"], data["width"]) == (50, 2.5, "s", 850)
