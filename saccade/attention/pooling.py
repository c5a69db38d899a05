"""Pooling: a whole sequence, or a bag, becomes one vector or a few, and the query is a parameter."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import kernels, masks, normalizers
from saccade.attention.base import check_alike
from saccade.attention.results import Attended
from saccade.errors import at_least_one
from saccade.normalizers.base import precise


class Pooling(nn.Module):
    """Weighs the slots of a sequence by themselves; a subclass says how in `score`.

    `weights = softmax(score(x))`, `context = weights @ x`.
    """

    several = False
    """Whether there are several hops, which then have an axis."""

    def __init__(self, dim: int):
        super().__init__()
        at_least_one({"dim": dim})
        self.dim = dim

    def score(self, x: Float[Tensor, "batch key dim"]) -> Float[Tensor, "batch hops key"]:
        """Scores of every slot, once for each hop, in float32 or better."""
        raise TypeError(f"{type(self).__name__} defines no score")

    def forward(
        self,
        x: Float[Tensor, "batch key dim"],
        *,
        mask: Bool[Tensor, "batch key"] | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Pool sequences `[batch, key, dim]` into contexts `[batch, dim]`; weights are `[batch, key]`.

        Mechanisms of several hops give `[batch, hops, dim]` and `[batch, hops, key]`.

        Raises:
            ValueError: a width, mask, dtype or device that does not fit.
        """
        x, mask = self.checked(x, mask)
        weights = normalizers.softmax(self.score(x), mask)
        context = kernels.read_values(weights, x, mask)
        if not self.several:
            context, weights = context[:, 0], weights[:, 0]
        return Attended(context, weights.to(x.dtype) if need_weights else None, None)

    def checked(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sequence with zeros where the mask hides it, and the mask as `[batch, 1, key]`."""
        if x.dim() != 3 or x.shape[2] != self.dim:
            raise ValueError(f"x must be [batch, key, {self.dim}]; got {list(x.shape)}")
        check_alike("x", x, f"the weights of {type(self).__name__}", next(self.parameters()))
        if mask is None:
            return x, None
        masks.check_padding(mask, *x.shape[:2])
        return x.masked_fill(~mask[..., None], 0.0), mask[:, None]


class ContextVectorPooling(Pooling):
    """The attention of hierarchical attention networks (Yang et al. 2016, eq. 5 to 7): a learned vector asks.

    `u_t = tanh(W h_t + b)`, `alpha_t = softmax_t(u_t . u_w)`, `s = sum_t alpha_t h_t`.

    Args:
        dim: width of the states h.
        hidden_dim: width of u, and of the context vector u_w.

    >>> pool = ContextVectorPooling(dim=6, hidden_dim=5)
    >>> context, weights, _ = pool(torch.ones(3, 7, 6))
    >>> context.shape, weights.shape
    (torch.Size([3, 6]), torch.Size([3, 7]))
    """

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__(dim)
        at_least_one({"hidden_dim": hidden_dim})
        self.hidden = nn.Linear(dim, hidden_dim)
        self.context = nn.Parameter(torch.empty(hidden_dim).normal_(std=hidden_dim**-0.5))

    def score(self, x: Tensor) -> Tensor:
        """`u_t . u_w`, `[batch, 1, key]`."""
        return _one_hop(torch.tanh(precise(self.hidden(x))), self.context)


class StructuredSelfAttention(Pooling):
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

    several = True

    def __init__(self, dim: int, hidden_dim: int, hops: int):
        super().__init__(dim)
        at_least_one({"hidden_dim": hidden_dim, "hops": hops})
        self.hidden = nn.Linear(dim, hidden_dim, bias=False)
        self.hops = nn.Linear(hidden_dim, hops, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """`W_2 tanh(W_1 H^T)`, `[batch, hops, key]`."""
        return precise(self.hops(torch.tanh(precise(self.hidden(x))).to(x.dtype))).transpose(1, 2)


class BagPooling(Pooling):
    """Attention over the instances of a bag, whose order means nothing (Ilse et al. 2018, eq. 8).

    `a_k = softmax_k(w . tanh(V h_k))`, `z = sum_k a_k h_k`.

    Args:
        dim: width of the instances h.
        hidden_dim: width L of the network.

    >>> BagPooling(dim=6, hidden_dim=5)(torch.ones(3, 7, 6)).context.shape
    torch.Size([3, 6])
    """

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__(dim)
        at_least_one({"hidden_dim": hidden_dim})
        self.hidden = nn.Linear(dim, hidden_dim, bias=False)
        self.w = nn.Parameter(torch.empty(hidden_dim).uniform_(-(hidden_dim**-0.5), hidden_dim**-0.5))

    def score(self, x: Tensor) -> Tensor:
        """`w . tanh(V h)`, `[batch, 1, key]`."""
        return _one_hop(torch.tanh(precise(self.hidden(x))), self.w)


class GatedBagPooling(BagPooling):
    """The gated attention over a bag of Ilse et al. 2018, eq. 9: tanh alone is nearly linear around zero.

    `a_k = softmax_k(w . (tanh(V h_k) * sigmoid(U h_k)))`, `z = sum_k a_k h_k`.

    Args:
        dim: width of the instances h.
        hidden_dim: width L of the network.

    >>> GatedBagPooling(dim=6, hidden_dim=5)(torch.ones(3, 7, 6)).context.shape
    torch.Size([3, 6])
    """

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__(dim, hidden_dim)
        self.gate = nn.Linear(dim, hidden_dim, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """`w . (tanh(V h) * sigmoid(U h))`, `[batch, 1, key]`."""
        opened = torch.tanh(precise(self.hidden(x))) * torch.sigmoid(precise(self.gate(x)))
        return _one_hop(opened, self.w)


class MultiHopPooling(Pooling):
    """Reads a sequence again and again, each time with what it found before (Sukhbaatar et al. 2015, §2.2).

    `p^k_i = softmax_i(u^k . A h_i)`, `o^k = sum_i p^k_i C h_i`, `u^{k+1} = H u^k + o^k`, from a learned u^1; A, C and
    H are the same in every hop (the paper's layer-wise tying).

    Args:
        dim: width of the states h, and of the queries u.
        hops: how often it reads.

    >>> context, weights, _ = MultiHopPooling(dim=6, hops=3)(torch.ones(2, 7, 6))
    >>> context.shape, weights.shape
    (torch.Size([2, 6]), torch.Size([2, 3, 7]))
    """

    def __init__(self, dim: int, hops: int):
        super().__init__(dim)
        at_least_one({"hops": hops})
        self.hops = hops
        self.query = nn.Parameter(torch.empty(dim).normal_(std=dim**-0.5))
        self.key, self.value, self.turn = (nn.Linear(dim, dim, bias=False) for _ in range(3))

    def forward(
        self,
        x: Float[Tensor, "batch key dim"],
        *,
        mask: Bool[Tensor, "batch key"] | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Pool sequences `[batch, key, dim]` into contexts `[batch, dim]`; weights are `[batch, hops, key]`.

        The context is `u^{hops + 1}`. A sequence of no allowed slot gives zeros, and not `H ... H u^1`.
        """
        x, mask = self.checked(x, mask)
        key, value = precise(self.key(x)), self.value(x)
        query, rows = precise(self.query).expand(len(x), -1), []
        for _ in range(self.hops):
            with torch.autocast(x.device.type, enabled=False):
                scores = query[:, None] @ key.transpose(1, 2)
            weights = normalizers.softmax(scores, mask)
            read = kernels.read_values(weights, value, mask)[:, 0]
            query = precise(self.turn(query.to(x.dtype))) + precise(read)
            rows.append(weights)
        if mask is not None:
            query = torch.where(mask.any(-1), query, 0.0)
        elif not x.shape[1]:
            query = torch.zeros_like(query)
        found = torch.cat(rows, 1).to(x.dtype)
        return Attended(query.to(x.dtype), found if need_weights else None, None)


def _one_hop(hidden: Tensor, vector: Tensor) -> Tensor:
    """`hidden . vector`, `[batch, 1, key]`, in the precision of the hidden layer, also under autocast."""
    with torch.autocast(hidden.device.type, enabled=False):
        return (hidden @ precise(vector))[:, None]
