"""Attention over the places of an image: regions as a memory, places and channels for a query, non-local blocks."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade import kernels, normalizers
from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Asked, check_alike
from saccade.attention.fused import fused_multihead
from saccade.attention.gates import BlockGated, Image, Places, check_image, mean_of_places, only_places
from saccade.attention.results import Attended, Memory
from saccade.errors import at_least_one
from saccade.normalizers import Normalizer, softmax
from saccade.normalizers.base import precise


def regions(x: Float[Tensor, "batch channels *places"]) -> Float[Tensor, "batch key channels"]:
    """The places of an image, or of anything on a grid, as the slots of a memory: row by row.

    Xu et al. 2015, eq. 1: `a = {a_1, ..., a_L}`, one vector for each place.

    >>> regions(torch.zeros(2, 8, 5, 3)).shape
    torch.Size([2, 15, 8])
    """
    if x.dim() < 3:
        raise ValueError(f"x must be [batch, channels, height, width]; got {list(x.shape)}")
    return x.flatten(2).transpose(1, 2)


class VisualAttention(AdditiveAttention):
    """Attention of Show, Attend and Tell (Xu et al. 2015, eq. 4 to 6 and §4.2.1) over the regions of an image.

    `e_ti = v . tanh(W h + U a_i)`, `alpha = softmax(e)`, `z = beta sum_i alpha_ti a_i`, `beta = sigmoid(w . h + b)`:
    the gate beta says whether the image is looked at for this word at all. Soft with softmax; hard with
    `saccade.normalizers.Sample`, whose draw is reinforced (§4.1) by `losses.reinforce_loss`. That all of the image is
    looked at in the course of a sentence is what `losses.doubly_stochastic_loss` asks for.

    Args:
        query_dim: width of the decoder's state h.
        key_dim: width of a region.
        hidden_dim: width of the hidden layer.
        normalizer: softmax where None.

    >>> attend = VisualAttention(query_dim=4, key_dim=8, hidden_dim=5)
    >>> memory = attend.remember(regions(torch.zeros(2, 8, 5, 3)), regions(torch.ones(2, 8, 5, 3)))
    >>> context, weights, _ = attend.read(torch.zeros(2, 4), memory)
    >>> context.shape, weights.shape
    (torch.Size([2, 8]), torch.Size([2, 15]))
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, *, normalizer: Normalizer | None = None):
        super().__init__(query_dim, key_dim, hidden_dim, normalizer=normalizer)
        self.gate = nn.Linear(query_dim, 1)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """Additive attention, and the gate on its context."""
        context, weights, state = super().attend(query, memory, state, asked)
        beta = torch.sigmoid(precise(self.gate(query)))
        return Attended((precise(context) * beta).to(context.dtype), weights, state)


class SpatialChannelAttention(nn.Module):
    """SCA-CNN of Chen et al. 2017, eq. 4 to 8: channels and places of an image, weighed for a query.

    Channels: `b = tanh((W_c v + b_c) + W_hc h)` for each channel's mean v, `beta = softmax_c(w_i' . b + b_i')`.
    Places: `a = tanh((W_s V + b_s) + W_hs h)`, `alpha = softmax_places(w_i . a + b_i)`. Both multiply the image.

    Args:
        query_dim: width of the query h, a decoder's state.
        channels: how many the image has.
        hidden_dim: width k of the hidden layers.
        order: "channel-spatial" (C-S, what the paper found better) or "spatial-channel" (S-C).

    >>> attend = SpatialChannelAttention(query_dim=4, channels=8, hidden_dim=5)
    >>> found = attend(torch.ones(2, 8, 9, 7), torch.zeros(2, 4))
    >>> found.output.shape, found.channel.sum(1).flatten().tolist()
    (torch.Size([2, 8, 9, 7]), [1.0, 1.0])
    """

    def __init__(
        self,
        query_dim: int,
        channels: int,
        hidden_dim: int,
        *,
        order: Literal["channel-spatial", "spatial-channel"] = "channel-spatial",
    ):
        super().__init__()
        at_least_one({"query_dim": query_dim, "channels": channels, "hidden_dim": hidden_dim})
        if order not in ("channel-spatial", "spatial-channel"):
            raise ValueError(f"order must be channel-spatial or spatial-channel; got {order!r}")
        self.query_dim, self.channels, self.order = query_dim, channels, order
        self.of_channel, self.of_place = nn.Linear(1, hidden_dim), nn.Linear(channels, hidden_dim)
        self.channel_query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.place_query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.channel_score, self.place_score = nn.Linear(hidden_dim, 1), nn.Linear(hidden_dim, 1)

    def forward(self, x: Image, query: Float[Tensor, "batch query_dim"], *, mask: Places | None = None) -> BlockGated:
        """Weigh an image for queries; the weights of channels, and those of places, sum to one.

        Args:
            x: the image, `[batch, channels, height, width]`.
            query: `[batch, query_dim]`.
            mask: boolean `[batch, height, width]`, True = there is a place; None: everywhere. What pads the image has
                no influence, and comes out as zero, image and weights.

        Raises:
            ValueError: axes, widths, dtypes or devices that do not fit, a mask of another shape.
        """
        check_image(self, x, self.channels)
        if query.shape != (len(x), self.query_dim):
            expected = f"[batch, query_dim] = [{len(x)}, {self.query_dim}]"
            raise ValueError(f"query must be {expected}; got {list(query.shape)}")
        check_alike("query", query, "x", x)
        x = only_places(x, mask)
        if self.order == "channel-spatial":
            channel = self._channel(x, query, mask)
            place = self._place(x * channel, query, mask)
        else:
            place = self._place(x, query, mask)
            channel = self._channel(x * place, query, mask)
        return BlockGated(x * channel * place, channel, place)

    def _channel(self, x: Tensor, query: Tensor, mask: Tensor | None) -> Tensor:
        hidden = torch.tanh(self.of_channel(mean_of_places(x, mask)[..., None]) + self.channel_query(query)[:, None])
        weights = softmax(precise(self.channel_score(hidden))[..., 0], None)
        return weights[..., None, None].to(x.dtype)

    def _place(self, x: Tensor, query: Tensor, mask: Tensor | None) -> Tensor:
        hidden = torch.tanh(self.of_place(regions(x)) + self.place_query(query)[:, None])
        weights = softmax(precise(self.place_score(hidden))[..., 0], None if mask is None else mask.flatten(1))
        return weights.view(len(x), 1, *x.shape[2:]).to(x.dtype)


