"""saccade show."""

import sys
import warnings
from itertools import islice
from typing import Any

from saccade.cli.given import reading
from saccade.cli.options import Show
from saccade.errors import OptionError, RunError
from saccade.lens.capture.answered import drawing_of_heads
from saccade.lens.capture.look import look
from saccade.lens.figure import kind_of
from saccade.lens.heads import Layers
from saccade.lens.show import draw
from saccade.lens.show import show as show_answer
from saccade.runs import Run
from saccade.tasks.base import Task, Trained
from saccade.tasks.load import task_in


def show(command: Show) -> None:
    """Draw what the answer to one input looked at."""
    if command.png is not None:
        kind_of(command.png)
    task = task_in(command.run)
    trained = task.load(command.run, device=command.device)
    given = _given(command, task, trained)
    for doubt in trained.doubts(given):
        print(f"saccade: {doubt}", file=sys.stderr)
    text, terminal = trained.readable(given), command.terminal or (command.png is None and command.page is None)
    if command.heads:
        drawing = _heads(command, trained, given, text)
        title = " → ".join(filter(None, (text if len(text) <= 200 else "", drawing.answer)))
        draw(drawing, title=title, terminal=terminal, png=command.png, page=command.page)
        return
    answer = trained(given)
    if answer.weights is None or _empty(answer):
        raise _blind(command, answer)
    show_answer(answer, text=text, terminal=terminal, png=command.png, page=command.page)


def _heads(command: Show, trained: Trained[Any], given: Any, text: str) -> Layers:
    """Every head of the model while it answered."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="look saw ")  # said below
        with look(trained.model) as seen:
            ((answer,),) = trained.answers([given])
    if not seen.sites or _empty(answer):
        raise _blind(command, answer)
    return drawing_of_heads(seen, answer, text=text)


def _empty(answer: Any) -> bool:
    return not getattr(answer, "source", True)  # images and recordings are never empty


def _blind(command: Show, answer: Any) -> RunError:
    what = (
        "got an input that is empty, or too long to be read"
        if _empty(answer)
        else "looks at nothing (--attention none)"
    )
    return RunError(f"{command.run}: expected a model and an input with something to look at; it {what}")


def _given(command: Show, task: Task[Any, Any, Any, Any], trained: Trained[Any]) -> Any:
    """The one input that is to be shown."""
    if (command.text is None) == (not command.data):
        raise OptionError("show must be given a text, or --data with files of inputs")
    if command.text is not None:
        return trained.parse(command.text)
    if command.item < 1:
        raise OptionError(f"--item must be at least 1; got {command.item}")
    names, options = reading(task, Run(command.run), folder=command.folder)
    inputs = trained.each(task.inputs(command.data, names, options))
    for given in islice(inputs, command.item - 1, command.item):
        return given
    raise OptionError(f"--item must be one of the inputs; got {command.item}, which is beyond the last")
