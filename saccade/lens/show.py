"""Draw what answers looked at."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade.lens.figure import save as save_figure
from saccade.lens.maps import AttentionMap, attention_map
from saccade.lens.page import save as save_page
from saccade.lens.terminal import draw


class Looked(Protocol):
    """An answer that knows what it looked at, such as `saccade.tasks.translate.Answer`."""

    @property
    def text(self) -> str: ...
    @property
    def source(self) -> Sequence[str]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def weights(self) -> NDArray[np.float32] | None: ...


def map_of(answer: Looked, *, text: str = "", note: str = "") -> AttentionMap:
    """The attention map of an answer; `text` is the whole input as it was given.

    Raises:
        ValueError: the answer comes from a model without attention.
    """
    if answer.weights is None:
        raise ValueError("answer must come from a model with attention; this one has no weights")
    return attention_map(answer.source, answer.target, answer.weights, answer=answer.text, text=text, note=note)


def show(
    answer: Looked,
    *,
    text: str = "",
    terminal: bool = True,
    png: Path | str | None = None,
    page: Path | str | None = None,
) -> None:
    """Draw the attention map of one answer.

    Args:
        text: the whole input as it was given, for titles.
        terminal: draw it in the terminal.
        png: a picture to write: .png, .svg or .pdf.
        page: a self-contained HTML page to write.

    Raises:
        ValueError: the answer comes from a model without attention.
    """
    title = f"{text} → {answer.text}" if text else answer.text
    _show(map_of(answer, text=text), title, terminal, png, page)


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
    _show(attention_map(source, target, weights), title, terminal, png, page)


def _show(drawn: AttentionMap, title: str, terminal: bool, png: Path | str | None, page: Path | str | None) -> None:
    if terminal:
        draw(drawn)
    if png is not None:
        save_figure(drawn, png, title=title)
    if page is not None:
        save_page([drawn], page, title=title)
