"""A run to a folder of another engine, verified before it has its name."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from saccade import __version__
from saccade.errors import ExportError
from saccade.export import Target
from saccade.export.folder import load, whole, write
from saccade.export.verify import check, sentences
from saccade.runs import Run
from saccade.tasks.load import task_in
from saccade.tasks.translate.translator import Translator

_LIBRARIES: dict[Target, tuple[str, ...]] = {
    "ctranslate2": ("ctranslate2",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "pt2": (),
}


class Written(NamedTuple):
    """Where a run was exported to, how many sentences came out the same, and where these are from."""

    folder: Path
    sentences: int
    where: str


def export(folder: Path | str, to: Target, *, out: Path | str | None = None, text: Path | str | None = None) -> Written:
    """Export a run to another engine, whose greedy answers must be those of the run, token for token.

    Args:
        folder: a run of translate.
        to: "ctranslate2" for Transformers; "onnx" or "pt2" for any translator.
        out: where to; in the run folder, under the name of the engine, where None. A former export is replaced.
        text: a file of sentences to verify with, one a line, of which the first hundred are taken; those of training
            where None.

    Raises:
        ExportError: a model that the engine cannot express, naming what; or answers that differ, naming where.
        MissingExtraError: the engine is not installed.
        RunError: no run there.
    """
    run, task = Run(folder), task_in(folder)
    if task.name != "translate":
        raise ExportError(f"{run}: expected a run of translate to export; got one of {task.name}")
    translator: Translator = task.load(run.folder)
    given = sentences(run, task, translator, None if text is None else Path(text))
    place = run.path(to) if out is None else Path(out)
    with whole(place) as making:
        said = {**_said(run, to, translator), **_save(translator, to, making)}
        said["verified"] = {"sentences": len(given.texts), "from": given.where, "search": "greedy"}
        write(making, said, translator.vocabularies)
        check(translator, load(making), given.texts, str(place))
    return Written(place, len(given.texts), given.where)


def _said(run: Run, to: Target, translator: Translator) -> dict[str, Any]:
    config = run.read_config()
    versions = {name: version(name) for name in _LIBRARIES[to]}
    return {
        "engine": to,
        "task": config["task"],
        "run": {"folder": str(run), "options": config["options"], "scores": config.get("scores")},
        "columns": config["data"]["columns"],
        "versions": {"saccade": __version__, "torch": torch.__version__, **versions},
        "longest": translator.longest._asdict(),
        "limits": {"positions": 0},
    }


def _save(translator: Translator, to: Target, folder: Path) -> dict[str, Any]:
    """Write the model, and what there is to say of it."""
    if to == "ctranslate2":
        from saccade.export import spec

        positions = _positions(translator)
        spec.save(translator.model, translator.vocabularies, positions, folder)
        return {"limits": {"positions": positions}}
    from saccade.export.program import programs

    made = programs(translator.model)
    if to == "onnx":
        from saccade.export import onnx

        onnx.save(made, folder)
    else:
        from saccade.export import pt2

        pt2.save(made, folder)
    return {"program": {"memory": made.memory, "weights": made.weights, "copies": translator.copies}}


def _positions(translator: Translator) -> int:
    """How many places positions that are added to the input shall have: room for texts four times as long as the
    longest of training. Those in the heads have no end.
    """
    if translator.model.config.positions not in ("sinusoidal", "learned"):
        return 0
    return max(1024, 4 * max(translator.longest) + 4)
