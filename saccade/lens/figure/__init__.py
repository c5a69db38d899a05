"""Drawings as picture files, for a paper or a README."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import singledispatch
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.errors import OptionError
from saccade.files import write_atomic
from saccade.lens.drawings import Drawing, unknown
from saccade.lens.figure.heads import draw as draw_layers
from saccade.lens.figure.images import draw as draw_image
from saccade.lens.figure.maps import draw as draw_map
from saccade.lens.figure.series import draw as draw_series
from saccade.lens.figure.strips import draw as draw_strip
from saccade.lens.figure.texts import draw as draw_text
from saccade.lens.heads import Layers
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap
from saccade.lens.series import AttendedSeries
from saccade.lens.strips import AlignedStrip
from saccade.lens.texts import ShadedText

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Without dates and version numbers the same drawing is the same file.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
DPI = 200

_settings = threading.Lock()


def save(drawing: Drawing, path: Path | str, *, title: str = "") -> None:
    """Save a drawing of any kind as .png, .svg or .pdf.

    The file is written whole or not at all, and the same drawing gives the same bytes.

    Raises:
        OptionError: the suffix is none of the three.
        OSError: the folder cannot be written.
    """
    suffix = kind_of(path)
    buffer = BytesIO()
    drawn = draw(drawing, title=title)
    with _steady_names():
        drawn.savefig(
            buffer, format=suffix[1:], dpi=DPI, bbox_inches="tight", pad_inches=0.2, metadata=METADATA[suffix]
        )
    write_atomic(path, buffer.getvalue())


def kind_of(path: Path | str) -> str:
    """The ending of the name of a picture that can be written: .png, .svg or .pdf.

    Raises:
        OptionError: another.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in METADATA:
        raise OptionError(f"the name of a picture must end in {', '.join(METADATA)}; got {str(path)!r}")
    return suffix


@singledispatch
def draw(drawing: Drawing, *, title: str = "") -> Figure:
    """The picture that `save` writes, as a Matplotlib figure."""
    raise unknown(drawing)


draw.register(AttentionMap, draw_map)
draw.register(ShadedText, draw_text)
draw.register(AttendedSeries, draw_series)
draw.register(AttendedImage, draw_image)
draw.register(AlignedStrip, draw_strip)
draw.register(Layers, draw_layers)


@contextmanager
def _steady_names() -> Iterator[None]:
    # Matplotlib names the parts of an SVG at random unless this setting is given, which it takes from nowhere else.
    from matplotlib import rcParams

    with _settings:
        before = rcParams["svg.hashsalt"]
        rcParams["svg.hashsalt"] = "saccade"
        try:
            yield
        finally:
            rcParams["svg.hashsalt"] = before
