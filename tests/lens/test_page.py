"""The web page: all of the maps, nothing from outside, and tokens that stay text."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.lens import comparison, page
from saccade.lens.maps import attention_map, visible
from saccade.lens.page.data import _pieces
from saccade.lens.series import attended_series
from saccade.lens.texts import shaded_text

HOSTILE = [
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<!--",
    "<script>",
    "{{data}}",
    "\u202e",
    "\ud800",
]


def random_map(source, target, **words):
    weights = np.random.default_rng(3).dirichlet(np.full(len(source), 0.3), size=len(target))
    return attention_map(source, target, weights, **words)


CLOCK = random_map("half past", ["9", ":", "</s>"], text="half past", answer="9:30", note="expected 9:30")
BAD = random_map(HOSTILE, HOSTILE[::-1], text=" ".join(HOSTILE), answer=HOSTILE[0], note=HOSTILE[0])

REVIEW = shaded_text(
    [["not", "so", "good"], ["awful"]],
    [[0.5, 0.1, 0.4], [1.0]],
    sentence_weights=[0.36, 0.64],
    answer="neg",
    scores={"pos": 0.1, "neg": 0.9},
    note="expected pos",
)
HOPS = shaded_text([["a", "b", "c"]], [[[1, 0, 0], [0, 0.5, 0.5]]], answer="x")
LOAD = attended_series(
    ["load", "heat"],
    [[1, 20], [2.5, 21], [4, 19]],
    [[0.1, 0.2, 0.3], [0.0, 0.4, 0.0]],
    [[5], [6]],
    targets=["load"],
    truth=[[5.5], [6.5]],
    times=["mon", "tue", "wed", "thu", "fri"],
    answer="rising",
)
KINDS = [CLOCK, REVIEW, HOPS, LOAD]


def data_block(html):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    return block


def data(*maps):
    return json.loads(data_block(page.render(maps, title="Title")))


def test_the_data_parses_back_to_the_maps():
    read = data(CLOCK, BAD)
    for map, example in zip((CLOCK, BAD), read["examples"], strict=True):
        assert np.allclose(np.array(example["weights"]) / read["scale"], map.weights, atol=0.5 / read["scale"])
        assert example["source"] == [visible(token) for token in map.source]
        assert example["target"] == [visible(token) for token in map.target]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=9), min_size=1, max_size=5), st.text(st.characters(), max_size=30))
def test_no_token_leaves_the_data_block(tokens, text):
    html = page.render([random_map(tokens, tokens, text=text, answer=text, note=text)], title=text)
    html.encode("utf-8")
    block = data_block(html)
    assert not set("<>&") & set(block)
    assert [visible(token) for token in tokens] == json.loads(block)["examples"][0]["source"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "ab", " ", "b ", "\n", "▁b", "</s>", ""]), max_size=8), st.text("ab \n", max_size=9)
)
def test_every_token_is_one_piece_in_order_and_the_text_is_whole(tokens, text):
    map = attention_map(tokens, "", [], text=text)
    pieces = _pieces(map)
    assert [piece.token for piece in pieces if piece.token >= 0] == list(range(len(tokens)))
    shown = "".join(piece.text for piece in pieces if not piece.mark)
    if text and not all(piece.mark for piece in pieces):
        assert shown.rstrip() == text.rstrip()


def test_words_are_found_in_the_text_and_special_tokens_stand_beside_it():
    pieces = _pieces(attention_map(["<s>", "▁half", "▁past", "</s>"], "", [], text="half  past"))
    assert pieces == [("<s>", 0, True), ("half", 1, False), ("  ", -1, False), ("past", 2, False), ("</s>", 3, True)]


def test_tokens_that_are_not_the_words_of_the_text_are_shown_alone():
    assert _pieces(attention_map(["HALF"], "", [], text="half")) == [("HALF", 0, True)]


def test_nothing_comes_from_outside():
    html = page.render([CLOCK], title="Title")
    assert not re.search(r"https?:|//\w|\bsrc\s*=|\bhref\s*=|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "unsafe" not in html


def test_the_title_is_text():
    html = page.render([CLOCK], title="<b>{{data}}\ud800")
    assert html.count("&lt;b&gt;{{data}}\\ud800") == 2


def test_the_same_maps_are_the_same_file(tmp_path):
    for name in "ab":
        page.save([CLOCK, BAD], tmp_path / f"{name}.html", title="Title")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_no_maps_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="at least one drawing"):
        page.save([], tmp_path / "map.html", title="Title")
    assert not list(tmp_path.iterdir())


def test_a_map_with_nothing_written_is_data():
    (example,) = data(attention_map("ab", "", []))["examples"]
    assert example["weights"] == []


def test_a_text_is_carried_with_all_hops_and_where_each_scale_ends():
    example = data(REVIEW, HOPS)["examples"][0]
    assert example["weights"] == [[[5000, 1000, 4000]], [[10000]]]
    assert example["shares"] == [3600, 6400]
    assert example["scores"] == [["neg", 9000], ["pos", 1000]]
    assert example["tops"] == [8000]
    # The mean over both hops, then each hop.
    assert data(HOPS)["examples"][0]["tops"] == [5000, 10000, 5000]


def test_series_share_a_row_of_weights_or_have_their_own():
    (own,) = data(LOAD)["examples"]
    assert [(panel["name"], panel["row"], panel["past"]) for panel in own["panels"]] == [
        ("load", 0, [1, 2.5, 4]),
        ("heat", 1, [20, 21, 19]),
    ]
    assert own["weights"] == [[1000, 2000, 3000], [0, 4000, 0]]
    (shared,) = data(attended_series("ab", [[1, 2]], [1.0], [3, 4]))["examples"]
    assert [panel["row"] for panel in shared["panels"]] == [0, 0]


def test_a_drawing_of_no_kind_is_an_error():
    with pytest.raises(TypeError, match=r"a drawing must be .* got str"):
        page.render(["text"], title="Title")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=9), min_size=1, max_size=5))
def test_no_word_name_or_time_leaves_the_data_block(words):
    text = shaded_text([words], [np.ones(len(words))], answer=words[0], scores={words[0]: 1.0}, text=words[-1])
    names = [f"{place}{word}" for place, word in enumerate(words)]
    series = attended_series(names, np.ones((1, len(words))), [1], np.ones(len(words)), times=words[:1])
    rows = [comparison.Compared(words[0], {words[-1]: (1.0, 0.1)}, drawing=drawing) for drawing in (text, series)]
    html = comparison.render(rows, title=words[0])
    html.encode("utf-8")
    assert not set("<>&") & set(data_block(html))


# In a browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH")


def dom(html, tmp_path):
    """The document as headless Chromium has it once its scripts have run."""
    file = tmp_path / "page.html"
    file.write_text(html, encoding="utf-8")
    quiet = "--disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"
    command = [BROWSER, "--headless", "--no-sandbox", *quiet.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, timeout=60, check=True)
    return done.stdout.decode("utf-8")


def told(html, script, tmp_path):
    """What `script` says, one by one, in a page for which it has keys, a pointer and choices."""
    hands = """
    const said = [], say = () => said.push(find("readout").textContent);
    const send = (where, event) => where.dispatchEvent(event);
    const press = (key, where = document.body) => send(where, new KeyboardEvent("keydown", {key, bubbles: true}));
    const point = (where, type, x = 0) => send(where, new PointerEvent(type, {bubbles: true, clientX: x}));
    const take = (list, value) => { list.value = value; send(list, new Event("change")); };
    const shades = (all) => [...all].map((part) => part.style.getPropertyValue("--w") || "0").join(" ");
    """
    # The policy rightly stops this script, so here it is taken out.
    script = f"<script>{hands}{script} root.dataset.said = said.join('|');</script></body>"
    html = re.sub(r"<meta http-equiv=[^>]*>", "", html).replace("</body>", script)
    drawn = dom(html, tmp_path)
    assert "data-error" not in drawn
    return re.findall('data-said="(.*?)"', drawn)[0].split("|")


@in_browser
def test_the_page_draws_every_cell_and_its_policy_stops_other_scripts(tmp_path):
    html = page.render([BAD, CLOCK], title="Title")
    html = html.replace("</body>", "<script>document.title = 'owned'</script></body>")
    drawn = dom(html, tmp_path)
    assert 'data-ready="yes"' in drawn
    assert "data-error" not in drawn
    assert drawn.count("<td") == BAD.weights.size
    assert "<img" not in drawn
    assert "<title>Title</title>" in drawn


@in_browser
def test_keys_and_pointer_tell_what_was_looked_at(tmp_path):
    weights = [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
    empty = attention_map("ab", "", [], answer="none")
    html = page.render([attention_map(["ein", "Hund", "rennt"], ["a", "dog"], weights), empty], title="Title")
    script = """
    say();
    press("ArrowRight"); say();
    press("ArrowRight"); press("Home"); say();
    point(find("map").tBodies[0].rows[1].cells[1], "pointerover"); say();
    point(find("map"), "pointerleave"); say();
    point(find("read").lastChild, "pointerover"); say();
    said.push(find("wrote").querySelector(".shaded").textContent);
    press("End", find("examples")); say();
    find("filter").value = "hund"; send(find("filter"), new Event("input"));
    said.push(find("count").textContent);
    """
    assert told(html, script, tmp_path) == [
        "a looked at ein 0.75, Hund 0.25",
        "dog looked at rennt 1.00",
        "a looked at ein 0.75, Hund 0.25",
        "dog looked at ein 0.00",
        "a looked at ein 0.75, Hund 0.25",
        "rennt was looked at by dog 1.00",
        "dog",
        "Nothing was written.",
        "1 of 2 examples",
    ]


@in_browser
def test_a_page_of_all_kinds_runs_under_its_policy(tmp_path):
    hostile = shaded_text([HOSTILE], [np.ones(len(HOSTILE))], answer=HOSTILE[0], scores={HOSTILE[0]: 1.0})
    series = attended_series(HOSTILE, np.ones((2, 6)), [1, 0], np.ones(6), times=HOSTILE[:2])
    html = page.render([hostile, series, *KINDS], title="Title")
    drawn = dom(html.replace("</body>", "<script>document.title = 'owned'</script></body>"), tmp_path)
    assert 'data-ready="yes"' in drawn
    assert "data-error" not in drawn
    assert "<img" not in drawn
    assert "<title>Title</title>" in drawn


@in_browser
def test_each_kind_shows_its_part_of_the_page_alone(tmp_path):
    script = """
    const shown = () => new Set([...document.querySelectorAll("[data-of]")].filter((part) => part.offsetHeight)
      .map((part) => part.dataset.of));
    for (const index of [0, 1, 2, 3]) { choose(index); said.push([...shown()].join()); }
    """
    assert told(page.render(KINDS, title="Title"), script, tmp_path) == ["map", "text", "text", "series"]


@in_browser
def test_words_are_shaded_by_their_sentence_too_and_tell_why(tmp_path):
    script = """
    const words = find("passage").querySelectorAll("[role=option]");
    say(); said.push(shades(words)); said.push(find("note").textContent);
    point(words[0], "pointerover"); say();
    point(find("passage"), "pointerleave"); press("End"); say();
    press("ArrowLeft"); say(); said.push(find("passage").getAttribute("aria-activedescendant"));
    said.push(find("scores").textContent);
    """
    assert told(page.render([REVIEW], title="Title"), script, tmp_path) == [
        "Looked at most: awful 0.80, not 0.30, good 0.24",
        "0.375 0.075 0.300 1.000",
        "expected pos",
        "not 0.50 × √0.36 of its sentence = 0.30",
        "awful 1.00 × √0.64 of its sentence = 0.80",
        "good 0.40 × √0.36 of its sentence = 0.24",
        "word-2",
        "neg0.90pos0.10",
    ]


@in_browser
def test_a_hop_is_chosen_and_shades_the_words_alone(tmp_path):
    script = """
    const all = () => shades(find("passage").querySelectorAll("[role=option]"));
    said.push(all()); take(find("hop"), 1); said.push(all(), find("top").textContent);
    take(find("hop"), 2); said.push(all()); choose(1); said.push(find("hops").hidden);
    """
    assert told(page.render([HOPS, REVIEW], title="Title"), script, tmp_path) == [
        "1.000 0.500 0.500",
        "1.000 0 0",
        "1",
        "0 1.000 1.000",
        "true",
    ]


@in_browser
def test_series_are_drawn_and_told_by_time(tmp_path):
    script = """
    const points = (name) => find("plot").querySelector("." + name)?.getAttribute("points").split(" ").length;
    const box = find("plot").getBoundingClientRect();
    say(); said.push(points("past"), points("forecast"), points("truth"));
    said.push(shades(find("plot").querySelectorAll(".wash")));
    press("ArrowRight"); say(); press("End"); say();
    point(find("plot"), "pointermove", box.left + box.width * across(1) / 900); say();
    take(find("variable"), 1); say(); said.push(points("forecast"), find("plot").querySelectorAll(".wash").length);
    press("End"); say();
    """
    assert told(page.render([LOAD], title="Title"), script, tmp_path) == [
        "Looked at most: wed 0.3, tue 0.2, mon 0.1",
        *("3", "3", "3", "0.250 0.500 0.750"),
        "mon value 1, weight 0.1",
        "fri forecast 6, truth 6.5",
        "tue value 2.5, weight 0.2",
        "Looked at most: tue 0.4",
        *("", "1"),
        "fri ",
    ]


@in_browser
def test_copied_words_are_underlined_in_both_places_and_explained(tmp_path):
    copied = attention_map("ab", "xyz", np.ones((3, 2)) / 2, copied=[0.25, 0.75, 1.0])
    script = """
    const underlined = (where) => [...find(where).querySelectorAll(".copied")].map((part) => part.textContent).join("");
    said.push(underlined("wrote"), underlined("map"), find("copied").hidden); press("End"); say();
    choose(1); said.push(underlined("wrote"), find("copied").hidden);
    """
    assert told(page.render([copied, CLOCK], title="Title"), script, tmp_path) == [
        *("yz", "yz", "false"),
        "z (copied 1.00) looked at a 0.50, b 0.50",
        *("", "true"),
    ]


@in_browser
def test_a_comparison_sorts_and_shows_the_drawing_of_its_row(tmp_path):
    rows = [
        comparison.Compared("dot", {"score": (0.9, 0.01)}, seconds=70.0, drawing=CLOCK),
        comparison.Compared("none", {}, seconds=8.0),
        comparison.Compared("additive", {"score": (0.95, 0)}, seconds=1200.0, drawing=REVIEW),
    ]
    script = """
    const names = () => [...find("table").tBodies[0].rows].map((row) => row.cells[0].textContent).join(" ");
    const heads = find("table").tHead.querySelectorAll("button");
    const sort = (column) => { heads[column].click(); said.push(names()); };
    said.push(names(), find("name").textContent, getComputedStyle(document.querySelector("nav")).display);
    sort(2); sort(2); sort(1); sort(1); sort(0);
    said.push(heads[0].parentNode.getAttribute("aria-sort"), heads[1].parentNode.getAttribute("aria-sort"));
    find("table").tBodies[0].rows[0].click(); say();
    find("table").tBodies[0].rows[2].querySelector("button").click();
    said.push(find("name").textContent); say(); said.push(find("table").querySelector(".chosen").textContent);
    """
    assert told(comparison.render(rows, title="Title"), script, tmp_path) == [
        *("dot none additive", "dot", "none"),
        *("none dot additive", "additive dot none"),
        *("dot additive none", "additive dot none"),  # what has no figure comes last either way
        "additive dot none",
        *("ascending", ""),
        "Looked at most: awful 0.80, not 0.30, good 0.24",
        *("none", "", "none–8–––"),
    ]
