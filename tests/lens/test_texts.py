"""Shaded texts: what is refused, which words stay of a long one, and how they look in a terminal and in a picture."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from saccade.lens import figure
from saccade.lens.figure.sheet import Sheet
from saccade.lens.maps import scale_end
from saccade.lens.terminal import draw
from saccade.lens.texts import drawn_weights, excerpt, left_out, shaded_text

REVIEW = shaded_text(
    [["a", "dull", "start", "."], ["but", "what", "a", "truly", "wonderful", "end", "!"]],
    [[0.1, 0.74, 0.16, 0.0], [0, 0.1, 0, 0.2, 0.7, 0, 0]],
    sentence_weights=[0.25, 0.81],
    answer="pos",
    scores={"neg": 0.06, "pos": 0.94},
    note="expected neg",
)
STRANGE = [[], ["👩\u200d🔬", "", "\x1b[2J", "x" * 300], ["مرحبا", "بالعالم"], list("这部电影"), ["$x^{$"]]


def random_text(sentences, hops=1, **words):
    generator = np.random.default_rng(5)
    weights = [generator.dirichlet(np.ones(max(len(row), 1)), size=hops)[:, : len(row)] for row in sentences]
    return shaded_text(sentences, weights, **words)


def drawn(text, width=60, encoding="utf-8", **options):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(text, console=Console(file=file, width=width, **options))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


# What is refused


def test_shapes_must_fit_the_words():
    with pytest.raises(ValueError, match=r"weights must be one array for each of 2 sentences; got 1"):
        shaded_text([["a"], ["b"]], [[1]])
    with pytest.raises(ValueError, match=r"weights of sentence 2 must be \[hop, word\] = \[1, 3\]; got \[1, 2\]"):
        shaded_text([["a"], ["b", "c", "d"]], [[1], [0, 1]])
    with pytest.raises(ValueError, match=r"weights of sentence 2 must be \[hop, word\] = \[2, 1\]; got \[3, 1\]"):
        shaded_text([["a"], ["b"]], [np.ones((2, 1)), np.ones((3, 1))])
    with pytest.raises(ValueError, match=r"sentence_weights must be \[sentence\] = \[2\]; got \[3\]"):
        shaded_text([["a"], ["b"]], [[1], [1]], sentence_weights=[1, 0, 0])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5])
def test_values_must_be_weights(wrong):
    with pytest.raises(ValueError, match="weights of sentence 1 must be finite and at least 0; got"):
        shaded_text([["a"]], [[wrong]])
    with pytest.raises(ValueError, match="sentence_weights must be finite and at least 0; got"):
        shaded_text([["a"]], [[1]], sentence_weights=[wrong])
    with pytest.raises(ValueError, match="scores must be finite and at least 0 and at most 1; got"):
        shaded_text([["a"]], [[1]], scores={"pos": wrong})


def test_a_text_is_a_frozen_copy_with_the_likeliest_label_first():
    given = np.array([0.25, 0.75])
    text = shaded_text([["a", "b"]], [given], scores={"x": 0.2, "y": 0.5, "z": 0.3})
    given[:] = 0
    assert text.weights[0].tolist() == [[0.25, 0.75]]
    assert [label for label, _ in text.scores] == ["y", "z", "x"]
    with pytest.raises(ValueError, match="read-only"):
        text.weights[0][0, 0] = 1


def test_words_are_drawn_by_the_mean_of_hops_times_the_root_of_their_sentence():
    text = shaded_text([["a", "b"], ["c"]], [[[1, 0], [0.5, 0.5]], [[1], [0]]], sentence_weights=[0.25, 0.04])
    assert np.allclose(np.concatenate(drawn_weights(text)), [0.375, 0.125, 0.1])
    assert np.allclose(np.concatenate(drawn_weights(text, 1)), [0.25, 0.25, 0.0])


# Which words stay


def test_the_sentences_that_were_looked_at_most_stay_in_the_order_of_reading():
    text = random_text([["w"] * 7 for _ in range(100)], sentence_weights=np.arange(100) / 4950)
    stretches = excerpt(drawn_weights(text), 70)
    assert [stretch.sentence for stretch in stretches] == list(range(90, 100))
    assert left_out(text, stretches) == "Left out, the least looked at: 630 of 700 words, 90 of 100 sentences."


def test_of_a_sentence_longer_than_all_the_room_stretches_stay():
    weights = np.full(1000, 1e-4)
    weights[[90, 130, 700]] = 0.1
    (first, second) = excerpt([weights], 120)
    assert (first.words, second.words) == (range(80, 160), range(680, 720))


def test_there_is_always_something_of_a_text_that_has_words():
    assert [stretch.words for stretch in excerpt([np.zeros(0), np.ones(13)], 5)] == [range(13)]
    assert excerpt([np.zeros(0)], 5) == []


# In the terminal


def test_without_colour_brackets_mark_what_was_looked_at_most():
    assert drawn(REVIEW, width=40).splitlines() == [
        "answer pos",
        "scores pos 0.94  neg 0.06",
        "       expected neg",
        "",
        "0.25 █▉     a [[dull]] start .",
        "0.81 ██████ but what a [truly]",
        "            [[wonderful]] end !",
        "",
        "[from 0.14] [[from 0.35]]  weight of a word times the root of its sentence's; bars: weights of sentences",
    ]


def test_an_output_of_ascii_gets_bars_of_ascii():
    text = drawn(
        shaded_text(REVIEW.sentences, [w[0] for w in REVIEW.weights], sentence_weights=[0.4, 0.8]), 60, "ascii"
    )
    assert text.splitlines()[0] == "0.40 ###    a [[dull]] start ."


def test_colours_take_the_place_of_brackets_and_go_with_no_color(monkeypatch):
    coloured = drawn(REVIEW, force_terminal=True, color_system="truecolor")
    assert "[[dull]]" not in coloured
    assert re.search(r"\x1b\[[\d;]*48;2;[\d;]*mwonderful\x1b", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = drawn(REVIEW, force_terminal=True, color_system="truecolor")
    assert "48;2" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", plain) == drawn(REVIEW)


def test_a_long_text_shows_where_words_are_left_out():
    weights = np.full(1000, 1e-6)
    weights[500] = 1
    text = drawn(shaded_text([["ww"] * 1000], [weights]), width=90)
    assert text.startswith("ww ww")
    assert "ww …\n" in text
    assert "… ww ww" in text
    assert "Left out, the least looked at: 720 of 1,000 words.\n" in text
    assert max(map(len, text.splitlines())) <= 90


def test_strange_words_are_drawn_and_cannot_speak_to_the_terminal():
    text = random_text(STRANGE, sentence_weights=np.ones(5) / 5)
    for encoding in ("utf-8", "ascii", "gbk"):
        shown = drawn(text, 40, encoding, force_terminal=True, color_system=None)
        assert not re.search(r"\x1b(?!\[\d*m)", shown)
        assert shown.count("x" * 20) >= 10


def test_chinese_words_stand_side_by_side():
    text = shaded_text([["这部", "电影", "好"], list("看，")], [[0, 1, 0], [0, 0]])
    assert drawn(text).splitlines()[:2] == ["这部[[电影]]好", "看，"]


def test_a_text_without_words_is_its_answer():
    assert drawn(shaded_text([], [], answer="pos")).split() == ["answer", "pos"]
    assert drawn(shaded_text([[]], [[]], answer="pos")).split() == ["answer", "pos"]


# As a picture


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_text_is_the_same_picture(tmp_path, suffix):
    for name in "ab":
        figure.save(REVIEW, tmp_path / f"{name}{suffix}", title="A review")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def words_of(drawn):
    return [(text.get_text(), text.get_window_extent()) for text in drawn.axes[0].texts]


@pytest.mark.parametrize("text", [REVIEW, random_text([["many", "words", "i", "…", "wwwwwww"] * 23], hops=3)])
def test_words_neither_overlap_nor_leave_the_sheet(text):
    drawn = figure.draw(text, title="What a long title this is, longer than the sheet is wide " * 3)
    boxes = [box for _, box in words_of(drawn)]
    for place, box in enumerate(boxes):
        assert box.x0 >= -1
        assert box.x1 <= drawn.bbox.width + 1
        assert not any(
            box.x0 < other.x1 - 1 and other.x0 < box.x1 - 1 and box.y0 < other.y1 - 1 and other.y0 < box.y1 - 1
            for other in boxes[place + 1 :]
        )


def test_every_word_stands_on_the_colour_of_its_weight():
    drawn = figure.draw(REVIEW)
    boxes = dict(words_of(drawn))
    top = scale_end(np.concatenate(drawn_weights(REVIEW)))
    for word, weight in (("dull", 0.74 * 0.5), ("wonderful", 0.7 * 0.9), ("truly", 0.2 * 0.9)):
        middle = ((boxes[word].x0 + boxes[word].x1) / 2, (boxes[word].y0 + boxes[word].y1) / 2)
        (patch,) = [p for p in drawn.axes[0].patches if p.get_window_extent().contains(*middle)]
        assert np.allclose(patch.get_facecolor(), figure.maps.palette()(weight / top), atol=1e-3)


def test_words_that_run_leftward_start_on_the_right():
    first, second = (box.x0 for word, box in words_of(figure.draw(shaded_text([["مرحبا", "بالعالم"]], [[1, 0]])))[:2])
    assert first > second


@pytest.mark.filterwarnings("ignore:no installed font")
def test_strange_texts_are_pictures_too(tmp_path):
    for text in (random_text(STRANGE, answer="$\\frac", note="\x00"), shaded_text([], []), shaded_text([["a"]], [[0]])):
        figure.save(text, tmp_path / "text.png", title="$x^{$")


def test_a_sheet_fits_words_and_measures_as_it_draws():
    sheet = Sheet(300, ["DejaVu Sans"])
    assert sheet.fit("short", 10, 100) == "short"
    fitted = sheet.fit("x" * 500, 10, 100)
    assert fitted.endswith("x…")
    assert 90 < sheet.measure(fitted, 10) <= 100


def test_a_document_says_in_the_picture_what_it_lacks():
    text = random_text([["w"] * 7 for _ in range(100)], sentence_weights=np.arange(100) / 4950)
    words = [word for word, _ in words_of(figure.draw(text))]
    assert " ".join(words).endswith("Left out, the least looked at: 301 of 700 words, 43 of 100 sentences.")
