"""What docs/see.md says is true: its code runs as it stands on small models, and leaves the files it names."""

import importlib
import os
import re
import shlex
import sys
import warnings
from pathlib import Path

import pytest
import torch

from saccade.cli import main, parse

pytest.importorskip("transformers", reason="needs transformers: pip install 'saccade[pretrained]'")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

pictures = importlib.import_module("make_see_pictures")

PAGES = ("see.md", "see.zh.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's models, hardly trained."""
    place = tmp_path_factory.mktemp("see")
    assert [name for name, _ in pictures.models(place, steps=2)] == list(pictures.MAKE)
    return place


def shell(page: str) -> list[str]:
    return "".join(
        re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.M | re.S)
    ).splitlines()


def files(lines: list[str]) -> set[str]:
    return set(re.findall(r"[\w-]+\.(?:png|html)\b", "\n".join(lines))) - {"picture.png"}


def test_the_code_runs_and_leaves_what_it_names(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    blocks, names = pictures.code(ROOT / "docs" / "see.md"), {}
    for block in blocks:
        exec(block, names)
    assert len(files(blocks)) == 10
    for name in files(blocks):
        assert Path(name).stat().st_size > 1000, name
    said = capsys.readouterr().out
    # The row of numbers is one of weights, and the table one of every head.
    rows = names["learnt"].sites[-1].row(names["place"])
    assert torch.allclose(rows.sum(-1), torch.ones(1, 4), atol=1e-5)
    assert said.count("bert.encoder.layer.0.attention.self ") == 4
    shares = [float(x) for x in re.findall(r"^bert\S+ +\d +(\S+)", said, re.M)]
    assert len(shares) == 8
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0] < 1
    assert {name for name, *_ in names["found"].table()} == {"attention", "rollout", "gradient", "random"}
    assert "brilliant" in said
    assert "##" not in said.split("tensor")[0]


@pytest.mark.parametrize("page", ["explains.md", "explains.zh.md"])
def test_the_code_about_explanations_runs_after_that_of_the_page(folder, monkeypatch, capsys, page):
    monkeypatch.chdir(folder)
    (block,), names = pictures.code(ROOT / "docs" / page), {}
    exec(pictures.code(ROOT / "docs" / "see.md")[0], names)
    exec(block, names)
    assert "comprehensiveness" in names["found"]._fields
    assert "random" in capsys.readouterr().out
    assert Path("why.html").stat().st_size > 1000
    Path("why.html").unlink()


def test_the_commands_run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    lines = [line for line in shell("see.md") if " look " in line]
    assert len(lines) == 4
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    for line in lines:
        before = {name: os.stat(name).st_mtime_ns for name in files([line]) if Path(name).exists()}
        assert main(shlex.split(line)[1:]) == 0, line
        for name in files([line]):
            assert Path(name).stat().st_mtime_ns != before.get(name), line
    assert "what reached [CLS]" in capsys.readouterr().out
    for line in shell("see.md"):
        parse(shlex.split(line)[1:])  # a run of one's own is shown in test_readme


def test_both_languages_have_the_same_code_and_pictures():
    texts = [(ROOT / "docs" / page).read_text("utf-8") for page in PAGES]
    code = [[re.sub(r"\s*#.*", "", block) for block in re.findall(r"^```\w+\n.*?^```", x, re.M | re.S)] for x in texts]
    assert code[0] == code[1]
    shown = [re.findall(r"!\[.*?\]\((.*?)\)", text) for text in texts]
    assert shown[0] == shown[1] == [f"see/{name}" for name in pictures.KEPT]
    for name in shown[0]:
        assert 1000 < (ROOT / "docs" / name).stat().st_size < 120_000
    for page, text in zip(PAGES, texts, strict=True):
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / link).exists(), f"{page}: {link}"
