"""SCA-CNN as a mechanism: channels and places of a flat memory, weighed for each query of a decoder."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from saccade import kernels
from saccade.attention.base import Asked, Attention
from saccade.attention.images import SpatialChannelAttention
from saccade.attention.results import Attended, Memory
from saccade.normalizers import softmax
from saccade.normalizers.base import precise


class SpatialChannelReading(Attention):
    """SCA-CNN of Chen et al. 2017, eq. 4 to 8, read as a memory: see `SpatialChannelAttention`, whose weights it has.

    Channels: `beta = softmax_c(w_i' . tanh((W_c v_c + b_c) + W_hc h))` for each channel's mean v_c. Places:
    `alpha = softmax_i(w_i . tanh((W_s (beta a_i) + b_s) + W_hs h))`. Neither needs the grid, so the regions of an
    image will do. `context_c = C beta_c sum_i alpha_i a_ic`: C times the sum over places of the weighed image, so that
    with even weights it is the mean of the regions; the paper leaves it to the next layer to add up. The weights that
    it gives are alpha. What a mask hides counts in neither mean nor softmax.

    Args:
        query_dim: width of the query h, a decoder's state.
        key_dim: width of a region, C; values are as wide, since channels of the keys weigh theirs.
        hidden_dim: width k of the hidden layers.
        order: as in `SpatialChannelAttention`.

    >>> attend = SpatialChannelReading(query_dim=4, key_dim=8, hidden_dim=5)
    >>> regions = torch.ones(2, 15, 8)
    >>> context, weights, _ = attend(torch.zeros(2, 4), regions, regions)
    >>> context.shape, weights.shape
    (torch.Size([2, 8]), torch.Size([2, 15]))
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        order: Literal["channel-spatial", "spatial-channel"] = "channel-spatial",
    ):
        super().__init__(query_dim, key_dim)
        self.weigh = SpatialChannelAttention(query_dim, key_dim, hidden_dim, order=order)

    def checked_memory(self, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """What it can read, with values as wide as the keys."""
        checked = super().checked_memory(key, value, mask)
        if value.shape[2] != self.key_dim:
            raise ValueError(f"value must be [batch, key, {self.key_dim}], as wide as key; got {list(value.shape)}")
        return checked

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """Channels and places, in the order that was chosen."""
        if asked.noise is not None:
            raise ValueError("SpatialChannelReading draws nothing, so it takes no noise")
        key, mask, query = precise(memory.key), memory.mask, precise(query)
        with torch.autocast(query.device.type, enabled=False):
            even = _even(key, mask)
            if self.weigh.order == "channel-spatial":
                beta = self._channels(query, kernels.read_values(even, key, mask))
                alpha = self._places(query, key, mask, asked.bias, beta)
            else:
                alpha = self._places(query, key, mask, asked.bias, torch.ones_like(key[:, :1, :]))
                beta = self._channels(query, kernels.read_values(even * alpha, key, mask))
            context = self.key_dim * beta * kernels.read_values(alpha, precise(memory.value), mask)
        dtype = memory.value.dtype
        return Attended(context.to(dtype), alpha.to(dtype), None)

    def _channels(self, query: Tensor, means: Tensor) -> Tensor:
        """beta, `[batch, query, channels]`, from what each channel holds, `[batch, query or 1, channels]`."""
        part = self.weigh
        hidden = _linear(part.of_channel, means[..., None]) + _linear(part.channel_query, query)[:, :, None]
        return softmax(_linear(part.channel_score, torch.tanh(hidden))[..., 0], None)

    def _places(self, query: Tensor, key: Tensor, mask: Tensor | None, bias: Tensor | None, beta: Tensor) -> Tensor:
        """alpha, `[batch, query, key]`, of regions whose channels are weighed by beta, `[batch, query or 1, dim]`."""
        part = self.weigh
        # (W_s diag(beta)) a, not W_s (beta a): hidden units are fewer than places.
        weight = precise(part.of_place.weight) * beta[:, :, None]
        asks = (_linear(part.place_query, query) + precise(part.of_place.bias))[:, :, None]

        def score(asks: Tensor, key: Tensor) -> Tensor:
            return _linear(part.place_score, torch.tanh(key[:, None] @ weight.mT + asks))[..., 0]

        scores = kernels.seen_scores(score, asks, key, mask)
        return softmax(scores if bias is None else scores + bias, mask)


def _even(key: Tensor, mask: Tensor | None) -> Tensor:
    """The same share for every slot that may be read, `[batch or 1, query or 1, key]`."""
    if mask is None:
        return key.new_full((1, 1, key.shape[1]), 1 / key.shape[1])
    return mask / mask.sum(-1, keepdim=True).clamp_min(1).to(key.dtype)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in float32 or better."""
    return linear(x, precise(layer.weight), None if layer.bias is None else precise(layer.bias))
