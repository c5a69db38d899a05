"""What all pictures share: ink, paper and lettering."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

INK = ("#ffffff", "#dbe9f1", "#a3cade", "#5f9fc6", "#2f6ba4", "#1c4079", "#111f48")
TEXT = "#1c2430"
FAINT = "#6b7480"
GRID = "#e7ebf0"
WARM = "#c8511b"  # what stands beside the weights: sentences, forecasts


def palette(colours: Sequence[str] = INK) -> LinearSegmentedColormap:
    """Paper to ink, for weights from none to the end of the scale."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ink", colours)


def blank(width: float, height: float) -> Figure:
    """An empty white figure of this size in inches."""
    # pyplot would choose a backend and hold the figure for ever; this leaves no trace, in any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(drawn)
    return drawn


def lettering(families: Sequence[str]) -> dict[str, Any]:
    """How a text is set that is only text, whatever markup it looks like."""
    return {"family": families, "color": TEXT, "parse_math": False, "usetex": False}


def caption(
    drawn: Figure, title: str, note: str, style: dict[str, Any], *, above: float = 0.1, below: float = 0.1
) -> None:
    """Set the title and the note outside the figure, these many inches from it, broken where it ends."""
    width, height = drawn.get_size_inches()
    line = max(int(width * 12), 40)
    over, under = "\n".join(textwrap.wrap(title, line)), "\n".join(textwrap.wrap(note, line))
    size = style["size"]
    drawn.text(0, 1 + above / height, over, ha="left", va="bottom", **(style | {"size": size + 3}))
    drawn.text(0, -below / height, under, ha="left", va="top", **(style | {"size": size - 1, "color": FAINT}))
