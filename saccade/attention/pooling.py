"""Pooling: a whole sequence becomes one vector or a few, and the query is a parameter."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks, normalizers
from saccade.attention.base import check_alike
from saccade.attention.results import Attended
from saccade.kernels import read_values
from saccade.normalizers.base import precise


class StructuredSelfAttention(nn.Module):
    """The structured self-attentive embedding of Lin et al. 2017, eq. 5 to 7: a few views of one sequence.

    `A = softmax(W_2 tanh(W_1 H^T))`, `M = A H`: every hop has weights of its own over the sequence. What keeps hops
    apart is `losses.redundancy_penalty` of the weights.

    Args:
        dim: width of the states H.
        hidden_dim: width d_a of the network.
        hops: how many views r.

    >>> pool = StructuredSelfAttention(dim=6, hidden_dim=5, hops=2)
    >>> context, weights, _ = pool(torch.ones(3, 7, 6))
    >>> context.shape, weights.shape
    (torch.Size([3, 2, 6]), torch.Size([3, 2, 7]))
    """

    def __init__(self, dim: int, hidden_dim: int, hops: int):
        super().__init__()
        for name, size in (("dim", dim), ("hidden_dim", hidden_dim), ("hops", hops)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}")
        self.dim = dim
        self.hidden = nn.Linear(dim, hidden_dim, bias=False)
        self.hops = nn.Linear(hidden_dim, hops, bias=False)

    def forward(
        self,
        x: Float[Tensor, "batch key dim"],
        *,
        mask: Bool[Tensor, "batch key"] | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Pool sequences `[batch, key, dim]` into contexts `[batch, hops, dim]`; weights are `[batch, hops, key]`.

        Raises:
            ValueError: a width, mask, dtype or device that does not fit.
        """
        if x.dim() != 3 or x.shape[2] != self.dim:
            raise ValueError(f"x must be [batch, key, {self.dim}]; got {list(x.shape)}")
        check_alike("x", x, "the weights of StructuredSelfAttention", self.hidden.weight)
        if mask is not None:
            if mask.dim() == 3:
                raise ValueError(f"mask must be [batch, key] = {list(x.shape[:2])}; got {list(mask.shape)}")
            mask = masks.with_query_axis(mask, x.shape[0], None, x.shape[1])
            x = x.masked_fill(~mask.transpose(1, 2), 0.0)
        scores = precise(self.hops(torch.tanh(precise(self.hidden(x))).to(x.dtype))).transpose(1, 2)
        weights = normalizers.softmax(scores, mask)
        return Attended(read_values(weights, x, mask), weights.to(x.dtype) if need_weights else None, None)
