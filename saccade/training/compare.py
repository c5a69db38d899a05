"""Compare attentions: each trained with each of some seeds on the same examples, and measured on the same others."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import saccade
from saccade.errors import OptionError, RunError, SaccadeError
from saccade.runs import Run
from saccade.tasks.base import Say, Start, say
from saccade.tasks.course import Course, flag
from saccade.tasks.load import task_of
from saccade.training.comparison import PLAN, Comparison, row
from saccade.training.parting import hold_out
from saccade.training.trial import Trial, run_trial

PARTS = "parts"


def compare(
    folder: Path,
    options: Course,
    start: Start,
    attentions: Sequence[str],
    seeds: int,
    *,
    test: Sequence[Path] = (),
    device: str = "auto",
    say: Say = say,
) -> Comparison:
    """Train each attention with each seed, measure all on the same examples, and write the table.

    Each training has a folder of its own, `folder/NAME-SEED`, an ordinary run, and a process of its own: the memory it
    takes is its own, and where it dies the others go on. What is held out is drawn once, by `options.seed`; the seeds
    of the trainings are `options.seed`, `options.seed + 1` and so on. Seeds come first, so that a comparison that was
    stopped has about as many trainings of each attention.

    Args:
        folder: new or empty, or with `start.resume` that of a comparison to go on with; what is finished stays.
        options: those of the task, whose attention is replaced.
        start: the files, read by every training anew.
        attentions: names as the task's `attention` takes them.
        seeds: how many trainings of each.
        test: files to measure on; without them quality is that on the part to validate on.
        device: auto, cpu, cuda, cuda:N or mps.
        say: where lines for the person go.

    Raises:
        SaccadeError: a mistake in the data, the options or the folder, or no training that came to its end.
        KeyboardInterrupt: the person stopped it; `start.resume` goes on.
    """
    each, task = with_attentions(options, attentions, seeds), task_of(options)
    if start.parent is not None:
        raise OptionError(f"a comparison trains from the beginning; got the run {start.parent} to go on from")
    about = _about(options, start, attentions, seeds, test, device)
    _refuse_something_else(folder, about["plan"], start.resume)
    _check_files(task, options, start, test)
    new, there, comparison = read_plan(folder) is None, folder.exists(), Comparison(folder, task.name, (), (), about)
    try:
        if new:
            folder.mkdir(parents=True, exist_ok=True)
            comparison.write()  # first: from here on the folder is known for what it is
        start = hold_out(folder / PARTS, task, options, start, say)
        trials = [_trial(folder, one, start, test, device) for one in each]
        return _train_all(replace(comparison, measured_on=tuple(trials[0].measured_on)), trials, say)
    except OSError as error:
        raise RunError(f"{folder}: expected a folder that can be written; got {error.strerror or error}") from None
    finally:
        if new and folder.is_dir():
            _discard_if_not_begun(folder, there)


def with_attentions(options: Course, attentions: Sequence[str], seeds: int) -> list[Course]:
    """The options of each training: every attention with the first seed, then with the next.

    Raises:
        OptionError: no attention, an unknown one, one given twice; a decoder that takes none; fewer seeds than one.
    """
    if not attentions:
        raise OptionError("--attention must name the attentions to compare, with commas between; got none")
    for place, name in enumerate(attentions):
        if name in attentions[:place]:
            raise OptionError(f"--attention must name each attention once; got {name} twice")
    decoder = getattr(options, "decoder", "lstm")
    if decoder not in ("lstm", "gru"):
        raise OptionError(f"a comparison of attentions needs --decoder lstm or gru, which take any; got {decoder}")
    if seeds < 1:
        raise OptionError(f"--seeds must be at least 1; got {seeds}")
    return [
        replace(options, attention=name, seed=options.seed + i)  # type: ignore[call-arg]
        for i in range(seeds)
        for name in attentions
    ]


def read_plan(folder: Path) -> dict[str, Any] | None:
    """What a comparison that was begun in a folder compares; None where there is none.

    Raises:
        RunError: a broken file.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        plan: dict[str, Any] = {**found["plan"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected a comparison; got {error}") from None
    return plan


def _about(
    options: Course, start: Start, attentions: Sequence[str], seeds: int, test: Sequence[Path], device: str
) -> dict[str, Any]:
    plan = {
        "task": task_of(options).name,
        "options": asdict(options),
        "attentions": list(attentions),
        "seeds": seeds,
        "train": [str(path) for path in start.train.paths],
        "valid": [str(path) for path in start.valid.paths] if start.valid is not None else [],
        "test": [str(path) for path in test],
        "columns": list(start.train.columns or ()),
    }
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "device": device}
    versions = {"saccade": saccade.__version__, "torch": torch.__version__, "python": platform.python_version()}
    return {"plan": plan, "command": shlex.join(sys.argv), "versions": versions, "machine": machine}


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _check_files(task: Any, options: Course, start: Start, test: Sequence[Path]) -> None:
    """Find a mistake in files that only the end would need before anything is trained."""
    columns = tuple(start.train.columns or ())
    for files in (start.valid, task.files(tuple(test), columns, options) if test else None):
        if files is not None:
            task.parts(Start(files, files), options, lambda line: None)
            for _ in files if hasattr(files, "__iter__") else ():
                pass


def _refuse_something_else(folder: Path, given: dict[str, Any], resume: bool) -> None:
    before = read_plan(folder)
    if before is None:
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if names:
            raise RunError(f"{folder}: expected a new or empty folder; it holds {names[0]}")
        return
    if not resume:
        what = "it holds a comparison already (go on with --resume, or choose another)"
        raise RunError(f"{folder}: expected a new folder; {what}")
    # Attentions and seeds may grow, and another test is another measuring; what was trained must be what it was.
    for name in ("task", "train", "valid", "columns"):
        if before[name] != given[name]:
            raise RunError(f"{folder}: expected {name} {before[name]}, with which it began; got {given[name]}")
    for name, value in given["options"].items():
        was = before["options"][name]
        if name != "attention" and value != was:
            raise OptionError(f"{flag(name)} must stay {was}, with which {folder} began; got {value}")


def _trial(folder: Path, options: Course, start: Start, test: Sequence[Path], device: str) -> Trial:
    given = asdict(options)
    return Trial(
        folder=str(folder / f"{given['attention']}-{options.seed}"),
        task=task_of(options).name,
        options=given,
        train=tuple(map(str, start.train.paths)),
        valid=tuple(map(str, start.valid.paths)) if start.valid is not None else (),
        test=tuple(map(str, test)),
        columns=tuple(start.train.columns or ()),
        device=device,
    )


def _train_all(comparison: Comparison, trials: Sequence[Trial], say: Say) -> Comparison:
    failed: dict[str, list[str]] = {}
    comparison = _measured(comparison, trials, failed)
    comparison.write()
    for place, trial in enumerate(trials, 1):
        name, seed = trial.options["attention"], trial.options["seed"]
        if trial.measured() is not None:
            say(f"[{place}/{len(trials)}] {name}, seed {seed}: finished before")
            continue
        say(f"[{place}/{len(trials)}] {name}, seed {seed}")
        line = run_trial(trial)
        if line is not None:
            failed.setdefault(name, []).append(f"{trial.folder}: {line}")
            say(f"{trial.folder} failed, the others go on: {line}")
        comparison = _measured(comparison, trials, failed)
        comparison.write()
    if not any(one.runs for one in comparison.rows):
        raise SaccadeError(f"{comparison.folder}: every training failed; the first: {next(iter(failed.values()))[0]}")
    return comparison


def _measured(comparison: Comparison, trials: Sequence[Trial], failed: dict[str, list[str]]) -> Comparison:
    rows = []
    for name in dict.fromkeys(trial.options["attention"] for trial in trials):
        of_it = [(trial.folder, trial.measured()) for trial in trials if trial.options["attention"] == name]
        rows.append(row(name, {folder: found for folder, found in of_it if found}, failed.get(name, [])))
    return replace(comparison, rows=tuple(rows)).ranked()


def _discard_if_not_begun(folder: Path, there: bool) -> None:
    """Leave nothing behind where a mistake was found before anything was trained."""
    if any(Run(path).exists() for path in folder.iterdir() if path.is_dir()):
        return
    for path in (*(folder / PARTS).glob("*"), *folder.glob("comparison.*")):
        path.unlink()
    for path in (folder / PARTS, *(() if there else (folder,))):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
