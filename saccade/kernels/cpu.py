"""Additive scores on the CPU: tensors in and out of the compiled loops, shared out over threads."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.kernels import compiled
from saccade.kernels.pool import share

Array = NDArray[np.float32]

_UNITS, _SLOTS = 64, 16
"""What hidden units are padded to, four vectors of 16 numbers, so that loops unroll; and keys where they are turned."""
_STEPS = 4_000_000
"""Inner steps, about 0.2 ms, that are worth a thread."""
_FEW = 4
"""Queries; below, keys are read as they are remembered, above, turning them pays."""


class Exponentials(NamedTuple):
    """What is made of projected keys, or queries, once.

    values:  `exp(2x)`, `[batch, row, units]`.
    largest: the largest |x| of each sentence, `[batch]`.
    """

    values: Array
    largest: Array


def exponentials(x: Tensor) -> Exponentials:
    """`exp(2x)` of `[batch, row, dim]`, for `scores` and `gradients`."""
    array = _array(x)
    batch, rows, dim = array.shape
    made = Exponentials(_empty(batch, rows, _padded(dim, _UNITS)), _empty(batch))
    share(lambda i, j: compiled.exponentials(array, *made, i, j), batch, 4 * array.size // _STEPS)
    return made


def within(query: Exponentials, key: Exponentials) -> bool:
    """Whether `scores` is right for these: not where one is beyond 43 and the other far on the other side."""
    right: bool = compiled.within(query.largest, key.largest)
    return right


def scores(query: Exponentials, key: Exponentials, v: Tensor) -> Tensor:
    """`e_ij = v . tanh(q_i + k_j)`, float32 `[batch, query, key]`, for queries and keys that are `within`."""
    batch, queries, units = query.values.shape
    out = torch.empty(batch, queries, key.values.shape[1])
    result, weights = out.numpy(), _padded_weights(v, units)
    tiles = batch * -(-queries // compiled.ROWS)
    share(
        lambda i, j: compiled.scores(query.values, key.values, weights, result, i, j),
        tiles,
        result.size * units // _STEPS,
    )
    return out


def gradients(grad: Tensor, query: Exponentials, key: Exponentials, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `scores` to the projected queries and keys and to v, float32, from that of the scores."""
    (q, _), (k, _), g, dim = query, key, _array(grad), v.numel()
    batch, _, units = q.shape
    keys, threads = k.shape[1], 2 * g.size * dim // _STEPS
    dq, dv = _empty(*q.shape), _empty(batch, units)
    if q.shape[1] < _FEW:
        dk, weights = _empty(*k.shape), _padded_weights(v, units)
        share(lambda i, j: compiled.step_gradients(g, q, k, weights, dq, dk, dv, i, j), batch, threads)
    else:
        turned, columns = _empty(2, batch, _padded(dim, 4), _padded(keys, _SLOTS))
        weights = _padded_weights(v, turned.shape[1])
        share(lambda i, j: compiled.turned(k, turned, i, j), batch, threads)
        fours = batch * len(weights) // 4
        share(lambda i, j: compiled.gradients(g, q, turned, weights, dq, columns, dv, i, j), fours, threads)
        dk = columns.transpose(0, 2, 1)[:, :keys]
    return _tensor(dq[..., :dim]), _tensor(dk[..., :dim]), _tensor(dv[:, :dim].sum(0))


def load() -> None:
    """Have the loops of the forward pass compiled, or fetched from where an earlier process left them."""
    one = torch.zeros(1, 1, 1)
    made = exponentials(one)
    within(made, made)
    scores(made, made, one[0, 0])


def _array(x: Tensor) -> Array:
    array: Array = x.detach().float().contiguous().numpy()
    return array


def _tensor(x: Array) -> Tensor:
    return torch.from_numpy(x)


def _empty(*shape: int) -> Array:
    """PyTorch's memory begins where a vector of 16 numbers does, NumPy's does not, and loads cost twice as much."""
    array: Array = torch.empty(shape).numpy()
    return array


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _padded_weights(v: Tensor, size: int) -> Array:
    weights = _empty(size)
    weights[: v.numel()] = v.detach().float().numpy()
    weights[v.numel() :] = 0
    return weights
