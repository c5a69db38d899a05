"""Stacks of a Transformer that know places, by name: the shape of one, its layers, and an encoder of embeddings."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.positions import Alibi, BucketedBias, Positions, RelativeVectors, Rotary
from saccade.dropout import Dropout
from saccade.layers import NormOrder, PositionName
from saccade.layers.positions import LearnedPositions, SinusoidalPositions
from saccade.layers.recurrent import Encoded
from saccade.layers.sublayers import TransformerLayer
from saccade.layers.transformer import TransformerEncoder, TransformerEncoderLayer

FURTHEST = 16
"""The step at which Shaw et al. 2018, table 2, clip distances without loss."""

Layer = TypeVar("Layer", bound=TransformerLayer)


@dataclass(frozen=True, kw_only=True)
class StackShape:
    """The shape of a Transformer's encoder or decoder."""

    dim: int
    """Width of its slots (d_model), a multiple of `heads`."""
    heads: int
    layers: int
    dropout: float
    shared_heads: int = 0
    """Heads of keys and values, which those of queries share in groups; 0: as many as `heads`."""
    feedforward: int = 0
    """Width of the networks (d_ff); 0: four times `dim`."""
    norm: NormOrder = "first"
    """Whether norms stand first (Xiong et al. 2020, fig. 1b) or after the sums (Vaswani et al. 2017, §3.1)."""
    positions: PositionName = "sinusoidal"
    slots: int = 1000
    """How many places learned positions have; slots beyond take the last."""


def layers_of(kind: type[Layer], shape: StackShape) -> list[Layer]:
    """The layers of a stack. Those with buckets of distances share their biases, as in T5 (Raffel et al. 2020, §2.1).

    >>> len(layers_of(TransformerEncoderLayer, StackShape(dim=6, heads=2, layers=3, dropout=0.0)))
    3
    """
    shared = _in_heads(shape, both=not kind.decodes) if shape.positions == "buckets" else None
    return [
        kind(
            shape.dim,
            heads=(shape.heads, shape.shared_heads or shape.heads),
            hidden_dim=shape.feedforward or 4 * shape.dim,
            dropout=shape.dropout,
            norm_first=shape.norm == "first",
            positions=_in_heads(shape, both=not kind.decodes) if shared is None else shared,
        )
        for _ in range(shape.layers)
    ]


def _in_heads(shape: StackShape, *, both: bool) -> Positions | None:
    """What the heads of one layer know of places; `both` directions are read where nothing is causal."""
    width = shape.dim // shape.heads
    match shape.positions:
        case "rotary":
            return Rotary(width)
        case "alibi":
            return Alibi()
        case "buckets":
            return BucketedBias(shape.heads, bidirectional=both)
        case "relative":
            return RelativeVectors(width, furthest=FURTHEST)
    return None


def last_norm(shape: StackShape) -> nn.LayerNorm | None:
    """The norm of what the last layer gives, where norms stand first: else the layer has it."""
    return nn.LayerNorm(shape.dim) if shape.norm == "first" else None


def added_positions(shape: StackShape) -> SinusoidalPositions | LearnedPositions | None:
    """What is added to the input of a stack; None where its heads know places."""
    match shape.positions:
        case "sinusoidal":
            return SinusoidalPositions(shape.dim)
        case "learned":
            return LearnedPositions(shape.dim, shape.slots, beyond=True)
    return None


def token_table(vocab: int, dim: int) -> nn.Embedding:
    """Embeddings for a Transformer, of length one on the whole before they are multiplied by `sqrt(dim)` (Vaswani et
    al. 2017, §3.4); zero for token 0, which is padding.

    >>> token_table(7, 4).weight[0].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    table = nn.Embedding(vocab, dim, padding_idx=0)
    with torch.no_grad():
        table.weight.normal_(std=dim**-0.5)[0] = 0.0
    return table


class PlacedEncoder(nn.Module):
    """The encoder of Vaswani et al. 2017, §3, over embeddings: `x_t = sqrt(dim) e_t + PE(t)` through the layers.

    Its calls are those of `BidirectionalEncoder`; the summary is the mean of the states that are real.

    Args:
        shape: of the stack; embeddings are `dim` wide.

    >>> encoder = PlacedEncoder(StackShape(dim=6, heads=2, layers=2, dropout=0.0))
    >>> encoder(torch.zeros(2, 5, 6), torch.tensor([5, 2])).states.shape
    torch.Size([2, 5, 6])
    """

    def __init__(self, shape: StackShape):
        super().__init__()
        self.shape, self.positions = shape, added_positions(shape)
        self.stack = TransformerEncoder(layers_of(TransformerEncoderLayer, shape), norm=last_norm(shape))
        self.dropout = Dropout(shape.dropout)

    def forward(self, x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Encoded:
        """Encode `x`, `[batch, time, dim]`, of which the first `lengths[b] >= 1` steps are real."""
        mask, x = masks.padding(lengths, x.shape[1]), self.shape.dim**0.5 * x
        x = self.dropout(x if self.positions is None else self.positions(x))
        states = self.stack(x, mask=mask).output.masked_fill(~mask[..., None], 0.0)
        return Encoded(states, states.sum(1) / lengths[:, None].to(states.dtype))
