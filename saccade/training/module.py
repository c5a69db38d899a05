"""What Lightning trains: a model, its loss, and batches that only the seed and the step decide."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from saccade.data.corpus import Batch, Corpus, Schedule
from saccade.models.seq2seq import Seq2Seq
from saccade.tasks.objective import count, objective
from saccade.tasks.options import TranslateOptions


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


def plan(options: TranslateOptions, per_epoch: int) -> Plan:
    """Rounds of an epoch, but of at least 200 and at most 1,000 steps.

    >>> plan(TranslateOptions(epochs=10), per_epoch=250)
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

    def __init__(self, module: "TrainingModule", corpus: Corpus, schedule: Schedule):
        self.module, self.corpus, self.schedule = module, corpus, schedule

    def __len__(self) -> int:
        return self.module.plan.steps

    def __iter__(self) -> Iterator[Batch]:
        start = self.module.trainer.global_step
        for step in range(start, start + len(self)):
            yield self.corpus.batch(self.schedule[step])


class ValidationBatches:
    """Every validation pair once."""

    def __init__(self, corpus: Corpus):
        self.corpus, self.indices = corpus, corpus.in_order_of_length(256)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Batch]:
        return (self.corpus.batch(some) for some in self.indices)


class Measured(NamedTuple):
    """The figures of a validation; losses in nats."""

    step: int
    epoch: float
    training_loss: float
    """Mean over the target tokens of the round."""
    loss: float
    """Mean over target tokens, with the averaged weights."""
    loss_sum_per_example: float
    token_accuracy: float
    exact_match: float


class TrainingModule(pl.LightningModule):
    """Teacher forcing, cross-entropy, AdamW."""

    def __init__(self, model: Seq2Seq, options: TranslateOptions, plan: Plan):
        super().__init__()
        self.model, self.options, self.plan = model, options, plan
        self.recent_loss = float("nan")
        """Mean loss of the last steps, for people to watch."""
        # In double precision: a float32 stops counting tokens at 16 million.
        # What a reward is compared with where slots are drawn; a buffer, so that a resumed run goes on with it.
        self.register_buffer("baseline", torch.tensor(float("nan")))
        self.baseline: Tensor
        self._training, self._validation = (torch.zeros(size, dtype=torch.float64) for size in (2, 5))

    def on_train_epoch_start(self) -> None:
        """A round begins."""
        self._training.zero_()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """All chance in a step comes from seed and step, so that a resumed run draws what it would have drawn."""
        seed = (self.options.seed << 32) + self.global_step + 1
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every other kind of device too: 0.3 ms
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss of a target token."""
        step = objective(self.model, batch, self.options, self.baseline)
        self.baseline = step.baseline
        self._training += torch.stack([step.counts.loss.detach().sum(), step.counts.tokens]).cpu()
        if batch_idx % 20 == 19:
            self.recent_loss = float(self._training[0] / self._training[1])
        return step.loss

    def on_validation_epoch_start(self) -> None:
        """A validation begins."""
        self._validation.zero_()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up a batch."""
        counts = count(self.model, batch)
        self._validation[:4] += torch.stack([part.float() for part in (counts.loss.sum(), *counts[1:])]).cpu()
        self._validation[4] += len(batch.source)

    def measured(self) -> Measured:
        """The figures of the validation that has just ended."""
        loss, count, right, exact, examples = self._validation.tolist()
        trained, trained_tokens = self._training.tolist()
        return Measured(
            step=self.global_step,
            epoch=round(self.global_step / self.plan.per_epoch, 3),
            training_loss=trained / max(trained_tokens, 1.0),
            loss=loss / count,
            loss_sum_per_example=loss / examples,
            token_accuracy=right / count,
            exact_match=exact / examples,
        )

    def configure_optimizers(self) -> Any:
        """AdamW with the schedule of `learning_rate_factor`."""
        optimizer = torch.optim.AdamW(
            self.parameters(), self.options.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        total = self.plan.total
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
