"""What a translator is trained to minimise, and what is counted on the way."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.attention.losses import alignment_loss, coverage_loss
from saccade.data.paircorpus import Batch
from saccade.data.tokens import PAD
from saccade.layers.crossentropy import token_loss
from saccade.layers.rdrop import r_drop_loss
from saccade.models.decoder import Forced
from saccade.models.seq2seq import Seq2Seq
from saccade.tasks.base import Figures, Learner, Objective
from saccade.tasks.reinforced import Reinforced
from saccade.tasks.translate.options import TranslateOptions


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


def count(model: Seq2Seq, batch: Batch) -> Counts:
    """Run a batch under teacher forcing and count."""
    real = batch.target != PAD
    forced = model(batch.source, batch.lengths, batch.before, copy=batch.copy, need_weights=False, where=real)
    target = batch.target[real]
    loss = _spread(token_loss(forced.logits, target).plain, real)
    right = _spread(forced.logits.argmax(-1) == target, real)
    return Counts(loss.sum(1), real.sum(), right.sum(), (right == real).all(1).sum())


def _spread(found: Tensor, real: Tensor) -> Tensor:
    """What was found for each real token at its place, `[batch, target]`, and zero at padding."""
    return found.new_zeros(real.shape).masked_scatter(real, found)


def twice(batch: Batch) -> Batch:
    """The pairs of a batch, and behind them the same again."""
    return Batch._make(None if part is None else torch.cat([part, part]) for part in batch)


class TranslateLearner(Learner[Batch]):
    """Mean cross-entropy of a target token under teacher forcing, and what the mechanism asks for beside it.

    `L + w L_a` with `guided` w and the `alignment_loss` of the links that a batch has (Garg et al. 2019, section 3).
    In training with label smoothing (Szegedy et al. 2016, §7), `(1 - e) (-log p(y)) + e mean(-log p)`, and with a share
    of tokens that are not read (Gal and Ghahramani 2016, §4.2), of the source and of the target before. With `r_drop` a
    each batch is read twice, and a times the `r_drop_loss` of both is added (Liang et al. 2021, eq. 4). With
    `coverage_loss` the overlap of each step's weights with those before (See et al. 2017, eq. 13); for weights that are
    drawn the loss of REINFORCE.
    """

    model: Seq2Seq

    def __init__(self, model: Seq2Seq, options: TranslateOptions):
        super().__init__(model)
        self.options, self.reinforced = options, Reinforced()

    def objective(self, batch: Batch) -> Objective:
        """The mean loss of a target token. Nothing is predicted at padding."""
        coverage, smoothing = self.options.coverage_loss, self.options.label_smoothing
        if self.options.r_drop:
            batch = twice(batch)
        real = batch.target != PAD
        forced, looked = self._forced(batch, real)
        total, plain = token_loss(forced.logits, batch.target[real], smoothing=smoothing)
        if self.options.r_drop:  # eq. 4; all of it is divided by the tokens of both times below
            total = total + self.options.r_drop * r_drop_loss(forced.logits)
        if coverage and forced.weights is not None:
            total = total + coverage * coverage_loss(forced.weights, real).sum()
        if looked is not None and batch.links is not None:
            total = total + self.options.guided * self._unguided(looked, batch.links).sum()
        drawn = getattr(getattr(forced.state, "attention", None), "drawn", None)
        if drawn is not None:
            total = self.reinforced(total, drawn, -_spread(plain, real).sum(1))
        tokens = real.sum()
        return Objective(total / tokens, plain.sum(), tokens)

    def _dropped(self, read: Tensor) -> Tensor:
        """Tokens some of which are read as padding, whose embedding is zero."""
        share = self.options.token_dropout
        return read.masked_fill(torch.rand(read.shape, device=read.device) < share, PAD) if share else read

    def _forced(self, batch: Batch, real: Tensor) -> tuple[Forced, Tensor | None]:
        """What teacher forcing gives, and the weights that are guided, where any are, `[batch, target, source]`."""
        given = self._dropped(batch.source), batch.lengths, self._dropped(batch.before)
        choice = self.options.alignment
        if batch.links is not None and choice.layer is not None:
            forced, layers = self.model.every_head(*given, where=real)
            return forced, layers[choice.layer][:, choice.head]
        needed = batch.links is not None or self.options.coverage_loss > 0
        forced = self.model(*given, copy=batch.copy, need_weights=needed, where=real)
        return forced, forced.weights

    def _unguided(self, looked: Tensor, links: Tensor) -> Tensor:
        """The loss of each example's weights."""
        if self.options.alignment.shift:  # the end token, the last, is linked to nothing
            looked, links = looked[:, 1:], links[:, :-1]
        return alignment_loss(looked, links)

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
