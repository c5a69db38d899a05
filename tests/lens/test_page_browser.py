"""The page of a whole model in a real browser, worked by pointer and keys: what it shows is what the arrays say.

Screenshots go to $SACCADE_ARTEFACTS where that is set, else to pytest's folder.
"""

import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from saccade.lens import page, views
from saccade.lens.heads import layers, site, top
from saccade.lens.maps import attention_map
from saccade.lens.tokens import patches, tokens

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH")
ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-background-networking".split()  # noqa: SIM905
PIECES = tokens(["[CLS]", "the", "un", "##believ", "##able", "cat", "sat", ".", "[SEP]"], words="auto", special=[0, 8])
LONG = "Donaudampfschifffahrtsgesellschaftskapitän" * 2
BAD = "</script><img src=x onerror=\"document.title='owned'\">"


def weights_of(heads, queries, keys, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(keys, 0.3), size=(heads, queries))


SITES = [site(f"encoder.layer.{place}.self", PIECES, PIECES, weights_of(4, 9, 9, place)) for place in range(3)]
MODEL = layers(
    SITES,
    figures={"entropy": [[0.1, 0.2, 0.3, 0.4]] * 3, "sink": [[1, 2, np.nan, 4]] * 3},
    curves={"deletion": {"attention": ([0, 0.5, 1], [0.9, 0.2, 0.1]), "random": ([0, 0.5, 1], [0.9, 0.5, 0.1])}},
    text="The unbelievable cat sat.",
)


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

    def open_page(*drawings, width=1280, scheme="light", written=None):
        file = tmp_path / f"{len(opened)}.html"
        file.write_text(written or page.render(drawings, title="Title"), "utf-8")
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.append(shown)
        shown.goto(file.as_uri())
        if written is None:
            shown.wait_for_selector("html[data-ready]")
        return shown

    yield open_page
    for shown in opened:
        shown.close()
    assert not errors


def readout(shown):
    return shown.inner_text("#readout")


def told(one, row, head=0, rest=0.0):
    """What the page must say of a row, from the arrays."""
    weights = views.row_of(one, head, row)
    most = [at for at in np.argsort(-weights, kind="stable")[:3] if weights[at] >= 0.01]
    said = ", ".join(f"{one.source.labels[at]} {weights[at]:.2f}" for at in most)
    return f"{one.target.labels[row]} looked at {said}" + (f"; left out {rest:.2f}" if rest >= 0.005 else "")


def shades(shown, strip):
    return shown.eval_on_selector_all(
        f"#{strip} span", "all => all.map((one) => Number(one.style.getPropertyValue('--w')))"
    )


def choose(shown, site, head):
    shown.select_option("#layer", str(site))
    shown.select_option("#head", str(head))


def cell(shown, row, column):
    """Puts the pointer on a cell of the map."""
    shown.locator("#plane").scroll_into_view_if_needed()
    at = shown.evaluate("([row, column]) => { const box = find('plane').getBoundingClientRect();"
                        " return [box.left + plane.left + (column + .5) * plane.cell,"
                        " box.top + plane.top + (row + .5) * plane.cell]; }", [row, column])  # fmt: skip
    shown.mouse.move(*at)


def test_it_opens_on_the_mean_of_the_last_layer_in_words(show):
    shown = show(MODEL)
    mean = views.merged(views.reduced(SITES[-1], "mean"))
    assert shown.inner_text("#chosen-name") == "encoder.layer.2.self, mean of 4 heads"
    assert shown.locator("#lookers span").all_inner_texts() == list(mean.source.labels)
    assert readout(shown) == told(mean, 0)
    expected = mean.weights[0, 0] / mean.weights[0, 0].max()
    assert np.allclose(shades(shown, "seen"), expected, atol=1e-2)


def test_a_hovered_token_tells_its_row_and_a_source_token_who_looked_at_it(show):
    shown = show(MODEL)
    choose(shown, 0, 2)
    one = views.merged(views.only(SITES[0], 2))
    for row in (3, 1):
        shown.hover(f"#lookers-{row}")
        assert readout(shown) == told(one, row)
        assert np.allclose(shades(shown, "seen"), one.weights[0, row] / one.weights[0, row].max(), atol=1e-2)
    shown.hover("#seen-2")
    column = one.weights[0, :, 2]
    best = int(column.argmax())
    assert readout(shown).startswith(f"unbelievable was looked at by {one.target.labels[best]} {column[best]:.2f}")
    assert np.allclose(shades(shown, "lookers"), column / column.max(), atol=1e-2)
    shown.hover("h1")
    assert readout(shown) == told(one, 0)


