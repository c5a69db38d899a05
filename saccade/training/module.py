"""What Lightning trains: a model, its loss, and batches that only the seed and the step decide."""

import math
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
from saccade.training.schedules import learning_rate_factor
from saccade.training.together import ALONE, Place, Together


class Plan(NamedTuple):
    """How long to train. A round is the stretch from one validation to the next; a run resumes at a round's end.

    Rounds rather than epochs, because an epoch of a small file is too short to be worth a validation, and one of a
    large file too long to lose.
    """

    rounds: int
    steps: int
    """Steps in a round."""
    per_epoch: float
    """Steps in an epoch; no whole number where those of several batches end within the next."""

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.rounds * self.steps


def plan(options: Course, batches: int) -> Plan:
    """Rounds of an epoch, but of at least 200 and at most 1,000 steps.

    Args:
        batches: in an epoch.

    >>> plan(Course(epochs=10), 250), plan(Course(epochs=10, accumulate=4), 2501)
    (Plan(rounds=10, steps=250, per_epoch=250.0), Plan(rounds=10, steps=626, per_epoch=625.25))
    """
    per_epoch = batches / options.accumulate
    total = math.ceil(options.epochs_for(per_epoch) * batches / options.accumulate)
    rounds = max(round(total / min(max(per_epoch, 200), 1000)), 1)
    return Plan(rounds, -(-total // rounds), per_epoch)


class Part(NamedTuple):
    """What one process does of a batch, or of a validation.

    batch: some examples.
    real:  whether they count. A process that none are left for takes some others, since all must keep in step.
    """

    batch: Any
    real: bool


class RoundOfBatches:
    """The training batches of one round after another; each starts where the trainer's step count stands.

    Of each batch this process takes its rows.
    """

    def __init__(self, module: "TrainingModule", corpus: Corpus[Any], schedule: Epochs):
        self.module, self.corpus, self.schedule = module, corpus, schedule

    def __len__(self) -> int:
        return self.module.plan.steps * self.module.options.accumulate

    def __iter__(self) -> Iterator[Part]:
        start = self.module.trainer.global_step * self.module.options.accumulate
        for number in range(start, start + len(self)):
            whole = self.schedule[number]
            rows = self.module.together.place.rows(whole)
            yield Part(self.corpus.batch(rows if len(rows) else whole[:1]), len(rows) > 0)


class ValidationBatches:
    """Every validation example once: the processes take the batches in turn."""

    def __init__(self, corpus: Corpus[Any], indices: Sequence[NDArray[np.int64]], place: Place = ALONE):
        self.corpus, self.indices, self.place = corpus, indices, place

    def __len__(self) -> int:
        return -(-len(self.indices) // self.place.size)

    def __iter__(self) -> Iterator[Part]:
        for turn in range(len(self)):
            number = turn * self.place.size + self.place.rank
            real = number < len(self.indices)
            yield Part(self.corpus.batch(self.indices[number if real else 0]), real)


class TrainingModule(pl.LightningModule):
    """A learner, AdamW, and the figures of each round.

    A step's loss is the mean over all that is counted in its batches, in all processes: gradients of sums are added
    up, and divided by how much was counted before they are clipped.
    """

    def __init__(self, learner: Learner[Any], options: Course, plan: Plan, together: Together | None = None):
        super().__init__()
        self.learner, self.options, self.plan = learner, options, plan
        self.together = together or Together(ALONE, torch.device("cpu"))
        self.recent_loss = float("nan")
        """Mean loss of the last steps, for people to watch."""
        # In double precision: a float32 stops counting tokens at 16 million.
        self.sums = torch.zeros(2, dtype=torch.float64)
        """Of the round so far the plain loss, nats, and how much was counted."""
        # The same of this process's part of a step, and what its loss is a mean over.
        self._step = torch.zeros(3, dtype=torch.float64)
        self._parts = options.accumulate * self.together.place.size
        self._checks: list[Any] = []
        self._figures: Figures | None = None

    def on_train_epoch_start(self) -> None:
        """A round begins."""
        self.sums.zero_()

    def on_train_batch_start(self, batch: Part, batch_idx: int) -> None:
        """All chance in a step comes from the seed, the step and the part of it that this process does now, so that a
        resumed run draws what it would have drawn.
        """
        self.learner.at(self.global_step / self.plan.total)
        seed = (self.options.seed << 32) + self.global_step + 1
        place = self.together.place
        if part := batch_idx % self.options.accumulate * place.size + place.rank:
            seed = int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every other kind of device too: 0.3 ms
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Part, batch_idx: int) -> Tensor:
        """What the task minimises; of a step in several parts its sum over what is counted."""
        with self._precision():
            step = self.learner.objective(batch.batch)
        over = step.counted if step.over is None else step.over
        counted, alone = torch.stack([step.total.detach(), step.counted, over]).cpu(), self._parts == 1
        if alone:
            self.sums += counted[:2]
        else:
            self._step += counted * batch.real
        if batch_idx % 20 == 19 and self.sums[1]:
            self.recent_loss = float(self.sums[0] / self.sums[1])
        return step.loss if alone else step.loss * over * batch.real

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make gradients of a sum those of the mean over all parts of the step."""
        if self._parts == 1:
            return
        sums = self.together.summed(self._step)
        self._step.zero_()
        self.sums += sums[:2]
        # Lightning has divided by the batches of a step, and by the processes.
        factor = self._parts / float(sums[2])
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def _precision(self) -> torch.autocast:
        # Not Lightning's own: with it gradients are not clipped where the optimizer is fused.
        return calculating(self.device, self.options.precision)

    def weights(self) -> dict[str, Tensor]:
        """The weights of the model."""
        return self.learner.model.state_dict()

    def on_validation_epoch_start(self) -> None:
        """A validation begins."""
        self._checks.clear()
        self._figures = None

    def validation_step(self, batch: Part, batch_idx: int) -> None:
        """Measure a batch."""
        with self._precision():
            check = self.learner.check(batch.batch)
        self._checks.append(check if batch.real else None)

    def measured(self) -> Figures:
        """The figures of the validation that has just ended, the same in all processes; losses in nats.

        `training_loss` is the mean of the round, the others are of the averaged weights on held-out examples. All
        processes must ask for them first at the same moment.
        """
        if self._figures is None:
            gathered = self.together.gathered(self._checks)
            checks = [check for turn in zip(*gathered, strict=True) for check in turn if check is not None]
            # Other processors may round in another way: the first process's figures are everybody's.
            self._figures = self.together.told(self._of(checks) if self.together.place.first else None)
        return dict(self._figures)

    def _of(self, checks: Sequence[Any]) -> Figures:
        trained, counted = self.sums.tolist()
        return {
            "step": self.global_step,
            "epoch": round(self.global_step / self.plan.per_epoch, 3),
            "training_loss": trained / max(counted, 1.0),
            **self.learner.figures(checks),
        }

    def configure_optimizers(self) -> Any:
        """AdamW with the schedule of `learning_rate_factor`."""
        groups = self.learner.rates(self.options)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        total, course = self.plan.total, self.options
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: learning_rate_factor(step, total, schedule=course.schedule, warm_up=course.warm_up),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
