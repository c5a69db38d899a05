"""Fonts for a picture: which of the installed ones together can draw what is to be drawn."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

BASE = "DejaVu Sans"  # comes with Matplotlib
PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "PingFang HK",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Heiti SC",
    "Heiti TC",
    "Arial Unicode MS",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
)
BOX = "□"  # stands for what no font has


def choose(texts: Iterable[str]) -> tuple[list[str], str]:
    """The installed families that together draw `texts`, best first, and the characters that none of them has.

    Latin and the like come from the font that Matplotlib brings, so pictures look alike on every machine; Chinese from
    a sans-serif if there is one; anything else from whatever font has it. Missing characters are named in one warning.

    >>> choose(["Hund"])
    (['DejaVu Sans'], '')
    """
    missing = {character for text in texts for character in text}
    families = []
    for entry in _candidates():
        # Loading a font costs milliseconds: most texts need the first only.
        if not missing:
            break
        found = _covered(entry.fname, missing)
        if found:
            families.append(entry.name)
            missing -= found
    characters = "".join(sorted(missing))
    if missing:
        _warn(characters)
    return families or [BASE], characters


def boxed(text: str, missing: str) -> str:
    """`text` with a box for each missing character, which is what Matplotlib would draw after a warning for each.

    >>> boxed("a𐎀", "𐎀")
    'a□'
    """
    return text.translate(dict.fromkeys(map(ord, missing), BOX))


def _candidates() -> Iterator[FontEntry]:
    from matplotlib.font_manager import fontManager

    yield from _ranked(fontManager.ttflist)
    # The list was made when Matplotlib first ran here. Who installs a font, because we asked for it, wants it seen.
    known = {entry.fname for entry in fontManager.ttflist}
    yield from _ranked(_newcomers(known))


def _newcomers(known: set[str]) -> list[FontEntry]:
    from matplotlib.font_manager import findSystemFonts, fontManager

    count = len(fontManager.ttflist)
    for path in sorted(set(findSystemFonts()) - known):
        with suppress(OSError, RuntimeError, ValueError):  # a broken font file is no font
            fontManager.addfont(path)
    return fontManager.ttflist[count:]


def _ranked(entries: Iterable[FontEntry]) -> list[FontEntry]:
    order = {name: place for place, name in enumerate((BASE, *PREFERRED))}
    # The Last Resort font has a picture for everything, and that picture says: no glyph. The cm fonts' codes are TeX's.
    plain = (
        entry
        for entry in entries
        if entry.style == "normal" and entry.weight == 400 and not entry.name.startswith(("Last Resort", "cm"))
    )
    return sorted(plain, key=lambda entry: (order.get(entry.name, len(order)), entry.name, entry.fname))


def _covered(path: str, characters: set[str]) -> set[str]:
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
    except (OSError, RuntimeError):  # listed but gone, or of a kind that cannot be scaled
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}


def _warn(characters: str) -> None:
    shown = characters if len(characters) <= 20 else characters[:20] + "..."
    warnings.warn(
        f"no installed font can draw {shown}: install one that can, such as Noto Sans CJK for Chinese "
        "(Debian, Ubuntu: apt install fonts-noto-cjk)",
        stacklevel=_outside(),
    )


def _outside() -> int:
    """How far up whoever asked for the picture stands, for a warning from the function that calls this one."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(("saccade.", "functools")):
        frame, level = frame.f_back, level + 1
    return level