def test_a_click_pins_a_row_or_a_column_until_escape(show):
    shown = show(MODEL)
    one = views.merged(views.reduced(SITES[-1], "mean"))
    shown.click("#lookers-3")
    shown.hover("h1")
    assert readout(shown) == told(one, 3)
    assert shown.get_attribute("#lookers-3", "aria-selected") == "true"
    shown.click("#seen-2")
    shown.hover("h1")
    assert readout(shown).startswith("unbelievable was looked at by")
    shown.keyboard.press("Escape")
    assert readout(shown) == told(one, 0)


def test_words_give_way_to_pieces_and_back(show):
    shown = show(MODEL)
    choose(shown, 1, 3)
    assert shown.locator("#seen span").count() == 7
    shown.uncheck("#words")
    assert shown.locator("#seen span").all_inner_texts() == list(PIECES.labels)
    shown.hover("#lookers-4")
    assert readout(shown) == told(views.only(SITES[1], 3), 4)
    shown.check("#words")
    shown.hover("#lookers-2")
    assert readout(shown) == told(views.merged(views.only(SITES[1], 3)), 2)


@pytest.mark.parametrize("how", ["hidden", "renormalised"])
def test_special_tokens_are_hidden_and_it_says_how(show, how):
    shown = show(MODEL)
    choose(shown, 1, 0)
    shown.select_option("#special", how)
    one = views.hidden(views.merged(views.only(SITES[1], 0)), renormalise=how == "renormalised")
    assert shown.locator("#seen span").all_inner_texts() == list(one.source.labels)
    assert shown.inner_text("#left-out").startswith("Special tokens are hidden; ")
    shown.hover("#lookers-2")
    assert readout(shown) == told(one, 2)


def test_a_least_weight_leaves_the_others_out(show):
    shown = show(MODEL)
    choose(shown, 0, 0)
    shown.uncheck("#words")
    shown.locator("#least").fill("0.5")
    assert shown.inner_text("#least-said") == "0.25"
    row = SITES[0].weights[0, 3]
    shown.hover("#lookers-3")
    assert (np.array(shades(shown, "seen")) > 0).tolist() == (row >= 0.25).tolist()
    assert f"left out {row[row < 0.25].sum():.2f}" in readout(shown)


def test_heads_are_chosen_in_the_grid_by_pointer_and_keys(show):
    shown = show(MODEL)
    shown.click("#head-1-2")
    assert shown.inner_text("#chosen-name") == "encoder.layer.1.self, head 2"
    assert shown.input_value("#head") == "2"
    assert readout(shown) == told(views.merged(views.only(SITES[1], 2)), 0)
    shown.focus("#heads")
    shown.keyboard.press("ArrowLeft")
    shown.keyboard.press("ArrowUp")
    assert shown.inner_text("#chosen-name") == "encoder.layer.0.self, head 1"
    assert shown.get_attribute("#heads", "aria-activedescendant") == "head-0-1"
    shown.click("#head-1-3", modifiers=["Shift"])
    assert shown.inner_text("#chosen-name") == "mean of 2 heads of 2 layers"
    weights = (SITES[0].weights[1] + SITES[1].weights[3])[None] / 2
    both = views.merged(site("", PIECES, PIECES, weights))
    shown.hover("#lookers-2")
    assert readout(shown) == told(both, 2)
    shown.focus("#heads")
    shown.keyboard.press("Space")
    assert shown.inner_text("#chosen-name") == "encoder.layer.0.self, head 1"


def test_all_layers_and_the_largest_of_heads_can_be_chosen(show):
    shown = show(MODEL)
    shown.select_option("#layer", "all")
    assert shown.inner_text("#chosen-name") == "mean of 12 heads of 3 layers"
    mean = np.mean([one.weights.mean(0) for one in SITES], 0)[None]
    assert readout(shown) == told(views.merged(site("", PIECES, PIECES, mean)), 0)
    choose(shown, 1, "max")
    assert shown.inner_text("#chosen-name") == "encoder.layer.1.self, largest of 4 heads"
    shown.uncheck("#words")
    assert readout(shown) == told(views.reduced(SITES[1], "max"), 0)


