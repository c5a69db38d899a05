"""The recurrent encoder-decoder with attention between its halves."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.build import build
from saccade.layers import CellName, Order
from saccade.layers.recurrent import BidirectionalEncoder
from saccade.models.decoder import DecoderConfig, DecoderState, Forced, RecurrentDecoder, Source, Step


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The shape of a `Seq2Seq`; vocabulary sizes include the special tokens."""

    source_vocab: int
    target_vocab: int
    attention: str
    """A name of `saccade.attention.catalogue`."""
    encoder: CellName
    decoder: CellName
    embedding: int
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


class Seq2Seq(nn.Module):
    """The attentional encoder-decoder of Bahdanau et al. 2015, §3, A.1 and A.2, with any mechanism between.

    The encoder reads the source in both directions; its states are the memory of `RecurrentDecoder`, which says the
    rest, and its summary is what the decoder begins with. Token 0 is padding.

    >>> import torch
    >>> config = Seq2SeqConfig(11, 7, "additive", "lstm", "gru", embedding=4, hidden=6, layers=1, dropout=0.0)
    >>> source, target = torch.tensor([[4, 5, 2], [4, 2, 0]]), torch.tensor([[1, 4], [1, 5]])
    >>> logits, weights, _ = Seq2Seq(config)(source, torch.tensor([3, 2]), target)
    >>> logits.shape, weights.shape
    (torch.Size([2, 2, 7]), torch.Size([2, 2, 3]))
    """

    def __init__(self, config: Seq2SeqConfig):
        super().__init__()
        self.config, size = config, config.hidden
        self.source_embedding = nn.Embedding(config.source_vocab, config.embedding, padding_idx=0)
        # Made here and not by the decoder, so that a seed draws the same weights as in every version before.
        target_embedding = nn.Embedding(config.target_vocab, config.embedding, padding_idx=0)
        layers, dropout = config.layers, config.dropout
        self.encoder = BidirectionalEncoder(config.encoder, config.embedding, size, layers=layers, dropout=dropout)
        attention = build(
            config.attention,
            query_dim=size,
            key_dim=size,
            hidden_dim=size // 2,
            slots=config.slots,
            half_width=config.half_width,
        )
        shape = DecoderConfig(
            vocab=config.target_vocab,
            cell=config.decoder,
            embedding=config.embedding,
            hidden=size,
            layers=layers,
            dropout=dropout,
            memory=size,
            copy=config.copy,
            unknown=config.unknown,
            attend=config.attend,
        )
        self.decoder = RecurrentDecoder(shape, attention, embedding=target_embedding)
        self.dropout = nn.Dropout(dropout)

    def remember(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        copy: Int[Tensor, "batch source"] | None = None,
    ) -> tuple[Source, DecoderState]:
        """Read a batch of sources: what the decoder will read, and its first state.

        Args:
            source: token ids, `[batch, source]`.
            lengths: how many of each row are real, `[batch]`, at least 1.
            copy: for a model that copies, the word at each source token, in the extended vocabulary; 0 where none is.
        """
        encoded = self.encoder(self.dropout(self.source_embedding(source)), lengths)
        return self.decoder.begin(encoded.states, masks.padding(lengths, source.shape[1]), encoded.summary, copy)

    def step(self, token: Int[Tensor, " batch"], source: Source, state: DecoderState) -> Step:
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
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first."""
        forced: Forced = self.decoder(target, *self.remember(source, lengths, copy), need_weights=need_weights)
        return forced

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
        return self.decoder.copied(before, target, *self.remember(source, lengths, copy))
