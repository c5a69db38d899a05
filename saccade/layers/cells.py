"""A stack of recurrent cells, the body of a decoder: one step, or many at once."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from saccade.attention.results import exportable
from saccade.dropout import Dropout, dropout_of
from saccade.layers import CellName
from saccade.layers.normed import NormedCell
from saccade.layers.recurrent import start_recurrent_weights


@exportable
class CellState(NamedTuple):
    """The state of a stack of cells, batch first so that a beam reorders it with one `index_select`.

    hidden: `[batch, layers, hidden_dim]`.
    cell:   the same for an LSTM, `[batch, layers, 0]` for a GRU.
    """

    hidden: Tensor
    cell: Tensor


class Ahead(NamedTuple):
    """What the first cell's gates have of an input that is known before its other numbers are.

    gates:  `W_known x + b`, `[batch, gates]`, or of many steps `[batch, time, gates]`.
    weight: the part of its input matrix that is for the rest, `[gates, rest]`.
    """

    gates: Tensor
    weight: Tensor


class StackedCell(nn.Module):
    """A stack of LSTM or GRU cells (Hochreiter and Schmidhuber 1997; Cho et al. 2014).

    Args:
        cell: "lstm" or "gru".
        input_dim: width of the input of a step.
        hidden_dim: width of each layer's state.
        layers: how many layers.
        dropout: probability between layers.
        layer_norm: whether its cells are `NormedCell`s.

    >>> stack = StackedCell("lstm", 3, 8, layers=2)
    >>> output, state = stack(torch.zeros(4, 3), CellState(torch.zeros(4, 2, 8), torch.zeros(4, 2, 8)))
    >>> output.shape, state.hidden.shape
    (torch.Size([4, 8]), torch.Size([4, 2, 8]))
    """

    def __init__(
        self,
        cell: CellName,
        input_dim: int,
        hidden_dim: int,
        *,
        layers: int = 1,
        dropout: float = 0.0,
        layer_norm: bool = False,
    ):
        super().__init__()
        kind = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell]
        self.cell_dim = hidden_dim if cell == "lstm" else 0
        widths = [input_dim] + [hidden_dim] * (layers - 1)
        self.cells = nn.ModuleList(
            NormedCell(cell, width, hidden_dim) if layer_norm else kind(width, hidden_dim) for width in widths
        )
        for step in self.cells:
            start_recurrent_weights(step)
        self.dropout = Dropout(dropout)

    def ahead(self, known: Float[Tensor, "*steps part"]) -> Ahead:
        """What the gates have of the first numbers of the input: for all steps of a sequence in one product."""
        first: Any = self.cells[0]
        part = known.shape[-1]
        return Ahead(linear(known, first.weight_ih[:, :part], first.bias_ih), first.weight_ih[:, part:])

    def masks(self, like: Float[Tensor, "batch dim"]) -> list[Tensor]:
        """What a sequence is multiplied with between layers, drawn once for all its steps."""
        return [self.dropout(torch.ones_like(like)) for _ in self.cells[1:]]

    def forward(
        self, x: Float[Tensor, "batch dim"], state: CellState, *, ahead: Ahead | None = None, masks: Any = None
    ) -> tuple[Tensor, CellState]:
        """One step: the top layer's output `[batch, hidden_dim]` and the new state.

        Args:
            ahead: of the first numbers of this step's input; x are then the others.
            masks: what `masks` drew for the sequence; None: dropped numbers are drawn anew.
        """
        hidden, cell = [], []
        for index, step in enumerate(self.cells):
            before, memory = state.hidden[:, index], state.cell[:, index]
            if ahead is not None and not index:
                after, memory = advanced(step, x, ahead, before, memory)
            elif isinstance(step, NormedCell):
                after, memory = step(x, before, memory)
            elif self.cell_dim:
                after, memory = step(x, (before, memory))
            else:
                after = step(x, before)
            hidden.append(after)
            cell.append(memory)
            if index + 1 < len(self.cells):
                x = self.dropout(after) if masks is None else after * masks[index]
        return hidden[-1], CellState(torch.stack(hidden, 1), torch.stack(cell, 1))


def advanced(cell: Any, x: Tensor, ahead: Ahead, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """A step of an nn.LSTMCell, nn.GRUCell or NormedCell whose gates have a part already: state and memory cell."""
    gates = torch.addmm(ahead.gates, x, ahead.weight.t())
    if isinstance(cell, NormedCell):
        return cell.step(gates, hidden, memory)
    own = linear(hidden, cell.weight_hh, cell.bias_hh)
    if isinstance(cell, nn.LSTMCell):
        i, f, g, o = (gates + own).chunk(4, 1)
        memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        return o.sigmoid() * memory.tanh(), memory
    (r, z, n), (own_r, own_z, own_n) = gates.chunk(3, 1), own.chunk(3, 1)
    new = (n + (r + own_r).sigmoid() * own_n).tanh()
    return torch.lerp(new, hidden, (z + own_z).sigmoid()), memory


class StackedRecurrence(nn.Module):
    """The same stack over many steps in one call, for a decoder that needs nothing but its own past to go on.

    Arguments as for `StackedCell`; `variational` drops the same numbers at every step, see `VariationalDropout`. With
    `layer_norm` no kernel is fused: it is the same stack, a layer after the other.

    >>> stack = StackedRecurrence("gru", 3, 8, layers=2)
    >>> output, state = stack(torch.zeros(4, 5, 3), CellState(torch.zeros(4, 2, 8), torch.zeros(4, 2, 0)))
    >>> output.shape, state.hidden.shape
    (torch.Size([4, 5, 8]), torch.Size([4, 2, 8]))
    """

    def __init__(
        self,
        cell: CellName,
        input_dim: int,
        hidden_dim: int,
        *,
        layers: int = 1,
        dropout: float = 0.0,
        variational: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.cell_dim = hidden_dim if cell == "lstm" else 0
        within = dropout if layers > 1 and not variational else 0.0
        widths = [input_dim] + [hidden_dim] * (layers - 1)
        self.stack: Any = (
            nn.ModuleList(NormedCell(cell, width, hidden_dim) for width in widths)
            if layer_norm
            else kind(input_dim, hidden_dim, num_layers=layers, dropout=within, batch_first=True)
        )
        start_recurrent_weights(self.stack)
        own = layers > 1 and (variational or layer_norm)
        self.between = dropout_of(dropout, variational=variational) if own else None

    def forward(self, x: Float[Tensor, "batch time dim"], state: CellState) -> tuple[Tensor, CellState]:
        """The top layer's outputs `[batch, time, hidden_dim]` and the state after the last step."""
        if isinstance(self.stack, nn.ModuleList):
            return self._normed(x, state, self.stack)
        if self.between is not None and self.training:
            return self._by_layer(x, state, self.between)
        hidden, cell = (part.transpose(0, 1).contiguous() for part in state)
        if self.cell_dim:
            output, (hidden, cell) = self.stack(x, (hidden, cell))
        else:
            output, hidden = self.stack(x, hidden)
        return output, CellState(hidden.transpose(0, 1), cell.transpose(0, 1))

    def _normed(self, x: Tensor, state: CellState, cells: nn.ModuleList) -> tuple[Tensor, CellState]:
        """A layer at a time, of normalised cells."""
        hidden, memory = [], []
        for index, cell in enumerate(cells):
            if index and self.between is not None:
                x = self.between(x)
            assert isinstance(cell, NormedCell)
            x, after, kept = cell.unroll(x, state.hidden[:, index], state.cell[:, index])
            hidden.append(after)
            memory.append(kept)
        return x, CellState(torch.stack(hidden, 1), torch.stack(memory, 1))

    def _by_layer(self, x: Tensor, state: CellState, between: nn.Module) -> tuple[Tensor, CellState]:
        """The same a layer at a time, with a mask of its own between each and the next."""
        hidden, cell = [], []
        for index, weights in enumerate(self.stack.all_weights):
            before, memory = (part[:, index].contiguous()[None] for part in state)
            arguments = (weights, True, 1, 0.0, True, False, True)
            if self.cell_dim:
                x, before, memory = torch.lstm(x, (before, memory), *arguments)
            else:
                x, before = torch.gru(x, before, *arguments)
            hidden.append(before[0])
            cell.append(memory[0])
            if index + 1 < self.stack.num_layers:
                x = between(x)
        return x, CellState(torch.stack(hidden, 1), torch.stack(cell, 1))
