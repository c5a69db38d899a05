"""What a writer is trained for: the next token, the tokens in order by CTC, and what its attention asks for."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, ctc_loss

from saccade import masks
from saccade.attention.losses import doubly_stochastic_loss, quantity_loss
from saccade.data.tokens import END, PAD
from saccade.data.writtencorpus import WrittenBatch
from saccade.metrics import edit_distance
from saccade.models.decoder import Forced
from saccade.models.writer import Writer, Written
from saccade.normalizers import Sample
from saccade.tasks.base import Figures, Learner, Objective
from saccade.tasks.reinforced import Reinforced
from saccade.tasks.write.options import WriteOptions
from saccade.tasks.write.search import search

ENTROPY = 0.002  # of drawn attention, as in the program of Xu et al. 2015; see LOG.md


class Checked(NamedTuple):
    """What is measured on a batch: the summed loss in nats, target tokens, how many of them were predicted right, edits
    between what is written and what should be, tokens that should be, examples, and how many are right whole.
    """

    loss: float
    tokens: int
    right: int
    edits: int
    length: int
    examples: int
    exact: int


class WriteLearner(Learner[WrittenBatch]):
    """`(1 - l) L_attention + l L_ctc` (Watanabe et al. 2017, eq. 13), each a mean over target tokens.

    L_attention is cross-entropy under teacher forcing, with label smoothing (Szegedy et al. 2016, §7) in training. With
    drawn attention the loss of REINFORCE stands beside it; times `doubly_stochastic`, how far every place is from being
    looked at once in all (Xu et al. 2015, eq. 14); times `quantity`, how far every token before the end is from looking
    once in all.
    """

    model: Writer

    def __init__(self, model: Writer, options: WriteOptions, *, doubly_stochastic: float = 0.0, quantity: float = 0.0):
        super().__init__(model)
        self.options, self.doubly_stochastic, self.quantity = options, doubly_stochastic, quantity
        self.reinforced = Reinforced(entropy=ENTROPY)

    def at(self, share: float) -> None:
        """Drawn attention takes expected values alone for half of the training, then for half of the examples.

        With half from the beginning (Xu et al. 2015, §4.1) draws are noise as long as nobody knows where to look, and a
        decoder learns to do without them.
        """
        normalizer = getattr(getattr(self.model.decoder, "attention", None), "normalizer", None)
        if isinstance(normalizer, Sample):
            normalizer.expected = 1.0 if share < 0.5 else 0.5

    def objective(self, batch: WrittenBatch) -> Objective:
        """The mean loss of a target token."""
        looks = self.doubly_stochastic > 0 or self.quantity > 0
        written = self.model(batch.input, batch.sizes, batch.before, need_weights=looks)
        tokens, share = (batch.target != PAD).sum(), self.options.ctc
        total, plain = torch.zeros((), device=tokens.device), torch.zeros((), device=tokens.device)
        if written.forced is not None:
            loss = self._forced(written.forced, written.lengths, batch)
            total, plain = total + (1 - share) * loss, plain + (1 - share) * _next_token(written.forced, batch).sum()
        if written.ctc is not None:
            aligned = _aligned(written, batch).sum()
            total, plain = total + share * aligned, plain + share * aligned
        return Objective(total / tokens, plain.detach(), tokens)

    def _forced(self, forced: Forced, lengths: Tensor, batch: WrittenBatch) -> Tensor:
        """The loss of the decoder, summed over tokens."""
        loss = _next_token(forced, batch, self.options.label_smoothing)
        total = loss.sum()
        if forced.weights is not None and self.doubly_stochastic:
            there = masks.padding(lengths, forced.weights.shape[2])
            missed = doubly_stochastic_loss(forced.weights.float(), batch.target != PAD, memory_mask=there)
            total = total + self.doubly_stochastic * missed.sum()
        if forced.weights is not None and self.quantity:
            words = (batch.target != PAD) & (batch.target != END)
            total = total + self.quantity * quantity_loss(forced.weights.float(), words).sum()
        drawn = getattr(forced.state, "attention", None)
        minimised: Tensor = self.reinforced(total, getattr(drawn, "drawn", None), -loss.sum(1).detach())
        return minimised

    def check(self, batch: WrittenBatch) -> Checked:
        """The counts of a batch: losses under teacher forcing, and what is written without it."""
        written = self.model(batch.input, batch.sizes, batch.before, need_weights=False)
        real, share = batch.target != PAD, self.options.ctc
        loss, right = 0.0, 0
        if written.forced is not None:
            loss += (1 - share) * float(_next_token(written.forced, batch).sum())
            right = int(((written.forced.logits.argmax(-1) == batch.target) & real).sum())
        if written.ctc is not None:
            loss += share * float(_aligned(written, batch).sum())
        true = [row[:length] for row, length in zip(batch.target.tolist(), (real.sum(1) - 1).tolist(), strict=True)]
        limits, greedy = [2 * len(row) + 5 for row in true], self.options.share_of_greedy
        said = [best[0].tokens for best in search(self.model, batch.input, batch.sizes, limits, share=greedy)]
        edits = [edit_distance(a, b) for a, b in zip(said, true, strict=True)]
        tokens, length = int(real.sum()), sum(map(len, true))
        return Checked(loss, tokens, right, sum(edits), length, len(true), edits.count(0))

    def figures(self, checks: Sequence[Checked]) -> Figures:
        """Loss of a token, shares of tokens and of examples, and edits for each token that should be written."""
        loss, tokens, right, edits, length, examples, exact = (sum(parts) for parts in zip(*checks, strict=True))
        figures = {"loss": loss / tokens, "error_rate": edits / max(length, 1), "exact_match": exact / examples}
        return figures if self.model.decoder is None else figures | {"token_accuracy": right / tokens}


def _next_token(forced: Forced, batch: WrittenBatch, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each token, nats, `[batch, target]`."""
    logits, target = forced.logits.float().flatten(0, 1), batch.target
    loss = cross_entropy(logits, target.flatten(), ignore_index=PAD, reduction="none", label_smoothing=smoothing)
    return loss.view_as(target)


def _aligned(written: Written, batch: WrittenBatch) -> Tensor:
    """CTC's negative log-probability of each text, nats, `[batch]`; zero where there are too few slots for it."""
    assert written.ctc is not None
    lengths = (batch.target != PAD).sum(1) - 1  # the end token is the decoder's
    target = batch.target[:, :-1] if batch.target.shape[1] > 1 else batch.target
    return ctc_loss(
        written.ctc.transpose(0, 1), target, written.lengths, lengths, blank=PAD, reduction="none", zero_infinity=True
    )
