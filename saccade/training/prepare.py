"""What a training starts from: examples, codec and options, read, checked and written down."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from saccade.data.corpus import Corpus
from saccade.errors import RunError
from saccade.runs import FORMAT, SCRATCH, Run, moved
from saccade.tasks.base import Say, Start
from saccade.tasks.course import Course
from saccade.training.kept import PARTS, AnyTask, Corpora, clear, fingerprint_of, keep, stamps, take_up
from saccade.training.together import Together


class Prepared(NamedTuple):
    """Everything that a training needs."""

    config: dict[str, Any]
    options: Course
    codec: Any
    training: Corpus[Any]
    validation: Corpus[Any]
    model: nn.Module
    """As it begins; of a training that goes on from a checkpoint, which has the weights, untrained."""


class Begun(NamedTuple):
    """What the first process found.

    prepared:   what all train with.
    checkpoint: what they go on from, or None.
    """

    prepared: Prepared
    checkpoint: Path | None


def shared(begun: Begun | None, task: AnyTask, together: Together) -> Begun:
    """The same in all processes: of the others, which have None, with a model of their own of the same weights."""
    if together.place.size == 1 and begun is not None:
        return begun
    if begun is not None:
        prepared = begun.prepared
        together.told((begun._replace(prepared=prepared._replace(model=nn.Identity())), prepared.model.state_dict()))
        return begun
    found, weights = together.told(None)
    prepared = found.prepared
    model = _untrained(task, prepared.options, prepared.codec)
    model.load_state_dict(weights)
    return Begun(prepared._replace(model=model), found.checkpoint)


def encode_here(run: Run, task: AnyTask, start: Start, prepared: Prepared) -> None:
    """Encode the examples again, on a machine that does not see those of the first.

    Raises:
        RunError: this machine has other files.
    """
    options, codec = prepared.options, prepared.codec
    run.folder.mkdir(parents=True, exist_ok=True)
    clear(run)
    corpora = _encode(run, task, options, start, codec, task.parts(start, options, silent), silent)
    if fingerprint_of(*corpora) != prepared.config["data"]["fingerprint"]:
        raise RunError(f"{start.train}: expected the {task.noun} of the first machine; this one has others")


def prepare(run: Run, task: AnyTask, options: Course, start: Start, say: Say, *, going_on: bool) -> Prepared:
    """Read the data, and write the configuration of a new run or check that of one begun before.

    Args:
        going_on: whether the training goes on from a checkpoint.

    Raises:
        SaccadeError: a mistake in the data, in the options, or between them and the run.
    """
    if start.resume and run.exists():
        return _begun(run, task, options, start, say, going_on)
    if start.parent is not None:
        options = task.inherited(Run(start.parent), options)
    clear(run)
    sources = stamps(task, start)
    parts = task.parts(start, options, say)
    codec = task.learn(start, parts[0], options) if start.parent is None else task.read_codec(Run(start.parent))
    corpora = _encode(run, task, options, start, codec, parts, say)
    config = {
        "task": task.name,
        "options": asdict(options),
        "from": str(start.parent) if start.parent is not None else None,
        "data": {
            **_files(start),
            **_counts(task, *corpora),
            **task.described(start, corpora),
            "fingerprint": fingerprint_of(*corpora),
        },
        **dict(start.extra),
    }
    model = _model(task, options, codec, start.parent, say)
    task.write_codec(run, codec)
    run.write_config(config)  # a folder with a configuration has all that came before
    keep(run, sources, fingerprint_of(*corpora))
    return Prepared(config, options, codec, *corpora, model)


def silent(line: str) -> None:
    """What the first process alone is to say is not said by the others."""
    return


def _begun(run: Run, task: AnyTask, given: Course, start: Start, say: Say, going_on: bool) -> Prepared:
    config = run.read_config()
    if going_on and not config.get("finished") and moved(config):
        came = f"one of format {config['format']} (train anew, or begin with its weights: --from {run})"
        raise RunError(f"{run}: expected a training of format {FORMAT} to go on with; got {came}")
    options = task.read_options(run, config)
    task.refuse_others(run, options, given, "began", set())
    codec = task.read_codec(run)
    corpora = _taken_up(run, task, options, start, codec, config["data"]["fingerprint"], say)
    if going_on or config.get("finished"):
        return Prepared(config, options, codec, *corpora, _untrained(task, options, codec))
    parent = None if config["from"] is None else Path(config["from"])
    return Prepared(config, options, codec, *corpora, _model(task, options, codec, parent, say))


def _taken_up(
    run: Run, task: AnyTask, options: Course, start: Start, codec: Any, fingerprint: str, say: Say
) -> Corpora:
    """The examples it began with, as they were encoded then or anew."""
    corpora = take_up(run, task, start, codec, options, fingerprint)
    if corpora is not None:
        say(f"{run}: took up {len(corpora[0])} training and {len(corpora[1])} validation {task.noun} encoded before")
        return corpora
    clear(run)
    sources = stamps(task, start)
    corpora = _encode(run, task, options, start, codec, task.parts(start, options, say), say)
    if fingerprint_of(*corpora) != fingerprint:
        raise RunError(
            f"{run}: expected the {task.noun} it began with; {start.train} or the validation {task.noun} have changed"
        )
    keep(run, sources, fingerprint)
    return corpora


def _untrained(task: AnyTask, options: Course, codec: Any) -> nn.Module:
    torch.manual_seed(options.seed)
    return task.new_model(options, codec)


def _model(task: AnyTask, options: Course, codec: Any, parent: Path | None, say: Say) -> nn.Module:
    """The model as it begins: that of the run that is fine-tuned, or a new one with what it shall begin with."""
    model = _untrained(task, options, codec)
    if parent is None:
        task.begin(model, options, codec, say)
    else:
        task.give_weights(model, codec, Run(parent))
    return model


def _encode(
    run: Run, task: AnyTask, options: Course, start: Start, codec: Any, parts: tuple[Any, Any], say: Say
) -> Corpora:
    training, validation = (
        task.corpus(run.path(SCRATCH), name, part, codec, options) for name, part in zip(PARTS, parts, strict=True)
    )
    task.report(start, options, (training, validation), say)
    say(f"training on {len(training)} {task.noun}, validating on {len(validation)}")
    return training, validation


def _files(start: Start) -> dict[str, Any]:
    return {
        "train": [str(path) for path in start.train.paths],
        "valid": [str(path) for path in start.valid.paths] if start.valid else None,
        "columns": list(start.train.columns or ()),
    }


def _counts(task: AnyTask, training: Corpus[Any], validation: Corpus[Any]) -> dict[str, Any]:
    return {f"training_{task.noun}": len(training), f"validation_{task.noun}": len(validation)}
