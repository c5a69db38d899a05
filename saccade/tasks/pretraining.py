"""The options of a task that may stand on an encoder that others have trained. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from saccade.errors import OptionError
from saccade.tasks.course import Course, flag


@dataclass(frozen=True, kw_only=True)
class Pretraining(Course):
    """Which encoder, and whether it is trained further."""

    pretrained: str | None = None
    """A folder with an encoder of the Hugging Face library (BERT, RoBERTa ...), whose states take the place of the
    embeddings; its tokenizer cuts the texts."""
    freeze: bool = False
    """Keep that encoder as it is, and train what stands on it."""
    pretrained_rate: float = 0.00003
    """The highest learning rate of that encoder; --learning-rate is that of what stands on it."""

    SLOW: ClassVar[tuple[str, ...]] = ("freeze", "pretrained_rate")
    """Of these, what may differ between a run and the one it is fine-tuned from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.pretrained_rate < float("inf"):
            raise OptionError(f"--pretrained-rate must be above 0; got {self.pretrained_rate}")

    def check_alone(self, names: Sequence[str]) -> None:
        """Refuse, with a pretrained encoder, what it does in its own way.

        Args:
            names: options that must be as they are by default.

        Raises:
            OptionError: naming the option.
        """
        if self.pretrained is None:
            return
        for name in names:
            default, value = self.defaults()[name], getattr(self, name)
            if value != default:
                given = f"{flag(name)} {value}" if not isinstance(value, bool) else flag(name)
                raise OptionError(f"{given} does not go with --pretrained, whose tokenizer and states take its place")

    def check_heads(self, heads: int, encoder: str, hidden: int, embedded: dict[str, int]) -> None:
        """Refuse states that are not as wide as so many heads.

        Args:
            hidden: width of the states, where an encoder makes them.
            embedded: widths that stand side by side where there is none, by their options.

        Raises:
            OptionError: naming the options.
        """
        if encoder == "none" and self.pretrained is not None:
            return  # as wide as that encoder, which nobody has looked at yet
        widths = embedded if encoder == "none" else {"hidden": hidden}
        if sum(widths.values()) % heads:
            what = " and ".join(map(flag, widths)) + " together" * (len(widths) > 1)
            raise OptionError(f"{what} must be a multiple of --heads; got {sum(widths.values())} and {heads}")
