"""What caption and transcribe are both told, with defaults. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.attention.visual import check_visual
from saccade.data import LEAST_PIECES, PIECES, Level
from saccade.errors import OptionError
from saccade.layers import Order
from saccade.tasks.course import Course, flag

DecoderName = Literal["lstm", "gru", "transformer", "none"]


@dataclass(frozen=True, kw_only=True)
class WriteOptions(Course):
    """How to train what writes down what it sees or hears."""

    level: Level = "char"
    """What a token of the texts is: a character, a word, or a piece: byte-pair, or of a unigram language model."""
    vocab_size: int = 8000
    """Largest number of tokens, for words and pieces."""
    attention: str = "additive"
    """What the decoder looks with: a mechanism, or parts joined by plus signs; none: one vector of the whole."""
    decoder: DecoderName = "lstm"
    """What writes: a recurrent cell, a Transformer (with multi-head attention), or none, which leaves CTC alone."""
    attend: Order = "before"
    """Whether a recurrent decoder attends before its cell takes a step, or after, which trains all steps at once."""
    ctc: float = 0.0
    """Share of the loss of CTC, which aligns slots and tokens in order, in training and searching (Watanabe 2017)."""
    embedding: int = 64
    """Width of the token embeddings."""
    hidden: int = 256
    """Width of the encoder's states (both directions together) and of the decoder's; even."""
    layers: int = 1
    """Layers of the decoder."""
    heads: int = 4
    """Heads of a Transformer decoder."""
    label_smoothing: float = 0.1
    """Share of the target's probability that is spread over all tokens."""
    folder: str | None = None
    """Where the files lie that the lists name; without it, beside the list."""
    skip_bad: bool = False
    """Leave out files that cannot be read or are not there, and count them, rather than stop."""
    max_length: int = 400
    """Texts with more tokens than this are left out of training, and counted."""

    FREE: ClassVar[tuple[str, ...]] = ("max_length", "folder", "skip_bad", "label_smoothing")
    ATTENDING: ClassVar[str] = "additive"

    @property
    def share_of_greedy(self) -> float:
        """The share of CTC in the score of a text that is written token by token, without a beam."""
        return self.ctc

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"vocab_size": LEAST_PIECES if self.level in PIECES else 5, "embedding": 1, "hidden": 2, "layers": 1}
        self.at_least({**least, "heads": 1, "max_length": 1})
        for name, most in (("ctc", 1), ("label_smoothing", 0.99)):
            if not 0 <= getattr(self, name) <= most:
                raise OptionError(f"{flag(name)} must be a share, 0 to {most}; got {getattr(self, name)}")
        if (self.decoder == "none") != (self.ctc == 1):
            raise OptionError(f"--decoder none goes with --ctc 1; got --decoder {self.decoder}, --ctc {self.ctc:g}")
        if self.hidden % 2:
            raise OptionError(f"--hidden must be even, half for each direction; got {self.hidden}")
        if self.decoder == "transformer" and self.hidden % (2 * self.heads):
            raise OptionError(f"--hidden must be an even multiple of --heads; got {self.hidden} and {self.heads}")
        try:
            check_visual(self.attention)
        except ValueError as error:
            raise OptionError(f"--attention {str(error).split(' ', 1)[1]}") from None
