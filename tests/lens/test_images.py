"""Attended images: what is refused, how weights light pixels, and how words look in a terminal and in a picture."""

import base64
import io

import numpy as np
import pytest
from rich.console import Console

from saccade.lens import figure
from saccade.lens.images import attended_image, lit, smoothed, strongest
from saccade.lens.page.data import SCALE, data_of
from saccade.lens.page.image import png
from saccade.lens.terminal import draw
from saccade.lens.terminal.shades import ASCII

WEIGHTS = [[[0.1, 0.2], [0.3, 0.4]], [[0, 0], [0, 1]]]
DOG = attended_image(np.zeros((4, 8, 3), np.uint8), ["a", "dog"], WEIGHTS, answer="a dog", text="dog.jpg")


def random_image(words, rows=3, columns=5, height=12, width=16):
    generator = np.random.default_rng(7)
    weights = generator.dirichlet(np.full(rows * columns, 0.3), size=words).reshape(words, rows, columns)
    pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
    return attended_image(pixels, [f"w{place}" for place in range(words)], weights)


def drawn(image, width=60, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(image, console=Console(file=file, width=width))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((4, 8, 3))}, r"pixels must be uint8 \[height, width, 3\]; got float64 \[4, 8, 3\]"),
        ({"pixels": np.zeros((3, 4, 8), np.uint8)}, r"pixels must be uint8 .* got uint8 \[3, 4, 8\]"),
        ({"pixels": np.zeros((0, 8), np.uint8)}, r"pixels must be uint8 .* got uint8 \[0, 8, 3\]"),
        ({"weights": np.zeros((2, 4))}, r"weights must be \[word, rows, columns\]; got \[2, 4\]"),
        ({"weights": np.zeros((3, 2, 2))}, r"weights must be \[word, rows, columns\] = \[2, 2, 2\]; got \[3, 2, 2\]"),
        ({"weights": np.zeros((2, 0, 2))}, "weights must have at least 1 row and 1 column of cells; got 0 by 2"),
        ({"weights": np.full((2, 2, 2), -0.5)}, "weights must be finite and at least 0; got values from -0.5 to -0.5"),
        ({"weights": np.full((2, 2, 2), np.nan)}, "weights must be finite and at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"pixels": np.zeros((4, 8, 3), np.uint8), "weights": np.zeros((2, 2, 2))} | change
    with pytest.raises(ValueError, match=message):
        attended_image(given["pixels"], ["a", "dog"], given["weights"])


def test_an_image_is_a_frozen_copy_and_grey_has_three_equal_channels():
    pixels = np.full((2, 3), 7, np.uint8)
    image = attended_image(pixels, ["a"], [[[1.0]]])
    pixels[:] = 0
    assert image.pixels.tolist() == np.full((2, 3, 3), 7).tolist()
    for array in (image.pixels, image.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# How weights light pixels


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (1, 1), (7, 2)])
@pytest.mark.parametrize(("down", "across"), [(1, 1), (3, 9)])
def test_smoothed_weights_stay_within_the_weights_and_meet_them_in_the_middles(rows, columns, down, across):
    weights = np.random.default_rng(1).random((rows, columns), np.float32)
    over = smoothed(weights, rows * down, columns * across)
    assert over.shape == (rows * down, columns * across)
    assert weights.min() - 1e-6 <= over.min()
    assert over.max() <= weights.max() + 1e-6
    assert over[down // 2 :: down, across // 2 :: across] == pytest.approx(weights, abs=1e-6)


def test_smoothing_is_what_torch_calls_bilinear():
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    weights = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(weights[None, None], size=(20, 17), mode="bilinear", align_corners=False)[0, 0]
    assert smoothed(weights.numpy(), 20, 17) == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.mark.parametrize("value", [0, 100, 255])
def test_any_pixel_is_brighter_where_the_weight_is(value):
    weights = np.linspace(0, 0.01, 20, dtype=np.float32)[None]
    row = lit(np.full((4, 400, 3), value, np.uint8), weights)[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row[-1] - row[0] >= 40
    assert np.array_equal(lit(np.full((4, 400, 3), value, np.uint8), 7 * weights)[0, :, 0], row)  # a scale of its own


def test_even_weights_light_all_of_the_image_evenly_and_none_veil_it():
    grey = np.full((6, 6, 3), 100, np.uint8)
    even, none = lit(grey, np.full((2, 3), 1 / 6, np.float32)), lit(grey, np.zeros((2, 3), np.float32))
    assert np.ptp(even) == np.ptp(none) == 0
    assert even[0, 0, 0] > 100 > none[0, 0, 0]


def test_cells_without_a_weight_are_not_among_the_strongest():
    assert strongest(DOG.weights[1]) == [(1, 1)]
    assert strongest(np.full((2, 2), 0.25, np.float32)) == [(0, 0), (0, 1), (1, 0)]


# In the terminal


def test_a_word_tells_its_places_and_has_a_map():
    assert [line.rstrip() for line in drawn(DOG).splitlines()] == [
        "read   dog.jpg",
        "wrote  a dog",
        "",
        "a   → bottom right (2, 2) 0.4, bottom left (2, 1) 0.3",
        "dog → bottom right (2, 2) 1",
        "",
        "a         dog",
        "░░░░▓▓▓▓",
        "▓▓▓▓████      ████",
        "",
        "Places: (row, column) of 2 by 2 cells over the image, and their weights.",
        "Maps: from blank, nothing, to █, the most of the word; shade: root of the weight.",
    ]


@pytest.mark.parametrize("width", [16, 30, 80])
def test_places_and_maps_stay_within_the_terminal(width):
    text = drawn(random_image(9, 14, 14, 30, 40), width, "ascii")
    places, _, maps = text.partition("\n\n")
    assert max(map(len, [*places.splitlines(), *maps.split("Places:")[0].splitlines()])) <= max(width, 20)
    assert ASCII[-1] in maps


def test_more_maps_than_fit_are_left_out_and_counted():
    text = drawn(random_image(30))
    assert "Left out: the last 6 of 30 maps." in text
    assert "w29" in text.partition("\n\n")[0]


# As a picture


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_image_is_the_same_picture(tmp_path, suffix):
    for name in "ab":
        figure.save(random_image(3), tmp_path / f"{name}{suffix}", title="Words")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_image_comes_first_then_a_lit_copy_for_each_word():
    image = random_image(3)
    plain, *copies = figure.draw(image).axes
    assert np.array_equal(plain.images[0].get_array(), image.pixels)
    assert [axes.get_title(loc="left") for axes in copies] == list(image.words)
    for axes, weights in zip(copies, image.weights, strict=True):
        assert np.array_equal(axes.images[0].get_array(), lit(image.pixels, weights))
        assert float(axes.get_title(loc="right")) == pytest.approx(weights.max(), rel=0.06)


def test_rows_wrap_and_words_beyond_those_that_fit_are_counted():
    drawing = figure.draw(random_image(30))
    assert len(drawing.axes) == 25
    tops = {round(axes.get_position().y1, 3) for axes in drawing.axes}
    assert 2 < len(tops) < 8
    assert "left out: the last 6 of 30 words" in " ".join(text.get_text() for text in drawing.texts).replace("\n", " ")


@pytest.mark.filterwarnings("ignore:no installed font")
@pytest.mark.parametrize(("height", "width"), [(1, 900), (900, 1), (2000, 1500)])
def test_strange_images_are_drawn_everywhere(tmp_path, height, width):
    words = ["$x^{$", "\x1b[31m", "", "w" * 90]
    image = attended_image(np.zeros((height, width), np.uint8), words, np.zeros((4, 3, 2)), note="</script>")
    figure.save(image, tmp_path / "image.png", title="$x^{$")
    assert (tmp_path / "image.png").stat().st_size < 2_000_000
    assert "nothing" in drawn(image, 20, "ascii")
    assert data_of(image)["words"] == ["$x^{$", "\\x1b[31m", "∅", "w" * 90]


def test_no_words_are_an_image_alone(tmp_path):
    image = attended_image(np.zeros((4, 4), np.uint8), [], np.zeros((0, 2, 2)))
    assert len(figure.draw(image).axes) == 1
    assert not drawn(image).strip()
    assert data_of(image)["weights"] == []


# What a page holds


def test_a_page_holds_the_pixels_and_weights_exact_to_a_share_of_each_word():
    image = random_image(4)
    data = data_of(image)
    assert base64.b64decode(data["png"]) == png(image.pixels)
    weights = np.array(data["weights"]) / SCALE * np.array(data["units"])[:, None]
    assert weights.reshape(image.weights.shape) == pytest.approx(image.weights, abs=1e-4)