def test_the_map_tells_its_cells_to_pointer_and_keys(show):
    weights = weights_of(1, 3, 6, seed=5)
    one = site("cross", "abcdef", "xyz", weights)
    shown = show(layers([one]))
    cell(shown, 2, 4)
    assert readout(shown) == f"z looked at e {weights[0, 2, 4]:.2f}"
    shown.mouse.down()
    shown.mouse.up()
    shown.hover("h1")
    assert readout(shown) == told(one, 2)
    shown.focus("#plane")
    shown.keyboard.press("ArrowRight")
    assert readout(shown) == f"z looked at a {weights[0, 2, 0]:.2f}"
    shown.keyboard.press("ArrowUp")
    shown.keyboard.press("ArrowRight")
    assert readout(shown) == f"y looked at b {weights[0, 1, 1]:.2f}"
    assert shown.locator("#grid-details").is_hidden()


def test_the_map_is_dark_where_the_weight_is(show):
    weights = np.eye(4)[None]
    shown = show(layers([site("a", "abcd", "wxyz", weights)]))
    dark = shown.evaluate("""() => {
      const pen = find("plane-canvas").getContext("2d"), sharp = devicePixelRatio;
      const at = (row, column) => pen.getImageData((plane.left + (column + .5) * plane.cell) * sharp,
        (plane.top + (row + .5) * plane.cell) * sharp, 1, 1).data[0];
      return [0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((column) => at(row, column)));
    }""")
    assert (np.array(dark) < 100).tolist() == (weights[0] > 0).tolist()


def test_everything_is_reached_by_the_tab_key(show):
    shown = show(MODEL)
    reached = set()
    for _ in range(30):
        shown.keyboard.press("Tab")
        reached.add(shown.evaluate("document.activeElement.id || document.activeElement.firstChild?.textContent"))
    wanted = "layer head words special least heads figure lookers seen plane zoom save-vector copy-vector row-summary"
    assert set(wanted.split()) <= reached
    assert not shown.evaluate("""() => [...document.querySelectorAll(
      "main :is(select, input, canvas[role=img], [role=listbox], [role=application])")].filter((one) =>
      !one.labels?.length && !one.getAttribute("aria-label") && !one.getAttribute("aria-labelledby")).map((o) => o.id)
      .filter((id) => id !== "image")""")


def test_keys_move_over_both_strips(show):
    shown = show(MODEL)
    one = views.merged(views.reduced(SITES[-1], "mean"))
    shown.focus("#lookers")
    shown.keyboard.press("ArrowRight")
    assert readout(shown) == told(one, 1)
    shown.keyboard.press("End")
    assert readout(shown) == told(one, 6)
    shown.focus("#seen")
    shown.keyboard.press("Home")
    assert readout(shown).startswith("[CLS] was looked at by")


def test_tables_say_the_same_to_a_screen_reader(show):
    shown = show(MODEL)
    choose(shown, 0, 1)
    shown.click("#lookers-3")
    shown.click("#row-summary")
    one = views.merged(views.only(SITES[0], 1))
    order = np.argsort(-one.weights[0, 3], kind="stable")
    rows = shown.locator("#row-table tbody tr").all_inner_texts()
    expected = [f"{one.source.labels[at]}\t{at + 1}\t{one.weights[0, 3, at]:.4f}" for at in order]
    assert [row.split("\t")[:2] for row in rows] == [row.split("\t")[:2] for row in expected]
    got = [float(row.split("\t")[2]) for row in rows]
    assert np.allclose(got, one.weights[0, 3][order], atol=1e-4)
    shown.select_option("#figure", "1")
    shown.click("#figure-summary")
    line = "encoder.layer.1.self\t1\t2\t–\t4"
    assert shown.locator("#figure-table tbody tr").all_inner_texts()[1] == line
    assert shown.inner_text("#head-1-3 small") == "3: 4"
    assert shown.locator("#charts polyline").count() == 2


def test_long_inputs_say_what_is_left_out_and_turn_pages(show):
    keys = np.arange(6).reshape(1, 2, 3) * 20_000
    axis = tokens([f"w{place}" for place in range(100_001)])
    one = site("long", axis, "xy", [[[0.5, 0.2, 0.1], [0.4, 0.3, 0.05]]], keys=keys)
    shown = show(layers([one]))
    said = shown.inner_text("#left-out")
    assert said.startswith("Top 3 of 100,001 per row and head; the rest, 22.5% on average, is left out.")
    assert shown.locator("#seen span").all_inner_texts() == [f"w{place}" for place in range(0, 100_001, 20_000)]
    assert readout(shown) == told(one, 0, rest=0.2)
    shown.select_option("#columns", "all")
    assert shown.locator("#seen span").count() == 1000
    shown.click("#lookers-1")
    assert shown.locator("#seen-60000").is_visible()
    shown.click("#seen-pages button >> nth=0")
    assert shown.inner_text("#seen-pages span") == "59,001 to 60,000 of 100,001"


