"""What `--columns` and `--folder` say of the files that a run is given, and other options of how it answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade import decoding
from saccade.cli.options import Finding, Predict
from saccade.errors import OptionError
from saccade.export.folder import is_export, read
from saccade.runs import Run
from saccade.tasks.base import Searching, Task
from saccade.tasks.load import task_in


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


def manner(command: Finding, beam: int) -> decoding.Manner:
    """How answers are found, of a beam so wide.

    Raises:
        OptionError: what goes only with other options, or is out of its bounds.
    """
    drawn = {"--temperature": command.temperature, "--top-k": command.top_k, "--top-p": command.top_p}
    given = [name for name, default in zip(drawn, (1.0, 0, 1.0), strict=True) if drawn[name] != default]
    if (given or command.seed != 1) and not command.sample:
        raise OptionError(f"{(given or ['--seed'])[0]} goes with --sample, which is not there")
    if command.penalty != "power" and not command.length_penalty:
        raise OptionError(f"--penalty {command.penalty} goes with --length-penalty, which is not there")
    if command.sample and (beam != 1 or command.length_penalty):
        raise OptionError("--sample goes without --beam and --length-penalty: what is drawn is not searched for")
    if not 0 <= command.length_penalty < float("inf"):
        raise OptionError(f"--length-penalty must be at least 0; got {command.length_penalty}")
    if command.early and not command.length_penalty:
        raise OptionError("--early goes with --length-penalty, which is not there: without it nothing would change")
    if command.sample:
        return decoding.Manner(sampling=_sampling(command), seed=command.seed)
    if not command.length_penalty:
        return decoding.SEARCHED
    if beam == 1:
        raise OptionError("--length-penalty ranks the answers of a beam: it goes with --beam of at least 2; got 1")
    penalty = {"power": decoding.power, "wu": decoding.wu}[command.penalty]
    return decoding.Manner(penalty=penalty(command.length_penalty), early=command.early)


def _sampling(command: Finding) -> decoding.Sampling:
    try:
        return decoding.Sampling(command.temperature, command.top_k, command.top_p)
    except ValueError as error:
        raise OptionError(f"--{str(error).replace('_', '-', 1)}") from None


def exported_folder(command: Predict) -> Path | None:
    """The exported folder that is to answer; None where our own models are.

    Raises:
        OptionError: another engine than that of the folder, or what goes with our own models alone.
    """
    if is_export(command.run):
        engine = read(command.run)["engine"]
        if command.engine not in (None, engine):
            raise OptionError(f"--engine must be {engine}, to which {command.run} was exported; got {command.engine}")
        folder = command.run
    elif command.engine in (None, "saccade"):
        return None
    else:
        folder = command.run / command.engine
    given = {"--ensemble": command.ensemble, "--stream": command.stream, "--folder": command.folder}
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is not None:
        raise OptionError(f"{wrong} is for our own models; got it with --engine {read(folder)['engine']}")
    if command.device not in ("cpu", "auto"):
        raise OptionError(f"--device must be cpu with exported runs; got {command.device}")
    return folder


def joined(trained: Any, run: Path, names: str, device: str) -> Any:
    """A trained model, and with it those of other runs where some are named, as one.

    Raises:
        OptionError: a run of another task or vocabulary, or of a task that does not search.
    """
    if not names:
        return trained
    folders, task = [Path(name) for name in columns(names)], task_in(run)
    for folder in folders:
        if (other := task_in(folder).name) != task.name:
            raise OptionError(f"--ensemble must be runs of {task.name}, as {run}; got {folder}, one of {other}")
    if not isinstance(trained, Searching):
        raise OptionError(f"--ensemble is for runs that translate texts; got one of {task.name}")
    return trained.joined([task.load(folder, device=device) for folder in folders])
