"""What Lightning trains: a model, its loss, and batches that only the seed and the step decide."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.data.corpus import Corpus
from saccade.data.schedule import Epochs
from saccade.tasks.base import Figures, Learner
from saccade.tasks.course import Course
from saccade.tasks.devices import calculating


class Plan(NamedTuple):
    """How long to train. A round is the stretch from one validation to the next; a run resumes at a round's end.

    Rounds rather than epochs, because an epoch of a small file is too short to be worth a validation, and one of a
    large file too long to lose.
    """

    rounds: int
    steps: int
    """Steps in a round."""
    per_epoch: int

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.rounds * self.steps


def plan(options: Course, per_epoch: int) -> Plan:
    """Rounds of an epoch, but of at least 200 and at most 1,000 steps.

    >>> plan(Course(epochs=10), per_epoch=250)
    Plan(rounds=10, steps=250, per_epoch=250)
    """
    total = options.epochs_for(per_epoch) * per_epoch
    rounds = max(round(total / min(max(per_epoch, 200), 1000)), 1)
    return Plan(rounds, -(-total // rounds), per_epoch)


def learning_rate_factor(step: int, total: int) -> float:
    """Rise over the first 100 steps (a tenth, if that is less), hold, fall straight to zero over the second half.

    >>> [round(learning_rate_factor(step, 1000), 2) for step in (0, 49, 99, 500, 750, 999)]
    [0.01, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(min(100, total // 10), 1)
    return min((step + 1) / warm_up, 1.0, 2 * (total - step) / total)


class RoundOfBatches:
    """The training batches of one round after another; each starts where the trainer's step count stands."""

    def __init__(self, module: "TrainingModule", corpus: Corpus[Any], schedule: Epochs):
        self.module, self.corpus, self.schedule = module, corpus, schedule

    def __len__(self) -> int:
        return self.module.plan.steps

    def __iter__(self) -> Iterator[Any]:
        start = self.module.trainer.global_step
        for step in range(start, start + len(self)):
            yield self.corpus.batch(self.schedule[step])


class ValidationBatches:
    """Every validation example once."""

    def __init__(self, corpus: Corpus[Any], indices: Sequence[NDArray[np.int64]]):
        self.corpus, self.indices = corpus, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Any]:
        return (self.corpus.batch(some) for some in self.indices)


class TrainingModule(pl.LightningModule):
    """A learner, AdamW, and the figures of each round."""

    def __init__(self, learner: Learner[Any], options: Course, plan: Plan):
        super().__init__()
        self.learner, self.options, self.plan = learner, options, plan
        self.recent_loss = float("nan")
        """Mean loss of the last steps, for people to watch."""
        # In double precision: a float32 stops counting tokens at 16 million.
        self._training = torch.zeros(2, dtype=torch.float64)
        self._checks: list[Any] = []

    def on_train_epoch_start(self) -> None:
        """A round begins."""
        self._training.zero_()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """All chance in a step comes from seed and step, so that a resumed run draws what it would have drawn."""
        self.learner.at(self.global_step / self.plan.total)
        seed = (self.options.seed << 32) + self.global_step + 1
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every other kind of device too: 0.3 ms
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """What the task minimises."""
        with self._precision():
            step = self.learner.objective(batch)
        self._training += torch.stack([step.total.detach(), step.counted]).cpu()
        if batch_idx % 20 == 19:
            self.recent_loss = float(self._training[0] / self._training[1])
        return step.loss

    def _precision(self) -> torch.autocast:
        # Not Lightning's own: with it gradients are not clipped where the optimizer is fused.
        return calculating(self.device, self.options.precision)

    def on_validation_epoch_start(self) -> None:
        """A validation begins."""
        self._checks.clear()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch."""
        with self._precision():
            self._checks.append(self.learner.check(batch))

    def measured(self) -> Figures:
        """The figures of the validation that has just ended; losses in nats.

        `training_loss` is the mean of the round, the others are of the averaged weights on held-out examples.
        """
        trained, counted = self._training.tolist()
        return {
            "step": self.global_step,
            "epoch": round(self.global_step / self.plan.per_epoch, 3),
            "training_loss": trained / max(counted, 1.0),
            **self.learner.figures(self._checks),
        }

    def configure_optimizers(self) -> Any:
        """AdamW with the schedule of `learning_rate_factor`."""
        groups = self.learner.rates(self.options)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        total = self.plan.total
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
