"""Drawings as one offline HTML file, to be opened, sent and kept: it fetches nothing and runs only its own script."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from saccade.files import write_atomic
from saccade.lens.drawings import Drawing
from saccade.lens.maps import readable
from saccade.lens.page.data import SCALE, examples_of

SCRIPTS = {  # of each kind of drawing, in the order they run; a page carries those of its kinds
    "none": (),
    "map": ("map.js",),
    "text": ("text.js",),
    "series": ("series.js",),
    "image": ("pictures.js", "photo.js"),
    "strip": ("pictures.js", "colours.js", "alignment.js"),
    "layers": (
        *("pictures.js", "colours.js", "weights.js", "plane.js", "strips.js", "grid.js"),
        *("image.js", "curves.js", "vector.js", "layers.js"),
    ),
}


class Figure(NamedTuple):
    """A cell of a table."""

    value: float  # what the column is sorted by
    shown: str
    spread: str = ""  # shown small beside it


class Table(NamedTuple):
    """Figures to compare drawings by; with it, its rows take the place of the list of examples."""

    columns: tuple[str, ...]  # the first is that of the names
    rows: tuple[tuple[str | Figure | None, ...], ...]  # a name, then figures or None; a row for each drawing


def save(drawings: Sequence[Drawing], path: Path | str, *, title: str) -> None:
    """Save `drawings`, of any kinds, as one HTML page that needs neither network nor server.

    The page lists the examples and draws the chosen one: a heat map with its input shaded by what each token of the
    output looked at, a text shaded by its weights, series over the times that were looked at, an image lit where each
    word looked, a strip over its alignment, or all heads of a model, the largest weights of each row where all would
    be more than a page can hold. The file is written whole or not at all, and the same drawings give the same bytes.
    Tokens are data: whatever they hold, no browser runs it.

    Raises:
        ValueError: there are no drawings.
        OSError: the folder cannot be written.
    """
    write_atomic(path, render(drawings, title=title))


class Embedded(NamedTuple):
    """A page inside a notebook, which shows it where it is the value of a cell."""

    page: str
    title: str
    height: int  # pixels

    def _repr_html_(self) -> str:
        # Without allow-same-origin the page cannot reach the notebook, whatever it holds.
        inner = html.escape(self.page)
        allowed = 'sandbox="allow-scripts allow-downloads" allow="clipboard-write"'
        look = f'style="width:100%;height:{self.height}px;border:0" title="{html.escape(readable(self.title))}"'
        return f'<iframe {allowed} {look} srcdoc="{inner}"></iframe>'


def embedded(drawings: Sequence[Drawing], *, title: str = "Attention", height: int = 720) -> Embedded:
    """`drawings` as a page within a notebook, in a frame of its own: any number of them in one notebook.

    Raises:
        ValueError: there are no drawings.
    """
    return Embedded(render(drawings, title=title), title, height)


def render(drawings: Sequence[Drawing | None], *, title: str, table: Table | None = None) -> str:
    """The page that `save` writes, or with a table one that compares; None stands for a row without a drawing."""
    if not drawings:
        raise ValueError("a page needs at least one drawing; got none")
    examples = examples_of(drawings)
    data = {"scale": SCALE, "examples": examples, "table": table and table._asdict()}
    style, script = _part("style.css"), _script({str(example["kind"]) for example in examples}, table is not None)
    parts = {
        "policy": _policy(script, style),
        "title": html.escape(readable(title)),
        "style": style,
        "script": script,
        "data": _inert(data),
    }
    # In one pass, so that a token named like a part of the template stays a token.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _part("page.html"))


def _script(kinds: set[str], compared: bool) -> str:
    own = dict.fromkeys(name for kind, names in SCRIPTS.items() if kind in kinds for name in names)
    names = ["examples.js", *own, *(["table.js"] if compared else []), "start.js"]
    lines = "".join(_part(name) for name in names).splitlines()
    # Comments are for who reads the source.
    return "".join(line.strip() + "\n" for line in lines if line.strip() and not line.lstrip().startswith("//"))


def _part(name: str) -> str:
    return files("saccade.lens.page").joinpath(name).read_text(encoding="utf-8")


def _inert(data: object) -> str:
    # In a script element only "<" can mean anything to the HTML parser; ">" and "&" go for good measure. ASCII keeps
    # the tokens clear of any guess at the file's encoding.
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(script: str, style: str) -> str:
    """A content security policy under which the page's own script and style run, and nothing else does."""
    runs = f"script-src {_digest(script)}; style-src {_digest(style)}"
    return f"default-src 'none'; {runs}; base-uri 'none'; form-action 'none'"


def _digest(content: str) -> str:
    # In its element a line end stands before it.
    digest = hashlib.sha256(b"\n" + content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
