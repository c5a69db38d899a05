"""What a training starts from: pairs, vocabularies and options, read, checked and written down."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data import tokens
from saccade.data.corpus import Corpus, HeldOut, Vocabularies
from saccade.data.pairs import Pair, PairFile
from saccade.errors import OptionError, RunError
from saccade.files import write_atomic
from saccade.runs import SCRATCH, Run
from saccade.tasks.options import TranslateOptions
from saccade.tasks.translate import TASK, read_options, read_vocabularies

Say = Callable[[str], None]

# What may differ between a run and the one it is fine-tuned from.
_COURSE = ("epochs", "batch_size", "learning_rate", "patience", "seed", "dropout", "max_length")


def say(line: str) -> None:
    """Tell the person something, on standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Start:
    """Where a training starts from."""

    train: PairFile
    valid: PairFile | None
    parent: Path | None = None
    """The run to fine-tune, or None."""
    resume: bool = False
    extra: tuple[tuple[str, Any], ...] = ()
    """What else to write into the configuration."""


class Prepared(NamedTuple):
    """Everything that a training needs."""

    config: dict[str, Any]
    options: TranslateOptions
    vocabularies: Vocabularies
    training: Corpus
    validation: Corpus


def prepare(run: Run, options: TranslateOptions, start: Start, say: Say) -> Prepared:
    """Read the data, and write the configuration of a new run or check that of one begun before.

    Raises:
        SaccadeError: a mistake in the data, in the options, or between them and the run.
    """
    if start.resume and run.exists():
        return _begun(run, options, start, say)
    if start.parent is not None:
        options = _inherited(Run(start.parent), options)
    training, validation = _pairs(start, options, say)
    vocabularies = _vocabularies(start, options, training)
    corpora = _encode(run, options, start, vocabularies, (training, validation), say)
    config = {
        "task": TASK,
        "options": asdict(options),
        "from": str(start.parent) if start.parent is not None else None,
        "data": _described(start, *corpora),
        **dict(start.extra),
    }
    for side, vocabulary in zip(Vocabularies._fields, vocabularies, strict=True):
        write_atomic(run.path(f"tokenizer-{side}.json"), vocabulary.to_json())
    run.write_config(config)  # last: a folder with a configuration has all that came before
    return Prepared(config, options, vocabularies, *corpora)


def _begun(run: Run, given: TranslateOptions, start: Start, say: Say) -> Prepared:
    config = run.read_config()
    options = read_options(run, config)
    _refuse_others(run, options, given, "began")
    vocabularies = read_vocabularies(run)
    corpora = _encode(run, options, start, vocabularies, _pairs(start, options, say), say)
    if config["data"]["fingerprint"] != _fingerprint(*corpora):
        raise RunError(f"{run}: expected the pairs it began with; {start.train} or the validation pairs have changed")
    return Prepared(config, options, vocabularies, *corpora)


def _refuse_others(
    run: Run, before: TranslateOptions, given: TranslateOptions, verb: str, free: tuple[str, ...] = ()
) -> None:
    """Refuse options that a person gave and that differ; those left at their defaults are taken from the run."""
    for name, default in asdict(TranslateOptions()).items():
        was, now = getattr(before, name), getattr(given, name)
        if name not in free and now not in (default, was):
            raise OptionError(f"--{name.replace('_', '-')} must stay {was}, with which {run} {verb}; got {now}")


def _inherited(parent: Run, options: TranslateOptions) -> TranslateOptions:
    """The parent's shape with this training's course."""
    before = read_options(parent, parent.read_config())
    _refuse_others(parent, before, options, "was made", free=_COURSE)
    return replace(before, **{name: getattr(options, name) for name in _COURSE})


def _pairs(start: Start, options: TranslateOptions, say: Say) -> tuple[Iterable[Pair], Iterable[Pair]]:
    if start.valid is not None:
        return start.train, start.valid
    held = HeldOut(start.train, options.seed)
    what = "too few different inputs to hold any out: it also validates on" if held.shared else "holding out"
    say(f"{start.train}: {what} {held.count} pairs for validation (give others with --valid)")
    return held.training, held.held_out


def _vocabularies(start: Start, options: TranslateOptions, training: Iterable[Pair]) -> Vocabularies:
    if start.parent is not None:
        return read_vocabularies(Run(start.parent))
    sides = (pair.source for pair in training), (pair.target for pair in training)
    return Vocabularies(*(tokens.learn(texts, options.level, options.vocab_size) for texts in sides))


def _encode(
    run: Run,
    options: TranslateOptions,
    start: Start,
    vocabularies: Vocabularies,
    pairs: tuple[Iterable[Pair], Iterable[Pair]],
    say: Say,
) -> tuple[Corpus, Corpus]:
    training, validation = (
        Corpus(run.path(SCRATCH), name, part, vocabularies, options.max_length, copy=options.copy)
        for name, part in zip(("training", "validation"), pairs, strict=True)
    )
    for file in filter(None, (start.train, start.valid)):
        if file.skipped:
            say(f"{file}: skipped {file.skipped} empty line{'s' * (file.skipped > 1)}")
    limit = options.max_length
    for name, corpus in (("training", training), ("validation", validation)):
        if corpus.too_long:
            say(f"left out {corpus.too_long} {name} pairs longer than {limit} tokens (--max-length)")
        if not len(corpus):
            raise OptionError(f"--max-length must leave some {name} pairs; got {limit}, which leaves none")
    if start.parent is not None and training.unknown:
        say(f"{start.train}: {training.unknown} tokens were never seen by {start.parent} and are read as unknown")
    say(f"training on {len(training)} pairs, validating on {len(validation)}")
    return training, validation


def _fingerprint(training: Corpus, validation: Corpus) -> str:
    return training.fingerprint[:32] + validation.fingerprint[:32]


def _described(start: Start, training: Corpus, validation: Corpus) -> dict[str, Any]:
    source, target = training.lengths
    return {
        "train": [str(path) for path in start.train.paths],
        "valid": [str(path) for path in start.valid.paths] if start.valid else None,
        "columns": list(start.train.columns),
        "training_pairs": len(training),
        "validation_pairs": len(validation),
        "skipped_empty_lines": start.train.skipped,
        "too_long": training.too_long,
        "longest": {"source": int(source.max()), "target": int(target.max())},
        "fingerprint": _fingerprint(training, validation),
    }
