"""The page of a whole model: weights survive their packing, fit the room there is, and tokens stay text."""

import base64
import html
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.lens import page
from saccade.lens.heads import layers, site, top
from saccade.lens.maps import attention_map, visible
from saccade.lens.page.heads import PART, ROOM, WHOLE, layers_data
from saccade.lens.page.image import png, small
from saccade.lens.tokens import patches, tokens

HOSTILE = ["</script><img src=x onerror=\"document.title='owned'\">", "<!--", "{{data}}", "\u202e", "\ud800", ""]


def weights_of(heads, queries, keys, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(keys, 0.3), size=(heads, queries))


def unpacked(example, place):
    """The weights [head, query, key] and rests [head, query] of a site, as the page's script reads them."""
    one = example["sites"][place]
    heads, rows, columns = len(one["heads"]), *(len(example["axes"][one[s]]["labels"]) for s in ("target", "source"))
    raw = np.frombuffer(base64.b64decode(one["cells"]), np.uint8)
    units = np.array(one["units"])[:, None, None]
    if one["k"] is None:
        return raw.view("<u2").reshape(heads, rows, columns) / WHOLE * units, None
    cells = (raw.reshape(-1, one["width"]) * 256.0 ** np.arange(one["width"])).sum(1).reshape(heads, rows, one["k"])
    full = np.zeros((heads, rows, columns))
    head, row, _ = np.ogrid[:heads, :rows, :1]
    np.maximum.at(full, (head, row, (cells // (PART + 1)).astype(int)), cells % (PART + 1) / PART * units)
    rest = np.frombuffer(base64.b64decode(one["rest"]), np.uint8).reshape(heads, rows) / 255 * one["most_rest"]
    return full, rest


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 6), st.integers(1, 40), st.floats(0.01, 3))
def test_a_whole_site_survives_to_its_precision(seed, heads, queries, keys, scale):
    given_weights = weights_of(heads, queries, keys, seed) * scale
    one = site("a", map(str, range(keys)), map(str, range(queries)), given_weights)
    given_weights = one.weights  # a hair above one is taken off there
    weights, rest = unpacked(layers_data(layers([one])), 0)
    largest = given_weights.max((1, 2), keepdims=True)
    assert rest is None
    assert np.all(np.abs(weights - given_weights) <= largest / (2 * WHOLE) + 1e-7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([3, 16, 17, 300, 5000, 100_000]), st.integers(1, 12))
def test_top_weights_survive_to_their_precision(seed, keys, k):
    random = np.random.default_rng(seed)
    k = min(k, keys)
    places = np.stack([random.choice(keys, k, replace=False) for _ in range(6)]).reshape(2, 3, k)
    given_weights = weights_of(2, 3, k, seed) * 0.9
    labels = tokens(map(str, range(keys)))
    example = layers_data(layers([site("a", labels, "xyz", given_weights, keys=places)]))
    weights, rest = unpacked(example, 0)
    largest = given_weights.max((1, 2), keepdims=True)
    assert np.all(np.abs(np.take_along_axis(weights, places, -1) - given_weights) <= largest / (2 * PART) + 1e-7)
    assert np.count_nonzero(weights) <= given_weights.size
    assert np.allclose(rest, 0.1, atol=0.1 / 255)


@pytest.mark.parametrize("room", [2_000, 20_000, 100_000, 10_000_000])
def test_as_many_weights_of_each_row_as_fit_and_the_rest_is_counted(room):
    full = weights_of(4, 40, 50)
    axis = tokens([f"t{place}" for place in range(50)])
    sites = [site(name, axis, axis.labels[:40], full) for name in "ab"]
    example = layers_data(layers(sites), room)
    one = example["sites"][0]
    sent = sum(len(each["cells"]) + len(each.get("rest", "")) for each in example["sites"])
    weights, rest = unpacked(example, 0)
    assert sent <= max(room, 2 * 4 * 40 * 4 * 2)  # at least one weight of each row
    if one["k"] is None:
        assert np.allclose(weights, full, atol=1e-4)
        return
    kept = top(full, one["k"])
    assert np.allclose(np.take_along_axis(weights, kept.keys, -1), kept.weights, atol=2e-4)
    assert np.allclose(rest, kept.rest, atol=rest.max() / 255)


def test_a_model_of_144_heads_over_512_tokens_fits_four_megabytes():
    axis = tokens([f"token{place}" for place in range(512)])
    cells = np.tile(np.arange(20), (12, 512, 1)), np.full((12, 512, 20), 0.04)
    one = [site(f"layer.{place}", axis, axis, cells[1], keys=cells[0]) for place in range(12)]
    written = page.render([layers(one)], title="Title")
    assert len(written.encode()) <= 4_000_000
    assert json.loads(block(written))["examples"][0]["sites"][0]["k"] == 12


def block(written):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', written, re.DOTALL)
    return found


def test_sites_that_share_tokens_send_them_once_and_pages_share_their_room():
    axis = tokens("ab", special=[0])
    one = layers([site(name, tokens("ab", special=[0]), axis, weights_of(1, 2, 2)) for name in "xyz"])
    assert len(layers_data(one)["axes"]) == 1
    axis = tokens([str(place) for place in range(600)])
    wide = layers([site("a", axis, axis, weights_of(8, 600, 600))])
    alone, pair = (len(page.render([wide] * count, title="")) for count in (1, 2))
    assert alone < ROOM * 1.1
    assert pair < ROOM * 1.15


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=9), min_size=1, max_size=4), st.text(st.characters(), max_size=20))
def test_no_word_of_it_leaves_the_data_block(words, text):
    for labels in (words, HOSTILE):
        axis = tokens(labels, words=[0] * len(labels))
        one = site(text, axis, axis, weights_of(1, len(labels), len(labels)), heads=[text])
        curves = {text: {text: ([0, 1], [1, 0])}}
        drawn = layers([one], figures={text: [[1]]}, curves=curves, text=text, answer=text, note=text)
        written = page.render([drawn], title=text)
        written.encode("utf-8")
        assert not set("<>&") & set(block(written))
        (kept,) = json.loads(block(written))["examples"][0]["axes"]
        assert kept["labels"] == [visible(label) for label in labels]


