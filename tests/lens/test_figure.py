"""The picture: whole, the same each time, of a size that can be looked at, and without a trace of pyplot."""

import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from saccade.errors import OptionError
from saccade.lens import figure, fonts
from saccade.lens.maps import attention_map


def random_map(source, target, **words):
    weights = np.random.default_rng(3).dirichlet(np.full(len(source), 0.3), size=len(target))
    return attention_map(source, target, weights, **words)


SMALL = random_map("half past", ["9", ":", "</s>"], note="expected 9:30")


def saved(map, path, **options):
    figure.save(map, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize(("suffix", "signature"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_suffix_says_the_format_and_the_same_map_is_the_same_file(tmp_path, suffix, signature):
    first = saved(SMALL, tmp_path / f"first{suffix}", title="Half past nine")
    assert first.startswith(signature)
    assert first == saved(SMALL, tmp_path / f"second{suffix.upper()}", title="Half past nine")
    assert first != saved(SMALL, tmp_path / f"third{suffix}", title="Half past ten")


def test_an_unknown_suffix_lists_the_choices(tmp_path):
    with pytest.raises(OptionError, match=r"must end in \.png, \.svg, \.pdf; got '.*map\.gif'"):
        figure.save(SMALL, tmp_path / "map.gif")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "map.png").mkdir()
    with pytest.raises(OSError, match=r"map\.png"):
        figure.save(SMALL, tmp_path / "map.png")
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 90), (90, 1), (300, 300)])
def test_any_size_gives_a_picture_of_a_sensible_size(tmp_path, rows, columns):
    map = random_map([f"w{column}" for column in range(columns)], [f"t{row}" for row in range(rows)])
    width, height = Image.open(io.BytesIO(saved(map, tmp_path / "map.png"))).size
    assert min(width, height) > 100
    assert max(width, height) < 20 * figure.DPI


def test_more_tokens_than_fit_keep_every_second_label_or_fewer():
    axes = figure.draw(random_map([f"w{column}" for column in range(300)], "x")).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[:2] == ["w0", "w2"]
    assert labels[-1] == "w298"


def test_the_picture_shows_the_weights_with_the_first_token_written_on_top():
    axes = figure.draw(SMALL, title="Half past nine").axes[0]
    assert np.array_equal(axes.collections[0].get_array(), SMALL.weights)
    assert axes.yaxis_inverted()
    assert [label.get_text() for label in axes.get_xticklabels()] == list("half␣past")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["9", ":", "</s>"]
    assert axes.get_title(loc="left") == "Half past nine"


@pytest.mark.parametrize("hostile", ["$x^{$", "$", "\\frac", "</text>", "\x00", "x" * 500])
def test_markup_in_a_token_is_only_text(tmp_path, hostile):
    map = random_map([hostile, "b"], [hostile], note=hostile)
    assert saved(map, tmp_path / "map.svg", title=hostile)


def test_nothing_written_is_a_picture_too(tmp_path):
    assert saved(attention_map("ab", "", []), tmp_path / "map.png")


def test_chinese_is_drawn_or_one_warning_says_what_to_install(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.save(random_map("晚上九点", "二十一"), tmp_path / "map.png", title="晚上")
    assert [str(warning.message)[:31] for warning in caught] in ([], ["no installed font can draw 一上九二"])


def test_missing_characters_are_named_once_and_drawn_as_boxes(tmp_path, monkeypatch):
    only = [entry for entry in fonts._candidates() if entry.name == fonts.BASE]
    monkeypatch.setattr(fonts, "_candidates", lambda: iter(only))
    map = random_map("九点x", "九")
    with pytest.warns(UserWarning, match="no installed font can draw 九点: .* Noto Sans CJK") as caught:
        figure.save(map, tmp_path / "map.png")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="no installed font"):
        labels = figure.draw(map).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["□", "□", "x"]


def test_many_threads_draw_the_same(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda index: saved(SMALL, tmp_path / f"{index}.svg"), range(4)))
    assert len(set(files)) == 1


def test_importing_is_cheap_and_pyplot_stays_out(tmp_path):
    script = f"""
import sys
import saccade.lens.figure, saccade.lens.page, saccade.lens.terminal
from saccade.lens.maps import attention_map
assert not {{"matplotlib", "torch"}} & set(sys.modules)
saccade.lens.figure.save(attention_map("ab", "x", [[0.5, 0.5]]), {str(tmp_path / "map.png")!r})
assert "matplotlib" in sys.modules
assert not {{"matplotlib.pyplot", "torch"}} & set(sys.modules)
assert sys.modules["matplotlib"].rcParams["svg.hashsalt"] is None
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_copied_tokens_are_marked_and_the_mark_is_explained():
    axes = figure.draw(random_map("ab", "xyz", note="short", copied=[0, 1, 0.6])).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "= y", "= z"]
    assert [text.get_text() for text in axes.texts] == ["short; = copied from the input"]
