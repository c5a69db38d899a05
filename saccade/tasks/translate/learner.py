"""What a translator is trained to minimise, and what is counted on the way."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from saccade.attention.losses import coverage_loss, reinforce_loss
from saccade.data.paircorpus import Batch
from saccade.data.tokens import PAD
from saccade.models.decoder import Forced
from saccade.models.seq2seq import Seq2Seq
from saccade.tasks.base import Figures, Learner, Objective
from saccade.tasks.translate.options import TranslateOptions

# Xu et al. 2015, §4.1, tune both; the baseline moves as there.
REWARD, ENTROPY, BASELINE = 0.1, 0.1, 0.9


class Counts(NamedTuple):
    """What is counted in a batch under teacher forcing.

    loss:   cross-entropy of each example, summed over its tokens, nats, `[batch]`.
    tokens: how many target tokens there are.
    right:  how many of them are the likeliest.
    exact:  in how many examples all are.
    """

    loss: Tensor
    tokens: Tensor
    right: Tensor
    exact: Tensor


class Minimised(NamedTuple):
    """What a step minimises, `loss`; the counts; and the baseline that the next step's reward is compared with."""

    loss: Tensor
    counts: Counts
    baseline: Tensor


def count(model: Seq2Seq, batch: Batch) -> Counts:
    """Run a batch under teacher forcing and count."""
    return _counted(model(batch.source, batch.lengths, batch.before, copy=batch.copy, need_weights=False), batch)


def objective(model: Seq2Seq, batch: Batch, options: TranslateOptions, baseline: Tensor) -> Minimised:
    """Mean cross-entropy of a target token, and what the mechanism asks for beside it.

    With `coverage_loss` the overlap of each step's weights with those before (See et al. 2017, eq. 13). For weights
    that are drawn the loss of REINFORCE (Xu et al. 2015, §4.1): the reward of an example is the log-probability of its
    target, compared with a moving mean of earlier rewards, and the entropy of what was drawn from is kept up.

    Args:
        baseline: the mean of the rewards so far, nats; NaN before the first.
    """
    looks = options.coverage_loss > 0
    forced = model(batch.source, batch.lengths, batch.before, copy=batch.copy, need_weights=looks)
    counts = _counted(forced, batch)
    total = counts.loss.sum()
    if options.coverage_loss and forced.weights is not None:
        total = total + options.coverage_loss * coverage_loss(forced.weights, batch.target != PAD).sum()
    drawn = getattr(forced.state.attention, "drawn", None)
    if drawn is not None:
        reward = -counts.loss.detach()
        baseline = torch.where(baseline.isnan(), reward.mean(), baseline)
        total = total + REWARD * len(reward) * reinforce_loss(drawn.log_probability, reward, baseline)
        total = total - ENTROPY * drawn.entropy.sum()
        baseline = torch.lerp(reward.mean(), baseline, BASELINE)
    return Minimised(total / counts.tokens, counts, baseline)


def _counted(forced: Forced, batch: Batch) -> Counts:
    logits, target = forced.logits.float(), batch.target
    loss = cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, reduction="none")
    real = target != PAD
    right = (logits.argmax(-1) == target) & real
    return Counts(loss.view_as(target).sum(1), real.sum(), right.sum(), (right == real).all(1).sum())


class TranslateLearner(Learner[Batch]):
    """Teacher forcing and cross-entropy, and what the mechanism asks for beside it."""

    model: Seq2Seq

    def __init__(self, model: Seq2Seq, options: TranslateOptions):
        super().__init__(model)
        self.options = options
        # What a reward is compared with where slots are drawn; a buffer, so that a resumed run goes on with it.
        self.register_buffer("baseline", torch.tensor(float("nan")))
        self.baseline: Tensor

    def objective(self, batch: Batch) -> Objective:
        """The mean loss of a target token."""
        step = objective(self.model, batch, self.options, self.baseline)
        self.baseline = step.baseline
        return Objective(step.loss, step.counts.loss.detach().sum(), step.counts.tokens)

    def check(self, batch: Batch) -> Counts:
        """The counts of a batch."""
        return count(self.model, batch)

    def figures(self, checks: Sequence[Counts]) -> Figures:
        """Losses in nats; shares of tokens and of examples."""
        loss, tokens, right, exact = (
            sum(float(part.double().sum()) for part in parts) for parts in zip(*checks, strict=True)
        )
        examples = sum(len(counts.loss) for counts in checks)
        return {
            "loss": loss / tokens,
            "loss_sum_per_example": loss / examples,
            "token_accuracy": right / tokens,
            "exact_match": exact / examples,
        }
