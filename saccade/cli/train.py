"""saccade train."""

import os
from dataclasses import replace
from pathlib import Path

from saccade.cli.given import columns
from saccade.cli.training import Train
from saccade.errors import MissingExtraError, OptionError
from saccade.runs import CONFIG, Run


def train(command: Train) -> None:
    """Train into a run folder."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch is loaded: see saccade.training.launch
    try:
        from saccade.training.fit import fit
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lightning", "train") from None
    from saccade.tasks.base import Start, say
    from saccade.tasks.load import task_of

    task, command = task_of(command.training), _with_files_of_the_run(command)
    if not command.train:
        raise OptionError(f"--train must name the training {task.noun}")
    names = columns(command.columns) if command.columns else task.columns
    options = command.training
    if command.resume and (command.out / CONFIG).is_file():
        options = task.read_options(Run(command.out), Run(command.out).read_config())
    elif command.from_ is not None:
        options = task.inherited(Run(command.from_), options)
    files, valid = (task.files(paths, names, options) if paths else None for paths in (command.train, command.valid))
    start = Start(files, valid, command.from_, command.resume)
    try:
        trained = fit(
            command.out,
            command.training,
            start,
            device=command.device,
            processes=command.processes,
            strategy=command.strategy,
        )
    except KeyboardInterrupt:
        say(f"stopped; go on with: saccade train {task.name} --out {command.out} --resume")
        raise
    if trained is None:  # not the first of several processes
        return
    say(f"{command.out}: best validation {task.headline(Run(command.out).read_config()['scores'])}")


def _with_files_of_the_run(command: Train) -> Train:
    """A resumed run knows its files: they need not be typed again."""
    if not command.resume or command.train or not (command.out / CONFIG).is_file():
        return command
    data = Run(command.out).read_config()["data"]
    train, valid = (tuple(Path(path) for path in data[side] or ()) for side in ("train", "valid"))
    return replace(command, columns=",".join(data["columns"]), train=train, valid=valid)
