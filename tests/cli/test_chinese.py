"""Chinese from one end to the other: made-up times, learned in characters and pieces, answered, measured and drawn."""

import json
import re
import shutil
import unicodedata
from pathlib import Path

import pytest

from saccade.cli import main
from saccade.data import numerals
from saccade.data.times import pairs

SMALL = ("--embedding", 16, "--hidden", 32, "--epochs", 12, "--learning-rate", 0.01, "--batch-size", 16, "--dropout", 0)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXT = "下午三点一刻"


@pytest.fixture(scope="module")
def chinese(tmp_path_factory) -> Path:
    """Times as people say them, and by the clock of 24 hours: 下午三点一刻, 十五点十五分."""
    lines = []
    for said, clock in pairs(4000, 1):
        if re.fullmatch("[\u4e00-\u9fff]+", said):
            hour, minute = map(int, clock.split(":"))
            lines.append(f"{said}\t{numerals.chinese(hour)}点{numerals.chinese(minute)}分\n")
    path = tmp_path_factory.mktemp("chinese") / "times.tsv"
    path.write_text("".join(lines[:500]), "utf-8")
    return path


@pytest.fixture(scope="module", params=["char", "unigram"])
def run(request, tmp_path_factory, chinese) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    level = ("--level", request.param, *(("--vocab-size", 360) if request.param == "unigram" else ()))
    assert main(list(map(str, ("train", "translate", "--train", chinese, *level, *SMALL, "--out", folder)))) == 0
    return folder


@pytest.fixture
def ask(capsys):
    def ask(*arguments: object) -> tuple[list[str], list[str]]:
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines()

    return ask


def cells(text: str) -> int:
    """How many cells of a terminal a text takes, by Unicode's own table."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_chinese_is_read_and_written(ask, run):
    answers, said = ask("predict", run, TEXT, "晚上九点半")
    assert all(re.fullmatch("[零一二三四五六七八九十]+点[零一二三四五六七八九十]+分", answer) for answer in answers)
    assert said == []
    _, said = ask("predict", run, "猫")
    assert ("never seen in training: 猫" in "".join(said)) == (run.parent.name.startswith("char"))


def test_bleu_parts_chinese_by_characters_and_says_so(ask, run, chinese):
    (line,), said = ask("evaluate", run, "--data", chinese, "--json")
    scores = json.loads(line)
    assert scores["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:")
    assert said == ["BLEU parts texts into words by zh, as the references are written (choose with --tokenize)"]
    (line,), said = ask("evaluate", run, "--data", chinese, "--json", "--tokenize", "13a", "--lowercase")
    other = json.loads(line)
    assert "|case:lc|eff:no|tok:13a|" in other["bleu_signature"]
    assert other["chrf_signature"].startswith("nrefs:1|case:lc|")
    assert said == []
    # A sentence without spaces is one word, right or wrong.
    assert other["bleu"] < 1 < 30 < scores["bleu"]
    table, _ = ask("evaluate", run, "--data", chinese)
    assert any(row.startswith("bleu_signature") and "tok:zh" in row for row in table)


def test_a_map_in_the_terminal_has_each_label_over_its_column(ask, run, tmp_path):
    drawn, _ = ask("show", run, TEXT)
    looked = tmp_path / "looked.jsonl"
    ask("predict", run, TEXT, "--attention", looked)
    (record,) = map(json.loads, looked.read_text("utf-8").splitlines())
    source = [token.replace(" ", "␣") for token in record["source_tokens"]]
    place = next(place for place, line in enumerate(drawn) if line.strip().startswith(source[0]))
    header, rows = drawn[place], drawn[place + 1 : place + 1 + len(record["answers"][0]["answer_tokens"])]
    at = cells(header) - cells(header.lstrip())
    for token in source:
        before = next(end for end in range(len(header) + 1) if cells(header[:end]) == at)
        assert header[before:].startswith(token)
        at += 2 if len(token) == 1 else cells(token) + 1
    assert {cells(row.split(" → ")[0]) for row in rows} <= {at, at - 1}


OVERLAPS = """() => {
  const boxes = (all) => [...all].map((one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    const inner = range.getBoundingClientRect(), outer = (one.closest("th") || one).getBoundingClientRect();
    return { text: one.textContent, inner, outer };
  });
  const wrong = [];
  for (const groups of ["#map thead th span", "#map tbody th span", "#wrote span", "#read span"]) {
    const found = boxes(document.querySelectorAll(groups));
    for (const [i, one] of found.entries()) {
      if (groups.startsWith("#map") && (one.inner.left < one.outer.left - 1 || one.inner.right > one.outer.right + 1))
        wrong.push(groups + " leaves its cell: " + one.text);
      for (const other of found.slice(i + 1)) {
        const width = Math.min(one.inner.right, other.inner.right) - Math.max(one.inner.left, other.inner.left);
        const height = Math.min(one.inner.bottom, other.inner.bottom) - Math.max(one.inner.top, other.inner.top);
        if (width > 1 && height > 4) wrong.push(groups + " overlap: " + one.text + " and " + other.text);
      }
    }
  }
  return wrong;
}"""


@pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH")
def test_labels_on_the_page_do_not_overlap(ask, run, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    ask("show", run, TEXT, "--page", tmp_path / "map.html")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--headless", "--no-sandbox", "--disable-gpu"])
        for width in (1280, 420):
            shown = browser.new_page(viewport={"width": width, "height": 900})
            shown.goto((tmp_path / "map.html").as_uri())
            shown.wait_for_selector("html[data-ready]")
            assert shown.evaluate(OVERLAPS) == []
            assert TEXT in shown.inner_text("#read")
            shown.screenshot(path=tmp_path / f"{width}.png", full_page=True)
            shown.close()
        browser.close()
