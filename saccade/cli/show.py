"""saccade show."""

import sys
from itertools import islice
from typing import Any

from saccade.cli.options import Show
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
