"""Train a translator into a run folder, from the beginning or from where it was killed."""

import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from saccade.data import tokens
from saccade.data.corpus import Corpus, HeldOut, Schedule, Vocabularies
from saccade.data.pairs import Pair, PairFile
from saccade.errors import OptionError, RunError
from saccade.runs import CHECKPOINTS, SCRATCH, TENSORBOARD, Run
from saccade.tasks.options import TranslateOptions
from saccade.tasks.translate import TASK, Translator, load, new_model, pick_device, read_options, read_vocabularies
from saccade.training.callbacks import LAST, AtomicCheckpoints, AveragedWeights, KeepBest, checkpointing
from saccade.training.module import Plan, RoundOfBatches, TrainingModule, ValidationBatches, finite, plan
from saccade.training.progress import ProgressBar

Say = Callable[[str], None]


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


class _Parts(NamedTuple):
    training: Corpus
    validation: Corpus


def fit(
    folder: Path,
    options: TranslateOptions,
    start: Start,
    *,
    device: str = "auto",
    say: Say = say,
    watch: Sequence[pl.Callback] = (),
) -> Translator:
    """Train, keep the best weights in `folder`, and return the translator that they make.

    The same seed, data and machine give the same weights, bit for bit, however often the training was killed and
    resumed (one process, CPU).

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        say: where lines for the person go.
        watch: callbacks of Lightning that look on, after this project's own.

    Raises:
        SaccadeError: a mistake in the data, the options or the folder.
        KeyboardInterrupt: the person stopped it; the last checkpoint is there.
    """
    run, where = Run(folder), pick_device(device)
    checkpoint = _checkpoint(run, start, say)
    if checkpoint is None:
        _refuse_another_run(run, start)
        run.create()
    try:
        shutil.rmtree(run.path(SCRATCH), ignore_errors=True)
        run.path(SCRATCH).mkdir()
        config, parts, vocabularies = _prepare(run, options, start, checkpoint is not None, say)
        if config.get("finished"):
            say(f"{run}: this training is finished; nothing to resume")
        else:
            options = read_options(run, config)
            _train(run, config, options, parts, vocabularies, where, checkpoint, say, watch)
            run.write_config({**config, "finished": True, "scores": _best(run)})
    finally:
        shutil.rmtree(run.path(SCRATCH), ignore_errors=True)
        run.discard_if_not_begun()
    return load(folder, device=device)


def _checkpoint(run: Run, start: Start, say: Say) -> Path | None:
    """The checkpoint to go on from, if this is to go on from one and one is there."""
    if not start.resume:
        return None
    checkpoint = run.path(CHECKPOINTS) / LAST
    if run.exists() and checkpoint.is_file():
        return checkpoint
    say(f"{run}: no complete checkpoint to resume from; starting from the beginning")
    return None


def _refuse_another_run(run: Run, start: Start) -> None:
    if run.exists() and not start.resume:
        raise RunError(f"{run}: expected a new folder; it holds a run already (go on with --resume, or choose another)")


def _prepare(
    run: Run, options: TranslateOptions, start: Start, resuming: bool, say: Say
) -> tuple[dict[str, Any], _Parts, Vocabularies]:
    """Read the data, and write or check the configuration."""
    if resuming:
        config = run.read_config()
        _same_options(run, read_options(run, config), options, "began")
        vocabularies = read_vocabularies(run)
        parts = _corpora(run, read_options(run, config), start, lambda training: vocabularies, say)[1]
        if config["data"]["fingerprint"] != _fingerprint(parts):
            raise RunError(f"{run}: expected the pairs it began with; {start.train} or the validation pairs have changed")
        return config, parts, vocabularies
    if start.parent is not None:
        options = _inherited(Run(start.parent), options)
    vocabularies, parts = _corpora(run, options, start, lambda training: _vocabularies(start, options, training), say)
    config = {
        "task": TASK,
        "options": asdict(options),
        "from": str(start.parent) if start.parent is not None else None,
        "data": _described(start, parts),
        **dict(start.extra),
    }
    for side, vocabulary in zip(Vocabularies._fields, vocabularies, strict=True):
        run.path(f"tokenizer-{side}.json").write_text(vocabulary.to_json(), "utf-8")
    run.write_config(config)
    return config, parts, vocabularies


def _same_options(run: Run, before: TranslateOptions, now: TranslateOptions, verb: str) -> None:
    """Refuse options that a person gave and that differ; those left at their defaults are taken from the run."""
    for name, default in asdict(TranslateOptions()).items():
        was, given = getattr(before, name), getattr(now, name)
        if given != default and given != was:
            raise OptionError(f"--{name.replace('_', '-')} must stay {was}, with which {run} {verb}; got {given}")


def _inherited(parent: Run, options: TranslateOptions) -> TranslateOptions:
    """The parent's shape with this training's course."""
    config = parent.read_config()
    before = read_options(parent, config)
    course = ("epochs", "batch_size", "learning_rate", "patience", "seed", "dropout", "max_length")
    shape = {name: value for name, value in asdict(before).items() if name not in course}
    _same_options(parent, replace(options, **shape), options, "was made")
    _same_options(parent, before, replace(options, **{name: getattr(before, name) for name in course}), "was made")
    return replace(options, **shape)


