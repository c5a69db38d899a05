"""Train a model into a run folder, from the beginning or from where it was killed."""

import logging
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies import Strategy as LightningStrategy

from saccade.errors import RunError
from saccade.runs import CHECKPOINTS, SCRATCH, TENSORBOARD, Run
from saccade.tasks.base import Say, Start, Task, say
from saccade.tasks.course import Course, Strategy
from saccade.tasks.devices import pick_device
from saccade.tasks.load import task_of
from saccade.training.callbacks import LAST, AtomicCheckpoints, AveragedWeights, KeepBest, checkpointing
from saccade.training.interrupt import Interruptible
from saccade.training.kept import discard_unless_of_use
from saccade.training.launch import check_processes, launch
from saccade.training.module import RoundOfBatches, TrainingModule, ValidationBatches, plan
from saccade.training.prepare import Begun, encode_here, prepare, shared, silent
from saccade.training.progress import ProgressBar
from saccade.training.sharded import ShardedAverage, ShardedModule, sharding
from saccade.training.together import Together, found

Files = str | Path | Sequence[str | Path]


def train(
    options: Course,
    train: Files,
    out: str | Path,
    *,
    valid: Files = (),
    columns: Sequence[str] = (),
    device: str = "auto",
    processes: int = 1,
    strategy: Strategy = "ddp",
) -> Any:
    """Train on a person's files, as `saccade train` does: the options say which task.

    Args:
        options: TranslateOptions, ClassifyOptions, TagOptions, RegressOptions, CaptionOptions or TranscribeOptions.
        train: the files to train on.
        out: folder of the run: new or empty.
        valid: files to validate on; without them a part of `train` is held out.
        columns: names of the columns, where they have others than the task's own.
        device: auto, cpu, cuda, cuda:N or mps.
        processes, strategy: as of `fit`.

    Returns:
        the trained model: a Translator, TextClassifier, WordTagger, Regressor, ImageCaptioner or Transcriber.

    Raises:
        SaccadeError: a mistake in the data, the options or the folder.
    """
    task = task_of(options)
    names = tuple(columns) or task.columns
    files, others = (task.files(_paths(given), names, options) if given else None for given in (train, valid))
    return fit(Path(out), options, Start(files, others), device=device, processes=processes, strategy=strategy)


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
    processes: int = 1,
    strategy: Strategy = "ddp",
) -> Any:
    """Train, keep the best weights in `folder`, and return the trained model that they make.

    The same seed, data and machine give the same weights, bit for bit, however often the training was killed and
    resumed (one process, CPU). Several processes take the same steps on the same examples, each with a part of the
    rows; those that torchrun started are found. The first one alone writes the folder, speaks, and returns the model;
    the others return None.

    Args:
        folder: of the run.
        options: those of the task that is to be trained, which they name.
        start: the examples, and what to go on from.
        device: auto, cpu, cuda, cuda:N or mps.
        say: where lines for the person go.
        watch: callbacks of Lightning that look on, after this project's own.
        processes: how many to start on this machine, beside this one, which waits for them; with them there is no
            `say` and no `watch`.
        strategy: of several processes: whether each has the whole model (ddp) or a part of it (fsdp).

    Raises:
        SaccadeError: a mistake in the data, the options or the folder; one of several processes has ended.
        KeyboardInterrupt: the person stopped it; the last checkpoint is there.
    """
    place, where, task = found(), pick_device(device), task_of(options)
    check_processes(processes, place, where, strategy)
    if processes > 1:
        launch(processes, _work, (folder, options, start, device, strategy))
        return task.load(folder, device=device)
    with Together(place, where) as together:
        _fit(Run(folder), task, options, start, together, say if place.first else silent, watch, strategy)
    return task.load(folder, device=device) if place.first else None


def _work(folder: Path, options: Course, start: Start, device: str, strategy: Strategy) -> None:
    """What each of several processes does."""
    fit(folder, options, start, device=device, strategy=strategy)


