"""What a classifier is trained for, and what is counted on the way."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from saccade.data.labelledcorpus import LabelledBatch
from saccade.layers.adversarial import adversarial_loss
from saccade.models.classifier import Classified, Classifier, loss
from saccade.tasks.base import Figures, Learner, Objective
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.course import Course
from saccade.tasks.pretrained import rates


class Counts(NamedTuple):
    """What is counted in a batch.

    loss:  cross-entropy of each text, of several labels summed over them, nats, `[batch]`.
    right: in how many texts the likeliest label, or all labels, are right.
    hits, said, true: for each label in how many texts it was said and true, said, true, `[label]`.
    """

    loss: Tensor
    right: Tensor
    hits: Tensor
    said: Tensor
    true: Tensor


def decide(logits: Tensor, *, several: bool) -> Tensor:
    """Which labels are said, boolean `[batch, label]`: the likeliest, or each that is likelier than not."""
    if several:
        return logits > 0
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(1, logits.argmax(1, keepdim=True), True)


def count(logits: Tensor, labels: Tensor) -> Counts:
    """Compare logits with labels, `[batch]` or `[batch, label]`."""
    logits, several = logits.float(), labels.is_floating_point()
    if several:
        each = binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1)
        true = labels > 0
    else:
        each = cross_entropy(logits, labels, reduction="none")
        true = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, labels[:, None], True)
    said = decide(logits, several=several)
    right = (said == true).all(1).sum()
    return Counts(each, right, (said & true).sum(0), said.sum(0), true.sum(0))


class ClassifyLearner(Learner[LabelledBatch]):
    """Cross-entropy of labels.

    Where the options say so labels are balanced: one of `n` labels that `c` of `N` texts have counts `N / (n c)`; of
    several, those texts count `(N - c) / c`.

    Args:
        model: the classifier.
        counts: how many training texts have each label.
        texts: how many training texts there are.
    """

    model: Classifier

    def __init__(self, model: Classifier, options: ClassifyOptions, counts: Sequence[int], texts: int):
        super().__init__(model)
        self.options = options
        there = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
        weights = (texts - there).clamp(min=1) / there if options.several else texts / len(there) / there
        self.register_buffer("class_weights", weights if options.balance else None)
        self.class_weights: Tensor | None

    def rates(self, options: Course) -> list[dict[str, Any]]:
        """A pretrained encoder has a rate of its own."""
        return rates(self, self.model.embed[0] if self.model.pretrained else None, self.options)

    def objective(self, batch: LabelledBatch) -> Objective:
        """The mean loss of a text; of adversarial training both its losses, summed."""
        options, passes = self.options, []

        def lost() -> Tensor:
            passes.append(self._said(batch, need_weights=options.penalty > 0))
            return loss(
                passes[-1],
                batch.labels,
                class_weights=self.class_weights,
                smoothing=options.smoothing,
                penalty=options.penalty,
            )

        found = adversarial_loss(self.model.tokens, lost, options.adversarial) if options.adversarial else lost()
        counted = count(passes[0].logits.detach(), batch.labels)
        several, weights = batch.labels.is_floating_point(), self.class_weights
        over = None if several or weights is None else weights[batch.labels].sum()
        return Objective(found, counted.loss.sum(), counted.loss.new_tensor(len(counted.loss)), over)

    def _said(self, batch: LabelledBatch, *, need_weights: bool) -> Classified:
        said: Classified = self.model(
            batch.ids, batch.lengths, batch.forms, batch.characters, need_weights=need_weights
        )
        return said

    def check(self, batch: LabelledBatch) -> Counts:
        """The counts of a batch."""
        return count(self._said(batch, need_weights=False).logits, batch.labels)

    def figures(self, checks: Sequence[Counts]) -> Figures:
        """Loss, accuracy, and the mean of the labels' F1."""
        texts = sum(len(counts.loss) for counts in checks)
        total, right = (sum(float(counts[part].double().sum()) for counts in checks) for part in (0, 1))
        hits, said, true = (torch.stack([counts[part] for counts in checks]).sum(0).double() for part in (2, 3, 4))
        there = said + true > 0  # a label that was neither said nor true has no F1
        f1 = (2 * hits / (said + true))[there].mean()
        return {"loss": total / texts, "accuracy": right / texts, "macro_f1": float(f1)}
