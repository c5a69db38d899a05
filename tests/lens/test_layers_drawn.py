"""Whole models in the terminal and as pictures: what is said is what the arrays hold, on any output, of any size."""

import io
import re
import warnings

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from saccade.lens import figure, views
from saccade.lens.figure.heads import IMAGES, veiled
from saccade.lens.heads import layers, site
from saccade.lens.maps import visible
from saccade.lens.terminal import draw
from saccade.lens.terminal.heads import COLUMNS, HEADS, ROWS
from saccade.lens.tokens import patches, tokens

BAD = ["</script>", "\x1b[31m", "\u202e", "$x^{$", ""]


def weights_of(heads, queries, keys, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(keys, 0.3), size=(heads, queries))


def model(depth=3, heads=4, source="abcdefg", target="vwxyz", **words):
    axes = tokens(source), tokens(target)
    sizes = heads, len(axes[1].labels), len(axes[0].labels)
    return layers([site(f"decoder.{n}.cross", *axes, weights_of(*sizes, n)) for n in range(depth)], **words)


MODEL = model(figures={"entropy": [np.arange(4) + n / 10 for n in range(3)]}, note="a note")


def printed(drawn, width=100, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(drawn, console=Console(file=file, width=width))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_every_head_has_a_line_with_its_figure_and_what_it_looked_at_most():
    lines = printed(MODEL).splitlines()
    rows = lines[lines.index(next(line for line in lines if line.startswith("layer"))) + 1 :][:12]
    for place, row in enumerate(rows):
        mean = MODEL.sites[place // 4].weights[place % 4].mean(0)
        order = np.argsort(-mean)[:3]
        looked = ", ".join(f"{'abcdefg'[at]} {mean[at]:.2f}" for at in order)
        value = f"{place % 4 + place // 4 / 10:.3g}"
        name = f"decoder.{place // 4}" if place % 4 == 0 else ""
        assert re.fullmatch(rf"{name} +{place % 4} +{value} +{re.escape(looked)}", row)


def test_the_map_is_of_the_head_that_was_taken_or_of_the_mean():
    said = printed(MODEL)
    assert "decoder.2.cross, mean of 4 heads" in said
    one = views.at(MODEL, "decoder.1.cross", 2)
    said = printed(one)
    assert "decoder.1.cross, head 2" in said
    for target, row in zip("vwxyz", one.sites[0].weights[0], strict=True):
        assert re.search(rf"^{target} .* → '{'abcdefg'[row.argmax()]}' {row.max():.2f}", said, re.MULTILINE)


def test_ascii_is_enough():
    said = printed(model(source="今天晚上", target="xy"), encoding="ascii")
    said.encode("ascii")
    assert "\\u4eca" in said


@pytest.mark.parametrize("width", [20, 60, 120])
def test_wide_characters_stay_in_their_columns(width):
    rows = [line for line in printed(model(source="今天晚上九点", target="二一时"), width).splitlines()
            if line[:1] in tuple("二一时")]  # fmt: skip
    assert len(rows) % 3 == 0
    assert len({cell_len(row.split(" → ")[0].rstrip()) for row in rows[:3]}) == 1


def test_a_long_input_shows_what_was_looked_at_most_and_says_so():
    labels = tokens([f"w{place}" for place in range(100_000)])
    keys = np.random.default_rng(0).permutation(100_000)[: 50 * 3].reshape(1, 50, 3)
    values = np.full((1, 50, 3), 0.25)
    values[0, 7] = [0.9, 0.05, 0.02]
    said = printed(layers([site("long", labels, [f"q{row}" for row in range(50)], values, keys=keys)]))
    assert f"Shown: {ROWS} of 50 rows, those with the largest weights; {COLUMNS} of 100,000 columns" in said
    assert "Top 3 of 100,000 per row; the rest, 24.6% on average, is left out." in said
    assert f"w{keys[0, 7, 0]}" in said
    assert len(said.splitlines()) < 60 * (ROWS + 3)


def test_of_very_many_heads_the_first_are_listed():
    assert f"Left out: {200 - HEADS} of 200 heads." in printed(model(depth=2, heads=100))


def test_hostile_tokens_garble_nothing(tmp_path):
    drawn = layers([site("\x1b[2J", BAD, BAD, weights_of(2, 5, 5), heads=BAD[:2])], text=BAD[1], note=BAD[1])
    said = printed(drawn)
    assert not {"\x1b", "\u202e"} & set(said)
    assert visible("\u202e") in said
    figure.save(drawn, tmp_path / "a.svg", title=BAD[3])


def test_nothing_is_drawn_as_nothing(tmp_path):
    for place, drawn in enumerate((site("a", "", "", np.zeros((2, 0, 0))), site("a", "x", "y", np.zeros((0, 1, 1))))):
        assert printed(layers([drawn]))
        figure.save(layers([drawn]), tmp_path / f"{place}.png")


def test_the_picture_has_every_head_on_one_scale():
    axes = figure.draw(MODEL, title="Title").axes
    tiles = [each for each in axes if each.images]
    assert len(tiles) == 12
    shown = np.stack([tile.images[0].get_array() for tile in tiles]).reshape(3, 4, 5, 7)
    assert np.allclose(shown, np.stack([one.weights for one in MODEL.sites]))
    assert len({tile.images[0].get_clim() for tile in tiles}) == 1
    assert [tile.get_ylabel() for tile in tiles[::4]] == ["decoder.0", "decoder.1", "decoder.2"]
    assert [tile.get_xlabel() for tile in tiles[:4]] == ["0", "1", "2", "3"]


def test_one_head_is_a_map_of_its_own():
    one = views.at(MODEL, 0, "mean")
    axes = figure.draw(one).axes[0]
    assert np.allclose(axes.collections[0].get_array(), one.sites[0].weights[0])
    assert [label.get_text() for label in axes.get_xticklabels()] == list("abcdefg")


@pytest.mark.parametrize(("depth", "heads", "tokens"), [(1, 40, 3), (40, 1, 3), (12, 12, 200)])
def test_any_model_gives_a_picture_of_a_sensible_size(tmp_path, depth, heads, tokens):
    labels = [f"w{place}" for place in range(tokens)]
    figure.save(model(depth, heads, labels, labels), tmp_path / "a.png")
    assert max(Image.open(tmp_path / "a.png").size) < 20 * figure.DPI


def test_the_same_model_is_the_same_file(tmp_path):
    for suffix in (".png", ".svg", ".pdf"):
        for name in "ab":
            figure.save(MODEL, tmp_path / f"{name}{suffix}", title="Title")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_an_image_is_as_it_was_where_it_was_looked_at_most_and_dark_elsewhere():
    image = patches(
        np.random.default_rng(0).integers(50, 256, (30, 45, 3)).astype(np.uint8), (2, 3), places=range(1, 7)
    )
    drawn = veiled(image, np.array([0.5, 0, 0.4, 0, 0, 0, 0.1]))
    assert np.array_equal(drawn[:15, 15:30], image.pixels[:15, 15:30])
    assert np.all(drawn[:15, :15] < image.pixels[:15, :15] * 0.25)
    assert np.all(veiled(image, np.zeros(7)) < image.pixels)


def test_each_token_of_a_caption_has_its_own_image():
    axis = tokens("abcdef", image=patches(np.zeros((4, 6, 3), np.uint8), (2, 3)))
    words = [f"word{place}" for place in range(30)]
    drawn = figure.draw(layers([site("caption", axis, words, weights_of(1, 30, 6))]), title="Title")
    assert [axes.get_title() for axes in drawn.axes] == words[:IMAGES]
    assert any("the first 24 of 30 tokens" in text.get_text() for text in drawn.texts)


def test_chinese_is_drawn_or_one_warning_names_who_asked(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.save(views.at(model(source="今天", target="x"), 0, 0), tmp_path / "a.png")
    assert [warning.filename for warning in caught] in ([], [__file__])
