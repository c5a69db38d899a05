"""Draw what answers looked at, in the terminal, as a picture, as a page."""

from collections.abc import Iterable
from pathlib import Path

from numpy.typing import ArrayLike

from saccade.lens.answers import Looked, drawing_of
from saccade.lens.drawings import Drawing
from saccade.lens.figure import save as save_figure
from saccade.lens.images import AttendedImage
from saccade.lens.maps import AttentionMap, attention_map
from saccade.lens.page import save as save_page
from saccade.lens.strips import AlignedStrip
from saccade.lens.terminal import draw as print_drawing


def show(
    answer: Looked,
    *,
    text: str = "",
    terminal: bool = True,
    png: Path | str | None = None,
    page: Path | str | None = None,
) -> None:
    """Draw what one answer looked at.

    Args:
        answer: of a trained model of any task: a translation, a label, tags, numbers, a caption, a transcript.
        text: the whole input as it was given, or the name of an image or a recording, for titles.
        terminal: draw it in the terminal.
        png: a picture to write: .png, .svg or .pdf.
        page: a self-contained HTML page to write.

    Raises:
        ValueError: the answer comes from a model without attention.
    """
    drawing = drawing_of(answer, text=text)
    # A document is no title, and a forecast has none.
    long = len(text) > 200 or not isinstance(drawing, AttentionMap | AttendedImage | AlignedStrip)
    title = f"{text} → {drawing.answer}" if text and not long else drawing.answer
    draw(drawing, title=title, terminal=terminal, png=png, page=page)


def show_weights(
    source: Iterable[str],
    target: Iterable[str],
    weights: ArrayLike,
    *,
    title: str = "",
    terminal: bool = True,
    png: Path | str | None = None,
    page: Path | str | None = None,
) -> None:
    """Draw any weights: a row for each label of `target`, a column for each of `source`.

    Args:
        weights: `[target, source]`, not negative; a tensor, an array, or lists.
        title: for the picture and the page.
        terminal, png, page: as for `show`.

    Raises:
        ValueError: a shape that does not fit the labels, or values that are no weights.
    """
    draw(attention_map(source, target, weights), title=title, terminal=terminal, png=png, page=page)


def draw(
    drawing: Drawing,
    *,
    title: str = "",
    terminal: bool = True,
    png: Path | str | None = None,
    page: Path | str | None = None,
) -> None:
    """Draw a map, a shaded text, an attended series or image, an aligned strip or the heads of a model.

    Args:
        title: for the picture and the page.
        terminal, png, page: as for `show`.
    """
    if terminal:
        print_drawing(drawing)
    if png is not None:
        save_figure(drawing, png, title=title)
    if page is not None:
        save_page([drawing], page, title=title)
