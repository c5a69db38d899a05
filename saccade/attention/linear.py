"""Linear attention: a score that is a product of features, so that what was read fits in one matrix."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.base import check_alike, check_sequence
from saccade.attention.multihead import joined, split
from saccade.attention.results import Attended, exportable
from saccade.errors import at_least_one
from saccade.normalizers.base import precise

CHUNK = 64
"""Steps of a chunk: inside it pairs are looked at, before it the sum."""
Heads = Float[Tensor, "batch heads slot dim"]


@exportable
class LinearState(NamedTuple):
    """What linear attention has read so far, float32 or better.

    total: `S = sum_j phi(k_j) v_j^T`, `[batch, heads, dim, value_dim]`.
    mass:  `z = sum_j phi(k_j)`, `[batch, heads, dim]`.
    """

    total: Tensor
    mass: Tensor


def features(x: Tensor) -> Tensor:
    """`phi(x) = elu(x) + 1`, positive, in float32 or better (Katharopoulos et al. 2020, eq. 7).

    >>> features(torch.tensor([-1000.0, 0.0, 2.0])).tolist()
    [0.0, 1.0, 3.0]
    """
    return torch.nn.functional.elu(precise(x)) + 1


def linear_weights(
    query: Heads, key: Heads, mask: Bool[Tensor, "batch query key"] | None = None
) -> Float[Tensor, "batch heads query key"]:
    """The weights written out: `phi(q_i) . phi(k_j) / sum_j' phi(q_i) . phi(k_j')` (eq. 4); in T^2 time and memory.

    A query that may attend nowhere has weights of zero.

    >>> linear_weights(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 4, 2)).flatten().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = features(query) @ features(key).transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], 0.0)
    return scores / _divisor(scores.sum(-1, keepdim=True))


def linear_attention(query: Heads, key: Heads, value: Heads, mask: Bool[Tensor, "batch key"] | None = None) -> Heads:
    """`phi(Q) (phi(K)^T V) / (phi(Q) sum_j phi(k_j))`: every query reads every slot, in linear time (eq. 5 and 6).

    >>> linear_attention(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 4, 2), torch.ones(1, 1, 4, 3)).tolist()
    [[[[1.0, 1.0, 1.0]]]]
    """
    of_query, of_key = features(query), _allowed(features(key), mask)
    with torch.autocast(query.device.type, enabled=False):
        total, mass = of_key.transpose(-1, -2) @ precise(value), of_key.sum(-2)[..., None]
        return of_query @ total / _divisor(of_query @ mass)


def causal_linear_attention(
    query: Heads,
    key: Heads,
    value: Heads,
    mask: Bool[Tensor, "batch key"] | None = None,
    state: LinearState | None = None,
) -> tuple[Heads, LinearState]:
    """Every step reads itself and those before, chunk by chunk (eq. 9 to 12), and what it has read goes on as a state.

    Inside a chunk the pairs are looked at, everything before it is one matrix, so that memory grows with T and not
    with T times dim^2.

    Args:
        query, key: `[batch, heads, steps, dim]`.
        value: `[batch, heads, steps, value_dim]`.
        mask: which steps may be attended, `[batch, steps]`.
        state: what was read before; None: nothing.

    >>> ones = torch.ones(1, 1, 3, 2)
    >>> causal_linear_attention(ones, ones, torch.tensor([3.0, 1.0, 2.0]).view(1, 1, 3, 1))[0].flatten().tolist()
    [3.0, 2.0, 2.0]
    """
    of_query, of_key, wide = features(query), _allowed(features(key), mask), precise(value)
    if state is None:
        rows = query.shape[:2]
        state = LinearState(
            wide.new_zeros(*rows, query.shape[3], value.shape[3]), wide.new_zeros(*rows, query.shape[3])
        )
    total, mass, found = state.total, state.mass, []
    with torch.autocast(query.device.type, enabled=False):
        for q, k, v in zip(*(torch.split(x, CHUNK, 2) for x in (of_query, of_key, wide)), strict=True):
            pairs = (q @ k.transpose(-1, -2)).tril()
            read, weight = pairs @ v + q @ total, pairs.sum(-1, keepdim=True) + q @ mass[..., None]
            found.append(read / _divisor(weight))
            total, mass = total + k.transpose(-1, -2) @ v, mass + k.sum(-2)
    return torch.cat(found, 2) if found else wide, LinearState(total, mass)


