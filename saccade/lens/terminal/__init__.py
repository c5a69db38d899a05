"""Drawings in a terminal."""

from collections.abc import Iterator
from functools import singledispatch

from rich.console import Console
from rich.text import Text

from saccade.lens.drawings import Drawing, unknown
from saccade.lens.heads import Layers
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap
from saccade.lens.series import AttendedSeries
from saccade.lens.strips import AlignedStrip
from saccade.lens.terminal.heads import lines as layers_lines
from saccade.lens.terminal.images import lines as image_lines
from saccade.lens.terminal.maps import lines as map_lines
from saccade.lens.terminal.series import lines as series_lines
from saccade.lens.terminal.strips import lines as strip_lines
from saccade.lens.terminal.texts import lines as text_lines
from saccade.lens.texts import ShadedText


def draw(drawing: Drawing, *, console: Console | None = None) -> None:
    """Print a drawing of any kind.

    Without colour shades or brackets remain; where the output's encoding has no blocks, ASCII stands in.

    >>> from saccade.lens.maps import attention_map
    >>> draw(attention_map("ab", "x", [[0.1, 0.9]], text="ab", answer="x"), console=Console(width=60))
    read   ab
    wrote  x
    <BLANKLINE>
      a b
    x ░░██ → 'b' 0.90
    <BLANKLINE>
    · 0.009  ░ 0.081  ▒ 0.23  ▓ 0.44  █ 0.73
    """
    console = console or Console()
    for line in _lines(drawing, console):
        # Rich would fold a line that is too wide, and colour the numbers in it.
        console.print(line, soft_wrap=True, highlight=False)


@singledispatch
def _lines(drawing: Drawing, console: Console) -> Iterator[Text]:
    raise unknown(drawing)


_lines.register(AttentionMap, map_lines)
_lines.register(ShadedText, text_lines)
_lines.register(AttendedSeries, series_lines)
_lines.register(AttendedImage, image_lines)
_lines.register(AlignedStrip, strip_lines)
_lines.register(Layers, layers_lines)
