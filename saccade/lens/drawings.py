"""The kinds of drawing there are; terminal, figure and page each know how to show every one."""

from typing import TypeAlias

from saccade.lens.heads import Layers
from saccade.lens.maps import AttentionMap
from saccade.lens.series import AttendedSeries
from saccade.lens.texts import ShadedText

Drawing: TypeAlias = AttentionMap | ShadedText | AttendedSeries | Layers


def unknown(drawing: object) -> TypeError:
    """The error for what is none of them.

    >>> unknown(3)
    TypeError('a drawing must be an AttentionMap, a ShadedText, an AttendedSeries or Layers; got int')
    """
    kinds = "an AttentionMap, a ShadedText, an AttendedSeries or Layers"
    return TypeError(f"a drawing must be {kinds}; got {type(drawing).__name__}")
