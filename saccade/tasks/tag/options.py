"""The options of a tagger, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.attention.poolings import check_self_attention
from saccade.errors import OptionError
from saccade.layers.reading import EncoderName
from saccade.tasks.course import flag
from saccade.tasks.pretraining import Pretraining


@dataclass(frozen=True, kw_only=True)
class TagOptions(Pretraining):
    """How to train a tagger. The defaults work untouched."""

    learning_rate: float = 0.002
    dropout: float = 0.3
    attention: str = "none"
    """How the words' states read each other: none, multi-head, additive, scaled-dot ..."""
    heads: int = 4
    """Heads of multi-head attention and of a Transformer."""
    encoder: EncoderName = "lstm"
    """What reads the sentence: a recurrent network in both directions, a Transformer, or none."""
    output: Literal["softmax", "crf"] = "crf"
    """Whether tags are chosen one by one, or together by a conditional random field."""
    characters: Literal["cnn", "lstm", "none"] = "cnn"
    """What reads the characters of each word, so that words never seen still look like something; with --pretrained
    nothing does."""
    cased: bool = True
    """Tell capital letters from small ones in words too; characters always do."""
    least: int = 1
    """How often a word must occur to have a vector of its own."""
    vocab_size: int = 50000
    """Largest number of words."""
    embedding: int = 100
    """Width of the word embeddings."""
    character_embedding: int = 25
    """Width of the character embeddings."""
    character_hidden: int = 50
    """Width of what the characters of a word become."""
    hidden: int = 256
    """Width of the states, both directions together; even."""
    layers: int = 1
    """Layers of the encoder."""
    word_dropout: float = 0.25
    """Probability that a word is read as unknown in training."""
    vectors: str | None = None
    """A file of word vectors (word2vec or GloVe text) of the width of --embedding, to begin with."""
    max_length: int = 250
    """Sentences with more words than this are left out of training, and counted."""

    FREE: ClassVar[tuple[str, ...]] = ("max_length", "word_dropout", *Pretraining.SLOW)

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"heads": 1, "least": 1, "vocab_size": 1, "embedding": 1, "character_embedding": 1, "hidden": 2}
        self.at_least({**least, "character_hidden": 2, "layers": 1, "max_length": 1})
        if not 0 <= self.word_dropout < 1:
            raise OptionError(f"--word-dropout must be at least 0 and below 1; got {self.word_dropout}")
        for name in ("hidden", "character_hidden"):
            if getattr(self, name) % 2:
                raise OptionError(f"{flag(name)} must be even, half for each direction; got {getattr(self, name)}")
        if self.encoder == "transformer" or self.attention == "multi-head":
            spelled = {} if self.characters == "none" else {"character_hidden": self.character_hidden}
            self.check_heads(self.heads, self.encoder, self.hidden, {"embedding": self.embedding} | spelled)
        words = ("cased", "least", "vocab_size", "embedding", "word_dropout", "vectors", "characters")
        self.check_alone((*words, "character_embedding", "character_hidden"))
        try:
            check_self_attention(self.attention)
        except ValueError as error:
            raise OptionError(f"--attention {str(error).split(' ', 1)[1]}") from None
