"""A sheet of flowing words: measured, broken into lines, and set where the writing runs, left or right."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from saccade.lens.figure.ink import TEXT, blank, lettering

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED_AT = 200  # dots per inch: fine enough that hinting does not matter


class Place(NamedTuple):
    """Where a word stands on a sheet, in points from its upper left corner."""

    x: float
    y: float  # of the line it writes on
    width: float


class Sheet:
    """A white sheet of a given width, in points, that grows downward.

    Args:
        width: in points.
        families: of fonts, best first.
    """

    def __init__(self, width: float, families: Sequence[str]):
        self.width = width
        self.height = 0.0
        self.figure = blank(width / 72, 1)
        self.figure.set_dpi(MEASURED_AT)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self._style = lettering(families)
        self._widths: dict[tuple[str, float], float] = {}

    def measure(self, word: str, size: float) -> float:
        """The width of `word` in points, in type of `size` points."""
        from matplotlib.text import Text

        if (word, size) not in self._widths:
            text = Text(0, 0, word, **(self._style | {"size": size}))
            text.set_figure(self.figure)
            self._widths[word, size] = text.get_window_extent().width * 72 / MEASURED_AT
        return self._widths[word, size]

    def fit(self, word: str, size: float, width: float) -> str:
        """`word`, or as much of it as fits into `width` points."""
        if self.measure(word, size) <= width:
            return word
        few, many = 0, len(word)  # so many characters fit, so many do not
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if self.measure(word[:middle] + "…", size) <= width else (few, middle)
        return word[:few] + "…"

    def flow(self, words: Sequence[str], size: float, *, left: float = 0.0, gap: str = " ") -> list[Place]:
        """Places for `words` between `left` and the right edge, from the height that is reached on, which grows."""
        line, space, right = 1.75 * size, self.measure("n", size) * 0.6 if gap else 0.0, self.width
        x, places, leftward = left, [], is_leftward("".join(words))
        self.height += line if words else 0
        for word in words:
            width = self.measure(word, size)
            if x > left and x + width > right:
                x = left
                self.height += line
            places.append(Place(left + right - x - width if leftward else x, self.height - 0.5 * size, width))
            x += width + space
        return places

    def write(self, words: str, x: float, y: float, size: float, *, colour: str = TEXT, right: bool = False) -> None:
        """Set a word on the line at `y`, from `x` on or, with `right`, up to it."""
        placed = {"size": size, "va": "baseline", "ha": "right" if right else "left", "color": colour}
        self.axes.text(x, y, words, **(self._style | placed))

    def fill(self, x: float, y: float, width: float, height: float, colour: Any, rounding: float = 0.0) -> None:
        """Fill a rectangle from its upper left corner."""
        from matplotlib.patches import FancyBboxPatch

        style = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        # As an artist, as the limits are known: each patch would look for them anew.
        self.axes.add_artist(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor="none"))

    def finished(self) -> Figure:
        """The figure, as high as what stands on it."""
        self.axes.set(xlim=(0, self.width), ylim=(max(self.height, 1), 0))
        self.figure.set_size_inches(self.width / 72, max(self.height, 1) / 72)
        return self.figure


def is_leftward(words: str) -> bool:
    """Whether a text runs from right to left, which its first letter of a known direction says.

    >>> is_leftward("1. film"), is_leftward("1. فيلم")
    (False, True)
    """
    directions = (unicodedata.bidirectional(character) for character in words)
    return next((direction for direction in directions if direction in ("L", "R", "AL")), "L") != "L"
