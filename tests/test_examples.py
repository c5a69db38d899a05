"""The examples run, reach what their first lines say, and end in a drawn map."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import saccade

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_is_and_takes_the_front_door(path):
    tree = ast.parse(path.read_text("utf-8"))
    told = ast.get_docstring(tree)
    assert f"python examples/{path.name} [picture.png]" in told
    assert re.search(r"\d+ %", told)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "saccade":
            assert {alias.name for alias in node.names} <= set(saccade.__all__)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("saccade"):
            assert node.module == "saccade.data.times"


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_reaches_what_it_says(path, tmp_path):
    picture = tmp_path / "map.png"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, path, picture], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "→" in done.stdout, "no map"
    promised = float(re.search(r"(\d+) %", path.read_text("utf-8"))[1])
    reached = re.fullmatch(r"exact on unseen: ([\d.]+)%", done.stdout.splitlines()[-1])
    assert float(reached[1]) >= promised