class NonLocalBlock(nn.Module):
    """The non-local block of Wang et al. 2018, eq. 1 to 6: every place of an image, or a video, reads every other.

    `y_i = sum_j w_ij g(x_j)`, `z = W_z y + x`, where w comes from `f(x_i, x_j)` by pairs:
    "gaussian" `softmax_j(x_i . x_j)`, "embedded" `softmax_j(theta(x_i) . phi(x_j))`, "dot" `theta(x_i) . phi(x_j) / N`,
    "concatenation" `relu(w_f . [theta(x_i); phi(x_j)]) / N`. W_z begins as zero, so that the block changes nothing.

    Args:
        channels: how many the image has.
        hidden_dim: width of theta, phi and g; half of the channels where None.
        pairs: f.

    >>> block = NonLocalBlock(channels=8)
    >>> x = torch.randn(2, 8, 5, 3)
    >>> context, weights, _ = block(x)
    >>> torch.equal(context, x), weights.shape
    (True, torch.Size([2, 15, 15]))
    """

    def __init__(
        self,
        channels: int,
        hidden_dim: int | None = None,
        *,
        pairs: Literal["gaussian", "embedded", "dot", "concatenation"] = "embedded",
    ):
        super().__init__()
        hidden_dim = max(channels // 2, 1) if hidden_dim is None else hidden_dim
        at_least_one({"channels": channels, "hidden_dim": hidden_dim})
        if pairs not in ("gaussian", "embedded", "dot", "concatenation"):
            raise ValueError(f"pairs must be gaussian, embedded, dot or concatenation; got {pairs!r}")
        self.channels, self.pairs = channels, pairs
        self.g, self.output = nn.Linear(channels, hidden_dim), nn.Linear(hidden_dim, channels)
        if pairs != "gaussian":
            self.theta, self.phi = nn.Linear(channels, hidden_dim), nn.Linear(channels, hidden_dim)
        if pairs == "concatenation":
            self.w = nn.Parameter(torch.empty(2 * hidden_dim).normal_(std=hidden_dim**-0.5))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Float[Tensor, "batch channels *places"], *, need_weights: bool = True) -> Attended:
        """Let every place of `[batch, channels, ...]` read all; the weights are `[batch, places, places]`.

        Raises:
            ValueError: another number of channels, another dtype or device.
        """
        if x.dim() < 3 or x.shape[1] != self.channels:
            raise ValueError(f"x must be [batch, {self.channels}, height, width]; got {list(x.shape)}")
        check_alike("x", x, "the weights of NonLocalBlock", self.g.weight)
        places = regions(x)
        query = key = places
        if self.pairs != "gaussian":
            query, key = self.theta(places), self.phi(places)
        weights = None
        if self.pairs in ("gaussian", "embedded") and not need_weights:
            read = _softly(query, key, self.g(places))
        else:
            made = self._weights(precise(query), precise(key))
            read = kernels.read_values(made, self.g(places), None)
            weights = made.to(x.dtype) if need_weights else None
        return Attended(x + self.output(read).transpose(1, 2).reshape(x.shape), weights, None)

    def _weights(self, query: Tensor, key: Tensor) -> Tensor:
        places = query.shape[1]
        with torch.autocast(query.device.type, enabled=False):
            if self.pairs == "concatenation":
                of_query, of_key = precise(self.w).chunk(2)
                return torch.relu((query @ of_query)[:, :, None] + (key @ of_key)[:, None]) / places
            scores = query @ key.transpose(1, 2)
        return scores / places if self.pairs == "dot" else normalizers.softmax(scores, None)


def _softly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`softmax(query . key) value` by a fused kernel."""
    q, k, v = (x.to(query.dtype)[:, None] for x in (query, key, value))
    return fused_multihead(q * q.shape[3] ** 0.5, k, v)[:, 0]
