"""Figures of weights that are never all there: block by block of rows, each small enough to stay in the cache.

A block costs what the fused kernel pays for the same rows, so that entropy and coverage of every head together cost
about one more forward pass of the attention.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.lens.capture.call import EVERY, Call, narrow, precise, reach, scores
from saccade.lens.capture.pieces import Kept, counts

SMALL, LARGE = 2**20, 2**25
"""How many weights a block holds: what a core keeps close, and what an accelerator needs to be busy."""
FAR = -1e4
"""A shifted score whose exponential is zero, and which unlike minus infinity may be multiplied with it."""


class Block(NamedTuple):
    """Weights `exps / total` of some rows.

    batch, heads, rows, columns: where they stand.
    shifted: scores less the largest of each row, `[batch, heads, rows, columns]`.
    exps:    their exponentials.
    total:   the sums that they are divided by, `[batch, heads, rows, 1]`; zero where there is nothing to look at.
    """

    batch: slice
    heads: slice
    rows: slice
    columns: slice
    shifted: Tensor
    exps: Tensor
    total: Tensor


class Figures(NamedTuple):
    """What one pass over the weights found; None was not asked for.

    entropy:  `H_i = -sum_j A_ij ln A_ij`, `[batch, heads, rows]`, in nats; what a sink takes is no part of it.
    pulled:   `sum_i r_i A_ij`, `[batch, heads, key]`.
    distance: `sum_j A_ij |i - j|`, `[batch, heads, rows]`.
    mass:     `sum_j A_ij g_jn`, `[batch, heads, rows, group]`.
    """

    entropy: Tensor | None = None
    pulled: Tensor | None = None
    distance: Tensor | None = None
    mass: Tensor | None = None


def figures(
    piece: Call | Kept,
    *,
    entropy: bool = False,
    rows: Float[Tensor, "batch heads rows"] | None = None,
    distance: bool = False,
    groups: Float[Tensor, "batch key group"] | None = None,
) -> Figures:
    """Figures of the weights in one pass, without ever holding `[query, key]` of them.

    Args:
        rows: r, by which every row is weighed, broadcastable to `[batch, heads, rows]`; ones give the coverage of Tu et
            al. 2016. None: not wanted.
        groups: g, how much of each slot counts for each group, broadcastable. None: not wanted.

    >>> one = torch.ones(1, 2, 4, 3)
    >>> found = figures(Call(one, one, one), entropy=True, rows=torch.ones(1, 1, 4))
    >>> found.entropy[0, 0].exp().round().tolist(), found.pulled[0, 0].tolist()
    ([4.0, 4.0, 4.0, 4.0], [1.0, 1.0, 1.0, 1.0])
    """
    batch, heads, _, keys = piece.shape
    like = piece.weights if isinstance(piece, Kept) else precise(narrow(piece, slice(0, 1), slice(0, 1))).query
    size, at = _standing(piece, like)
    per_row = [like.new_zeros(batch, heads, size) if wanted else None for wanted in (entropy, distance)]
    pulled = None if rows is None else like.new_zeros(batch, heads, keys)
    mass = None if groups is None else like.new_zeros(batch, heads, size, groups.shape[2])
    rows = None if rows is None else rows.to(like).expand(batch, heads, size)
    groups = None if groups is None else groups.to(like).expand(batch, keys, -1)
    slots = torch.arange(keys, device=like.device, dtype=like.dtype)
    with torch.no_grad(), torch.autocast(like.device.type, enabled=False):
        for block in blocks(piece):
            place = block.batch, block.heads, block.rows
            nowhere = block.total == 0  # not `> 0`, which would hide NaN
            inverse = torch.where(nowhere, 0.0, 1 / block.total)
            if per_row[0] is not None:
                # -sum p ln p with p = e / t and ln p = s - ln t; e s is zero where e is.
                spread = block.total.log() * block.exps.sum(-1, keepdim=True) - _dot(block.exps, block.shifted)
                per_row[0][place] = torch.where(nowhere, 0.0, spread * inverse)[..., 0]
            if per_row[1] is not None:
                apart = (at[block.rows, None] - slots[block.columns]).abs()
                per_row[1][place] = _dot(block.exps, apart)[..., 0] * inverse[..., 0]
            if pulled is not None and rows is not None:
                weighed = rows[place][..., None, :] * inverse.transpose(-1, -2)
                pulled[block.batch, block.heads, block.columns] += (weighed @ block.exps)[..., 0, :]
            if mass is not None and groups is not None:
                mass[place] = (block.exps @ groups[block.batch, None, block.columns]) * inverse
    return Figures(per_row[0], pulled, per_row[1], mass)


def blocks(piece: Call | Kept) -> Iterator[Block]:
    """All weights, a block of rows at a time; slots that no row of a block can reach are left out."""
    if isinstance(piece, Kept):
        made = piece.weights
        yield Block(EVERY, EVERY, EVERY, EVERY, made.log().clamp(min=FAR), made, torch.ones_like(made[..., :1]))
        return
    batch, heads, queries, keys = piece.shape
    most = SMALL if piece.query.device.type == "cpu" else LARGE
    many_heads = heads if heads * queries * keys <= most else 1
    many = batch if batch * many_heads * queries * keys <= most and many_heads == heads else 1
    rows = max(1, most // max(1, many * many_heads * keys))
    for first in range(0, batch, many):
        for head in range(0, heads, many_heads):
            some = slice(first, first + many), slice(head, head + many_heads)
            call = precise(narrow(piece, *some))
            for start in range(0, queries, rows):
                part = slice(start, min(start + rows, queries))
                columns = reach(call, part)
                if columns.stop > columns.start:
                    yield _block(call, *some, part, columns)


def _block(call: Call, batch: slice, heads: slice, rows: slice, columns: slice) -> Block:
    found = scores(call, rows, columns)
    most = found.amax(-1, keepdim=True)
    sink = None if call.sinks is None else call.sinks.to(found.dtype)[:, None, None]
    most = most if sink is None else torch.maximum(most, sink)
    most = most.masked_fill(most == -math.inf, 0.0)
    found = found.sub_(most).clamp_(min=FAR)
    exps = found.exp()
    total = exps.sum(-1, keepdim=True)
    return Block(batch, heads, rows, columns, found, exps, total if sink is None else total + (sink - most).exp())


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """The sum of products over the last axis, which stays: `[..., 1]`."""
    found: Tensor = torch.linalg.vecdot(x, y.expand_as(x))
    return found[..., None]


def _standing(piece: Call | Kept, like: Tensor) -> tuple[int, Tensor]:
    """How many rows there are, and the slot that each stands at."""
    if isinstance(piece, Kept):
        first = piece.shape[3] - piece.queries
        return len(piece.rows), first + torch.tensor(piece.rows, device=like.device, dtype=like.dtype)
    first = piece.first if piece.first or piece.causal else max(0, piece.shape[3] - piece.shape[2])
    return piece.shape[2], first + torch.arange(piece.shape[2], device=like.device, dtype=like.dtype)


def slots_seen(piece: Call | Kept) -> Tensor:
    """How many slots each row may attend, broadcastable to `[batch, heads, rows]`."""
    if isinstance(piece, Kept):
        return piece.counts
    queries, keys = piece.shape[2:]
    rows = max(1, LARGE // max(1, keys * piece.shape[0]))
    parts = [counts(piece, slice(i, min(i + rows, queries))) for i in range(0, queries, rows)]
    return parts[0] if all(part.shape[2] == 1 for part in parts) else torch.cat(parts, 2)
