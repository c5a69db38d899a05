"""Additive scores in plain PyTorch, a piece at a time: for any device, and for every transform of PyTorch."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from saccade.kernels import reference
from saccade.normalizers.base import precise

LIMIT = 64 << 20
"""Bytes that may be alive at once beside the scores and their gradients."""
_COPIES = 4
"""How many tensors of the size of a piece the backward pass of a piece holds: sum, tanh, and the gradients of both."""
_UNITS = 16
"""Hidden units at a time where sizes are symbols."""


def additive_scores(query: Tensor, key: Tensor, v: Tensor, *, limit: int = LIMIT) -> Tensor:
    """`e_ij = v . tanh(q_i + k_j)`: blocks of queries and keys, made again in the backward pass.

    Twice differentiable; works in forward mode and under vmap, where pieces are kept for the backward pass.
    """
    query, key, v = (precise(x) for x in (query, key, v))
    batch, queries, dim = query.shape
    keys = key.shape[1]
    room = max(limit // _COPIES // query.element_size(), 1)
    if batch * queries * keys * dim <= room:
        return reference.additive_scores(query, key, v)
    # Keys are cut last: only where one sentence's one query against all its keys is too large.
    cut = min(keys, max(room // dim, 1))
    rows = min(queries, max(room // (dim * cut), 1))
    several = min(batch, max(room // (dim * cut * rows), 1))
    sentences = []
    for some_queries, some_keys in zip(torch.split(query, several), torch.split(key, several), strict=True):
        pieces = torch.split(some_keys, cut, 1)
        blocks = [torch.cat([_piece(q, k, v) for k in pieces], 2) for q in torch.split(some_queries, rows, 1)]
        sentences.append(torch.cat(blocks, 1))
    return torch.cat(sentences)


def _piece(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    recorded = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, v))
    if not recorded or transformed(query, key, v):
        return reference.additive_scores(query, key, v)
    scores: Tensor = checkpoint(reference.additive_scores, query, key, v, use_reentrant=False, preserve_rng_state=False)
    return scores


def transformed(*tensors: Tensor) -> bool:
    """Whether torch.func or forward mode is at work, for which a function with a backward pass of its own is a wall."""
    if torch.autograd.forward_ad._current_level >= 0:
        return True
    return any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in tensors)


def unrolled(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    """The same as a sum over blocks of hidden units, whose number is known when batch, queries and keys are symbols."""
    query, key, v = (precise(x) for x in (query, key, v))
    scores = torch.zeros((), dtype=query.dtype, device=query.device)
    for first in range(0, v.shape[0], _UNITS):
        some = slice(first, first + _UNITS)
        scores = scores + reference.additive_scores(query[..., some], key[..., some], v[some])
    return scores
