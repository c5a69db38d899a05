"""The options of a regression, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.attention import catalogue
from saccade.attention.poolings import POOLINGS
from saccade.errors import OptionError
from saccade.tasks.course import Course


@dataclass(frozen=True, kw_only=True)
class RegressOptions(Course):
    """How to train a model of numeric sequences. The defaults work untouched."""

    learning_rate: float = 0.003
    horizon: int = 0
    """Steps ahead to forecast in a table; 0: sequences that have numbers for answers."""
    window: int = 96
    """Steps of a table that are read; of sequences all are."""
    stride: int = 1
    """Rows of a table from one training window to the next."""
    validation: float = 0.2
    """How much at the end of a table, or of the sequences by chance, is kept to validate on: a share, or a number."""
    time: str | None = None
    """The column of times in CSV; without it one called date or time, or whose first cell is a date."""
    attention: str = "additive"
    """What weighs the steps: a mechanism of `saccade mechanisms`, a pooling, self, or none."""
    query: Literal["last", "learned"] = "learned"
    """What asks a mechanism: the last state, or a learned vector for each number of the answer."""
    hops: int = 4
    """Views of structured self-attention, readings of a multi-hop pooling."""
    encoder: Literal["lstm", "gru", "transformer", "none"] = "transformer"
    """What reads the steps."""
    heads: int = 4
    """Heads of a Transformer."""
    hidden: int = 32
    """Width of the states, of a recurrent network both directions together; even."""
    layers: int = 1
    """Layers of the encoder."""
    direct: bool = True
    """Add a linear map of all that is read (Lai et al. 2018; Zeng et al. 2023)."""
    patch: int = 16
    """Of forecasts: steps that make one token, half of them shared with the next (Nie et al. 2023)."""
    instance_norm: bool = True
    """Of forecasts: take each window by its own mean and deviation (Kim et al. 2022)."""
    independent: bool = True
    """Of forecasts: each variable from its own past alone, with the same weights for all (Nie et al. 2023)."""

    FREE: ClassVar[tuple[str, ...]] = ("stride", "validation", "time")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"horizon": 0, "window": 1, "stride": 1, "validation": 0, "hops": 1, "heads": 1, "hidden": 2}
        self.at_least({**least, "layers": 1, "patch": 1})
        if self.hidden % 2:
            raise OptionError(f"--hidden must be even, half for each direction of the encoder; got {self.hidden}")
        if self.encoder == "transformer" and self.hidden % self.heads:
            raise OptionError(f"--hidden must be a multiple of --heads; got {self.hidden} and {self.heads}")
        if self.attention not in ("self", *POOLINGS):
            try:
                found = catalogue.parse(self.attention)
            except ValueError as error:
                choices = f"self, {', '.join(POOLINGS)}, or a mechanism"
                raise OptionError(f"--attention must be of {choices} ({error})") from None
            if found.normalizer == "reinforce":
                raise OptionError(f"--attention must learn without a reward; got {self.attention!r}")
