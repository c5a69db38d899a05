"""The heat map in a terminal: everything is there, in its column, on any output."""

import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from saccade.lens.maps import attention_map, visible
from saccade.lens.terminal import draw
from saccade.lens.terminal.shades import ASCII, BLOCKS

WORDS = attention_map(
    ["the", "boy", "wrote", "a", "very", "long", "letter", "to", "his", "friend"],
    ["le", "garçon", "a", "écrit", "une", "très", "longue", "lettre", "à", "son", "ami"],
    np.random.default_rng(5).dirichlet(np.full(10, 0.3), size=11),
)
CHINESE = attention_map("晚上 9点", "二1点 ", np.random.default_rng(7).dirichlet(np.full(5, 0.3), size=4))


def drawn(map, width=80, encoding="utf-8", **options):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(map, console=Console(file=file, width=width, **options))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def heat_rows(text, map):
    labels = {visible(token) for token in map.target}
    lines = text.splitlines()
    return [line for line in lines if line.split(" ")[0] in labels]


@pytest.mark.parametrize("map", [WORDS, CHINESE])
@pytest.mark.parametrize("width", [17, 40, 80, 200])
def test_every_label_is_there_once_in_the_headers_and_once_a_panel_in_the_rows(map, width):
    lines = drawn(map, width).splitlines()
    headers = [line.split() if map is WORDS else list(line.replace(" ", "")) for line in lines if line.startswith(" ")]
    assert [label for header in headers for label in header] == [visible(token) for token in map.source]
    rows = heat_rows("\n".join(lines), map)
    assert len(rows) == len(headers) * len(map.target)


@pytest.mark.parametrize("width", [60, 200])
@pytest.mark.parametrize("map", [WORDS, CHINESE])
def test_all_rows_of_a_panel_are_equally_wide(map, width):
    lines = drawn(map, width).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(" ")) + 1
    rows = [line.split(" → ")[0] for line in lines[start : start + len(map.target)]]
    assert len({cell_len(row) for row in rows}) == 1
    assert all(set(row.split(" ", 1)[1]) <= set(BLOCKS) for row in rows)


def test_the_darkest_cell_stands_under_the_token_that_is_named():
    source = ["一", "bb", " ", "四四四", "e"]
    map = attention_map(source, "12345", np.eye(5))
    header, *rows = drawn(map).splitlines()[:6]
    for row, token in zip(rows, source, strict=True):
        label = visible(token)
        place = cell_len(header[: header.index(label)])
        assert row.index("█") == place
        assert row.count("█") == max(cell_len(label), 2)
        assert row.endswith(f"→ '{label}' 1.00")


def test_chinese_reads_as_it_is_written():
    assert drawn(CHINESE).splitlines()[0].strip() == "晚上␣ 9 点"


def test_a_wide_map_wraps_and_loses_no_column():
    tokens = [f"w{index}" for index in range(61)]
    text = drawn(attention_map(tokens, ["out"], np.eye(61)[60:]), width=50)
    assert re.findall(r"w\d+", text.split("→")[0]) == tokens
    assert max(cell_len(line) for line in text.splitlines()) <= 50
    assert text.count("→ 'w60' 1.00") == 1


def test_a_token_wider_than_the_terminal_is_folded():
    text = drawn(attention_map(["x" * 300], ["y" * 300], [[1.0]]), width=30)
    assert text.count("x") >= 300
    assert text.count("y") == 300
    assert max(map(len, text.splitlines())) <= 40


def test_piped_output_has_no_escape_codes():
    assert "\x1b" not in drawn(WORDS)
    assert "\x1b[" in drawn(WORDS, force_terminal=True, color_system="truecolor")


def test_without_colour_the_same_shades_remain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = drawn(WORDS, force_terminal=True, color_system="truecolor")
    assert "38;" not in text
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == drawn(WORDS)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_an_output_without_blocks_gets_ascii_shades(encoding):
    text = drawn(attention_map(["时", " "], ["1"], [[0.0, 1.0]], text="时 "), encoding=encoding)
    assert "@@" in text
    assert not set(BLOCKS[2:]) & set(text)
    assert ("时" if encoding == "gbk" else r"\u65f6") in text


def test_hostile_tokens_cannot_speak_to_the_terminal():
    map = attention_map(["\x1b]0;owned\x07", "[red]", "\r"], ["\x1b[2J"], [[1, 0, 0]], text="\x1b[2J\n", answer="[/]")
    text = drawn(map, force_terminal=True, color_system=None)
    assert not re.search(r"[\x07\r]|\x1b(?!\[\d*m)", text)
    assert "[red]" in text
    assert "[/]" in text


def test_a_row_that_looked_nowhere_says_so():
    assert "→ nothing" in drawn(attention_map("ab", "x", [[0, 0]]))


def test_words_are_printed_and_nothing_written_is_no_error():
    text = drawn(attention_map("ab", "", [], text="a b", answer="", note="expected 21:37"))
    assert text.split() == ["read", "a", "b", "expected", "21:37"]


def test_more_weight_is_never_a_lighter_shade():
    weights = np.linspace(0, 1, 41)[:, None]
    for shades, encoding in ((BLOCKS, "utf-8"), (ASCII, "ascii")):
        lines = drawn(attention_map("x", "y" * 41, weights), encoding=encoding).splitlines()[1:42]
        steps = [shades.index(line[2]) for line in lines]
        assert steps == sorted(steps)
        assert set(steps) == set(range(len(shades)))


def test_copied_tokens_are_marked_and_the_mark_is_explained():
    lines = drawn(attention_map("ab", "xyz", np.eye(3)[:, :2], copied=[0, 1, 0.6])).splitlines()
    assert [line[:3] for line in lines[1:4]] == ["  x", "= y", "= z"]
    assert lines[0] == "    a b"
    assert lines[-1] == "= copied from the input"
    assert "copied" not in drawn(attention_map("ab", "x", [[1, 0]], copied=[0.1]))
