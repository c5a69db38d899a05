"""What is held out, once for several trainings: two files that all of them read."""

import filecmp
import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.labelled import Labelled
from saccade.data.listed import Listed
from saccade.data.pairs import Pair
from saccade.data.seriescorpus import SeriesPart
from saccade.data.tagged import Tagged
from saccade.errors import DataError, OptionError, RunError
from saccade.tasks.base import Say, Start, Task
from saccade.tasks.course import Course
from saccade.tasks.regress.options import RegressOptions
from saccade.tasks.translate.options import TranslateOptions

_WORDS_AND_TAGS = ("words", "tags")


def hold_out(folder: Path, task: Task[Any, Any, Any, Any], options: Course, start: Start, say: Say) -> Start:
    """Write the part to train on and the part to validate on into a folder, and start from these files.

    A training draws what it holds out from its seed, which also decides its first weights: trainings of different
    seeds that each held out for themselves would be measured on different examples. Nothing is written where files to
    validate on were given, nor for a table, whose end is always the part that is held out. What has a label that
    nothing else has is trained on.

    Raises:
        OptionError: links of words, which go with the lines of the file that would be parted.
        DataError: nothing is left to validate on.
        RunError: the folder has other parts already, so that the examples have changed.
    """
    if start.valid is not None or (isinstance(options, RegressOptions) and options.horizon):
        return start
    if isinstance(options, TranslateOptions) and options.alignments is not None:
        raise OptionError(f"--alignments needs --valid where trainings are compared; got {options.alignments} alone")
    parts, columns = task.parts(start, options, say), tuple(start.train.columns or ())
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(parts[0], SeriesPart):
        paths = tuple(_sequences(folder / f"{name}.npz", part) for name, part in _named(parts))
    else:
        known = {name for example in parts[0] for name in _names(example)}
        alone = (example for example in parts[1] if not _names(example) <= known)
        kept = (example for example in parts[1] if _names(example) <= known)
        paths = tuple(
            _lines(folder / f"{name}.jsonl", part, columns) for name, part in _named((chain(parts[0], alone), kept))
        )
        if not paths[1].stat().st_size:
            raise DataError(f"{start.train}: expected examples enough to hold some out (give others with --valid)")
    train, valid = (task.files((path,), columns, options) for path in paths)
    return Start(train, valid, start.parent, start.resume, start.extra)


def _named(parts: tuple[Any, Any]) -> Iterator[tuple[str, Any]]:
    return zip(("training", "validation"), parts, strict=True)


def _names(example: Any) -> set[str]:
    match example:
        case Labelled():
            return set(example.labels)
        case Tagged():
            return set(example.tags)
    return set()


def _lines(path: Path, examples: Iterable[Any], columns: tuple[str, ...]) -> Path:
    new = path.with_suffix(".new")
    with open(new, "w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(_record(example, columns)) + "\n")
    return _take(new, path)


def _record(example: Any, columns: tuple[str, ...]) -> dict[str, Any]:
    match example:
        case Pair():
            cells: tuple[Any, Any] = (example.source, example.target)
        case Labelled():
            cells = (_alone(example.sentences), _alone(example.labels))
        case Tagged():
            cells = (example.words, example.tags)
            columns = columns or _WORDS_AND_TAGS
        case Listed():
            cells = (str(example.path.resolve()), _alone(example.texts))
        case _:
            raise TypeError(
                f"an example must be a Pair, a Labelled, a Tagged or a Listed; got {type(example).__name__}"
            )
    return dict(zip(columns, cells, strict=True))


def _alone(texts: tuple[str, ...]) -> str | tuple[str, ...]:
    return texts[0] if len(texts) == 1 else texts


def _sequences(path: Path, part: SeriesPart) -> Path:
    found, new = part.file.sequences(), path.with_suffix(".new")
    assert found.targets is not None
    with open(new, "wb") as file:
        np.savez(file, x=found.inputs[part.rows], y=found.targets[part.rows])
    return _take(new, path)


def _take(new: Path, path: Path) -> Path:
    """Put a file in its place, where there may be the same one already."""
    if path.exists() and not filecmp.cmp(new, path, shallow=False):
        new.unlink()
        raise RunError(f"{path}: expected the examples it began with; they have changed")
    os.replace(new, path)
    return path
