"""What is measured of a translator."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Scores:
    """What `evaluate` measures; losses are in nats and count the end token."""

    loss: float
    """Mean over target tokens."""
    loss_sum_per_example: float
    """Summed over the tokens of an example, then averaged over examples."""
    exact_match: float
    """Share of greedy answers equal to the reference, 0 to 1."""
    token_accuracy: float
    """Share of target tokens predicted right when the true ones before are given, 0 to 1."""
    bleu: float
    chrf: float
    bleu_signature: str
    """How sacrebleu measured (Post 2018)."""
    chrf_signature: str
    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 - its name
    examples: int
    too_long: int
    """Pairs of which a side is longer than what is read: the answer is empty, and no loss counts them."""
    seconds: float


class TeacherForced(NamedTuple):
    """Sums over examples when the true tokens before are given; the loss in nats, the end token counted."""

    loss_sum: float
    tokens: int
    right: int
    examples: int

    def plus(self, other: "TeacherForced") -> "TeacherForced":
        """The sums over both."""
        loss, *counts = (a + b for a, b in zip(self, other, strict=True))
        return TeacherForced(loss, *map(int, counts))

    @property
    def loss_sum_per_example(self) -> float:
        """Summed over the tokens of an example, averaged over examples."""
        return self.loss_sum / self.examples