def test_an_image_is_bright_where_it_was_looked_at(show):
    white = patches(np.full((40, 60, 3), 255, np.uint8), (2, 3))
    weights = np.array([[[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0.5, 0.5]]])
    shown = show(layers([site("caption", tokens("abcdef", image=white), ["a", "dog"], weights)]))
    shown.wait_for_selector("html[data-image]")
    light = """() => { const image = find("image"), pen = image.getContext("2d");
      return [0, 1].flatMap((row) => [0, 1, 2].map((column) => pen.getImageData(
        (column + .5) * image.width / 3, (row + .5) * image.height / 2, 1, 1).data[0])); }"""
    assert (np.array(shown.evaluate(light)) > 250).tolist() == [False, True, False, False, False, False]
    shown.hover("#lookers-1")
    assert (np.array(shown.evaluate(light)) > 250).tolist() == [False, False, False, False, True, True]
    box = shown.locator("#image").bounding_box()
    shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    assert readout(shown) == "b was looked at by a 1.00"


def test_an_image_among_words_stays_with_its_patches(show):
    white = patches(np.full((20, 40, 3), 255, np.uint8), (1, 2), places=[3, 4])
    axis = tokens(["wh", "##at", "is", "<0>", "<1>", "?"], words=[0, 0, 1, 2, 3, 4], special=[5], image=white)
    shown = show(layers([site("a", axis, ["a"], [[[0.1, 0.1, 0.1, 0.2, 0.4, 0.1]]])]))
    shown.wait_for_selector("html[data-image]")
    light = """() => [0.25, 0.75].map((x) => find("image").getContext("2d").getImageData(
      x * find("image").width, find("image").height / 2, 1, 1).data[0])"""
    for special in ("shown", "hidden"):
        shown.select_option("#special", special)
        dim, bright = shown.evaluate(light)
        assert dim < 200 < 250 < bright
    box = shown.locator("#image").bounding_box()
    shown.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert readout(shown) == "<1> was looked at by a 0.40"


def test_dark_and_light_change_while_it_is_open(show):
    shown = show(MODEL)
    corner = """() => [...document.querySelectorAll("#plane-canvas, #head-2-1 canvas")].map((canvas) =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
        .filter((_, at) => at % 4 === 0).reduce((sum, red) => sum + red, 0) / canvas.width / canvas.height)"""
    shown.wait_for_selector("#head-2-1.drawn")
    assert min(shown.evaluate(corner)) > 128
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_timeout(200)
    assert max(shown.evaluate(corner)) < 128


def test_a_row_that_is_held_stays_for_another_head_but_not_for_other_tokens(show):
    cross = site("decoder.cross", PIECES, "abcdefghijk", weights_of(1, 11, 9))
    shown = show(layers([*SITES, cross]))
    assert "all" not in shown.locator("#layer option").evaluate_all("all => all.map((one) => one.value)")
    shown.click("#head-0-0")
    shown.click("#lookers-4")
    shown.click("#head-1-1")
    assert readout(shown) == told(views.merged(views.only(SITES[1], 1)), 4)
    shown.click("#head-3-0", modifiers=["Shift"])
    assert shown.inner_text("#chosen-name") == "decoder.cross, head 0"
    assert readout(shown) == told(views.merged(cross), 0)


def test_the_map_is_saved_and_copied_as_svg(show):
    shown = show(MODEL)
    choose(shown, 0, 0)
    with shown.expect_download() as download:
        shown.click("#save-vector")
    drawn = ElementTree.parse(download.value.path()).getroot()
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    one = views.merged(views.only(SITES[0], 0))
    assert texts == ["encoder.layer.0.self, head 0", *one.target.labels, *one.source.labels]
    cells = [element for element in drawn.iter() if element.tag.endswith("rect")]
    sent = SITES[0]._replace(weights=np.rint(SITES[0].weights / SITES[0].weights.max((1, 2), keepdims=True) * 65535))
    assert len(cells) == 2 + np.count_nonzero(views.merged(views.only(sent, 0)).weights)
    shown.click("#copy-vector")
    shown.wait_for_selector("#copy-said:text-is('Copied.')")


