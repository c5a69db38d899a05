"""What `--columns` and `--folder` say of the files that a run is given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade.errors import OptionError
from saccade.runs import Run
from saccade.tasks.base import Task


def columns(text: str) -> tuple[str, ...]:
    """The names of `--columns a,b`.

    >>> columns("de, en")
    ('de', 'en')
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise OptionError(f"--columns must be names with commas between; got {text!r}")
    return names


def reading(
    task: Task[Any, Any, Any, Any], run: Run, names: str = "", folder: Path | None = None
) -> tuple[tuple[str, ...], Any]:
    """The columns and the options that a run reads its files with: those it was trained with, but for what is said.

    Raises:
        OptionError: a folder for a run whose files name no others.
    """
    config = run.read_config()
    options = task.read_options(run, config)
    if folder is not None:
        if not hasattr(options, "folder"):
            raise OptionError(f"--folder is for runs of caption and transcribe; got one of {task.name}")
        options = replace(options, folder=str(folder))
    return columns(names) if names else tuple(config["data"]["columns"]), options
