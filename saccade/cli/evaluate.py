"""saccade evaluate."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from saccade import decoding
from saccade.cli.given import manner, reading
from saccade.cli.options import Evaluate
from saccade.errors import OptionError
from saccade.runs import Run
from saccade.tasks.base import Searching, Trained, say
from saccade.tasks.devices import calculating
from saccade.tasks.load import task_in
from saccade.tasks.translate.translator import Translator


def evaluate(command: Evaluate) -> None:
    """Print how good a run is on some examples."""
    task, how = task_in(command.run), manner(command, command.beam)
    names, options = reading(task, Run(command.run), command.columns, command.folder)
    trained = task.load(command.run, device=command.device)
    with calculating(trained.device, command.precision):
        scores = asdict(_evaluated(trained, task.files(command.data, names, options), command, how))
    if command.png is not None:
        _draw_confusion(scores, command.png)
    if command.json:
        print(json.dumps(scores, ensure_ascii=False))
    else:
        _print(scores)


def _evaluated(trained: Trained[Any], examples: Any, command: Evaluate, how: decoding.Manner) -> Any:
    if isinstance(trained, Translator):
        scores = trained.evaluate(
            examples, beam=command.beam, manner=how, tokenize=command.tokenize, lowercase=command.lowercase
        )
        if command.tokenize == "auto":
            found = re.search(r"tok:([^|]+)", scores.bleu_signature)
            parts = "" if found is None else found[1]
            say(f"BLEU parts texts into words by {parts}, as the references are written (choose with --tokenize)")
        if scores.too_long:
            say(f"{scores.too_long} pairs are too long to be read: answers are empty, losses are of the others")
        return scores
    if command.tokenize != "auto" or command.lowercase:
        raise OptionError("--tokenize and --lowercase are for runs that translate texts; this one does not")
    if isinstance(trained, Searching):
        return trained.evaluate(examples, beam=command.beam, manner=how)
    if command.beam != 1:
        raise OptionError(f"--beam is for runs that write texts; got {command.beam}")
    if how != decoding.SEARCHED:
        raise OptionError("--length-penalty and --sample are for runs that write texts; this one writes none")
    return trained.evaluate(examples)


def _draw_confusion(scores: Mapping[str, Any], path: Path) -> None:
    """How often each label was taken for each other, as a picture."""
    from saccade.lens.maps import attention_map
    from saccade.lens.show import draw

    confusion = scores.get("confusion")
    if not confusion:
        raise OptionError("--png is for runs that give a text one label; this one gives none, or several")
    rows = [list(row.values()) for row in confusion.values()]
    shares = [[count / max(sum(row), 1) for count in row] for row in rows]
    title = "rows: the true label; columns: the label it was given, as a share of the row"
    draw(attention_map(confusion, confusion, shares), title=title, terminal=False, png=path)


def _print(scores: Mapping[str, Any]) -> None:
    """A line for each figure, then a table for each group of them."""
    for name, value in scores.items():
        if isinstance(value, float):
            print(f"{name:22}{value:.4f}")
        elif value is None or value == ():
            continue
        elif isinstance(value, tuple):
            print(f"{name:22}{', '.join(value)}")
        elif not isinstance(value, dict):
            print(f"{name:22}{value}")
    console = Console(highlight=False, markup=False)
    for name, value in scores.items():
        if isinstance(value, dict):
            console.print()
            console.print(_table(name, value))


def _table(name: str, rows: Mapping[str, Mapping[str, float | int]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column({"confusion": "true \\ said"}.get(name, name.replace("_", " ")), overflow="fold")
    for column in next(iter(rows.values()), {}):
        table.add_column(column, justify="right", header_style="dim")
    for label, row in rows.items():
        table.add_row(label, *(str(value) if isinstance(value, int) else f"{value:.4f}" for value in row.values()))
    return table
