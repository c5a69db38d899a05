"""Encoded examples of a training that was killed, taken up where their sources are as they were."""

import json
import shutil
from pathlib import Path
from typing import Any

from saccade.data.corpus import Corpus
from saccade.data.tables import named, revision
from saccade.files import write_atomic
from saccade.runs import SCRATCH, Run
from saccade.tasks.base import Start, Task
from saccade.tasks.course import Course

PARTS = ("training", "validation")
_SEAL = "sources.json"

AnyTask = Task[Any, Any, Any, Any]
Corpora = tuple[Corpus[Any], Corpus[Any]]
Stamps = list[list[str | int]]


def stamps(task: AnyTask, start: Start) -> Stamps:
    """Of each source how large it is and when it was written last; of a data set of the hub its commit. None of a task
    that cannot take up what it encoded.

    Raises:
        DataError: the hub does not answer.
    """
    if not task.reopens:
        return []
    return [
        stamp
        for files in (start.train, start.valid)
        if files is not None
        for path in getattr(files, "paths", ())
        for stamp in _stamped(path)
    ]


def _stamped(path: Path) -> Stamps:
    where = named(path)
    if where is not None and not where.local:
        return [[str(path), revision(where.name)]]
    root = path if where is None else Path(where.name)
    found: Stamps = []
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if file.is_file():
            told = file.stat()
            # What a person can set back, the time of writing, is not all: the system itself says when it changed.
            found.append([str(path), str(file), told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino])
    return found


def keep(run: Run, sources: Stamps, fingerprint: str) -> None:
    """Write down, last of all, that everything is encoded, and from what: stamps taken before it was read."""
    if sources:
        write_atomic(run.path(SCRATCH) / _SEAL, json.dumps({"sources": sources, "fingerprint": fingerprint}))


def take_up(run: Run, task: AnyTask, start: Start, codec: Any, options: Course, fingerprint: str) -> Corpora | None:
    """What was encoded before, if it is whole and the sources are as they were then; else None.

    A changed source has another stamp; what was not written to its end, or was changed since, another fingerprint.
    """
    folder = run.path(SCRATCH)
    try:
        seal = json.loads((folder / _SEAL).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if seal != {"sources": stamps(task, start), "fingerprint": fingerprint}:
        return None
    training, validation = (task.reopen(folder, name, codec, options) for name in PARTS)
    if training is None or validation is None or fingerprint_of(training, validation) != fingerprint:
        return None
    return training, validation


def fingerprint_of(training: Corpus[Any], validation: Corpus[Any]) -> str:
    """The fingerprint of both parts."""
    return training.fingerprint[:32] + validation.fingerprint[:32]


def clear(run: Run) -> None:
    """Leave an empty folder to encode into."""
    shutil.rmtree(run.path(SCRATCH), ignore_errors=True)
    run.path(SCRATCH).mkdir()


def discard_unless_of_use(run: Run, *, finished: bool) -> None:
    """Remove what was encoded, unless a training that was stopped can take it up."""
    if finished or not (run.path(SCRATCH) / _SEAL).is_file():
        shutil.rmtree(run.path(SCRATCH), ignore_errors=True)
