"""The table of a comparison: each figure in its column, and gaps that are shown as gaps."""

import io
import json
import re

import pytest
from rich.console import Console

from saccade.lens import comparison
from saccade.lens.comparison import Compared
from saccade.lens.maps import attention_map

ROWS = [
    Compared("dot", {"BLEU": (31.234, 0.41)}, 417.0, 512.3, 1.25, 12345, attention_map("ab", "x", [[0.5, 0.5]])),
    Compared("[red]", {"exact": (0.5, 0.0), "BLEU": (float("nan"), 0.1)}, seconds=1234.5),
]


def drawn(rows, encoding="utf-8", **options):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    comparison.draw(rows, console=Console(file=file, width=90), **options)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_each_figure_stands_in_its_column():
    lines = [re.split(r"  +", line.strip()) for line in drawn(ROWS).splitlines()]
    assert lines[0] == ["BLEU", "exact", "seconds", "MiB", "entropy", "parameters"]
    assert lines[2] == ["dot", "31.23 ± 0.41", "–", "417", "512.3", "1.25", "12,345"]
    assert lines[3] == ["[red]", "–", "0.5", "1,234", "–", "–", "–"]


def test_an_ascii_output_gets_ascii():
    assert "31.23 +- 0.41" in drawn(ROWS, "ascii", title="Comparison")


def test_the_page_sorts_by_whole_figures_and_holds_a_drawing_for_each_row():
    html = comparison.render(ROWS, title="Title")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    data = json.loads(block)
    assert data["table"]["columns"] == ["", "BLEU", "exact", "seconds", "MiB", "entropy", "parameters"]
    assert data["table"]["rows"][0][:3] == ["dot", [31.234, "31.23", "± 0.41"], None]
    assert [example["kind"] for example in data["examples"]] == ["map", "none"]


def test_the_same_rows_are_the_same_file(tmp_path):
    for name in "ab":
        comparison.save(ROWS, tmp_path / f"{name}.html", title="Title")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="a comparison needs at least one row; got none"):
        comparison.render([], title="Title")
