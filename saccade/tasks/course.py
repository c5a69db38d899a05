"""The options that every training has. Imports no torch."""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from saccade.errors import OptionError

ScheduleName = Literal["linear", "inverse-sqrt", "cosine", "constant"]
"""How the learning rate falls."""
Strategy = Literal["ddp", "fsdp"]
"""How a model is spread over several processes: each has all of it, or a part."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long and how fast to train; the options of each task begin with these."""

    epochs: int = 0
    """Passes over the training examples; 0 is enough for 3000 steps, at least 8 and at most 200."""
    batch_size: int = 32
    """Examples in a batch."""
    accumulate: int = 1
    """Batches whose gradients make one step: for steps of more examples than memory holds at once."""
    learning_rate: float = 0.005
    """The highest learning rate; it rises over the first steps and falls to zero over the second half."""
    schedule: ScheduleName = "linear"
    """How it falls: straight to zero over the second half, as one over the root of the steps (Vaswani et al. 2017), as
    a cosine (Loshchilov and Hutter 2017), or not at all."""
    warm_up: int = 0
    """Steps over which it rises; 0: 100, or a tenth of all if that is less."""
    dropout: float = 0.1
    """Probability of dropping an activation in training."""
    patience: int = 8
    """Stop after this many validations that were not the best."""
    seed: int = 0
    """Decides the first weights, the order of the examples, dropout and what is held out."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """What a training calculates in: with bfloat16 images take half the time on processors that have it."""

    FREE: ClassVar[tuple[str, ...]] = ()
    """Options beside these that may differ between a run and the one it is fine-tuned from."""
    STEPS: ClassVar[int] = 3000
    """How many steps are enough."""
    LEAST_EPOCHS: ClassVar[int] = 8

    def __post_init__(self) -> None:
        self.at_least({"epochs": 0, "batch_size": 1, "accumulate": 1, "warm_up": 0, "patience": 1, "seed": 0})
        if self.seed >= 2**31:
            raise OptionError(f"--seed must be below 2147483648; got {self.seed}")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"--dropout must be at least 0 and below 1; got {self.dropout}")
        if not 0 < self.learning_rate < float("inf"):
            raise OptionError(f"--learning-rate must be above 0; got {self.learning_rate}")

    def at_least(self, least: dict[str, float]) -> None:
        """Refuse an option below the least that it can be, or without an end.

        Raises:
            OptionError: naming the option.
        """
        for name, lowest in least.items():
            value = getattr(self, name)
            if not value >= lowest:
                raise OptionError(f"{flag(name)} must be at least {lowest}; got {value}")
            if value == float("inf"):
                raise OptionError(f"{flag(name)} must be a number; got {value}")

    def epochs_for(self, steps_per_epoch: float) -> int:
        """Passes over the data: as asked, or enough for so many steps, within bounds.

        >>> Course().epochs_for(250)
        12
        """
        if self.epochs:
            return self.epochs
        return min(max(math.ceil(self.STEPS / steps_per_epoch), self.LEAST_EPOCHS), 200)

    @classmethod
    def free(cls) -> set[str]:
        """The options that may differ between a run and the one it is fine-tuned from."""
        return {field.name for field in fields(Course)} | set(cls.FREE)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every option with its default."""
        return {field.name: field.default for field in fields(cls)}


def flag(name: str) -> str:
    """An option as it is typed.

    >>> flag("batch_size")
    '--batch-size'
    """
    return f"--{name.replace('_', '-')}"
