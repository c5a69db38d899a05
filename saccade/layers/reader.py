"""From sequences to one vector each: an encoder, self-attention if it is wanted, and a pooling."""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade.attention.build import build_pooling, build_self_attention
from saccade.attention.pooling import Pooling
from saccade.attention.results import Attended
from saccade.layers.positions import SinusoidalPositions
from saccade.layers.reading import Reading
from saccade.layers.recurrent import BidirectionalEncoder
from saccade.layers.sublayers import Residual
from saccade.layers.transformer import TransformerEncoder, TransformerEncoderLayer


class Reader(nn.Module):
    """Reads each sequence of a batch into one vector: encoder, self-attention, pooling.

    `h = encoder(x)`, `h' = LayerNorm(h + attend(h, h, h))` where there is self-attention, and the pooling of h'. The
    Transformer has its norms first and sinusoidal positions, after a projection to its width. Views of a pooling that
    takes several stand side by side in the vector. A sequence of nothing gives zeros.

    Args:
        input_dim: width of the sequence.
        dim: width of the states; even for a recurrent encoder, where it is both directions together.
        how: how it is read.

    >>> import torch
    >>> read = Reader(3, 4, Reading("gru", pooling="structured-self-attention", hops=2))
    >>> context, weights, _ = read(torch.zeros(5, 7, 3), mask=torch.ones(5, 7, dtype=torch.bool))
    >>> context.shape, weights.shape, read.output_dim
    (torch.Size([5, 8]), torch.Size([5, 2, 7]), 8)
    """

    def __init__(self, input_dim: int, dim: int, how: Reading):
        super().__init__()
        self.input_dim, self.how = input_dim, how
        dim = input_dim if how.encoder == "none" else dim
        self.encoder = _encoder(input_dim, dim, how)
        self.attend, self.around = None, None
        if how.self_attention != "none":
            self.attend = build_self_attention(how.self_attention, dim, heads=how.heads, hidden_dim=dim)
            self.around = Residual(dim, dropout=how.dropout)
        self.pool = build_pooling(how.pooling, dim, hidden_dim=dim, hops=how.hops)
        several = isinstance(self.pool, Pooling) and self.pool.several
        self.output_dim = dim * how.hops if several else dim

    def forward(
        self, x: Float[Tensor, "batch time dim"], *, mask: Bool[Tensor, "batch time"], need_weights: bool = True
    ) -> Attended:
        """Read sequences `[batch, time, input_dim]` into `[batch, output_dim]`.

        Weights are `[batch, time]`, of poolings of several views or readings `[batch, hops, time]`, and None where
        there is no attention.

        Args:
            mask: True where there is something; what is missing stands at the end.
        """
        time = x.shape[1]
        if not time:  # an encoder needs a step to read
            x, mask = pad(x, (0, 0, 0, 1)), pad(mask, (0, 1))
        states = self.states(x.masked_fill(~mask[..., None], 0.0), mask)
        if self.attend is not None and self.around is not None:
            states = self.around.leave(states, self.attend(states, mask=mask, need_weights=False).context)
        context, weights, _ = self.pool(states, mask=mask, need_weights=need_weights)
        return Attended(context.flatten(1), None if weights is None else weights[..., :time], None)

    def states(self, x: Tensor, mask: Tensor) -> Tensor:
        """The states `[batch, time, dim]` of sequences of at least one step, whose padding is zeros."""
        if self.how.encoder == "none":
            return x
        if self.how.encoder == "transformer":
            states: Tensor = self.encoder(x, mask=mask)
        else:
            states = self.encoder(x, mask.sum(1).clamp(min=1)).states
        return states


class PlacedTransformer(nn.Module):
    """A projection to the Transformer's width, sinusoidal positions, and its encoder with the norms first.

    Args:
        input_dim: width of the sequence.
        dim: of the layers, whose networks are twice as wide.
    """

    def __init__(self, input_dim: int, dim: int, *, layers: int, heads: int, dropout: float):
        super().__init__()
        self.enter, self.positions = nn.Linear(input_dim, dim), SinusoidalPositions(dim)
        each = (
            TransformerEncoderLayer(dim, heads=heads, hidden_dim=2 * dim, dropout=dropout, norm_first=True)
            for _ in range(layers)
        )
        self.stack = TransformerEncoder(each, norm=nn.LayerNorm(dim))

    def forward(self, x: Float[Tensor, "batch time dim"], *, mask: Bool[Tensor, "batch time"]) -> Tensor:
        """The states `[batch, time, dim]`; what stands at padding means nothing."""
        states: Tensor = self.stack(self.positions(self.enter(x)), mask=mask).output
        return states


def _encoder(input_dim: int, dim: int, how: Reading) -> nn.Module:
    match how.encoder:
        case "lstm" | "gru":
            return BidirectionalEncoder(how.encoder, input_dim, dim, layers=how.layers, dropout=how.dropout)
        case "transformer":
            return PlacedTransformer(input_dim, dim, layers=how.layers, heads=how.heads, dropout=how.dropout)
        case "none":
            return nn.Identity()
    raise ValueError(f"encoder must be lstm, gru, transformer or none; got {how.encoder!r}")