def _fit(
    run: Run,
    task: Task[Any, Any, Any, Any],
    options: Course,
    start: Start,
    together: Together,
    say: Say,
    watch: Sequence[pl.Callback],
    strategy: Strategy,
) -> None:
    first, token, alone, finished = together.place.first, f".{together.told(uuid.uuid4().hex)}", False, False
    checkpoint = _opened(run, start, say) if first else None
    try:
        if first:
            prepared = prepare(run, task, options, start, say, going_on=checkpoint is not None)
            run.path(SCRATCH).joinpath(token).touch()
        begun = shared(Begun(prepared, checkpoint) if first else None, task, together)
        # A machine that does not see the disk of the first encodes its own files.
        alone = together.place.local == 0 and not run.path(SCRATCH).joinpath(token).exists()
        if alone:
            encode_here(run, task, start, begun.prepared)
        together.wait()
        if begun.prepared.config.get("finished"):
            say(f"{run}: this training is finished; nothing to resume")
        else:
            _train(run, task, begun, together, say, watch, strategy)
            if first:
                best = min(run.read_metrics(), key=task.rank)
                run.write_config({**begun.prepared.config, "finished": True, "scores": best})
        finished = True
    finally:
        run.path(SCRATCH).joinpath(token).unlink(missing_ok=True)
        if first or alone:
            discard_unless_of_use(run, finished=finished or alone)
            run.discard_if_not_begun()


def _opened(run: Run, start: Start, say: Say) -> Path | None:
    """The checkpoint to go on from; without one the folder is made. A folder that is refused stays as it is."""
    checkpoint = _checkpoint(run, start, say)
    if checkpoint is None:
        _refuse_another_run(run, start)
        run.create()
    return checkpoint


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
    begun: Begun,
    together: Together,
    say: Say,
    watch: Sequence[pl.Callback],
    strategy: Strategy,
) -> None:
    prepared, place = begun.prepared, together.place
    options = prepared.options
    schedule = task.schedule(prepared.training, options)
    course = plan(options, schedule.per_epoch)
    kind, averaging = (ShardedModule, ShardedAverage) if strategy == "fsdp" else (TrainingModule, AveragedWeights)
    module = kind(task.learner(prepared.model, options, prepared.codec), options, course, together)
    validation = ValidationBatches(prepared.validation, task.measured(prepared.validation, options), place)
    batches = RoundOfBatches(module, prepared.training, schedule), validation
    with _quiet(), _threads(prepared.model), Interruptible() as interruptible:
        ours: list[pl.Callback] = [KeepBest(run, task.rank, options.patience), averaging()]
        ours += [ProgressBar(task.headline)] if place.first else []
        trainer = _trainer(run, module, strategy, [*ours, checkpointing(run), interruptible, *watch])
        try:
            trainer.fit(module, *batches, ckpt_path=begun.checkpoint, weights_only=True)
        except SystemExit:  # Lightning turns Ctrl-C into an exit of its own
            raise KeyboardInterrupt from None
    if trainer.should_stop and trainer.global_step < course.total:
        say(f"stopped early: no validation was better for {options.patience} in a row")


def _trainer(run: Run, module: TrainingModule, strategy: Strategy, callbacks: list[pl.Callback]) -> pl.Trainer:
    device, place = module.together.device, module.together.place
    return pl.Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.type],
        devices=place.neighbours if place.size > 1 else 1 if device.index is None else [device.index],
        num_nodes=place.size // place.neighbours,
        strategy=_strategy(strategy, module),
        max_epochs=module.plan.rounds,
        accumulate_grad_batches=module.options.accumulate,
        gradient_clip_val=1.0,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints(module.together)],
        logger=TensorBoardLogger(run.folder, name=TENSORBOARD, version="") if place.first else False,
        default_root_dir=run.folder,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=10**9,
    )


def _strategy(name: Strategy, module: TrainingModule) -> LightningStrategy | str:
    processes = module.together.place.size
    if name == "fsdp":
        return sharding(module.learner.model, processes)
    # A batch may leave a part of a model out.
    return DDPStrategy(find_unused_parameters=True) if processes > 1 else "auto"


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