def test_hostile_tokens_stay_text(show):
    labels = [BAD, "<!--", "\u202e", LONG]
    one = site(BAD, labels, labels, weights_of(2, 4, 4), heads=[BAD, "b"])
    drawn = layers([one], figures={BAD: [[1, 2]]}, curves={BAD: {BAD: ([0, 1], [0, 1])}}, note=BAD, text=BAD)
    shown = show(drawn)
    shown.click("#row-summary")
    assert shown.title() == "Title"
    assert shown.locator("img").count() == 0
    assert "\\u202e" in shown.locator("#seen span").all_inner_texts()


def test_several_pages_live_in_one_notebook(show):
    frames = "".join(page.embedded([MODEL], title=f"Page {place}")._repr_html_() for place in range(2))
    shown = show(written=f"<!doctype html><title>Notebook</title>{frames}")
    for place, frame in enumerate(shown.frames[1:]):
        frame.wait_for_selector("html[data-ready]")
        assert frame.inner_text("h1") == f"Page {place}"
        frame.click("#lookers-2")
        assert frame.inner_text("#readout") == told(views.merged(views.reduced(SITES[-1], "mean")), 2)
    assert shown.title() == "Notebook"


def test_other_kinds_stand_beside_it(show):
    shown = show(attention_map("ab", "x", [[0.75, 0.25]]), MODEL)
    assert readout(shown) == "x looked at a 0.75, b 0.25"
    shown.click("#example-1")
    assert shown.inner_text("#chosen-name") == "encoder.layer.2.self, mean of 4 heads"
    assert shown.locator("#wrote").is_hidden()


def test_no_tokens_are_no_error(show):
    shown = show(layers([site("a", "", "", np.zeros((2, 0, 0))), site("b", "xy", "z", np.zeros((1, 1, 2)))]))
    assert readout(shown) == "z looked at nothing"
    shown.select_option("#layer", "0")
    assert readout(shown) == "There are no tokens to look at."


def artefact(name, folder):
    place = Path(os.environ.get("SACCADE_ARTEFACTS") or folder)
    place.mkdir(parents=True, exist_ok=True)
    return str(place / f"{name}.png")


def chinese():
    source, target = tokens([*"今天晚上九点去看电影", "</s>"], special=[10]), ["Tonight", "at", "nine", "a", "film"]
    return layers([site(f"decoder.{n}", source, target, weights_of(3, 5, 11, n)) for n in range(2)], text="今天晚上")


def long_tokens():
    labels = [LONG, "x" * 90, "short", BAD, "مرحبا"]
    return layers([site("a.very.long.name." * 5, labels, labels, weights_of(2, 5, 5))], text=LONG)


def wide():
    axis, cut = tokens([f"token{place}" for place in range(300)], special=[0]), top(weights_of(12, 300, 300), 8)
    sites = [site(f"layer.{n}", axis, axis, cut.weights, keys=cut.keys, rest=cut.rest) for n in range(12)]
    return layers(sites)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("drawn", [chinese, long_tokens, wide, lambda: MODEL], ids=["chinese", "long", "wide", "words"])
def test_nothing_overflows_and_letters_stand_out(show, tmp_path, request, drawn, width, scheme):
    shown = show(drawn(), width=width, scheme=scheme)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-")
    shown.screenshot(path=artefact(name, tmp_path), full_page=True)
    faint = shown.evaluate(CONTRAST)
    assert not [each for each in faint if each[1] < 4.5], faint


# The contrast of WCAG 2.2 between the letters of what is in sight and what is behind them.
CONTRAST = """() => {
  const known = new Map();  // a canvas for each element would take seconds
  const numbers = (colour) => {
    if (!known.has(colour)) {
      const pen = document.createElement("canvas").getContext("2d");
      pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
      known.set(colour, [...pen.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(colour);
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] === 255) return numbers(colour);
    }
    return [255, 255, 255];
  };
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255).map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4).reduce((sum, part, at) =>
    sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  return [...document.querySelectorAll("main *")].filter((one) => one.offsetHeight && !one.disabled &&
    [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).slice(0, 400).map((one) => {
    const pair = [light(numbers(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
    return [one.id || one.textContent.slice(0, 20), (pair[0] + 0.05) / (pair[1] + 0.05)];
  }).filter(([, ratio]) => ratio < 4.5);
}"""
