"""The catalogue's page is fresh, and so are its pictures."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from saccade.attention.catalogue import MECHANISMS, OTHERS

DOCS = Path(__file__).parents[1] / "docs"
AGAIN = "run python docs/make_catalogue.py"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    sys.path.insert(0, str(DOCS))
    import make_catalogue

    return make_catalogue.pages()


def shades(svg: str) -> dict[tuple[str, ...], float]:
    """The opacity of each cell that has one."""
    cells = re.findall(r'<rect x="(\d+)" y="(\d+)" .*? opacity="([\d.]+)"/>', svg)
    return {(x, y): float(opacity) for x, y, opacity in cells}


def test_the_page_is_fresh(pages):
    assert (DOCS / "catalogue.md").read_text("utf-8") == pages["catalogue.md"], AGAIN


def test_the_pictures_are_fresh(pages):
    """To one shade in ten: another machine may round the last digit of a weight the other way."""
    there = {f"catalogue/{path.name}" for path in (DOCS / "catalogue").iterdir()}
    assert there == pages.keys() - {"catalogue.md"}, AGAIN
    for name in there:
        drawn, made = shades((DOCS / name).read_text("utf-8")), shades(pages[name])
        for cell in drawn.keys() | made.keys():
            assert abs(drawn.get(cell, 0) - made.get(cell, 0)) < 0.11, f"{name}: {AGAIN}"


def test_every_mechanism_has_its_section(pages):
    for name, entry in (MECHANISMS | OTHERS).items():
        section = pages["catalogue.md"].split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert entry.formula in section
        assert entry.paper in section
        assert (f"catalogue/{name}.svg" in section) == (name != "none")
        module, kind = entry.where.split(":")
        assert hasattr(importlib.import_module(f"saccade.{module}"), kind)
        assert (DOCS.parent / "saccade" / f"{module.replace('.', '/')}.py").is_file()
