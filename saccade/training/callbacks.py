"""What happens around the steps: averaging the weights, keeping the best, saving whole checkpoints."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from saccade.errors import OptionError
from saccade.files import write_atomic
from saccade.runs import CHECKPOINTS, Run
from saccade.tasks.base import Figures
from saccade.training.module import TrainingModule
from saccade.training.together import Together

LAST = "last.ckpt"


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all; the first process alone reads and writes them."""

    def __init__(self, together: Together):
        self.together = together

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Serialise in memory, then write in one step."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read it, and tell the others."""
        first = self.together.place.first
        found = super().load_checkpoint(path, map_location, weights_only) if first else None
        checkpoint: dict[str, Any] = self.together.told(found)
        return checkpoint


def checkpointing(run: Run) -> ModelCheckpoint:
    """Save the last round's end, over the one before."""
    return ModelCheckpoint(
        dirpath=run.path(CHECKPOINTS),
        filename=LAST.removesuffix(".ckpt"),
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


class AveragedWeights(WeightAveraging):
    """An exponential moving average of the weights (Polyak and Juditsky 1992), used to validate and to keep.

    `average += (1 - d) (weights - average)` after every step, `d = min(0.998, (1 + step) / (10 + step))`: short at
    first, so that the first steps are soon forgotten.
    """

    def __init__(self) -> None:
        super().__init__(multi_avg_fn=average)

    @property
    def model(self) -> nn.Module:
        """The model that the averaged weights make, while training goes on."""
        assert self._average_model is not None
        module = self._average_model.module
        assert isinstance(module, TrainingModule)
        return module.learner.model


@torch.no_grad()
def average(averages: Any, current: Any, steps: Tensor | int) -> None:
    """Move averages after so many steps."""
    decay = min(0.998, (1 + int(steps)) / (10 + int(steps)))
    # They come a dtype at a time; what cannot be averaged (which tags may follow each other) never changes.
    if averages[0].is_floating_point():
        torch._foreach_lerp_(list(averages), list(current), 1 - decay)


class KeepBest(pl.Callback):
    """Write each validation down, keep the weights of the best, and stop when none is better any more.

    All processes decide this, by the same figures; the first one writes.

    It must stand before `AveragedWeights`, which puts the averaged weights in place during validation.

    Args:
        rank: of the figures of a validation: the lowest is the best, first number first.
        patience: how many validations may go by that were not the best.
    """

    def __init__(self, run: Run, rank: Callable[[Figures], tuple[float, ...]], patience: int):
        self.run, self.rank, self.patience = run, rank, patience
        self.best: tuple[float, ...] = (float("inf"),)
        self.rounds_without_better = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the lines that a killed run wrote after its last checkpoint; one that had stopped early stays so."""
        assert isinstance(pl_module, TrainingModule)
        if pl_module.together.place.first:
            lines = self.run.read_metrics()
            self.run.write_metrics([line for line in lines if line["step"] <= trainer.global_step])
        self._stop_if_patience_is_over(trainer)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the figures, and the weights if they are the best."""
        assert isinstance(pl_module, TrainingModule)
        measured = pl_module.measured()
        if not math.isfinite(measured["loss"]):
            diverged = f"with {pl_module.options.learning_rate} the loss is not finite at step {measured['step']}"
            raise OptionError(f"--learning-rate must be lower: {diverged}")
        better, first = self.rank(measured) < self.best, pl_module.together.place.first
        self.rounds_without_better = 0 if better else self.rounds_without_better + 1
        if better:
            self.best = self.rank(measured)
            weights = pl_module.weights()
            if first:
                self.run.write_weights(weights)
        if first:
            self.run.write_metrics([*self.run.read_metrics(), measured])
        if pl_module.logger is not None:
            figures = {name: value for name, value in measured.items() if name != "step"}
            pl_module.logger.log_metrics(figures, step=pl_module.global_step)
        self._stop_if_patience_is_over(trainer)

    def _stop_if_patience_is_over(self, trainer: pl.Trainer) -> None:
        if self.rounds_without_better >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self.best, "rounds_without_better": self.rounds_without_better}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.best, self.rounds_without_better = tuple(state_dict["best"]), state_dict["rounds_without_better"]
