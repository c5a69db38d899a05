"""The web page: all of the maps, nothing from outside, and tokens that stay text."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.lens import page
from saccade.lens.maps import attention_map, visible

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
    pieces = page._pieces(map)
    assert [piece.token for piece in pieces if piece.token >= 0] == list(range(len(tokens)))
    shown = "".join(piece.text for piece in pieces if not piece.mark)
    if text and not all(piece.mark for piece in pieces):
        assert shown.rstrip() == text.rstrip()


def test_words_are_found_in_the_text_and_special_tokens_stand_beside_it():
    pieces = page._pieces(attention_map(["<s>", "▁half", "▁past", "</s>"], "", [], text="half  past"))
    assert pieces == [("<s>", 0, True), ("half", 1, False), ("  ", -1, False), ("past", 2, False), ("</s>", 3, True)]


def test_tokens_that_are_not_the_words_of_the_text_are_shown_alone():
    assert page._pieces(attention_map(["HALF"], "", [], text="half")) == [("HALF", 0, True)]


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
    with pytest.raises(ValueError, match="at least one attention map"):
        page.save([], tmp_path / "map.html", title="Title")
    assert not list(tmp_path.iterdir())


def test_a_map_with_nothing_written_is_data():
    (example,) = data(attention_map("ab", "", []))["examples"]
    assert example["weights"] == []


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
    const said = [], say = () => said.push(find("readout").textContent);
    const send = (where, event) => where.dispatchEvent(event);
    const press = (key, where = document.body) => send(where, new KeyboardEvent("keydown", {key, bubbles: true}));
    const point = (where, type) => send(where, new PointerEvent(type, {bubbles: true}));
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
    root.dataset.said = said.join("|");
    """
    # The policy rightly stops this script, so here it is taken out.
    html = re.sub(r"<meta http-equiv=[^>]*>", "", html).replace("</body>", f"<script>{script}</script></body>")
    drawn = dom(html, tmp_path)
    assert "data-error" not in drawn
    assert re.findall('data-said="(.*?)"', drawn)[0].split("|") == [
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
