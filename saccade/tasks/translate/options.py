"""The options of a translator, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar

from saccade.attention import catalogue
from saccade.data import LEAST_PIECES, PIECES, Level
from saccade.errors import OptionError
from saccade.layers import CellName, Order
from saccade.tasks.course import Course


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(Course):
    """How to train a translator. The defaults work untouched."""

    level: Level = "bpe"
    """What a token is: a character, a word, or a piece: byte-pair, or of a unigram language model."""
    vocab_size: int = 8000
    """Largest number of tokens of each side, for words and pieces."""
    shared: bool = False
    """Learn one vocabulary of both sides, for languages that share words and names."""
    batch_tokens: int = 0
    """Most tokens of a step on each side, padding counted, in place of --batch-size sentences; 0: as many sentences."""
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
    vectors: str | None = None
    """A file of word vectors (word2vec or GloVe text) of the width of --embedding, for the source to begin with."""
    target_vectors: str | None = None
    """The same for the target."""
    max_length: int = 1000
    """Pairs with more tokens than this on a side are left out, and counted."""

    FREE: ClassVar[tuple[str, ...]] = ("max_length", "batch_tokens")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"vocab_size": LEAST_PIECES if self.level in PIECES else 5, "embedding": 1, "hidden": 2, "layers": 1}
        self.at_least({**least, "max_length": 2, "batch_tokens": 0, "half_width": 1, "coverage_loss": 0})
        if self.batch_tokens and self.batch_size != Course.batch_size:
            raise OptionError(f"--batch-tokens takes the place of --batch-size; got both, {self.batch_size} sentences")
        try:
            parts = catalogue.parse(self.attention)
        except ValueError as error:
            raise OptionError(f"--{error}") from None
        if parts.mechanism == "none" and self.coverage_loss:
            raise OptionError(f"--coverage-loss needs weights, which none has; got {self.coverage_loss}")
        if parts.mechanism == "none" and self.copy:
            raise OptionError("--copy needs weights to copy with; got --attention none")
        if self.level != "word" and (self.vectors or self.target_vectors):
            raise OptionError(f"--vectors and --target-vectors need --level word; got {self.level}")
        if self.hidden % 2:
            raise OptionError(f"--hidden must be even, half for each direction of the encoder; got {self.hidden}")
