"""Attended images and aligned strips on the page, worked by pointer and keys in a real browser."""

import base64
import shutil

import numpy as np
import pytest

from saccade.lens import page
from saccade.lens.heads import layers, site
from saccade.lens.images import attended_image, lit
from saccade.lens.maps import attention_map
from saccade.lens.strips import aligned_strip
from saccade.lens.tokens import patches, tokens

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH")
ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-background-networking".split()  # noqa: SIM905
BAD = "</script><img src=x onerror=\"document.title='owned'\">"


def image_of(words=("a", "dog", "</s>"), rows=3, columns=4):
    generator = np.random.default_rng(3)
    pixels = generator.integers(0, 256, (480, 640, 3), np.uint8)
    weights = generator.dirichlet(np.full(rows * columns, 0.4), size=len(words)).reshape(-1, rows, columns)
    return attended_image(pixels, words, weights, answer="a dog", text="dog.jpg")


IMAGE = image_of()
WEIGHTS = [[0.9, 0.1, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0, 1]]
STRIP = aligned_strip(np.full((20, 400), 100, np.uint8), ["a", "b", "</s>"], WEIGHTS, unit="s", extent=2, answer="ab")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens drawings in a page that must stay without errors."""
    opened, errors = [], []

    def open_page(*drawings, width=1280, scheme="light"):
        file = tmp_path / f"{len(opened)}.html"
        page.save(drawings, file, title="Title")
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.append(shown)
        shown.goto(file.as_uri())
        shown.wait_for_selector("html[data-ready][data-picture]")
        return shown

    yield open_page
    for shown in opened:
        shown.close()
    assert not errors


def readout(shown):
    return shown.inner_text("#readout")


def pixels(shown, canvas):
    script = """(id) => { const canvas = find(id);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let text = "";  // a list of numbers would take seconds
      for (let at = 0; at < data.length; at += 4096) text += String.fromCharCode(...data.subarray(at, at + 4096));
      return [canvas.height, canvas.width, btoa(text)]; }"""
    height, width, data = shown.evaluate(script, canvas)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


def chosen(shown):
    return shown.get_attribute("#spoken [aria-selected=true]", "id")


# Attended images


def test_keys_choose_a_word_and_the_image_is_lit_as_in_the_pictures(show):
    shown = show(IMAGE)
    assert np.array_equal(pixels(shown, "photo"), IMAGE.pixels)
    assert readout(shown) == "Choose a word to see where it looked."
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowRight")
    assert chosen(shown) == "spoken-1"
    assert np.abs(pixels(shown, "photo") - lit(IMAGE.pixels, IMAGE.weights[1]).astype(int)).max() <= 1
    row, column = np.unravel_index(IMAGE.weights[1].argmax(), (3, 4))
    assert f"({row + 1}, {column + 1}) {IMAGE.weights[1].max():.2g}" in readout(shown)
    assert readout(shown).startswith("dog looked at ")
    shown.keyboard.press("End")
    assert chosen(shown) == "spoken-2"
    shown.keyboard.press("Escape")
    assert np.array_equal(pixels(shown, "photo"), IMAGE.pixels)


def test_focus_hover_and_click_choose_a_word(show):
    shown = show(IMAGE)
    shown.focus("#spoken")
    assert chosen(shown) == "spoken-0"
    shown.hover("#spoken-2")
    assert readout(shown).startswith("</s> looked at ")
    shown.hover("h1")
    assert readout(shown).startswith("a looked at ")
    shown.click("#spoken-1")
    shown.hover("h1")
    assert readout(shown).startswith("dog looked at ")
    assert [tile.split()[0] for tile in shown.locator("#spoken .tile").all_inner_texts()] == ["a", "dog", "</s>"]


def test_every_word_has_a_small_copy_brighter_where_it_looked(show):
    sharp = np.zeros((2, 1, 2))
    sharp[0, 0, 0] = sharp[1, 0, 1] = 1
    shown = show(attended_image(np.full((300, 400), 128, np.uint8), ["left", "right"], sharp))
    script = """() => [...find("spoken").querySelectorAll("canvas")].map((canvas) => {
      const at = (x) => canvas.getContext("2d").getImageData(x, 9, 1, 1).data[0];
      return [canvas.width, at(0), at(canvas.width - 1)]; })"""
    (width, *first), (_, *second) = shown.evaluate(script)
    assert width == 150
    assert first[0] > first[1] + 80
    assert second == first[::-1]


def test_the_overlay_can_be_weaker_and_in_cells(show):
    shown = show(IMAGE)
    shown.keyboard.press("ArrowRight")
    smooth = pixels(shown, "photo")
    shown.uncheck("#smooth")
    cells = pixels(shown, "photo")
    assert (cells != smooth).any()
    share = IMAGE.weights[0] / IMAGE.weights[0].max()
    veiled = IMAGE.pixels * (1 - 0.7 * (1 - np.kron(share, np.ones((160, 160)))))[..., None]
    expected = 255 - (255 - veiled) * (1 - 0.2 * np.kron(share, np.ones((160, 160)))[..., None])
    assert np.abs(cells - expected).max() <= 1
    shown.locator("#strength").fill("0")
    assert np.array_equal(pixels(shown, "photo"), IMAGE.pixels)


def test_a_cell_of_the_image_tells_which_words_looked_at_it(show):
    shown = show(IMAGE)
    box = shown.locator("#photo").bounding_box()
    shown.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])  # row 2, column 4
    seen = IMAGE.weights[:, 1, 3]
    assert readout(shown).startswith(f"right (2, 4) was looked at by {IMAGE.words[seen.argmax()]} {seen.max():.2g}")


# Aligned strips


def test_a_hovered_token_lights_its_columns_of_the_picture(show):
    shown = show(STRIP)
    assert set(pixels(shown, "strip-picture").ravel()) == {100}
    shown.hover("#strip-token-1")
    row = pixels(shown, "strip-picture")[5, :, 0].reshape(4, 100)
    assert (np.ptp(row, axis=1) == 0).all()
    first, second, third, last = row[:, 0]
    assert second > 100 > third > first == last
    assert readout(shown) == "b looked at 0.75 s 0.75, 1.25 s 0.25"
    shown.hover("h1")
    assert set(pixels(shown, "strip-picture").ravel()) == {100}


def test_a_hovered_column_marks_the_tokens_that_looked_at_it(show):
    shown = show(STRIP)
    box = shown.locator("#strip-picture").bounding_box()
    shown.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 5)
    assert readout(shown) == "0.75 s was looked at by b 0.75, a 0.1"
    marks = "all => all.map((one) => Number(one.style.getPropertyValue('--w')) * one.matches('.shaded'))"
    assert shown.eval_on_selector_all("#strip-tokens span", marks) == pytest.approx([0.133, 1, 0], abs=1e-3)
    band = shown.locator("#strip-slot").bounding_box()
    assert band["x"] == pytest.approx(box["x"] + box["width"] / 4, abs=2)
    assert band["width"] == pytest.approx(box["width"] / 4, abs=2)


def test_keys_choose_a_token_and_a_cell_tells_its_weight(show):
    shown = show(STRIP)
    shown.focus("#strip-tokens")
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("ArrowRight")
    assert shown.get_attribute("#strip-tokens", "aria-activedescendant") == "strip-token-2"
    assert readout(shown) == "</s> looked at 1.75 s 1"
    box = shown.locator("#strip-map").bounding_box()
    shown.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"])
    assert readout(shown) == "a looked at 0.25 s 0.9"
    shown.keyboard.press("Escape")
    assert readout(shown) == "Choose a token to see where it looked."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_below_has_a_pixel_for_each_weight_under_its_column(show, scheme):
    shown = show(STRIP, scheme=scheme)
    map = pixels(shown, "strip-map")
    assert map.shape == (3, 4, 3)
    paper = map[0, 3].astype(int)
    far = np.abs(map.astype(int) - paper).sum(-1)
    assert ((far > 0) == (STRIP.weights > 0)).all()
    assert far[0, 0] > far[0, 1]
    above, below = (shown.locator(f"#strip-{part}").bounding_box() for part in ("picture", "map"))
    assert (above["x"], above["width"]) == (below["x"], below["width"])


# Both


def test_all_kinds_share_a_page(show):
    parts = tokens("abcd", image=patches(np.zeros((8, 8), np.uint8), (2, 2)))
    heads = layers([site("x", parts, parts, np.full((1, 4, 4), 0.25))])
    shown = show(IMAGE, STRIP, heads, attention_map("ab", "x", [[0.1, 0.9]]), image_of(words=()), IMAGE)
    for place, part in enumerate(["photo", "strip-map", "image", "map", "photo", "photo"]):
        shown.click(f"#example-{place}")
        assert shown.locator(f"#{part}").is_visible()
    shown.focus("#spoken")
    shown.keyboard.press("ArrowRight")
    assert readout(shown).startswith("dog looked at ")


@pytest.mark.parametrize("width", [1280, 400])
def test_no_token_runs_and_nothing_is_wider_than_the_window(show, width):
    image = image_of(words=(BAD, "w" * 200, ""))
    strip = aligned_strip(np.zeros((4, 40)), [BAD, "w" * 200], np.eye(2), text=BAD)
    shown = show(image, strip, width=width)
    for place in (0, 1):
        shown.click(f"#example-{place}")
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.title() == "Title"
