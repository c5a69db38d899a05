"""Train a model into a run folder, from the beginning or from where it was killed."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from saccade.errors import RunError
from saccade.runs import CHECKPOINTS, TENSORBOARD, Run
from saccade.tasks.base import Say, Start, Task, say
from saccade.tasks.course import Course
from saccade.tasks.devices import pick_device
from saccade.tasks.load import task_of
from saccade.training.callbacks import LAST, AtomicCheckpoints, AveragedWeights, KeepBest, checkpointing
from saccade.training.interrupt import Interruptible
from saccade.training.kept import discard_unless_of_use
from saccade.training.module import Plan, RoundOfBatches, TrainingModule, ValidationBatches, plan
from saccade.training.prepare import Prepared, prepare
from saccade.training.progress import ProgressBar

Files = str | Path | Sequence[str | Path]


def train(
    options: Course,
    train: Files,
    out: str | Path,
    *,
    valid: Files = (),
    columns: Sequence[str] = (),
    device: str = "auto",
) -> Any:
    """Train on a person's files, as `saccade train` does: the options say which task.

    Args:
        options: TranslateOptions, ClassifyOptions, TagOptions, RegressOptions, CaptionOptions or TranscribeOptions.
        train: the files to train on.
        out: folder of the run: new or empty.
        valid: files to validate on; without them a part of `train` is held out.
        columns: names of the columns, where they have others than the task's own.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        the trained model: a Translator, TextClassifier, WordTagger, Regressor, ImageCaptioner or Transcriber.

    Raises:
        SaccadeError: a mistake in the data, the options or the folder.
    """
    task = task_of(options)
    names = tuple(columns) or task.columns
    files, others = (task.files(_paths(given), names, options) if given else None for given in (train, valid))
    return fit(Path(out), options, Start(files, others), device=device)


def _paths(files: Files) -> tuple[Path, ...]:
    return (Path(files),) if isinstance(files, str | Path) else tuple(map(Path, files))


def fit(
    folder: Path,
    options: Course,
    start: Start,
    *,
    device: str = "auto",
    say: Say = say,
    watch: Sequence[pl.Callback] = (),
) -> Any:
    """Train, keep the best weights in `folder`, and return the trained model that they make.

    The same seed, data and machine give the same weights, bit for bit, however often the training was killed and
    resumed (one process, CPU).

    Args:
        folder: of the run.
        options: those of the task that is to be trained, which they name.
        start: the examples, and what to go on from.
        device: auto, cpu, cuda, cuda:N or mps.
        say: where lines for the person go.
        watch: callbacks of Lightning that look on, after this project's own.

    Raises:
        SaccadeError: a mistake in the data, the options or the folder.
        KeyboardInterrupt: the person stopped it; the last checkpoint is there.
    """
    run, where, task = Run(folder), pick_device(device), task_of(options)
    checkpoint = _checkpoint(run, start, say)
    if checkpoint is None:
        _refuse_another_run(run, start)
        run.create()
    finished = False
    try:
        prepared = prepare(run, task, options, start, say, going_on=checkpoint is not None)
        if prepared.config.get("finished"):
            say(f"{run}: this training is finished; nothing to resume")
        else:
            _train(run, task, prepared, where, checkpoint, say, watch)
            best = min(run.read_metrics(), key=task.rank)
            run.write_config({**prepared.config, "finished": True, "scores": best})
        finished = True
    finally:
        discard_unless_of_use(run, finished=finished)
        run.discard_if_not_begun()
    return task.load(folder, device=device)


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


def _train(
    run: Run,
    task: Task[Any, Any, Any, Any],
    prepared: Prepared,
    device: torch.device,
    checkpoint: Path | None,
    say: Say,
    watch: Sequence[pl.Callback],
) -> None:
    options = prepared.options
    schedule = task.schedule(prepared.training, options)
    course = plan(options, schedule.per_epoch)
    module = TrainingModule(task.learner(prepared.model, options, prepared.codec), options, course)
    validation = ValidationBatches(prepared.validation, task.measured(prepared.validation, options))
    batches = RoundOfBatches(module, prepared.training, schedule), validation
    with _quiet(), _threads(prepared.model), Interruptible() as interruptible:
        ours = [KeepBest(run, task.rank, options.patience), AveragedWeights(), ProgressBar(task.headline)]
        trainer = _trainer(run, course, device, [*ours, checkpointing(run), interruptible, *watch])
        try:
            trainer.fit(module, *batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning turns Ctrl-C into an exit of its own
            raise KeyboardInterrupt from None
    if trainer.should_stop and trainer.global_step < course.total:
        say(f"stopped early: no validation was better for {options.patience} in a row")


def _trainer(run: Run, course: Plan, device: torch.device, callbacks: list[pl.Callback]) -> pl.Trainer:
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
    """At most two threads for a small model: its steps are too short to share among more."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < 1_000_000:
        torch.set_num_threads(min(before, 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)
