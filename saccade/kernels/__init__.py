"""Additive attention at the speed of arithmetic: one door, behind which a kernel is chosen.

Bahdanau's score `e_ij = v . tanh(q_i + k_j)` is written as a tensor of tanh `[batch, query, key, dim]`, which is slow
to fill and too large to hold. With `tanh(q + k) = 1 - 2 / (1 + exp(2q) exp(2k))` the exponentials are taken once for
each query and each key, and nothing of that size is ever stored.

- reference: the formula; the specification.
- chunked:   plain PyTorch a piece at a time; any device, float64, derivatives of any order, forward mode, vmap.
- unrolled:  plain PyTorch over a few hidden units at a time; what torch.export writes down.
- cpu:       compiled loops on all threads (Numba), float32 inside.
- cuda:      Triton, float32 inside; with softmax and the weighted sum in the same kernel if no weights are wanted.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from saccade.kernels import chunked, masked, reference, scores
from saccade.kernels.choice import available, choose, chosen, usable
from saccade.kernels.chunked import transformed
from saccade.kernels.masked import read_values, seen_scores

__all__ = [
    "Prepared",
    "additive_attention",
    "additive_scores",
    "available",
    "choose",
    "prepare",
    "read_values",
    "seen_scores",
    "transformed",
    "usable",
]

Key = Float[Tensor, "batch key dim"]
Query = Float[Tensor, "batch query dim"]
Vector = Float[Tensor, " dim"]


class Prepared(NamedTuple):
    """What `prepare` makes of projected keys.

    exponentials: `exp(2k)`, float32 `[batch, key, units]`.
    largest:      the largest |k| of each sentence, `[batch]`.
    """

    exponentials: Tensor
    largest: Tensor


def additive_scores(
    query: Query, key: Key, v: Vector, *, prepared: Prepared | None = None
) -> Float[Tensor, "batch query key"]:
    """Scores of projected queries and keys: `e_ij = v . tanh(q_i + k_j)` (Bahdanau et al. 2015, A.1.2).

    In float32 for lower precisions, also under autocast; float64 stays float64. Differentiable as often as one likes.
    Works in any model, also under torch.compile, torch.export and torch.func.

    Args:
        query: `[batch, query, dim]`.
        key: `[batch, key, dim]`, of the same dtype and device.
        v: `[dim]`.
        prepared: what `prepare` made of these keys, for many calls with the same.

    Raises:
        ValueError: shapes or devices that do not fit each other.

    >>> additive_scores(torch.zeros(1, 2, 3), torch.zeros(1, 5, 3), torch.ones(3)).shape
    torch.Size([1, 2, 5])
    """
    _check(query, key, v)
    kernel = chosen(query, key, v)
    with torch.autocast(query.device.type, enabled=False):
        if kernel == "operator":
            found: Tensor = scores.compiled_scores(query, key, v)
            return found
        if kernel == "unrolled":
            return chunked.unrolled(query, key, v)
        if kernel == "reference":
            return reference.additive_scores(query, key, v)
        values, largest = prepared or (None, None)
        return scores.by_kernel(query, key, v, values=values, largest=largest)


def additive_attention(
    query: Query,
    key: Key,
    v: Vector,
    value: Float[Tensor, "batch key value_dim"],
    mask: Bool[Tensor, "batch query key"] | None = None,
    *,
    need_weights: bool = True,
) -> tuple[Float[Tensor, "batch query value_dim"], Float[Tensor, "batch query key"] | None]:
    """Context and weights: `softmax(additive_scores(query, key, v)) @ value` (Bahdanau et al. 2015, eq. 5 and 6).

    On CUDA, when nobody wants the weights of very many scores, one kernel does it all in memory that grows with
    query + key.

    Args:
        query, key, v: as for `additive_scores`.
        value: what is read, `[batch, key, value_dim]`.
        mask: True = may attend, `[batch or 1, query or 1, key]`; what it hides has no influence, NaN or not. A query
            that may attend nowhere gets zeros.
        need_weights: whether the weights are wanted; None stands for them otherwise.

    >>> query, key, value = torch.zeros(2, 4, 3), torch.zeros(2, 5, 3), torch.ones(2, 5, 6)
    >>> context, weights = additive_attention(query, key, torch.ones(3), value)
    >>> context.shape, weights.sum(-1)[0].tolist()
    (torch.Size([2, 4, 6]), [1.0, 1.0, 1.0, 1.0])
    """
    _check(query, key, v)
    query, key, value = masked.shown(query, key, value, mask)
    if chosen(query, key, v, need_weights=need_weights) == "fused":
        with torch.autocast(query.device.type, enabled=False):
            return scores.CudaAttention.apply(query, key, v, value, mask), None  # type: ignore[no-untyped-call]
    context, weights = scores.separate(additive_scores, query, key, v, value, mask)
    return context, weights if need_weights else None


def prepare(key: Key) -> Prepared | None:
    """What depends on the projected keys alone, made once for many calls; None where it would be of no use.

    No gradient goes through it: `additive_scores` gives that of the keys themselves.
    """
    if chosen(key[:, :1], key, key) != "cpu":
        return None
    from saccade.kernels import cpu

    return Prepared(*(torch.from_numpy(x) for x in cpu.exponentials(key)))


def _check(query: Tensor, key: Tensor, v: Tensor) -> None:
    if query.dim() != 3 or key.dim() != 3 or v.dim() != 1:
        expected = "query [batch, query, dim], key [batch, key, dim] and v [dim]"
    elif query.shape[0] != key.shape[0] or query.shape[2] != key.shape[2] or v.shape[0] != key.shape[2]:
        expected = f"query [{key.shape[0]}, query, {key.shape[2]}] and v [{key.shape[2]}], to go with the key"
    elif not query.device == key.device == v.device:
        raise ValueError(f"query, key and v must be on one device; got {query.device}, {key.device} and {v.device}")
    else:
        return
    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in (("query", query), ("key", key), ("v", v)))
    raise ValueError(f"expected {expected}; got {shapes}")
