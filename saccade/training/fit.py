"""Train a translator into a run folder, from the beginning or from where it was killed."""

import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from saccade.data.corpus import Schedule
from saccade.errors import RunError
from saccade.runs import CHECKPOINTS, SCRATCH, TENSORBOARD, Run
from saccade.tasks.options import TranslateOptions
from saccade.tasks.translate import Translator, load, new_model, pick_device
from saccade.training.callbacks import LAST, AtomicCheckpoints, AveragedWeights, KeepBest, checkpointing
from saccade.training.interrupt import Interruptible
from saccade.training.module import Plan, RoundOfBatches, TrainingModule, ValidationBatches, plan
from saccade.training.prepare import Prepared, Say, Start, prepare, say
from saccade.training.progress import ProgressBar


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
        prepared = prepare(run, options, start, say)
        if prepared.config.get("finished"):
            say(f"{run}: this training is finished; nothing to resume")
        else:
            _train(run, prepared, where, checkpoint, say, watch)
            run.write_config({**prepared.config, "finished": True, "scores": _best(run)})
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


def _train(
    run: Run, prepared: Prepared, device: torch.device, checkpoint: Path | None, say: Say, watch: Sequence[pl.Callback]
) -> None:
    options, parent = prepared.options, prepared.config["from"]
    schedule = Schedule(prepared.training.lengths[0], options.batch_size, options.seed)
    course = plan(options, schedule.per_epoch)
    torch.manual_seed(options.seed)
    model = new_model(options, prepared.vocabularies)
    if parent is not None and checkpoint is None:
        model.load_state_dict(Run(parent).read_weights())
    module = TrainingModule(model, options, course)
    batches = RoundOfBatches(module, prepared.training, schedule), ValidationBatches(prepared.validation)
    with _quiet(), _threads(model), Interruptible() as interruptible:
        trainer = _trainer(run, options, course, device, [interruptible, *watch])
        try:
            trainer.fit(module, *batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning turns Ctrl-C into an exit of its own
            raise KeyboardInterrupt from None
    if trainer.should_stop and trainer.global_step < course.total:
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
    """At most two threads for a small model: its steps are too short to share among more."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < 1_000_000:
        torch.set_num_threads(min(before, 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _best(run: Run) -> dict[str, float]:
    return min(run.read_metrics(), key=lambda line: line["loss"])
