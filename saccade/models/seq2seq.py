"""The encoder-decoder with attention between its halves, each of which is recurrent or a Transformer."""

from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.build import build
from saccade.dropout import dropout_of
from saccade.layers import HalfName, NormOrder, Order, PositionName
from saccade.layers.placed import PlacedEncoder, StackShape, token_table
from saccade.layers.recurrent import BidirectionalEncoder
from saccade.models.decoder import DecoderConfig, Forced, RecurrentDecoder, Step
from saccade.models.transformerdecoder import TransformerWriter, WriterConfig


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The shape of a `Seq2Seq`; vocabulary sizes include the special tokens."""

    source_vocab: int
    target_vocab: int
    attention: str
    """A name of `saccade.attention.catalogue`; what a recurrent decoder looks with."""
    encoder: HalfName
    decoder: HalfName
    embedding: int
    """Width of the embeddings of a recurrent half; a Transformer's are as wide as its slots."""
    hidden: int
    """Width of the encoder's states (both directions together) and of the decoder's; additive networks have half."""
    layers: int
    dropout: float
    half_width: int = 10
    """Of a local window, in source tokens."""
    slots: int = 1000
    """The longest source, for mechanisms whose scores belong to places."""
    copy: bool = False
    """Whether words of the source can be copied, and the vocabulary grows by one word for each source token."""
    unknown: int = 3
    """The target token that stands for a copied word when the decoder reads it."""
    attend: Order = "before"
    """Whether the decoder attends before its cell takes a step, or after."""
    feed: bool = False
    """Whether the cell of a decoder that attends after it also reads what the step before predicted from."""
    tied: Literal["none", "target", "all"] = "none"
    """Whether target tokens are predicted with their embeddings, which source tokens may share."""
    variational: bool = False
    """Whether recurrent halves drop the same numbers at every step."""
    layer_norm: bool = False
    """Whether the cells of recurrent halves are normalised."""
    heads: int = 4
    """Of a Transformer; see `StackShape` for what follows."""
    shared_heads: int = 0
    feedforward: int = 0
    norm: NormOrder = "first"
    positions: PositionName = "sinusoidal"

    @property
    def stack(self) -> StackShape:
        """The shape of a half that is a Transformer."""
        return StackShape(
            dim=self.hidden,
            heads=self.heads,
            layers=self.layers,
            dropout=self.dropout,
            shared_heads=self.shared_heads,
            feedforward=self.feedforward,
            norm=self.norm,
            positions=self.positions,
        )

    def width(self, half: HalfName) -> int:
        """Of the embeddings of a half."""
        return self.hidden if half == "transformer" else self.embedding


