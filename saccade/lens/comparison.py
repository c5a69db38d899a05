"""Models beside each other: a table of their figures, and below it what the chosen one looked at."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from saccade.files import write_atomic
from saccade.lens import page
from saccade.lens.drawings import Drawing
from saccade.lens.maps import visible
from saccade.lens.terminal.shades import encodable


class Compared(NamedTuple):
    """One model of a comparison. A figure that is None, or not finite, is shown as missing and sorted last."""

    name: str
    qualities: Mapping[str, tuple[float, float]]  # by name, such as "accuracy": the mean and the spread over seeds
    seconds: float | None = None  # to train
    memory: float | None = None  # MiB
    entropy: float | None = None  # of the weights, mean over the queries
    parameters: int | None = None
    drawing: Drawing | None = None


def draw(rows: Sequence[Compared], *, title: str = "", console: Console | None = None) -> None:
    """Print the table, a line for each model.

    >>> draw([Compared("dot", {"accuracy": (0.981, 0.002)}, seconds=41.7)], console=Console(width=70))
               accuracy   seconds   MiB   entropy   parameters
    ──────────────────────────────────────────────────────────
    dot   0.981 ± 0.002      41.7     –         –            –
    """
    console = console or Console()
    columns, lines = _cells(rows)
    drawn = TerminalTable(
        title=title or None, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for place, column in enumerate(columns):
        drawn.add_column(_text(column, console), justify="right" if place else "left")
    for row, figures in zip(rows, lines, strict=True):
        shown = ("–" if figure is None else f"{figure.shown} {figure.spread}".strip() for figure in figures)
        drawn.add_row(_text(row.name, console), *(_text(figure, console) for figure in shown))
    console.print(drawn)


def save(rows: Sequence[Compared], path: Path | str, *, title: str) -> None:
    """Save an HTML page with the table, sorted by a click on a heading, and the drawing of the row that is chosen.

    The page is one file and as offline as those of `saccade.lens.page.save`.

    Raises:
        ValueError: there are no rows.
        OSError: the folder cannot be written.
    """
    write_atomic(path, render(rows, title=title))


def render(rows: Sequence[Compared], *, title: str) -> str:
    """The page that `save` writes."""
    if not rows:
        raise ValueError("a comparison needs at least one row; got none")
    columns, lines = _cells(rows)
    named = tuple((visible(row.name).replace("␣", " "), *figures) for row, figures in zip(rows, lines, strict=True))
    return page.render([row.drawing for row in rows], title=title, table=page.Table(columns, named))


def _cells(rows: Sequence[Compared]) -> tuple[tuple[str, ...], list[list[page.Figure | None]]]:
    # In the order in which they first occur: rows may lack what others have.
    qualities = list(dict.fromkeys(name for row in rows for name in row.qualities))
    columns = ("", *qualities, "seconds", "MiB", "entropy", "parameters")
    lines = []
    for row in rows:
        measured = [_figure(*row.qualities[name]) if name in row.qualities else None for name in qualities]
        others = (row.seconds, row.memory, row.entropy, row.parameters)
        lines.append([*measured, *(None if value is None else _figure(value) for value in others)])
    return columns, lines


def _figure(mean: float, spread: float = 0.0) -> page.Figure | None:
    if not math.isfinite(mean):
        return None
    return page.Figure(mean, _shown(mean), f"± {spread:.2g}" if spread > 0 and math.isfinite(spread) else "")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _text(words: str, console: Console) -> Text:
    words = words if console.encoding.lower().startswith("utf") else words.replace("±", "+-").replace("–", "-")
    return Text(encodable(visible(words).replace("␣", " "), console) if words else "")
