"""What all drawings in a terminal share: shades and colours that carry a weight, and words that no output garbles."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from saccade.lens.maps import visible

# Density carries the weight, so a drawing reads without colour and on any background. Where there is colour, hues of
# middle brightness add to it: they stand out from black and from white.
BLOCKS = " ·░▒▓█"
ASCII = " .:-=+*#%@"
COLOURS = ((112, 140, 166), (52, 130, 216), (122, 96, 228), (214, 70, 150), (238, 98, 36))


def shades_of(console: Console) -> str:
    """The shades that this console's encoding has, from none to full."""
    return BLOCKS if encodable(BLOCKS, console) == BLOCKS else ASCII


def hue(strength: float) -> tuple[int, int, int]:
    """The colour of a strength from 0 to 1.

    >>> hue(0.0), hue(1.0)
    ((112, 140, 166), (238, 98, 36))
    """
    place = strength * (len(COLOURS) - 1)
    below = min(int(place), len(COLOURS) - 2)
    part = place - below
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(COLOURS[below], COLOURS[below + 1], strict=True))
    return red, green, blue


def colour(strength: float) -> Style:
    """The style of a shade of this strength."""
    return Style(color=Color.from_rgb(*hue(strength)))


def shaded(part: float, shades: str) -> tuple[str, Style]:
    """The shade of this part of the scale, and its style.

    The root gives small weights, which most are, the larger share of the scale.
    """
    strength = math.sqrt(min(max(part, 0.0), 1.0))
    return shades[round(strength * (len(shades) - 1))], colour(strength)


def shares(length: int, cells: int) -> NDArray[np.float64]:
    """The share of each of `length` equal stretches that falls into each of `cells` [cell, stretch].

    >>> shares(3, 2).tolist()
    [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]
    """
    edges = np.arange(cells + 1)[:, None] * (length / cells) - np.arange(length)
    return np.diff(edges.clip(0, 1), axis=0).round(9)


def means(values: NDArray[Any], cells: int) -> NDArray[np.float64]:
    """The mean of `values` [place, ...] over what falls into each of `cells` [cell, ...].

    >>> means(np.array([1.0, 2.0, 6.0]), 2).round(2).tolist()
    [1.33, 4.67]
    """
    part = shares(len(values), cells)
    return np.tensordot(part / part.sum(1, keepdims=True), values, 1)


def legend(shades: str, top: float) -> Text:
    """Each shade and the least weight that gets it, where the scale ends at `top`."""
    steps = len(shades) - 1
    # Strengths are roots of weights.
    least = (top * ((step - 0.5) / steps) ** 2 for step in range(1, len(shades)))
    entries = (
        Text.assemble((shade, colour(step / steps)), (f" {weight:.2g}", Style(dim=True)))
        for step, (shade, weight) in enumerate(zip(shades[1:], least, strict=True), 1)
    )
    return Text("  ").join(entries)


def words(rows: Iterable[tuple[str, str]], console: Console) -> Iterator[Text]:
    """What was read and answered, a line for each name that has words, and a blank line after them."""
    told = [(name, said) for name, said in rows if said]
    for name, said in told:
        # Here a space between words is just that: the reader reads a sentence.
        shown = encodable(visible(said).replace("␣", " "), console)
        yield Text(f"{name:<7}", style="dim").append(shown, Style(bold=name in ("wrote", "answer"), dim=not name))
    if told:
        yield Text()


def encodable(words: str, console: Console) -> str:
    """`words` as far as the console's encoding has them; escapes for the rest."""
    if not "␣".encode(console.encoding, "ignore"):
        words = words.replace("␣", "_")
    return words.encode(console.encoding, "backslashreplace").decode(console.encoding)
