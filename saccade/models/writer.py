"""Models that write down what they see or hear: an encoder, an attending decoder, CTC, or both."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.build import build_visual
from saccade.layers import Order
from saccade.models.decoder import DecoderConfig, Forced, RecurrentDecoder
from saccade.models.transformerdecoder import TransformerWriter, WriterConfig


@dataclass(frozen=True)
class WritingConfig:
    """What writes; the vocabulary size includes the special tokens."""

    vocab: int
    attention: str
    """A name of `saccade.attention.catalogue`, `visual` with or without a normaliser, `sca-cnn` or none."""
    decoder: Literal["lstm", "gru", "transformer", "none"]
    embedding: int
    hidden: int
    layers: int
    heads: int
    dropout: float
    ctc: float
    """Share of CTC; above zero there is a layer for it."""
    attend: Order = "before"
    """Whether a recurrent decoder attends before its cell takes a step, or after."""


class Slots(NamedTuple):
    """What an encoder made of a batch.

    states:  `[batch, slots, dim]`, zero where there is nothing.
    mask:    True where there is a slot, `[batch, slots]`.
    summary: one vector of the whole, `[batch, dim]`, what the decoder begins with.
    """

    states: Tensor
    mask: Tensor
    summary: Tensor


class Remembered(NamedTuple):
    """What is searched: the decoder's memory and first state, and for CTC log-probabilities `[batch, slots, vocab]`
    with the number of slots of each row; None where there is no decoder, or no CTC.
    """

    source: Any
    state: Any
    ctc: Tensor | None
    lengths: Tensor


class Written(NamedTuple):
    """What teacher forcing gives: of the decoder, and of CTC, `[batch, slots, vocab]` with how many slots there are."""

    forced: Forced | None
    ctc: Tensor | None
    lengths: Tensor


class Writer(nn.Module, ABC):
    """An encoder, and what writes down the slots that it makes; a subclass says how in `encode`.

    CTC (Graves et al. 2006) gives each slot a token or nothing, and knows no other tokens than those in order; the
    decoder writes a token after the other and looks where it wants. Trained together each mends the other (Watanabe
    et al. 2017, "Hybrid CTC/Attention Architecture", §III). Token 0 is CTC's blank.
    """

    def __init__(self, dim: int, writing: WritingConfig):
        super().__init__()
        self.writing = writing
        self.decoder = _decoder(dim, writing)
        self.ctc = nn.Linear(dim, writing.vocab) if writing.ctc else None

    @abstractmethod
    def encode(self, input: Tensor, sizes: Int[Tensor, "batch axes"]) -> Slots:
        """The slots of a batch of inputs, padded with zeros at the end of each axis.

        Args:
            sizes: how much of each axis is real.
        """

    def remember(self, input: Tensor, sizes: Tensor) -> Remembered:
        """Read a batch of inputs."""
        slots = self.encode(input, sizes)
        source, state = (None, None) if self.decoder is None else self.decoder.begin(*slots)
        return Remembered(source, state, self._ctc(slots), slots.mask.sum(1))

    def forward(
        self,
        input: Tensor,
        sizes: Int[Tensor, "batch axes"],
        target: Int[Tensor, "batch target"],
        *,
        need_weights: bool = True,
    ) -> Written:
        """What is predicted under teacher forcing: `target` holds the tokens before, the start token first."""
        read = self.remember(input, sizes)
        forced = None
        if self.decoder is not None:
            forced = self.decoder(target, read.source, read.state, need_weights=need_weights)
        return Written(forced, read.ctc, read.lengths)

    def shares(self, source: Any) -> bool:
        """Whether several beginnings of a search can read one source; see `RecurrentDecoder.step`."""
        return isinstance(self.decoder, RecurrentDecoder) and self.decoder.shares(source)

    def step(self, token: Int[Tensor, " batch"], source: Any, state: Any) -> Any:
        """One step of the decoder, for a search."""
        assert self.decoder is not None
        return self.decoder.step(token, source, state)

    def _ctc(self, slots: Slots) -> Float[Tensor, "batch slots vocab"] | None:
        return None if self.ctc is None else self.ctc(slots.states).float().log_softmax(-1)


def _decoder(dim: int, writing: WritingConfig) -> RecurrentDecoder | TransformerWriter | None:
    match writing.decoder:
        case "none":
            return None
        case "transformer":
            config = WriterConfig(
                vocab=writing.vocab,
                dim=writing.hidden,
                heads=writing.heads,
                layers=writing.layers,
                dropout=writing.dropout,
                memory=dim,
            )
            return TransformerWriter(config)
    attend = build_visual(writing.attention, query_dim=writing.hidden, key_dim=dim, hidden_dim=writing.hidden // 2)
    return RecurrentDecoder(
        DecoderConfig(
            vocab=writing.vocab,
            cell=writing.decoder,
            embedding=writing.embedding,
            hidden=writing.hidden,
            layers=writing.layers,
            dropout=writing.dropout,
            memory=dim,
            attend=writing.attend,
        ),
        attend,
    )


def mean_of_slots(states: Float[Tensor, "batch slots dim"], mask: Bool[Tensor, "batch slots"]) -> Tensor:
    """The mean of the slots that there are, `[batch, dim]`."""
    real = mask[..., None]
    return states.masked_fill(~real, 0.0).sum(1) / real.sum(1).clamp(min=1)


def slots_of(states: Tensor, lengths: Tensor, summary: Tensor) -> Slots:
    """Slots in a row, of which so many are real."""
    return Slots(states, masks.padding(lengths, states.shape[1]), summary)
