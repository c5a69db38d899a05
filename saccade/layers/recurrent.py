"""Recurrent encoders over sequences of different lengths."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from saccade import masks
from saccade.dropout import dropout_of
from saccade.layers import CellName
from saccade.layers.normed import NormedBidirectional


class Encoded(NamedTuple):
    """What an encoder returns.

    states:  `[batch, time, dim]`, zero at padding.
    summary: `[batch, dim]`, the last state of each direction, side by side.
    """

    states: Tensor
    summary: Tensor


@torch.no_grad()
def start_recurrent_weights(module: nn.Module) -> None:
    """Orthogonal recurrent matrices (Bahdanau et al. 2015, B.1), and for an LSTM a forget gate that begins by keeping
    what it holds: a bias of one (Jozefowicz et al. 2015, §2.2).
    """
    for name, parameter in module.named_parameters():
        if "weight_hh" in name:
            for gate in parameter.chunk(len(parameter) // parameter.shape[1]):
                nn.init.orthogonal_(gate)
        elif "bias_ih" in name and isinstance(module, nn.LSTM | nn.LSTMCell):
            forget = len(parameter) // 4
            parameter[forget : 2 * forget] += 1.0


class BidirectionalEncoder(nn.Module):
    """A stack of bidirectional LSTMs or GRUs (Schuster and Paliwal 1997; Bahdanau et al. 2015, §3.2).

    Padding has no influence: each direction starts and ends at the sequence's own ends.

    Args:
        cell: "lstm" or "gru".
        input_dim: width of the input.
        hidden_dim: width of the output, both directions together; even.
        layers: how many layers.
        dropout: probability between layers.
        variational: whether the same numbers are dropped at every step, see `VariationalDropout`.
        layer_norm: whether its cells are `NormedCell`s, which take no fused kernel.

    >>> encoder = BidirectionalEncoder("gru", 3, 8)
    >>> encoder(torch.zeros(2, 5, 3), torch.tensor([5, 2])).states.shape
    torch.Size([2, 5, 8])
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
        if hidden_dim % 2:
            raise ValueError(f"hidden_dim must be even, half for each direction; got {hidden_dim}")
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        widths = [input_dim] + [hidden_dim] * (layers - 1)
        self.layers = nn.ModuleList(
            NormedBidirectional(cell, width, hidden_dim)
            if layer_norm
            else kind(width, hidden_dim // 2, batch_first=True, bidirectional=True)
            for width in widths
        )
        for layer in self.layers:
            start_recurrent_weights(layer)
        self.dropout, self.layer_norm = dropout_of(dropout, variational=variational), layer_norm

    def forward(self, x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Encoded:
        """Encode `x`, `[batch, time, input_dim]`, of which the first `lengths[b] >= 1` steps are real."""
        # cuDNN is fastest on packed sequences; on CPU the unpacked twin is three times faster (and can be exported).
        run = normed_layer if self.layer_norm else packed_layer if x.is_cuda else unpacked_layer
        encoded = Encoded(x, x)
        for index, layer in enumerate(self.layers):
            encoded = run(layer, self.dropout(encoded.states) if index else x, lengths)
        return encoded


def normed_layer(layer: nn.Module, x: Tensor, lengths: Tensor) -> Encoded:
    """One bidirectional layer of normalised cells."""
    return Encoded(*layer(x, masks.padding(lengths, x.shape[1])))


def packed_layer(layer: nn.Module, x: Tensor, lengths: Tensor) -> Encoded:
    """One bidirectional layer on a packed sequence: PyTorch's own way, the specification of `unpacked_layer`."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, last = layer(packed)
    if isinstance(last, tuple):
        last = last[0]
    states, _ = pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])
    return Encoded(states, torch.cat([last[0], last[1]], -1))


def unpacked_layer(layer: nn.Module, x: Tensor, lengths: Tensor) -> Encoded:
    """One bidirectional layer with the weights of `layer` (nn.LSTM or nn.GRU), without packing.

    The backward direction reads each sequence reversed within its own length, so that both directions meet padding
    only after their last real step, and one dense kernel runs each. Same results as `packed_layer`.
    """
    if not isinstance(layer, nn.LSTM | nn.GRU):
        raise TypeError(f"layer must be nn.LSTM or nn.GRU; got {type(layer).__name__}")
    time = torch.arange(x.shape[1], device=x.device)
    real = (time < lengths[:, None])[..., None]
    backwards = torch.where(real[..., 0], lengths[:, None] - 1 - time, time)[..., None]
    weights = [getattr(layer, name) for name in layer._flat_weights_names]
    half = len(weights) // 2
    forward = _one_direction(layer, x, weights[:half])
    reverse = _one_direction(layer, x.gather(1, backwards.expand_as(x)), weights[half:])
    last = (lengths - 1)[:, None, None].expand(-1, 1, forward.shape[2])
    summary = torch.cat([forward.gather(1, last), reverse.gather(1, last)], -1)[:, 0]
    states = torch.cat([forward, reverse.gather(1, backwards.expand_as(reverse))], -1)
    return Encoded(states * real, summary)


def _one_direction(layer: nn.LSTM | nn.GRU, x: Tensor, weights: list[Tensor]) -> Tensor:
    start = x.new_zeros(1, x.shape[0], layer.hidden_size)
    arguments = (weights, True, 1, 0.0, layer.training, False, True)
    if isinstance(layer, nn.LSTM):
        states: Tensor = torch.lstm(x, (start, start), *arguments)[0]
    else:
        states = torch.gru(x, start, *arguments)[0]
    return states
