"""The demo: from nothing to a trained model whose maps a person can read."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saccade.data import times
from saccade.tasks.load import load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the words of a demo of clock times."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "saccade.cli", "demo", "--out", folder / "run"]
    return folder / "run", subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_is_right_about_what_it_never_saw(demo):
    folder, said = demo
    share, count = re.search(r"([\d.]+)% of (\d+) inputs it never saw are exactly right", said).groups()
    assert float(share) >= 99
    assert int(count) == 1000
    assert len(re.findall(r"→ +\d\d:\d\d", said)) >= 12
    assert "quarter past five pm" in said
    assert load(folder)("quarter past five pm").text == "17:15"


def test_it_leaves_a_run_a_picture_and_a_page(demo):
    folder, _ = demo
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "maps.html").read_text("utf-8")
    assert "quarter past five pm" in page
    assert not re.search(r"(src|href)=", page)
    assert json.loads((folder / "config.json").read_text("utf-8"))["demo"] == "times"


def test_the_hour_looks_at_the_hour(demo):
    """Over inputs of digits alone, the hour's two characters put at least half their weight on the hour's own
    characters and their direct neighbours."""
    translate = load(demo[0])
    texts = [text for text, _ in times.pairs(3000, seed=99) if re.fullmatch(r"t?\d{1,2}[.:]\d\d", text)]
    assert len(texts) > 100
    mass = []
    for text, (answer,) in zip(texts, translate.answer(texts), strict=True):
        hour = re.search(r"\d+", text)
        seen = slice(max(hour.start() - 1, 0), hour.end() + 1)
        mass.append(answer.weights[:2, seen].sum(-1).mean())
    assert sum(mass) / len(mass) >= 0.5
    assert sum(each >= 0.5 for each in mass) / len(mass) >= 0.9


def test_it_replaces_only_what_a_demo_made(demo, tmp_path):
    from saccade.cli.demo import _clear
    from saccade.errors import RunError
    from saccade.runs import Run

    copy = tmp_path / "copy"
    shutil.copytree(demo[0], copy)
    _clear(Run(copy))
    assert not copy.exists()
    copy.mkdir()
    (copy / "thesis.tex").touch()
    with pytest.raises(RunError, match="it holds something else"):
        _clear(Run(copy))
    assert (copy / "thesis.tex").exists()


def test_dates_are_learnt_as_well(tmp_path):
    command = [sys.executable, "-m", "saccade.cli", "demo", "--data", "dates", "--out", tmp_path / "run"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(re.search(r"([\d.]+)% of 1000 inputs", said)[1]) >= 99
    assert load(tmp_path / "run")("二〇二一年三月三日").text == "2021-03-03"
