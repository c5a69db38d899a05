"""saccade show and saccade describe."""

import sys
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from saccade.cli.options import Describe, Show
from saccade.errors import OptionError, RunError
from saccade.lens.show import show as draw
from saccade.runs import Run
from saccade.tasks.base import Task, Trained
from saccade.tasks.load import task_in


def show(command: Show) -> None:
    """Draw what the answer to one input looked at."""
    task = task_in(command.run)
    trained = task.load(command.run, device=command.device)
    given = _given(command, task, trained)
    for doubt in trained.doubts(given):
        print(f"saccade: {doubt}", file=sys.stderr)
    answer = trained(given)
    if answer.weights is None or not answer.source:
        what = "looks at nothing (--attention none)" if answer.source else "got an empty input"
        raise RunError(f"{command.run}: expected a model and an input with something to look at; it {what}")
    files = command.png is not None or command.page is not None
    text = trained.readable(given)
    draw(answer, text=text, terminal=command.terminal or not files, png=command.png, page=command.page)


def _given(command: Show, task: Task[Any, Any, Any, Any], trained: Trained[Any]) -> Any:
    """The one input that is to be shown."""
    if (command.text is None) == (not command.data):
        raise OptionError("show must be given a text, or --data with files of inputs")
    if command.text is not None:
        return trained.parse(command.text)
    if command.item < 1:
        raise OptionError(f"--item must be at least 1; got {command.item}")
    run = Run(command.run)
    config = run.read_config()
    columns = tuple(config["data"]["columns"])
    inputs = trained.each(task.inputs(command.data, columns, task.read_options(run, config)))
    for given in islice(inputs, command.item - 1, command.item):
        return given
    raise OptionError(f"--item must be one of the inputs; got {command.item}, which is beyond the last")


def describe(command: Describe) -> None:
    """Print what a run is."""
    import torchinfo

    trained = task_in(command.run).load(command.run)
    summary = torchinfo.summary(
        trained.model,
        input_data=trained.sample(),
        device=trained.device,
        verbose=0,
        depth=3,
        col_names=("input_size", "output_size", "num_params"),
        row_settings=("var_names",),
    )
    print(summary)
    config, console = Run(command.run).read_config(), Console()
    for title in ("options", "data", "scores"):
        console.print(_table(title, config.get(title) or {}))


def _table(title: str, values: dict[str, Any]) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    return table
