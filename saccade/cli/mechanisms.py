"""saccade mechanisms."""

from itertools import groupby

from rich.console import Console
from rich.table import Table

from saccade.attention.catalogue import MECHANISMS, OTHERS, Entry
from saccade.cli.options import Mechanisms
from saccade.errors import OptionError

_TITLES = {
    "score": "content scores: join one with a normaliser and a window by +, as in general+sparsemax+local-p",
    "normalizer": "normalisers: alone, of additive scores",
    "window": "windows: alone, of general scores",
    "stateful": "mechanisms that carry a state",
    "pointer": "pointing",
    "baseline": "to compare with",
    "heads": "several heads, and a sequence that reads itself (from Python, as all that follow)",
    "positions": "what heads know of places",
    "pooling": "pooling",
    "images": "images",
    "gates": "gates",
}


def mechanisms(command: Mechanisms) -> None:
    """Print the catalogue, or one entry in full."""
    console, entries = Console(highlight=False, markup=False), MECHANISMS | OTHERS
    if command.name is None:
        for family, group in groupby(entries.items(), lambda item: item[1].family):
            console.print(_table(_TITLES[family], dict(group)))
    elif command.name in entries:
        console.print(_page(command.name, entries[command.name]))
    else:
        raise OptionError(f"mechanisms must name one of {', '.join(entries)}; got {command.name!r}")


def _table(title: str, entries: dict[str, Entry]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=True)
    table.add_column("name", width=max(map(len, MECHANISMS | OTHERS)), no_wrap=True, header_style="dim")
    for column, ratio in (("kind", 3), ("what", 8), ("paper", 6), ("state", 4), ("cost", 3)):
        table.add_column(column, ratio=ratio, header_style="dim")
    for name, entry in entries.items():
        table.add_row(name, entry.kind, entry.line, entry.paper, entry.state, entry.complexity)
    table.add_section()
    return table


def _page(name: str, entry: Entry) -> Table:
    table = Table(title=name, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for label, text in (
        ("what", entry.line),
        ("formula", entry.formula),
        ("paper", entry.paper),
        ("kind", entry.kind),
        ("state", entry.state),
        ("cost", f"{entry.complexity} for one query over T slots"),
        ("when", entry.use),
        ("class", f"saccade.{entry.where.replace(':', '.')}"),
    ):
        table.add_row(label, text)
    return table
