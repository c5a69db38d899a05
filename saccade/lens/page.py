"""Heat maps as one offline HTML file, to be opened, sent and kept: it fetches nothing and runs only its own script."""

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
from saccade.lens.maps import AttentionMap, readable, scale_end, visible

SCALE = 10_000  # weights are written as whole ten-thousandths: short, and exact enough to read


class Piece(NamedTuple):
    """A stretch of the input as the page shows it."""

    text: str
    token: int  # index of the source token, or -1 for what lies between tokens
    mark: bool  # a token that is not in the text, such as </s>


def save(maps: Sequence[AttentionMap], path: Path | str, *, title: str) -> None:
    """Save `maps` as one HTML page that needs neither network nor server.

    The page lists the examples, draws the chosen one as a heat map, and shades its input by what each token of the
    output looked at. The file is written whole or not at all, and the same maps give the same bytes. Tokens are data:
    whatever they hold, no browser runs it.

    Raises:
        ValueError: there are no maps.
        OSError: the folder cannot be written.
    """
    write_atomic(path, render(maps, title=title))


def render(maps: Sequence[AttentionMap], *, title: str) -> str:
    """The page that `save` writes."""
    if not maps:
        raise ValueError("a page needs at least one attention map; got none")
    template = files("saccade.lens").joinpath("page.html").read_text(encoding="utf-8")
    data = {"scale": SCALE, "examples": [_example(map) for map in maps]}
    parts = {"policy": _policy(template), "title": html.escape(readable(title)), "data": _inert(data)}
    # In one pass, so that a token named like a part of the template stays a token.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _example(map: AttentionMap) -> dict[str, object]:
    return {
        "source": [visible(token) for token in map.source],
        "target": [visible(token) for token in map.target],
        "weights": (map.weights * SCALE).round().astype(int).tolist(),
        "top": round(scale_end(map.weights) * SCALE),
        "pieces": _pieces(map),
        "text": readable(map.text or _joined(map.source)),
        "answer": readable(map.answer or _joined(map.target)),
        "note": readable(map.note),
    }


def _joined(tokens: Sequence[str]) -> str:
    return ("" if all(len(token) == 1 for token in tokens) else " ").join(tokens)


def _pieces(map: AttentionMap) -> list[Piece]:
    """The input cut where its tokens lie, or the tokens alone if they are not the words of the text."""
    text = map.text or _joined(map.source)
    pieces, place = [], 0
    for index, token in enumerate(map.source):
        start, stop = _find(token, text, place)
        if start == stop:
            pieces.append(Piece(visible(token), index, True))
            continue
        if start > place:
            pieces.append(Piece(readable(text[place:start]), -1, False))
        pieces.append(Piece(readable(text[start:stop]), index, False))
        place = stop
    if text[place:].strip():
        return [Piece(visible(token), index, True) for index, token in enumerate(map.source)]
    return pieces


def _find(token: str, text: str, place: int) -> tuple[int, int]:
    """Where `token` stands in `text` at `place` or behind the spaces there; an empty range if it does not."""
    word = token.replace("▁", " ")  # how SentencePiece writes a space
    if text.startswith(word, place):
        return place, place + len(word)
    behind = len(text) - len(text[place:].lstrip())
    word = word.strip()
    return (behind, behind + len(word)) if text.startswith(word, behind) else (place, place)


def _inert(data: object) -> str:
    # In a script element only "<" can mean anything to the HTML parser; ">" and "&" go for good measure. ASCII keeps
    # the tokens clear of any guess at the file's encoding.
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(template: str) -> str:
    """A content security policy under which this template's own script and style run, and nothing else does."""
    script = _digest(template, r"<script>(.*?)</script>")
    style = _digest(template, r"<style>(.*?)</style>")
    return f"default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'"


def _digest(template: str, element: str) -> str:
    content = re.findall(element, template, re.DOTALL)
    assert len(content) == 1, f"page.html must hold {element} once"
    return f"'sha256-{base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()}'"
