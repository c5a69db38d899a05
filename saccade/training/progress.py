"""What a person sees while a model trains."""

import sys
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from saccade.tasks.base import Figures
from saccade.training.module import TrainingModule


class ProgressBar(pl.Callback):
    """A bar with loss, figures and time left on a terminal; a line for each validation elsewhere.

    Both go to standard error: standard output belongs to answers.

    Args:
        headline: the figures that a person watches, in a few words.
    """

    def __init__(self, headline: Callable[[Figures], str]) -> None:
        self.headline = headline
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.validation = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        assert isinstance(pl_module, TrainingModule)
        self.task = self.progress.add_task("", total=pl_module.plan.total, completed=trainer.global_step, figures="")
        self.progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move it."""
        figures = f"loss {pl_module.recent_loss:.4f}{self.validation}"
        self.progress.update(self.task, completed=trainer.global_step, figures=figures)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take up the figures; without a terminal, print a line."""
        assert isinstance(pl_module, TrainingModule)
        measured = pl_module.measured()
        self.validation = f"  validation {self.headline(measured)}"
        if not self.console.is_terminal:
            loss = f"loss {measured['training_loss']:.4f}{self.validation}"
            print(f"step {measured['step']}/{pl_module.plan.total}  {loss}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the finished bar."""
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.progress.stop()