def _allowed(of_key: Tensor, mask: Tensor | None) -> Tensor:
    return of_key if mask is None else of_key.masked_fill(~mask[:, None, :, None], 0.0)


def _divisor(mass: Tensor) -> Tensor:
    """One where nothing was read, so that zero over it is zero."""
    return torch.where(mass > 0, mass, 1.0)


class LinearAttention(nn.Module):
    """Linear self-attention of Katharopoulos et al. 2020, §3: several heads, in linear time, and as a recurrence.

    `o_i = phi(q_i)^T S_i / (phi(q_i)^T z_i)`, `S_i = S_{i-1} + phi(k_i) v_i^T`, `z_i = z_{i-1} + phi(k_i)`,
    `phi(x) = elu(x) + 1`. The causal form whole, in chunks and step by step is one and the same; a step costs the same
    however much was read. There is neither bias nor a mask that differs by query.

    Args:
        dim: width of what goes in and comes out.
        heads: how many heads; they divide `dim`.
        causal: whether a step reads only itself and those before.
        bias: whether the four projections have one.

    >>> attend = LinearAttention(6, heads=2, causal=True)
    >>> x, state = torch.randn(1, 3, 6), attend.initial(1)
    >>> whole = attend(x)
    >>> for step in x.unbind(1):
    ...     context, weights, state = attend(step, state=state)
    >>> torch.allclose(context, whole.context[:, -1], atol=1e-5), weights is None, whole.weights.shape
    (True, True, torch.Size([1, 2, 3, 3]))
    """

    def __init__(self, dim: int, *, heads: int, causal: bool = False, bias: bool = True):
        super().__init__()
        at_least_one({"dim": dim, "heads": heads})
        if dim % heads:
            raise ValueError(f"heads must divide dim = {dim}; got {heads}")
        self.dim, self.heads, self.causal = dim, heads, causal
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim, bias=bias) for _ in range(4))

    def initial(self, batch: int) -> LinearState:
        """Nothing read yet."""
        weight, width = precise(self.key.weight), self.dim // self.heads
        rows = (batch, self.heads, width)
        return LinearState(weight.new_zeros(*rows, width), weight.new_zeros(*rows))

    def forward(
        self,
        x: Float[Tensor, "batch query dim"] | Float[Tensor, "batch dim"],
        *,
        mask: Bool[Tensor, "batch key"] | None = None,
        state: LinearState | None = None,
        need_weights: bool = True,
    ) -> Attended:
        """Read a sequence `[batch, query, dim]`, or with a state one more step `[batch, dim]`, or several.

        Args:
            mask: which slots may be attended, `[batch, key]`; with a state, which of the steps.
            state: what the step before gave back, or `initial`; for causal attention alone.
            need_weights: whether the weights are written out, in quadratic time; a state has none.

        Raises:
            ValueError: widths, shapes or a state that do not fit.
        """
        steps = self._checked(x, state)
        if mask is not None:
            masks.check_padding(mask, *steps.shape[:2])
            steps = steps.masked_fill(~mask[..., None], 0.0)
        q, k, v = (split(part(steps), self.heads) for part in (self.query, self.key, self.value))
        weights = None
        if need_weights and state is None:
            allowed = None if mask is None else mask[:, None]
            if self.causal:
                causal = masks.causal(steps.shape[1], device=x.device)
                allowed = causal if allowed is None else causal & allowed
            weights = linear_weights(q, k, allowed).to(x.dtype)
        if self.causal:
            read, state = causal_linear_attention(q, k, v, mask, state)
        else:
            read = linear_attention(q, k, v, mask)
        context = self.output(joined(read).to(v.dtype))
        return Attended(context if x.dim() == 3 else context[:, 0], weights, state)

    def _checked(self, x: Tensor, state: LinearState | None) -> Tensor:
        check_alike("x", x, "the weights of LinearAttention", self.key.weight)
        check_sequence(x, self.dim, step=state is not None)
        if state is None:
            return x
        if not self.causal:
            raise ValueError("a state is for causal attention; got one for LinearAttention(causal=False)")
        width = self.dim // self.heads
        if not isinstance(state, LinearState) or state.total.shape != (len(x), self.heads, width, width):
            came = list(state.total.shape) if isinstance(state, LinearState) else type(state).__name__
            raise ValueError(f"state must be a LinearState of [{len(x)}, {self.heads}, {width}, {width}]; got {came}")
        return x if x.dim() == 3 else x[:, None]
