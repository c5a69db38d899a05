"""The kinds of drawing there are; terminal, figure and page each know how to show every one."""

from typing import TypeAlias

from saccade.lens.heads import Layers
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap
from saccade.lens.series import AttendedSeries
from saccade.lens.strips import AlignedStrip
from saccade.lens.texts import ShadedText

Drawing: TypeAlias = AttentionMap | ShadedText | AttendedSeries | AttendedImage | AlignedStrip | Layers


def unknown(drawing: object) -> TypeError:
    """The error for what is none of them.

    >>> str(unknown(3)).split("; ")[1]
    'got int'
    """
    kinds = "an AttentionMap, a ShadedText, an AttendedSeries, an AttendedImage, an AlignedStrip or Layers"
    return TypeError(f"a drawing must be {kinds}; got {type(drawing).__name__}")
