"""The options of a classifier, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.attention.poolings import check_pooling, check_self_attention
from saccade.data import LEAST_PIECES, PIECES, Level
from saccade.errors import OptionError
from saccade.layers.reading import EncoderName
from saccade.tasks.course import flag
from saccade.tasks.pretraining import Pretraining


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(Pretraining):
    """How to train a classifier. The defaults work untouched."""

    epochs: int = 0
    """Passes over the training texts; 0 is enough for 1000 steps, at least 6 and at most 200."""
    learning_rate: float = 0.003
    dropout: float = 0.5
    several: bool = False
    """Whether a text has several labels: parted by commas, in JSON lines a list."""
    documents: bool = False
    """Read documents in two levels, words and sentences (Yang et al. 2016); a plain text is cut into its sentences."""
    level: Level = "word"
    """What a token is: a character, a word, or a piece: byte-pair, or of a unigram language model."""
    cased: bool = False
    """Tell capital letters from small ones."""
    least: int = 2
    """How often a word must occur to have a vector of its own."""
    vocab_size: int = 30000
    """Largest number of tokens, for words and pieces."""
    attention: str = "context-vector"
    """The pooling that makes one vector of the states; none is their mean, last the last state."""
    encoder: EncoderName = "lstm"
    """What reads the words: a recurrent network in both directions, a Transformer, or none."""
    self_attention: str = "none"
    """How the states read each other before they are pooled: multi-head, additive, scaled-dot ..."""
    heads: int = 4
    """Heads of a Transformer and of multi-head self-attention."""
    hops: int = 4
    """Views of structured self-attention, readings of a multi-hop pooling."""
    penalty: float = 0.0
    """Weight of the loss that keeps views apart (Lin et al. 2017, section 2.2)."""
    embedding: int = 200
    """Width of the token embeddings."""
    hidden: int = 100
    """Width of the states, both directions together; even."""
    layers: int = 1
    """Layers of the encoder."""
    word_dropout: float = 0.2
    """Probability that a token is read as unknown in training."""
    adversarial: float = 0.0
    """Length of the worst change of a text's vectors, in documents of a sentence's, that is trained against too (Miyato
    et al. 2017); 0: none. It takes about two and a half times as long."""
    smoothing: float = 0.0
    """Share of the target that is spread over all labels (Szegedy et al. 2016)."""
    balance: bool = False
    """Weigh labels by how rare they are, so that all count alike."""
    characters: Literal["none", "cnn", "lstm"] = "none"
    """What reads the characters of each word as it is written, so that words never seen still look like something."""
    character_embedding: int = 25
    """Width of the character embeddings."""
    character_hidden: int = 50
    """Width of what the characters of a word become; even."""
    vectors: str | None = None
    """A file of word vectors (word2vec or GloVe text) of the width of --embedding, to begin with."""
    max_length: int = 400
    """Tokens of a text that are read, in documents of a sentence; what is beyond is left unread, and counted."""
    max_sentences: int = 200
    """Sentences of a document that are read."""

    STEPS: ClassVar[int] = 1000
    LEAST_EPOCHS: ClassVar[int] = 6
    FREE: ClassVar[tuple[str, ...]] = (
        *("max_length", "max_sentences", "balance", "penalty", "smoothing", "word_dropout", "adversarial"),
        *Pretraining.SLOW,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"vocab_size": LEAST_PIECES if self.level in PIECES else 5, "embedding": 1, "hidden": 2, "layers": 1}
        least |= {"character_embedding": 1, "character_hidden": 2}
        self.at_least(
            {
                **least,
                "heads": 1,
                "hops": 1,
                "least": 1,
                "penalty": 0,
                "adversarial": 0,
                "max_length": 1,
                "max_sentences": 1,
            }
        )
        for name in ("word_dropout", "smoothing"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise OptionError(f"{flag(name)} must be at least 0 and below 1; got {value}")
        for name in ("hidden", "character_hidden"):
            if (value := getattr(self, name)) % 2:
                raise OptionError(f"{flag(name)} must be even, half for each direction of the encoder; got {value}")
        self._check_reading()
        if self.level != "word":
            for name, given in (("vectors", self.vectors is not None), ("characters", self.characters != "none")):
                if given:
                    raise OptionError(f"--{name} needs --level word; got {self.level}")

        words = ("level", "cased", "least", "vocab_size", "embedding", "word_dropout", "vectors", "adversarial")
        self.check_alone((*words, "characters", "character_embedding", "character_hidden"))

    def _check_reading(self) -> None:
        """Refuse what does not go together, before any file is read."""
        try:
            check_pooling(self.attention)
            check_self_attention(self.self_attention)
        except ValueError as error:
            given = "--attention" if str(error).startswith("pooling") else "--self-attention"
            raise OptionError(f"{given} {str(error).split(' ', 1)[1]}") from None
        if self.attention == "last" and (self.encoder not in ("lstm", "gru") or self.self_attention != "none"):
            got = f"--encoder {self.encoder} and --self-attention {self.self_attention}"
            raise OptionError(f"--attention last needs the states of --encoder lstm or gru alone; got {got}")
        if self.penalty and self.attention not in ("structured-self-attention", "multi-hop"):
            several = "structured-self-attention or multi-hop"
            raise OptionError(f"--penalty needs --attention {several}, which have several views; got {self.attention}")
        if self.encoder == "transformer" or self.self_attention == "multi-head":
            spelled = {} if self.characters == "none" else {"character_hidden": self.character_hidden}
            self.check_heads(self.heads, self.encoder, self.hidden, {"embedding": self.embedding} | spelled)
