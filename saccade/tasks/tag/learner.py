"""What a tagger is trained for, and what is counted on the way."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from saccade import masks
from saccade.data.taggedcorpus import TaggedBatch
from saccade.models.tagger import Emitted, Tagger
from saccade.tasks.base import Figures, Learner, Objective
from saccade.tasks.course import Course
from saccade.tasks.pretrained import rates
from saccade.tasks.tag.options import TagOptions


class Counts(NamedTuple):
    """What is counted in a batch: the summed loss in nats, words and right tags; where tags mark spans, also the tags
    that were said and the true ones.
    """

    loss: Tensor
    words: Tensor
    right: Tensor
    said: list[list[int]]
    true: list[list[int]]


class TagLearner(Learner[TaggedBatch]):
    """The negative log-likelihood of the tags.

    Args:
        model: the tagger.
        options: how it is trained.
        tags: their names, for the scores of spans; None where they mark none.
    """

    model: Tagger

    def __init__(self, model: Tagger, options: TagOptions, tags: Sequence[str] | None):
        super().__init__(model)
        self.options, self.tags = options, tags

    def rates(self, options: Course) -> list[dict[str, Any]]:
        """A pretrained encoder has a rate of its own."""
        return rates(self, self.model.pretrained, self.options)

    def objective(self, batch: TaggedBatch) -> Objective:
        """The mean loss of a word."""
        total = self._loss(batch).sum()
        words = batch.lengths.sum()
        return Objective(total / words, total.detach(), words)

    def _loss(self, batch: TaggedBatch) -> Tensor:
        return self.model.loss(self._emitted(batch), batch.tags, batch.lengths)

    def _emitted(self, batch: TaggedBatch) -> Emitted:
        characters = batch.characters if self.model.config.characters else None
        emitted: Emitted = self.model(batch.words, batch.lengths, characters, batch.pieces, need_weights=False)
        return emitted

    def check(self, batch: TaggedBatch) -> Counts:
        """The counts of a batch."""
        emitted = self._emitted(batch)
        loss = self.model.loss(emitted, batch.tags, batch.lengths).sum()
        chosen = self.model.best(emitted, batch.lengths).tags
        real = masks.padding(batch.lengths, batch.words.shape[1])
        right = ((chosen == batch.tags) & real).sum()
        said, true = ([], []) if self.tags is None else (_rows(chosen, batch.lengths), _rows(batch.tags, batch.lengths))
        return Counts(loss, batch.lengths.sum(), right, said, true)

    def figures(self, checks: Sequence[Counts]) -> Figures:
        """Loss of a word, accuracy, and F1 of spans where tags mark some."""
        loss, words, right = (sum(float(part) for part in parts) for parts in list(zip(*checks, strict=True))[:3])
        figures = {"loss": loss / words, "accuracy": right / words}
        if self.tags is not None:
            from saccade.metrics import span_scores

            said, true = ([[self.tags[i] for i in row] for counts in checks for row in counts[part]] for part in (3, 4))
            figures["span_f1"] = span_scores(said, true).f1
        return figures


def _rows(tags: Tensor, lengths: Tensor) -> list[list[int]]:
    return [row[:length] for row, length in zip(tags.tolist(), lengths.tolist(), strict=True)]
