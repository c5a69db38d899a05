"""The options of a translator, with their defaults: the one place where a default stands. Imports no torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from saccade.alignments import Choice
from saccade.attention import catalogue
from saccade.data import LEAST_PIECES, PIECES, Level
from saccade.errors import OptionError
from saccade.layers import HalfName, NormOrder, Order, PositionName
from saccade.tasks.course import Course, flag


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
    guided: float = 0.0
    """Weight of the loss for looking elsewhere than at the words that --alignments links (Garg et al. 2019)."""
    alignments: str | None = None
    """A file of links of words, a line for each line of the training pairs, as `saccade align` writes them: 0-0 1-2."""
    guided_layer: int | None = None
    """Which layer of a Transformer decoder is guided, its first head, from 0 or from the end, -1 the last; the one
    before the last where nothing is said."""
    encoder: HalfName = "lstm"
    """What reads: a recurrent network in both directions, or a Transformer."""
    decoder: HalfName = "lstm"
    """What writes: a recurrent network with the --attention, or a Transformer, whose attention is its own (several
    heads)."""
    attend: Order = "before"
    """Whether a recurrent decoder attends before its cell takes a step (Bahdanau), or after, which trains all steps at
    once (Luong, without input feeding)."""
    feed: Literal["none", "input"] = "none"
    """Input feeding (Luong et al. 2015, section 3.3): with --attend after the cell also reads what the step before
    predicted from; then steps are trained one by one."""
    embedding: int = 64
    """Width of the token embeddings; those of a Transformer are as wide as --hidden."""
    hidden: int = 128
    """Width of the encoder's states (both directions together) and of the decoder's; even."""
    layers: int = 1
    """Layers of the encoder and of the decoder."""
    tied: Literal["none", "target", "all"] = "none"
    """Predict target tokens with their own embeddings (Press and Wolf 2017); all: source tokens have the same ones,
    which needs one vocabulary for both sides."""
    variational: bool = False
    """Let recurrent networks drop the same numbers at every step of a sentence (Gal and Ghahramani 2016)."""
    layer_norm: bool = False
    """Normalise the sums within the cells of recurrent networks (Ba et al. 2016), which then run step by step."""
    label_smoothing: float = 0.0
    """Share of the target's probability that is spread over all tokens in training (Szegedy et al. 2016)."""
    token_dropout: float = 0.0
    """Share of the tokens, of the source and of what was written before, that are not read in training (Gal and
    Ghahramani 2016; much of it helps where texts are few: Sennrich and Zhang 2019)."""
    r_drop: float = 0.0
    """Weight of the loss for predicting otherwise under another dropout, 5 in the paper, for which every step reads its
    pairs twice (Liang et al. 2021)."""
    heads: int = 4
    """Heads of a Transformer."""
    shared_heads: int = 0
    """Heads of its keys and values, which the others share in groups (Ainslie et al. 2023); 0: as many as --heads."""
    feedforward: int = 0
    """Width of the networks of a Transformer; 0: four times --hidden."""
    norm: NormOrder = "first"
    """Whether a Transformer's norms stand first (Xiong et al. 2020) or last (Vaswani et al. 2017)."""
    positions: PositionName = "sinusoidal"
    """How a Transformer knows places: waves or a table added to its input; in its heads rotary, ALiBi, buckets of
    distances (T5) or relative vectors (Shaw)."""
    vectors: str | None = None
    """A file of word vectors (word2vec or GloVe text) of the width of --embedding, for the source to begin with."""
    target_vectors: str | None = None
    """The same for the target."""
    max_length: int = 1000
    """Pairs with more tokens than this on a side are left out, and counted."""

    FREE: ClassVar[tuple[str, ...]] = (
        "max_length",
        "label_smoothing",
        "token_dropout",
        "r_drop",
        "variational",
        "batch_tokens",
        "guided",
        "alignments",
        "guided_layer",
    )

    @property
    def alignment(self) -> Choice:
        """Which weights say what belongs together: of a Transformer that was guided, those that were.

        A Transformer is guided where it reads a token, since it knows the token there (Chen et al. 2020, section 3.1);
        a recurrent decoder where it predicts it, with the only weights that it has.
        """
        if not self.guided or self.decoder != "transformer":
            return Choice()
        return Choice(max(self.layers - 2, 0) if self.guided_layer is None else self.guided_layer, 0, shift=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"vocab_size": LEAST_PIECES if self.level in PIECES else 5, "embedding": 1, "hidden": 2, "layers": 1}
        self.at_least(
            {**least, "max_length": 2, "batch_tokens": 0, "half_width": 1, "coverage_loss": 0, "guided": 0, "r_drop": 0}
        )
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
        for name, share in (("label-smoothing", self.label_smoothing), ("token-dropout", self.token_dropout)):
            if not 0 <= share < 1:
                raise OptionError(f"--{name} must be at least 0 and below 1; got {share}")
        if self.copy:
            for name, use in (("label_smoothing", "be smoothed"), ("r_drop", "agree on")):
                if given := getattr(self, name):
                    few = f"words that are not in the source have no probability to {use}"
                    raise OptionError(f"{flag(name)} must be 0 with --copy, where {few}; got {given}")
        if self.r_drop and not (self.dropout or self.token_dropout):
            raise OptionError(f"--r-drop needs --dropout or --token-dropout, or both times are one; got {self.r_drop}")
        if self.feed == "input" and self.attend != "after":
            raise OptionError(f"--feed input needs --attend after; got {self.attend}")
        self._check_guided()
        self._check_halves()

    def _check_guided(self) -> None:
        """Refuse guidance without links, or links without a weight, and layers that are not there."""
        if self.guided and self.alignments is None:
            raise OptionError(f"--guided needs --alignments, the links to be guided by; got {self.guided} alone")
        if self.alignments is not None and not self.guided:
            raise OptionError(f"--alignments needs --guided, the weight of their loss; got {self.alignments} alone")
        if self.guided and self.decoder != "transformer" and catalogue.parse(self.attention).mechanism == "none":
            raise OptionError(f"--guided needs weights, which none has; got {self.guided}")
        if self.guided_layer is None:
            return
        if not self.guided or self.decoder != "transformer":
            raise OptionError(f"--guided-layer is for --guided with --decoder transformer; got {self.guided_layer}")
        if not -self.layers <= self.guided_layer < self.layers:
            layers = f"{-self.layers} to {self.layers - 1}"
            raise OptionError(f"--guided-layer must be a layer of the decoder, {layers}; got {self.guided_layer}")

    def _check_halves(self) -> None:
        """Refuse what does not go with a Transformer."""
        mixed = (self.encoder == "transformer") != (self.decoder == "transformer")
        if self.tied == "all" and mixed and self.embedding != self.hidden:
            widths = f"--embedding {self.embedding} and --hidden {self.hidden}"
            raise OptionError(f"--tied all needs embeddings of one width on both sides; got {widths}")
        if self.decoder == "transformer":
            # A default says nothing: who leaves it does not ask for it.
            for name in ("attention", "attend", "feed", "copy"):
                given = getattr(self, name)
                if given != self.defaults()[name]:
                    came = "" if given is True else f" {given}"
                    raise OptionError(f"{flag(name)} is for --decoder lstm or gru; got {flag(name)}{came}")
        if self.encoder == self.decoder == "transformer" and self.layer_norm:
            raise OptionError("--layer-norm is for recurrent networks: a Transformer always has norms, see --norm")
        if "transformer" in (self.encoder, self.decoder):
            self._check_heads()

    def _check_heads(self) -> None:
        self.at_least({"heads": 1, "shared_heads": 0, "feedforward": 0})
        if self.hidden % self.heads:
            raise OptionError(f"--hidden must be a multiple of --heads; got {self.hidden} and {self.heads}")
        if self.heads % (self.shared_heads or 1):
            raise OptionError(f"--shared-heads must divide --heads; got {self.shared_heads} and {self.heads}")
        if self.positions == "rotary" and self.hidden // self.heads % 2:
            width = self.hidden // self.heads
            raise OptionError(f"--positions rotary needs heads of an even width, --hidden / --heads; got {width}")
