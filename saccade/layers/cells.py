"""A stack of recurrent cells, the body of a decoder: one step, or many at once."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.results import exportable
from saccade.layers import CellName
from saccade.layers.recurrent import start_recurrent_weights


@exportable
class CellState(NamedTuple):
    """The state of a stack of cells, batch first so that a beam reorders it with one `index_select`.

    hidden: `[batch, layers, hidden_dim]`.
    cell:   the same for an LSTM, `[batch, layers, 0]` for a GRU.
    """

    hidden: Tensor
    cell: Tensor


class StackedCell(nn.Module):
    """A stack of LSTM or GRU cells (Hochreiter and Schmidhuber 1997; Cho et al. 2014).

    Args:
        cell: "lstm" or "gru".
        input_dim: width of the input of a step.
        hidden_dim: width of each layer's state.
        layers: how many layers.
        dropout: probability between layers.

    >>> stack = StackedCell("lstm", 3, 8, layers=2)
    >>> output, state = stack(torch.zeros(4, 3), CellState(torch.zeros(4, 2, 8), torch.zeros(4, 2, 8)))
    >>> output.shape, state.hidden.shape
    (torch.Size([4, 8]), torch.Size([4, 2, 8]))
    """

    def __init__(self, cell: CellName, input_dim: int, hidden_dim: int, *, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        kind = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell]
        self.cell_dim = hidden_dim if cell == "lstm" else 0
        self.cells = nn.ModuleList(kind(input_dim if i == 0 else hidden_dim, hidden_dim) for i in range(layers))
        for step in self.cells:
            start_recurrent_weights(step)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "batch dim"], state: CellState) -> tuple[Tensor, CellState]:
        """One step: the top layer's output `[batch, hidden_dim]` and the new state."""
        hidden, cell = [], []
        for index, step in enumerate(self.cells):
            before = state.hidden[:, index]
            if self.cell_dim:
                after, memory = step(x, (before, state.cell[:, index]))
            else:
                after, memory = step(x, before), state.cell[:, index]
            hidden.append(after)
            cell.append(memory)
            x = self.dropout(after) if index + 1 < len(self.cells) else after
        return x, CellState(torch.stack(hidden, 1), torch.stack(cell, 1))


class StackedRecurrence(nn.Module):
    """The same stack over many steps in one call, for a decoder that needs nothing but its own past to go on.

    Arguments as for `StackedCell`.

    >>> stack = StackedRecurrence("gru", 3, 8, layers=2)
    >>> output, state = stack(torch.zeros(4, 5, 3), CellState(torch.zeros(4, 2, 8), torch.zeros(4, 2, 0)))
    >>> output.shape, state.hidden.shape
    (torch.Size([4, 5, 8]), torch.Size([4, 2, 8]))
    """

    def __init__(self, cell: CellName, input_dim: int, hidden_dim: int, *, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.cell_dim = hidden_dim if cell == "lstm" else 0
        within = dropout if layers > 1 else 0.0
        self.stack = kind(input_dim, hidden_dim, num_layers=layers, dropout=within, batch_first=True)
        start_recurrent_weights(self.stack)

    def forward(self, x: Float[Tensor, "batch time dim"], state: CellState) -> tuple[Tensor, CellState]:
        """The top layer's outputs `[batch, time, hidden_dim]` and the state after the last step."""
        hidden, cell = (part.transpose(0, 1).contiguous() for part in state)
        if self.cell_dim:
            output, (hidden, cell) = self.stack(x, (hidden, cell))
        else:
            output, hidden = self.stack(x, hidden)
        return output, CellState(hidden.transpose(0, 1), cell.transpose(0, 1))
