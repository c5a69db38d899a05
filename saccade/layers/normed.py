"""Recurrent cells with layer normalisation, a step at a time or over sequences of different lengths."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from saccade.layers import CellName


class Unrolled(NamedTuple):
    """What a layer gives over a sequence: outputs `[batch, time, dim]`, its last state and memory cell `[batch, dim]`.

    Where a mask was given, outputs are zero under padding and the last state is that of the last real step.
    """

    outputs: Tensor
    hidden: Tensor
    memory: Tensor


class NormedCell(nn.Module):
    """An LSTM or GRU cell whose sums are normalised (Ba et al. 2016, supplementary material, eq. 20 to 25).

    LSTM: `(i, f, g, o) = LN(W_x x) + LN(W_h h)`, `c' = sigma(f) c + sigma(i) tanh(g)`, `h' = sigma(o) tanh(LN(c'))`.
    GRU: `(r, z) = LN(W_x x) + LN(W_h h)`, `n = tanh(LN(U_x x) + sigma(r) LN(U_h h))`,
    `h' = (1 - sigma(z)) n + sigma(z) h`. Each LN has a gain and a bias of its own, in place of those of the sums.

    Parameters are named and laid out as those of nn.LSTMCell and nn.GRUCell.

    >>> cell = NormedCell("lstm", 3, 8)
    >>> hidden, memory = cell(torch.zeros(4, 3), torch.zeros(4, 8), torch.zeros(4, 8))
    >>> hidden.shape
    torch.Size([4, 8])
    """

    def __init__(self, cell: CellName, input_dim: int, hidden_dim: int):
        super().__init__()
        self.cell, self.hidden_dim = cell, hidden_dim
        # An LSTM's gates are normalised together, a GRU's two gates, and its candidate by itself.
        self.widths = [4 * hidden_dim] if cell == "lstm" else [2 * hidden_dim, hidden_dim]
        bound = hidden_dim**-0.5
        self.weight_ih = nn.Parameter(torch.empty(sum(self.widths), input_dim).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(sum(self.widths), hidden_dim).uniform_(-bound, bound))
        self.register_parameter("bias_ih", None)
        self.norm_ih, self.norm_hh = (nn.ModuleList(map(nn.LayerNorm, self.widths)) for _ in range(2))
        self.norm_memory = nn.LayerNorm(hidden_dim) if cell == "lstm" else None
        if cell == "lstm":  # keep what is held at first, see `start_recurrent_weights`
            first: Any = self.norm_ih[0]
            nn.init.ones_(first.bias[hidden_dim : 2 * hidden_dim])

    def forward(
        self, x: Float[Tensor, "batch input"], hidden: Float[Tensor, "batch dim"], memory: Float[Tensor, "batch cell"]
    ) -> tuple[Tensor, Tensor]:
        """One step: the new state and memory cell; a GRU's memory cell is `[batch, 0]`."""
        return self.step(linear(x, self.weight_ih), hidden, memory)

    def step(self, gates: Float[Tensor, "batch gates"], hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The same, given `W_x x`."""
        read = self._normed(gates, self.norm_ih)
        own = self._normed(linear(hidden, self.weight_hh), self.norm_hh)
        if self.norm_memory is not None:
            i, f, g, o = (read[0] + own[0]).chunk(4, 1)
            memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
            return o.sigmoid() * self.norm_memory(memory).tanh(), memory
        r, z = (read[0] + own[0]).sigmoid().chunk(2, 1)
        return torch.lerp((read[1] + r * own[1]).tanh(), hidden, z), memory

    def _normed(self, gates: Tensor, norms: nn.ModuleList) -> list[Tensor]:
        return [norm(part) for norm, part in zip(norms, torch.split(gates, self.widths, 1), strict=True)]

    def unroll(
        self,
        x: Float[Tensor, "batch time input"],
        hidden: Tensor,
        memory: Tensor,
        *,
        mask: Bool[Tensor, "batch time"] | None = None,
        backwards: bool = False,
    ) -> Unrolled:
        """All steps of a sequence.

        Args:
            mask: True = a real step; at the others the state stays what it is. None: all are real.
            backwards: from the last step to the first.
        """
        gates, outputs = linear(x, self.weight_ih), []
        steps = range(x.shape[1])
        for time in reversed(steps) if backwards else steps:
            after, kept = self.step(gates[:, time], hidden, memory)
            if mask is None:
                hidden, memory = after, kept
            else:
                real = mask[:, time, None]
                hidden, memory = torch.where(real, after, hidden), torch.where(real, kept, memory)
            outputs.append(hidden if mask is None else hidden * real)
        return Unrolled(torch.stack(outputs[::-1] if backwards else outputs, 1), hidden, memory)


class NormedBidirectional(nn.Module):
    """Two such cells over the same sequences, one in each direction; padding has no influence.

    >>> both = NormedBidirectional("gru", 3, 8)
    >>> both(torch.zeros(2, 5, 3), torch.ones(2, 5, dtype=torch.bool))[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, cell: CellName, input_dim: int, hidden_dim: int):
        super().__init__()
        self.directions = nn.ModuleList(NormedCell(cell, input_dim, hidden_dim // 2) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "batch time input"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time dim"], Float[Tensor, "batch dim"]]:
        """Outputs, zero at padding, and the last state of each direction, side by side."""
        x, found = x.masked_fill(~mask[..., None], 0.0), []
        for backwards, cell in enumerate(self.directions):
            assert isinstance(cell, NormedCell)
            start = x.new_zeros(len(x), cell.hidden_dim)
            memory = start if cell.norm_memory is not None else start[:, :0]
            found.append(cell.unroll(x, start, memory, mask=mask, backwards=bool(backwards)))
        return torch.cat([one.outputs for one in found], -1), torch.cat([one.hidden for one in found], -1)
