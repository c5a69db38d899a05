"""A whole model: for every head what was looked at most, then a map, of one head or the mean of the last layer."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

from saccade.lens.heads import Layers, Site, short_names
from saccade.lens.maps import attention_map, visible
from saccade.lens.terminal.maps import lines as map_lines
from saccade.lens.terminal.shades import encodable, words
from saccade.lens.views import left_out, only, received, reduced, row_of

ROWS, COLUMNS = 40, 60  # of the map, those that looked or were looked at most
HEADS = 160  # lines of heads
NAMED = 3  # tokens of a head
LONGEST_NAME, LONGEST_TOKEN = 24, 16  # cells


def lines(layers: Layers, console: Console) -> Iterator[Text]:
    """The lines of `layers`: its heads, if there are several, and a map: take one head with `views.at`."""
    yield from words([("read", layers.text), ("answer", layers.answer), ("", layers.note)], console)
    heads = [(one, head) for one in layers.sites for head in range(len(one.heads))]
    if not heads:
        yield Text("There are no heads.", "dim")
        return
    if len(heads) > 1:
        yield from _heads(layers, console)
    one = heads[-1][0]
    drawn = one if len(one.heads) == 1 else reduced(one, "mean")
    over = f"head {one.heads[0]}" if len(one.heads) == 1 else f"mean of {len(one.heads)} heads"
    yield Text(_said(f"{one.name}, {over}", console), "bold")
    yield from _map(drawn, console)
    if missing := left_out(one):
        yield Text(missing[0].upper() + missing[1:] + ".", "dim")


def _heads(layers: Layers, console: Console) -> Iterator[Text]:
    names = [_cut(_said(name, console), LONGEST_NAME) for name in short_names(layers)]
    left = max(cell_len(name) for name in [*names, "layer"])
    figures = [_cut(_said(figure.name, console), 14) for figure in layers.figures[:2]]
    header = f"{set_cell_size('layer', left)}  head  " + "".join(f"{name:>14}  " for name in figures)
    yield Text(header + "looked at most, on average", "dim")
    count = 0
    for place, one in enumerate(layers.sites):
        mean = received(one)
        labels = [encodable(visible(label), console) for label in one.source.labels] if count < HEADS else []
        for head, name in enumerate(one.heads):
            count += 1
            if count > HEADS:
                continue
            line = Text(
                set_cell_size(names[place] if head == 0 else "", left) + f"  {_cut(_said(name, console), 4):>4}  "
            )
            for figure in layers.figures[:2]:
                line.append(f"{figure.values[place][head]:>14.3g}  ")
            yield line.append(_most(mean[head], labels))
    if count > HEADS:
        yield Text(f"Left out: {count - HEADS} of {count} heads.", "dim")
    yield Text()


def _said(name: str, console: Console) -> str:
    return encodable(visible(name).replace("␣", " "), console)


def _most(mean: NDArray[np.float64], labels: Sequence[str]) -> str:
    order = np.argsort(-mean, kind="stable")[:NAMED]
    return ", ".join(f"{_cut(labels[at], LONGEST_TOKEN)} {mean[at]:.2f}" for at in order if mean[at] > 0) or "nothing"


def _cut(label: str, cells: int) -> str:
    return label if cell_len(label) <= cells else chop_cells(label, cells - 3)[0] + "..."


def _map(one: Site, console: Console) -> Iterator[Text]:
    """The map of a site with one head; of long inputs the rows with the largest weights and the columns of most."""
    one = only(one, 0)
    sources, targets = one.source.labels, one.target.labels
    columns = np.sort(np.argsort(-received(one)[0], kind="stable")[:COLUMNS])
    peaks = np.zeros(0) if not len(targets) else _peaks(one)
    rows = np.sort(np.argsort(-peaks, kind="stable")[:ROWS])
    weights = np.array([row_of(one, 0, row)[columns] for row in rows]).reshape(len(rows), len(columns))
    small = attention_map([sources[at] for at in columns], [targets[at] for at in rows], weights)
    yield from map_lines(small, console)
    of_rows = len(targets), len(rows), "rows, those with the largest weights"
    cuts = [of_rows, (len(sources), len(columns), "columns, those looked at most")]
    shown = [f"{some} of {all:,} {what}" for all, some, what in cuts if some < all]
    if shown:
        yield Text(f"Shown: {'; '.join(shown)}.", "dim")


def _peaks(one: Site) -> NDArray[np.float64]:
    weights = one.weights if isinstance(one.weights, np.ndarray) else one.weights.weights
    return np.asarray(weights[0].max(-1, initial=0), np.float64)
