"""What a person sees while a model trains."""

import sys
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from saccade.training.module import TrainingModule


class ProgressBar(pl.Callback):
    """A bar with loss, accuracy and time left on a terminal; a line for each validation elsewhere.

    Both go to standard error: standard output belongs to answers.
    """

    def __init__(self) -> None:
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
        self.accuracy = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        assert isinstance(pl_module, TrainingModule)
        self.task = self.progress.add_task("", total=pl_module.plan.total, completed=trainer.global_step, figures="")
        self.progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move it."""
        figures = f"loss {pl_module.recent_loss:.4f}{self.accuracy}"
        self.progress.update(self.task, completed=trainer.global_step, figures=figures)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take up the accuracy; without a terminal, print a line."""
        assert isinstance(pl_module, TrainingModule)
        measured = pl_module.measured()
        self.accuracy = f"  validation loss {measured.loss:.4f} exact {measured.exact_match:.1%}"
        if not self.console.is_terminal:
            loss = f"loss {measured.training_loss:.4f}{self.accuracy}"
            print(f"step {measured.step}/{pl_module.plan.total}  {loss}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the finished bar."""
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.progress.stop()