class Seq2Seq(nn.Module):
    """The attentional encoder-decoder of Bahdanau et al. 2015, §3, A.1 and A.2, with any mechanism between; or the
    Transformer of Vaswani et al. 2017, §3, or one half of each (Chen et al. 2018, "The Best of Both Worlds", §4).

    A recurrent encoder reads the source in both directions, a Transformer all of it at once (`PlacedEncoder`); its
    states are the memory of `RecurrentDecoder` or `TransformerWriter`, which say the rest, and its summary is what a
    recurrent decoder begins with. Token 0 is padding.

    Raises:
        ValueError: embeddings of both sides that shall be one and are not of one size; words to be copied by a
            Transformer.

    >>> import torch
    >>> config = Seq2SeqConfig(11, 7, "additive", "lstm", "gru", embedding=4, hidden=6, layers=1, dropout=0.0)
    >>> source, target = torch.tensor([[4, 5, 2], [4, 2, 0]]), torch.tensor([[1, 4], [1, 5]])
    >>> logits, weights, _ = Seq2Seq(config)(source, torch.tensor([3, 2]), target)
    >>> logits.shape, weights.shape
    (torch.Size([2, 2, 7]), torch.Size([2, 2, 3]))
    """

    def __init__(self, config: Seq2SeqConfig):
        super().__init__()
        self.config = config
        target = config.target_vocab, config.width(config.decoder)
        source = config.source_vocab, config.width(config.encoder)
        if config.tied == "all" and source != target:
            expected = f"one size of source and target to be shared, {list(target)}"
            raise ValueError(f"embeddings must be of {expected}; got {list(source)}")
        if config.copy and config.decoder == "transformer":
            raise ValueError("copy needs a recurrent decoder; got a Transformer")
        self.source_embedding = self._table(config.encoder, *source, predicts=config.tied == "all")
        # Made here and not by the decoder, so that a seed draws the same weights as in every version before.
        table = self.source_embedding
        if config.tied != "all":
            table = self._table(config.decoder, *target, predicts=config.tied == "target")
        if config.encoder == "transformer":
            self.encoder: nn.Module = PlacedEncoder(config.stack)
        else:
            self.encoder = BidirectionalEncoder(
                config.encoder,
                config.embedding,
                config.hidden,
                layers=config.layers,
                dropout=config.dropout,
                variational=config.variational,
                layer_norm=config.layer_norm,
            )
        self.decoder = _decoder(config, table)
        self.dropout = dropout_of(config.dropout, variational=config.variational)

    def _table(self, half: HalfName, vocab: int, width: int, *, predicts: bool) -> nn.Embedding:
        """Embeddings; small where tokens are predicted with them, and where a Transformer makes them larger."""
        return token_table(vocab, width) if predicts or half == "transformer" else nn.Embedding(vocab, width, 0)

    def remember(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        copy: Int[Tensor, "batch source"] | None = None,
    ) -> tuple[Any, Any]:
        """Read a batch of sources: what the decoder will read, and its first state.

        Args:
            source: token ids, `[batch, source]`.
            lengths: how many of each row are real, `[batch]`, at least 1.
            copy: for a model that copies, the word at each source token, in the extended vocabulary; 0 where none is.
        """
        embedded = self.source_embedding(source)
        if self.config.encoder != "transformer":  # which makes them larger and drops them itself
            scale = self.config.embedding**0.5 if self.config.tied == "all" else 1.0
            embedded = self.dropout(scale * embedded)
        encoded, mask = self.encoder(embedded, lengths), masks.padding(lengths, source.shape[1])
        if isinstance(self.decoder, TransformerWriter):
            return self.decoder.begin(encoded.states, mask)
        return self.decoder.begin(encoded.states, mask, encoded.summary, copy)

    def shares(self, source: Any) -> bool:
        """Whether several beginnings of a search can read one source; see `RecurrentDecoder.step`."""
        return isinstance(self.decoder, RecurrentDecoder) and self.decoder.shares(source)

    def step(self, token: Int[Tensor, " batch"], source: Any, state: Any) -> Step:
        """Read the previous token `[batch]` and predict the next."""
        return self.decoder.step(token, source, state)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch target"],
        *,
        copy: Int[Tensor, "batch source"] | None = None,
        need_weights: bool = True,
        where: Bool[Tensor, "batch target"] | None = None,
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first.

        Args:
            where: the places to predict at, see `Forced`; None: all.
        """
        read = self.remember(source, lengths, copy)
        forced: Forced = self.decoder(target, *read, need_weights=need_weights, where=where)
        return forced

    def every_head(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch target"],
        *,
        where: Bool[Tensor, "batch target"] | None = None,
    ) -> tuple[Forced, tuple[Float[Tensor, "batch heads target source"], ...]]:
        """What `forward` gives with a decoder that is a Transformer, and the weights of each layer's heads over the
        source, from the first layer on.
        """
        assert isinstance(self.decoder, TransformerWriter)
        return self.decoder.every_head(target, *self.remember(source, lengths), where=where)

    def posterior(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        before: Int[Tensor, "batch target"],
        target: Int[Tensor, "batch target"],
    ) -> Float[Tensor, "batch target source"] | None:
        """What a recurrent decoder looked at, given what was written; see `RecurrentDecoder.posterior`."""
        assert isinstance(self.decoder, RecurrentDecoder)
        return self.decoder.posterior(before, target, *self.remember(source, lengths))

    def copied(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        before: Int[Tensor, "batch target"],
        target: Int[Tensor, "batch target"],
        *,
        copy: Int[Tensor, "batch source"],
    ) -> Float[Tensor, "batch target"]:
        """Which share of the probability of each target token came from copying; see `copied_share`.

        Args:
            before: the tokens before each, the start token first.
            target: the tokens, in the extended vocabulary.
        """
        assert isinstance(self.decoder, RecurrentDecoder)
        return self.decoder.copied(before, target, *self.remember(source, lengths, copy))


def _decoder(config: Seq2SeqConfig, table: nn.Embedding) -> RecurrentDecoder | TransformerWriter:
    size, tied = config.hidden, config.tied != "none"
    if config.decoder == "transformer":
        shape = WriterConfig(config.target_vocab, size, tied, **vars(config.stack))
        return TransformerWriter(shape, embedding=table)
    attention = build(
        config.attention,
        query_dim=size,
        key_dim=size,
        hidden_dim=size // 2,
        slots=config.slots,
        half_width=config.half_width,
    )
    recurrent = DecoderConfig(
        vocab=config.target_vocab,
        cell=config.decoder,
        embedding=config.embedding,
        hidden=size,
        layers=config.layers,
        dropout=config.dropout,
        memory=size,
        copy=config.copy,
        unknown=config.unknown,
        attend=config.attend,
        feed=config.feed,
        tied=tied,
        variational=config.variational,
        layer_norm=config.layer_norm,
    )
    return RecurrentDecoder(recurrent, attention, embedding=table)
