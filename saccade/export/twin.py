"""The recurrent encoder once more, as a loop that can be exported: neither packed sequences nor a kernel of its own."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from saccade.layers.recurrent import BidirectionalEncoder, Encoded
from saccade.models.seq2seq import Seq2Seq


class UnpackedEncoder(nn.Module):
    """A `BidirectionalEncoder` in use whose backward direction reads each sequence reversed within its own length, so
    that both directions meet padding only after their last real step.

    Its steps are those of `torch.scan`, so that a program of torch.export and a graph of ONNX hold one step and the
    loop, for sources of any length; nothing is dropped.

    >>> encoder = BidirectionalEncoder("gru", 3, 8, layers=2).eval()
    >>> x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 2])
    >>> torch.allclose(UnpackedEncoder(encoder)(x, lengths).states, encoder(x, lengths).states, atol=1e-6)
    True
    """

    def __init__(self, encoder: BidirectionalEncoder):
        super().__init__()
        self.layers: Sequence[nn.Module] = encoder.layers  # type: ignore[assignment]

    def forward(self, x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Encoded:
        """Encode `x`, `[batch, time, dim]`, of which the first `lengths[b] >= 1` steps are real."""
        time = torch.arange(x.shape[1], device=x.device)
        real = time < lengths[:, None]
        turned = torch.where(real, lengths[:, None] - 1 - time, time)[..., None]
        last = (lengths - 1)[:, None, None]
        encoded = Encoded(x, x[:, 0])
        for layer in self.layers:
            assert isinstance(layer, nn.RNNBase)
            x = encoded.states
            weights = [getattr(layer, name) for name in layer._flat_weights_names]
            forward = _one_direction(x, weights[:4])
            reverse = _one_direction(x.gather(1, turned.expand_as(x)), weights[4:])
            ends = [states.gather(1, last.expand(-1, 1, states.shape[2])) for states in (forward, reverse)]
            states = torch.cat([forward, reverse.gather(1, turned.expand_as(reverse))], -1)
            encoded = Encoded(states * real[..., None], torch.cat(ends, -1)[:, 0])
        return encoded


def _one_direction(x: Tensor, weights: list[Tensor]) -> Tensor:
    """The states of an LSTM or a GRU in one direction, `[batch, time, dim]`, with the weights that PyTorch gives it."""
    read, carry, read_bias, carry_bias = weights
    dim = carry.shape[1]
    gates = (x @ read.T + read_bias).transpose(0, 1)
    hidden = x.new_zeros(x.shape[0], dim)
    if len(carry) == 4 * dim:
        states = scan(_lstm(carry, carry_bias), (hidden, hidden.clone()), gates)[1]
    else:
        states = scan(_gru(carry, carry_bias), hidden, gates)[1]
    return states.transpose(0, 1)  # type: ignore[no-any-return]


# By name, as what follows a step of a loop does not read annotations with brackets.
_Cells: TypeAlias = tuple[Tensor, Tensor]
_CellsTaken: TypeAlias = tuple[_Cells, Tensor]
_Taken: TypeAlias = tuple[Tensor, Tensor]


def _lstm(carry: Tensor, bias: Tensor) -> Callable[[_Cells, Tensor], _CellsTaken]:
    """One step of an LSTM: its state, and what its input gives to the gates."""

    def step(state: _Cells, gates: Tensor) -> _CellsTaken:
        hidden, cell = state
        enter, forget, new, leave = (gates + hidden @ carry.T + bias).chunk(4, -1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        return (hidden, cell), hidden.clone()  # a scan gives nothing back twice

    return step


def _gru(carry: Tensor, bias: Tensor) -> Callable[[Tensor, Tensor], _Taken]:
    """One step of a GRU."""

    def step(hidden: Tensor, gates: Tensor) -> _Taken:
        read, carried = gates.chunk(3, -1), (hidden @ carry.T + bias).chunk(3, -1)
        reset, keep = ((a + b).sigmoid() for a, b in zip(read[:2], carried[:2], strict=True))
        new = (read[2] + reset * carried[2]).tanh()
        hidden = (1 - keep) * new + keep * hidden
        return hidden, hidden.clone()

    return step


def exportable_twin(model: Seq2Seq) -> Seq2Seq:
    """A copy of a model on the CPU, in use, whose encoder can be exported."""
    twin = deepcopy(model).cpu().eval().requires_grad_(False)
    if isinstance(twin.encoder, BidirectionalEncoder):
        twin.encoder = UnpackedEncoder(twin.encoder)
    return twin