def _vocabularies(start: Start, options: TranslateOptions, training: Callable[[], Iterable[Pair]]) -> Vocabularies:
    if start.parent is not None:
        return read_vocabularies(Run(start.parent))
    texts = [(pair.source for pair in training()), (pair.target for pair in training())]
    return Vocabularies(*(tokens.learn(side, options.level, options.vocab_size) for side in texts))


def _corpora(
    run: Run,
    options: TranslateOptions,
    start: Start,
    vocabularies: Callable[[Callable[[], Iterable[Pair]]], Vocabularies],
    say: Say,
) -> tuple[Vocabularies, _Parts]:
    training: Callable[[], Iterable[Pair]] = lambda: start.train
    validation: Callable[[], Iterable[Pair]] = lambda: start.valid or ()
    if start.valid is None:
        held = HeldOut(start.train, options.seed)
        training, validation = held.training, held.held_out
        what = "too few different inputs to hold any out: it also validates on" if held.shared else "holding out"
        say(f"{start.train}: {what} {held.count} pairs for validation (give others with --valid)")
    known = vocabularies(training)
    parts = _Parts(
        Corpus(run.path(SCRATCH), "training", training(), known, options.max_length),
        Corpus(run.path(SCRATCH), "validation", validation(), known, options.max_length),
    )
    _report(start, parts, options, say)
    return known, parts


def _report(start: Start, parts: _Parts, options: TranslateOptions, say: Say) -> None:
    for file in filter(None, (start.train, start.valid)):
        if file.skipped:
            say(f"{file}: skipped {file.skipped} empty line{'s' * (file.skipped > 1)}")
    for name, part in zip(("training", "validation"), parts, strict=True):
        if part.too_long:
            say(f"{start.train}: left out {part.too_long} {name} pairs longer than {options.max_length} tokens (--max-length)")
        if not len(part):
            raise OptionError(f"--max-length must leave some {name} pairs; got {options.max_length}, which leaves none")
    if start.parent is not None and parts.training.unknown:
        say(f"{start.train}: {parts.training.unknown} tokens were never seen by {start.parent} and are read as unknown")
    say(f"training on {len(parts.training)} pairs, validating on {len(parts.validation)}")


def _fingerprint(parts: _Parts) -> str:
    return f"{parts.training.fingerprint[:32]}{parts.validation.fingerprint[:32]}"


def _described(start: Start, parts: _Parts) -> dict[str, Any]:
    source, target = parts.training.lengths
    return {
        "train": [str(path) for path in start.train.paths],
        "valid": [str(path) for path in start.valid.paths] if start.valid else None,
        "columns": list(start.train.columns),
        "training_pairs": len(parts.training),
        "validation_pairs": len(parts.validation),
        "skipped_empty_lines": start.train.skipped,
        "too_long": parts.training.too_long,
        "longest": {"source": int(source.max()), "target": int(target.max())},
        "fingerprint": _fingerprint(parts),
    }


def _train(
    run: Run,
    config: dict[str, Any],
    options: TranslateOptions,
    parts: _Parts,
    vocabularies: Vocabularies,
    device: torch.device,
    checkpoint: Path | None,
    say: Say,
    watch: Sequence[pl.Callback],
) -> None:
    schedule = Schedule(parts.training.lengths[0], options.batch_size, options.seed)
    course = plan(options, schedule.per_epoch)
    torch.manual_seed(options.seed)
    model = new_model(options, vocabularies)
    if config["from"] is not None and checkpoint is None:
        model.load_state_dict(Run(config["from"]).read_weights())
    module = TrainingModule(model, options, course)
    batches = RoundOfBatches(module, parts.training, schedule), ValidationBatches(parts.validation)
    with _quiet(), _threads(model):
        trainer = _trainer(run, options, course, device, watch)
        try:
            trainer.fit(module, *batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning turns Ctrl-C into an exit of its own
            raise KeyboardInterrupt from None
    if trainer.should_stop:
        say(f"stopped early: the validation loss has not fallen for {options.patience} validations")


def _trainer(
    run: Run, options: TranslateOptions, course: Plan, device: torch.device, watch: Sequence[pl.Callback]
) -> pl.Trainer:
    callbacks = [KeepBest(run, options.patience), AveragedWeights(), ProgressBar(), checkpointing(run), *watch]
    return pl.Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.type],
        devices=1 if device.index is None else [device.index],
        max_epochs=course.rounds,
        gradient_clip_val=1.0,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=TensorBoardLogger(run.folder, name=TENSORBOARD, version=""),
        default_root_dir=run.folder,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=10**9,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's talk of devices, workers and tips."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _threads(model: torch.nn.Module) -> Iterator[None]:
    """One thread for a small model: its steps are too short to share, and two threads that wait for each other on a
    busy machine are ten times slower than one. It also makes the bits the same whatever the number of cores."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < 1_000_000:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _best(run: Run) -> dict[str, float | None]:
    best = min(run.read_metrics(), key=lambda line: line["loss"])
    return {name: finite(value) for name, value in best.items()}
