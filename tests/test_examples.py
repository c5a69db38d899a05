"""The examples run, reach what their first lines say, and end in a drawn map."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import saccade

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# Modules of the house that an example may import from: those that the README names.
DOCUMENTED = {"saccade.data.times"}

each = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def promised(path: Path) -> float:
    """The per cent that the last line of a docstring promises."""
    return float(re.search(r"\[picture\.png\] .*?(\d+) %", ast.get_docstring(ast.parse(path.read_text("utf-8"))))[1])


def run(path: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    command = [sys.executable, path, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_there_are_examples():
    assert len(EXAMPLES) >= 14


@each
def test_an_example_says_what_it_is_and_how_it_is_run(path):
    told = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert f"    python examples/{path.name} [picture.png]   " in told
    assert 50 <= promised(path) < 100
    assert re.search(r"(19|20)\d\d|tutorial", told), "no paper and no tutorial"


@each
def test_an_example_compiles_and_takes_the_front_door(path):
    tree = ast.parse(path.read_text("utf-8"))
    compile(tree, path, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("saccade") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "saccade":
            names = {alias.name for alias in node.names}
            assert node.module == "saccade" or node.module in DOCUMENTED
            assert node.module != "saccade" or names <= set(saccade.__all__)
            assert all(hasattr(import_module(node.module), name) for name in names)
        elif isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.endswith("__"), f"{node.attr} is private"


@each
def test_an_example_hides_no_package(path):
    """What runs an example puts its folder first: Numba looks for `coverage`, and ran the example of that name."""
    assert path.stem not in sys.stdlib_module_names
    assert path.stem not in ("coverage", "torch", "numpy", "numba", "keras", "matplotlib")


@each
def test_an_example_can_be_read_in_two_minutes(path):
    assert 40 <= len(path.read_text("utf-8").splitlines()) <= 115


@pytest.mark.slow
@each
def test_an_example_reaches_what_it_says(path, tmp_path):
    done = run(path, tmp_path, "map.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]
    assert "→" in done.stdout, "no map"
    reached = re.fullmatch(r".* on unseen: ([\d.]+)%", done.stdout.splitlines()[-1])
    assert float(reached[1]) >= promised(path)


@pytest.mark.slow
def test_without_a_path_nothing_is_written(tmp_path):
    done = run(next(path for path in EXAMPLES if path.stem == "kernel_regression"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