def test_nothing_comes_from_outside_and_scripts_are_small():
    written = page.render([layers([site("a", "ab", "c", [[[0.5, 0.5]]])])], title="Title")
    assert not re.search(r"https?:|//\w|\bsrc\s*=|\bhref\s*=|@import|url\(|unsafe", written.replace(block(written), ""))
    (script,) = re.findall(r"<script>(.*?)</script>", written, re.DOTALL)
    assert len(script) < 60_000
    assert "views.map" not in script
    assert "views.layers" not in page.render([attention_map("a", "b", [[1]])], title="")


def test_an_image_is_a_png_of_its_pixels_made_small():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(png(pixels)))), pixels)
    assert small(pixels, 7).shape == (4, 7, 3)
    assert small(pixels, 7)[0, 0, 0] == np.rint(pixels[:2, :2, 0].mean())
    image = patches(pixels, (3, 2))
    kept = layers_data(layers([site("a", tokens("abcdef", image=image), "x", [[[1, 0, 0, 0, 0, 0]]])]))["axes"][0]
    assert (kept["image"]["grid"], kept["image"]["places"]) == ((3, 2), tuple(range(6)))


def test_a_page_within_a_notebook_is_closed_off_and_whole():
    drawn = layers([site("a", HOSTILE[:2], "c", [[[0.5, 0.5]]])])
    shown = page.embedded([drawn], title='"><b>', height=300)
    frame = shown._repr_html_()
    assert frame.count("<") == 2  # an element and its end
    assert 'sandbox="allow-scripts allow-downloads"' in frame
    assert html.unescape(re.findall('srcdoc="(.*?)"', frame, re.DOTALL)[0]) == page.render([drawn], title='"><b>')
    with pytest.raises(ValueError, match="at least one drawing"):
        page.embedded([])
