"""What a model of numeric sequences is trained for, and what is counted on the way."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import mse_loss

from saccade.data.seriescorpus import SeriesBatch
from saccade.models.forecaster import Forecaster
from saccade.models.linear import LinearBaseline
from saccade.tasks.base import Figures, Learner, Objective


class Counts(NamedTuple):
    """What is counted in a batch: sums of squared and of absolute errors, ours and the baseline's; how many numbers."""

    squared: Tensor
    absolute: Tensor
    baseline_squared: Tensor
    baseline_absolute: Tensor
    numbers: int


def count(said: Tensor, baseline: Tensor, answer: Tensor) -> Counts:
    """Compare answers, and the baseline's, with the true ones."""
    ours, theirs = ((values.double() - answer.double()) for values in (said, baseline))
    squared, absolute = ours.square().sum(), ours.abs().sum()
    return Counts(squared, absolute, theirs.square().sum(), theirs.abs().sum(), answer.numel())


def figures(checks: Sequence[Counts]) -> Figures:
    """Mean squared and mean absolute errors, of the model and of the linear baseline."""
    numbers = sum(counts.numbers for counts in checks)
    names = ("mse", "mae", "linear_mse", "linear_mae")
    return {name: sum(float(counts[part]) for counts in checks) / numbers for part, name in enumerate(names)}


class RegressLearner(Learner[SeriesBatch]):
    """Mean squared error of standardised numbers."""

    model: Forecaster

    def __init__(self, model: Forecaster, baseline: LinearBaseline):
        super().__init__(model)
        self.baseline = baseline

    def objective(self, batch: SeriesBatch) -> Objective:
        """The mean squared error."""
        error, numbers = mse_loss(self.model(batch.past, need_weights=False).values, batch.answer), batch.answer.numel()
        return Objective(error, error.detach() * numbers, error.new_tensor(numbers))

    def check(self, batch: SeriesBatch) -> Counts:
        """The errors of a batch."""
        said = self.model(batch.past, need_weights=False).values
        return count(said, self.baseline(batch.past.cpu()).to(said), batch.answer)

    def figures(self, checks: Sequence[Counts]) -> Figures:
        """Errors over standardised numbers; the loss is the squared one."""
        found = figures(checks)
        return {"loss": found["mse"], **found}
