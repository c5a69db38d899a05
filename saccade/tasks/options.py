"""The options of a training, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

from saccade.attention import catalogue
from saccade.errors import OptionError
from saccade.layers import CellName, Order

Level = Literal["char", "word", "bpe"]


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """How to train a translator. The defaults work untouched."""

    level: Level = "bpe"
    """What a token is: a character, a word, or a byte-pair piece."""
    vocab_size: int = 8000
    """Largest number of tokens of each side, for words and pieces."""
    attention: str = "additive"
    """The mechanism between encoder and decoder, or parts joined by plus signs, as in general+sparsemax+local-p; none
    is the plain encoder-decoder. `saccade mechanisms` lists them."""
    half_width: int = 10
    """Tokens that a local window (local-m, local-p) reads on each side of its centre."""
    copy: bool = False
    """Let words of the source be copied, those never seen in training too (See et al. 2017, section 2.2)."""
    coverage_loss: float = 0.0
    """Weight of the loss for reading again what was read before (See et al. 2017, where it is 1)."""
    encoder: CellName = "lstm"
    """The recurrent cell of the encoder, which reads in both directions."""
    decoder: CellName = "lstm"
    """The recurrent cell of the decoder."""
    attend: Order = "before"
    """Whether the decoder attends before its cell takes a step (Bahdanau), or after, which trains all steps at once
    (Luong, without input feeding)."""
    embedding: int = 64
    """Width of the token embeddings."""
    hidden: int = 128
    """Width of the encoder's states (both directions together) and of the decoder's; even."""
    layers: int = 1
    """Layers of the encoder and of the decoder."""
    dropout: float = 0.1
    """Probability of dropping an activation in training."""
    max_length: int = 1000
    """Pairs with more tokens than this on a side are left out, and counted."""
    epochs: int = 0
    """Passes over the training pairs; 0 is enough for 3000 steps, at least 8 and at most 200."""
    batch_size: int = 32
    """Pairs in a step."""
    learning_rate: float = 0.005
    """The highest learning rate; it rises over the first steps and falls to zero over the second half."""
    patience: int = 8
    """Stop after this many validations without a lower loss."""
    seed: int = 0
    """Decides the first weights, the order of the pairs, dropout and what is held out."""

    def __post_init__(self) -> None:
        least = {"vocab_size": 300 if self.level == "bpe" else 5, "embedding": 1, "hidden": 2, "layers": 1}
        least |= {"max_length": 2, "epochs": 0, "batch_size": 1, "patience": 1, "seed": 0}
        least |= {"half_width": 1, "coverage_loss": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value < lowest:
                raise OptionError(f"--{name.replace('_', '-')} must be at least {lowest}; got {value}")
        if self.seed >= 2**31:
            raise OptionError(f"--seed must be below 2147483648; got {self.seed}")
        try:
            parts = catalogue.parse(self.attention)
        except ValueError as error:
            raise OptionError(f"--{error}") from None
        if parts.mechanism == "none" and self.coverage_loss:
            raise OptionError(f"--coverage-loss needs weights, which none has; got {self.coverage_loss}")
        if parts.mechanism == "none" and self.copy:
            raise OptionError("--copy needs weights to copy with; got --attention none")
        if self.hidden % 2:
            raise OptionError(f"--hidden must be even, half for each direction of the encoder; got {self.hidden}")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"--dropout must be at least 0 and below 1; got {self.dropout}")
        if not 0 < self.learning_rate < float("inf"):
            raise OptionError(f"--learning-rate must be above 0; got {self.learning_rate}")

    def epochs_for(self, steps_per_epoch: int) -> int:
        """Passes over the data: as asked, or enough for 3000 steps, at least 8 and at most 200.

        >>> TranslateOptions().epochs_for(250)
        12
        """
        if self.epochs:
            return self.epochs
        return min(max(-(-3000 // steps_per_epoch), 8), 200)
