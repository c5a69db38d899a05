"""saccade compare."""

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from saccade.cli.comparing import Compare
from saccade.cli.given import columns
from saccade.errors import MissingExtraError, OptionError
from saccade.lens import comparison as lens
from saccade.lens.answers import drawing_of
from saccade.lens.drawings import Drawing

if TYPE_CHECKING:
    from saccade.training.comparison import Comparison, Row

PAGE = "comparison.html"


def compare(command: Compare) -> None:
    """Train each attention with each seed; a table here, and a page."""
    try:
        from saccade.training.compare import compare, read_plan
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lightning", "train") from None
    from saccade.tasks.base import Start, say
    from saccade.tasks.load import task_named

    task = task_named(command.task)
    plan = read_plan(command.out) if command.resume else None
    if plan is not None:
        command = _as_it_began(command, plan)
    if not command.train:
        raise OptionError(f"--train must name the training {task.noun}")
    attentions = names(getattr(command.training, "attention"))  # noqa: B009 - a Course has none, each task's options do
    first = {one.name: getattr(command.training, one.name) for one in fields(task.options)}
    options = task.options(**{**first, "attention": attentions[0]})
    named = columns(command.columns) if command.columns else task.columns
    files, valid = (task.files(paths, named, options) if paths else None for paths in (command.train, command.valid))
    start = Start(files, valid, resume=command.resume)
    try:
        found = compare(
            command.out, options, start, attentions, command.seeds, test=command.test, device=command.device
        )
    except KeyboardInterrupt:
        say(f"stopped; go on with: saccade compare {task.name} --out {command.out} --resume")
        raise
    _report(found, command)


def names(text: str) -> list[str]:
    """The names of `--attention a,b`.

    >>> names("additive, none")
    ['additive', 'none']
    """
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise OptionError(f"--attention must be names with commas between; got {text!r}")
    return found


def _as_it_began(command: Compare, plan: dict[str, Any]) -> Compare:
    """A comparison that goes on knows its files and options: what was left at its default is taken from it."""
    began = {**plan["options"], "attention": ",".join(plan["attentions"])}
    given, default = command.training, type(command.training)()
    training = replace(
        given, **{name: was for name, was in began.items() if getattr(given, name) == getattr(default, name)}
    )
    train, valid, test = (
        getattr(command, side) or tuple(Path(path) for path in plan[side]) for side in ("train", "valid", "test")
    )
    return replace(
        command,
        training=training,
        seeds=plan["seeds"] if command.seeds == Compare.seeds else command.seeds,
        columns=",".join(plan["columns"]),
        train=train,
        valid=valid,
        test=test,
    )


def _report(found: "Comparison", command: Compare) -> None:
    console = Console(highlight=False)
    where = " + ".join(found.measured_on) if command.test or command.valid else "the part that was held out"
    title = f"{found.task}, {command.seeds} seed{'s' * (command.seeds > 1)}, on {where}"
    rows = [
        lens.Compared(
            one.attention,
            {
                quality.name: (one.figures[quality.name].mean, one.figures[quality.name].deviation or 0.0)
                for quality in found.qualities
                if quality.name in one.figures
            },
            seconds=one.seconds,
            memory=one.memory,
            entropy=one.entropy,
            parameters=one.parameters,
            drawing=drawing,
        )
        for one, drawing in zip(found.rows, drawings(found, command.device), strict=True)
    ]
    console.print()
    lens.draw(rows, title=title, console=console)
    lens.save(rows, command.out / PAGE, title=title)
    console.print(f"\n{found.sentence()}", soft_wrap=True)
    for line in (line for one in found.rows for line in one.failed):
        print(f"saccade: failed: {line}", file=sys.stderr)
    console.print(f"maps: {command.out / PAGE}   table: {command.out / 'comparison.md'}", soft_wrap=True)


def drawings(found: "Comparison", device: str) -> list[Drawing | None]:
    """What the first training of each attention looked at in one and the same example that none was trained on."""
    return [_drawing(one, found.measured_on, device) if one.runs else None for one in found.rows]


def _drawing(row: "Row", measured_on: Sequence[str], device: str) -> Drawing | None:
    from saccade.tasks.load import load
    from saccade.training.trial import first_answers, held_out_inputs

    trained = load(row.runs[0], device=device)
    inputs = held_out_inputs(Path(row.runs[0]), measured_on, trained)
    # Neither the shortest nor the longest.
    given = sorted(inputs, key=lambda one: len(trained.readable(one)))[len(inputs) // 2]
    (answer,) = first_answers(trained, [given])
    return None if answer.weights is None else drawing_of(answer, text=trained.readable(given), note=row.runs[0])
