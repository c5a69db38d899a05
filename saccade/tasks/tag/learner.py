"""What a tagger is trained for, and what is counted on the way."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from saccade import masks
from saccade.data.taggedcorpus import TaggedBatch
from saccade.models.tagger import Tagger
from saccade.tasks.base import Figures, Learner, Objective


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
        tags: their names, for the scores of spans; None where they mark none.
    """

    model: Tagger

    def __init__(self, model: Tagger, tags: Sequence[str] | None):
        super().__init__(model)
        self.tags = tags

    def objective(self, batch: TaggedBatch) -> Objective:
        """The mean loss of a word."""
        total = self._loss(batch).sum()
        words = batch.lengths.sum()
        return Objective(total / words, total.detach(), words)

    def _loss(self, batch: TaggedBatch) -> Tensor:
        emitted = self.model(batch.words, batch.lengths, self._characters(batch), need_weights=False)
        return self.model.loss(emitted, batch.tags, batch.lengths)

    def _characters(self, batch: TaggedBatch) -> Tensor | None:
        return batch.characters if self.model.config.characters else None

    def check(self, batch: TaggedBatch) -> Counts:
        """The counts of a batch."""
        emitted = self.model(batch.words, batch.lengths, self._characters(batch), need_weights=False)
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
