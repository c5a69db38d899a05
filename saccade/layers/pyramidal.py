"""Pyramids of recurrent layers over long sequences: each floor is half as long as the one below."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade.dropout import Dropout
from saccade.errors import at_least_one
from saccade.layers import CellName
from saccade.layers.recurrent import Encoded, packed_layer, start_recurrent_weights, unpacked_layer


class Pyramid(NamedTuple):
    """What a pyramid returns.

    states:  `[batch, time, dim]`, zero at padding.
    summary: `[batch, dim]`, the last state of each direction, side by side.
    lengths: how many of the states are real, integers `[batch]`.
    """

    states: Tensor
    summary: Tensor
    lengths: Tensor


class PyramidState(NamedTuple):
    """What a pyramid of one direction has heard so far, floor by floor.

    hidden:  of each layer, `[1, batch, hidden_dim]`.
    cell:    the same for an LSTM, `[1, batch, 0]` for a GRU.
    waiting: of each halving, a state without its neighbour, `[batch, 0 or 1, hidden_dim]`.
    """

    hidden: tuple[Tensor, ...]
    cell: tuple[Tensor, ...]
    waiting: tuple[Tensor, ...]


class PyramidalEncoder(nn.Module):
    """A stack of LSTMs or GRUs that halves time between layers (Chan et al. 2016, eq. 5).

    `h_i^j = RNN(h_(i-1)^j, [h_(2i)^(j-1); h_(2i+1)^(j-1)])` for the first `halvings` layers above the lowest, and
    `RNN(h_(i-1)^j, h_i^(j-1))` for the others. The last state of an odd number is joined with zeros. Padding has no
    influence: each direction starts and ends at the sequence's own ends.

    Args:
        cell: "lstm" or "gru".
        input_dim: width of the input.
        hidden_dim: width of the output, all directions together.
        layers: how many layers.
        halvings: between how many of them time is halved, from below; less than `layers`.
        dropout: probability between layers.
        directions: 2, or 1, which can go on from where it stood: `begin`, `advance`, `finish`.

    Raises:
        ValueError: a size below one, too many halvings, or a width that two directions cannot share.

    >>> encoder = PyramidalEncoder("lstm", 3, 8, layers=3, halvings=2)
    >>> found = encoder(torch.zeros(2, 9, 3), torch.tensor([9, 4]))
    >>> found.states.shape, found.lengths.tolist()
    (torch.Size([2, 3, 8]), [3, 1])
    """

    def __init__(
        self,
        cell: CellName,
        input_dim: int,
        hidden_dim: int,
        *,
        layers: int,
        halvings: int,
        dropout: float = 0.0,
        directions: Literal[1, 2] = 2,
    ):
        super().__init__()
        at_least_one({"input_dim": input_dim, "hidden_dim": hidden_dim, "layers": layers})
        if not 0 <= halvings < layers:
            raise ValueError(f"halvings must be 0 to {layers - 1}, less than layers; got {halvings}")
        if directions not in (1, 2):
            raise ValueError(f"directions must be 1 or 2; got {directions}")
        if hidden_dim % directions:
            raise ValueError(f"hidden_dim must be even, half for each direction; got {hidden_dim}")
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        widths = [input_dim] + [hidden_dim * (2 if index < halvings else 1) for index in range(layers - 1)]
        self.cell, self.input_dim, self.hidden_dim = cell, input_dim, hidden_dim
        self.halvings, self.directions = halvings, directions
        self.layers = nn.ModuleList(
            kind(width, hidden_dim // directions, batch_first=True, bidirectional=directions == 2) for width in widths
        )
        for layer in self.layers:
            start_recurrent_weights(layer)
        self.dropout = Dropout(dropout)

    def halved(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many states come out of so many steps: `ceil(length / 2^halvings)`."""
        halved: Tensor = (lengths + 2**self.halvings - 1) // 2**self.halvings
        return halved

    def forward(self, x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Pyramid:
        """Encode `x`, `[batch, time, input_dim]`, of which the first `lengths[b] >= 1` steps are real."""
        run = one_way_layer if self.directions == 1 else packed_layer if x.is_cuda else unpacked_layer
        encoded = Encoded(x, x)
        for index, layer in enumerate(self.layers):
            x = self.dropout(encoded.states) if index else x
            if 1 <= index <= self.halvings:
                x, lengths = joined(x), (lengths + 1) // 2
            encoded = run(layer, x, lengths)
        return Pyramid(*encoded, lengths)

    def begin(self, batch: int = 1) -> PyramidState:
        """The state before the first step of `batch` sequences.

        Raises:
            ValueError: both directions, of which one begins at the end.
        """
        if self.directions == 2:
            raise ValueError("directions must be 1 to go step by step; got 2")
        weight = next(self.parameters())
        hidden = weight.new_zeros(1, batch, self.hidden_dim)
        cell = weight.new_zeros(1, batch, self.hidden_dim if self.cell == "lstm" else 0)
        floors, waiting = len(self.layers), weight.new_zeros(batch, 0, self.hidden_dim)
        return PyramidState((hidden,) * floors, (cell,) * floors, (waiting,) * self.halvings)

    def advance(
        self, frames: Float[Tensor, "batch time dim"], state: PyramidState
    ) -> tuple[Float[Tensor, "batch less dim"], PyramidState]:
        """Hear any number of steps more: the states that are finished by now, maybe none, and how to go on.

        The states of all calls and of `finish`, one behind the other, are those of `forward`.
        """
        return self._heard(frames, state, ended=False)

    def finish(self, state: PyramidState) -> Float[Tensor, "batch less dim"]:
        """The states that were waiting for a neighbour; there is none."""
        nothing = state.hidden[0].new_zeros(state.hidden[0].shape[1], 0, self.input_dim)
        return self._heard(nothing, state, ended=True)[0]

    def _heard(self, x: Tensor, state: PyramidState, *, ended: bool) -> tuple[Tensor, PyramidState]:
        hidden, cell, waiting = [], [], []
        for index, layer in enumerate(self.layers):
            if index:
                x = self.dropout(x)
            if 1 <= index <= self.halvings:
                x = torch.cat([state.waiting[index - 1].to(x.dtype), x], 1)
                odd = 0 if ended else x.shape[1] % 2
                whole = x.shape[1] - odd
                waiting.append(x[:, whole:])
                x = joined(x[:, :whole])
            before = (state.hidden[index], state.cell[index])
            x, (after, memory) = _further(layer, x, before)
            hidden.append(after)
            cell.append(memory)
        return x, PyramidState(tuple(hidden), tuple(cell), tuple(waiting))


def joined(states: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch half twice"]:
    """Two neighbours as one step, the last one of an odd number with zeros.

    >>> joined(torch.tensor([[[1.0], [2.0], [3.0]]])).tolist()
    [[[1.0, 2.0], [3.0, 0.0]]]
    """
    batch, time, dim = states.shape
    return pad(states, (0, 0, 0, time % 2)).reshape(batch, (time + 1) // 2, 2 * dim)


def one_way_layer(layer: nn.Module, x: Tensor, lengths: Tensor) -> Encoded:
    """One forward layer: it meets padding after its last real step, so that only what comes out there is hidden."""
    states: Tensor = layer(x)[0]
    last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
    real = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]
    return Encoded(states.masked_fill(~real, 0.0), states.gather(1, last)[:, 0])


def _further(layer: nn.Module, x: Tensor, before: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A forward layer from where it stood."""
    if not x.shape[1]:
        return x.new_zeros(len(x), 0, before[0].shape[2]), before
    hidden, cell = before[0].to(x.dtype), before[1].to(x.dtype)
    if isinstance(layer, nn.LSTM):
        states, last = layer(x, (hidden, cell))
        return states, last
    states, after = layer(x, hidden)
    return states, (after, cell)
