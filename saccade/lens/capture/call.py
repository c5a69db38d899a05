"""What one attention was given, and the exact weights that follow from it.

A fused kernel makes no weights. What it was given says them all: `A = softmax(cap(scale Q K^T) + bias)` under a mask,
in float32, a few rows at a time.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.attention.multihead import repeated

Part = slice | Tensor
"""Some of many: a slice, or int64 places."""
EVERY = slice(None)


class Call(NamedTuple):
    """What one attention was given.

    query:      `[batch, heads, query, dim]`.
    key, value: `[batch, shared, key, dim]`; each of the shared heads serves as many of the queries'.
    mask:       True = may attend, or numbers added to the scores; broadcastable to `[batch, heads, query, key]`.
    bias:       numbers added to the scores, likewise.
    causal:     a query attends slots up to its own place.
    first:      the slot that the first query stands at.
    window:     how many slots up to its own place a query may attend; None: all of them.
    scale:      what the products are multiplied with; `dim ** -0.5` where None.
    cap:        the scores are `cap tanh(score / cap)` (Gemma 2).
    sinks:      `[heads]`, the score of a slot that takes weight and has no value (GPT-OSS).
    dropout:    the chance that a weight was dropped. Which ones were cannot be known.
    floor:      the score of what a boolean mask hides; where it is finite a query that may look nowhere looks
                everywhere, as some models have it.
    allowed:    `(batch, head, query, key) -> bool`, a FlexAttention mask.
    modified:   `(score, batch, head, query, key) -> score`, a FlexAttention score.
    rounded:    the dtype that autocast gave query, key and value.
    batch:      which of the batch these are, as `allowed` and `modified` count; None: all.
    heads:      which of the heads, likewise.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    bias: Tensor | None = None
    causal: bool = False
    first: int = 0
    window: int | None = None
    scale: float | None = None
    cap: float | None = None
    sinks: Tensor | None = None
    dropout: float = 0.0
    floor: float = -math.inf
    allowed: Callable[..., Any] | None = None
    modified: Callable[..., Any] | None = None
    rounded: torch.dtype | None = None
    batch: Tensor | None = None
    heads: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(batch, heads, query, key)`."""
        return (*self.query.shape[:3], self.key.shape[2])


def precise(call: Call) -> Call:
    """The same with query, key and value as the kernel saw them, in float32 or better."""

    def widened(x: Tensor) -> Tensor:
        x = x if call.rounded is None or x.dtype == torch.float64 else x.to(call.rounded)
        return x if x.dtype == torch.float64 else x.float()

    return call._replace(query=widened(call.query), key=widened(call.key), value=widened(call.value))


def narrow(call: Call, batch: Part, heads: Part) -> Call:
    """The same of some of the batch and some of the heads; parts of one are views."""
    many = call.query.shape[1]
    shared = heads
    if (group := many // call.key.shape[1]) > 1:
        shared = torch.arange(many, device=call.query.device)[heads] // group
        if len(shared) == 1:  # one head of keys is a view; more than one are copied
            shared = slice(int(shared), int(shared) + 1)

    def part(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        x = x if x.shape[0] == 1 else x[batch]
        return x if x.shape[1] == 1 else x[:, heads]

    def chosen(before: Tensor | None, size: int, some: Part) -> Tensor:
        return (torch.arange(size, device=call.query.device) if before is None else before)[some]

    return call._replace(
        query=call.query[batch][:, heads],
        key=call.key[batch][:, shared],
        value=call.value[batch][:, shared],
        mask=part(call.mask),
        bias=part(call.bias),
        sinks=None if call.sinks is None else call.sinks[heads],
        batch=chosen(call.batch, call.query.shape[0], batch),
        heads=chosen(call.heads, many, heads),
    )


def reach(call: Call, rows: slice) -> slice:
    """The slots that some neighbouring queries can reach by their places; no other has a weight."""
    start, stop, keys = rows.start, rows.stop, call.key.shape[2]
    end = min(keys, call.first + stop) if call.causal else keys
    begin = 0 if call.window is None else max(0, call.first + start - call.window + 1)
    return slice(min(begin, end), max(end, 0))


def attendable(call: Call, rows: Part = EVERY, columns: slice = EVERY) -> Tensor | None:
    """Which of the slots `columns` the queries `rows` may attend, broadcastable to `[batch, heads, rows, columns]`."""
    query, key = _places(call, rows, columns)
    parts = []
    for mask in (call.mask, call.bias):
        if mask is not None:
            mask = _part(mask, rows, columns)
            parts.append(mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2)
    standing = call.first + query[:, None]
    if call.causal:
        parts.append(key <= standing)
    if call.window is not None:
        parts.append(key > standing - call.window)
    if call.allowed is not None:
        parts.append(_over_all(call.allowed, scored=False)(*_indices(call, query, key)))
    found = None
    for part in parts:
        found = part if found is None else found & part
    return found


def scores(call: Call, rows: Part = EVERY, columns: slice = EVERY) -> Float[Tensor, "batch heads rows columns"]:
    """Scores before the softmax; minus infinity (or the call's floor) where the query may not attend."""
    query, key = call.query[:, :, rows], call.key[:, :, columns]
    batch, heads, some, dim = query.shape
    scale = dim**-0.5 if call.scale is None else call.scale
    # Queries that share a head of keys stand below each other, so that no key is copied.
    grouped = query.reshape(batch, key.shape[1], heads // key.shape[1] * some, dim) * scale
    found = (grouped @ key.transpose(-1, -2)).reshape(batch, heads, some, key.shape[2])
    if call.cap is not None:
        found = torch.tanh(found / call.cap) * call.cap
    at = _places(call, rows, columns)
    if call.modified is not None:
        found = _over_all(call.modified, scored=True)(found, *_indices(call, *at))
    hidden = []
    for added in (call.bias, call.mask):
        if added is not None and added.dtype == torch.bool:
            hidden.append((~_part(added, rows, columns), call.floor))
        elif added is not None:
            found = found + _part(added, rows, columns).to(found.dtype)
    places = attendable(call._replace(mask=None, bias=None), rows, columns)
    if places is not None:
        hidden.append((~places, call.floor if call.allowed is None else -math.inf))
    for mask, floor in hidden:
        found = found.masked_fill(mask, floor)
    return found


def softmax(found: Tensor, sinks: Tensor | None = None) -> Tensor:
    """Weights of scores, with sinks that take their share; a query that may look nowhere has none."""
    if sinks is not None:
        sink = sinks.to(found.dtype)[:, None, None].expand(*found.shape[:3], 1)
        return torch.softmax(torch.cat([found, sink], -1), -1)[..., :-1]
    nowhere = (found == -math.inf).all(-1, keepdim=True)
    return torch.softmax(found.masked_fill(nowhere, 0.0), -1).masked_fill(nowhere, 0.0)


def weights(call: Call, rows: Part = EVERY) -> Float[Tensor, "batch heads rows key"]:
    """The exact weights of some queries, float32 or better, as they were before dropout.

    `A_ij = exp(s_ij) / (sum_k exp(s_ik) + exp(sink))`; zeros for a query that may look nowhere.

    >>> one = torch.ones(1, 2, 4, 3)
    >>> weights(Call(one, one, one, causal=True), slice(1, 2))[0, 0].tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    with torch.no_grad(), torch.autocast(call.query.device.type, enabled=False):
        call = precise(call)
        return softmax(scores(call, rows), call.sinks)


def read(call: Call, made: Tensor) -> Float[Tensor, "batch heads rows value_dim"]:
    """What weights `[batch, heads, rows, key]` read of the call's values."""
    value = precise(call).value
    return made @ repeated(value, made.shape[1])


def _part(x: Tensor, rows: Part, columns: slice) -> Tensor:
    """Some rows and columns of what is broadcastable to `[batch, heads, query, key]`."""
    x = x if x.dim() >= 2 else x[None]
    x = x if x.shape[-2] == 1 else x[..., rows, :]
    return x if x.shape[-1] == 1 else x[..., columns]


def _places(call: Call, rows: Part, columns: slice) -> tuple[Tensor, Tensor]:
    device = call.query.device
    return (
        torch.arange(call.query.shape[2], device=device)[rows],
        torch.arange(call.key.shape[2], device=device)[columns],
    )


def _indices(call: Call, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, heads = (torch.arange(size, device=query.device) for size in call.query.shape[:2])
    return batch if call.batch is None else call.batch, heads if call.heads is None else call.heads, query, key


def _over_all(function: Callable[..., Any], *, scored: bool) -> Callable[..., Any]:
    """A function of one place made one of all: over keys, queries, heads and batch, as FlexAttention does."""
    for axis in (3, 2, 1, 0):
        places = tuple(0 if i == axis else None for i in range(4))
        function = torch.vmap(function, in_dims=((0, *places) if scored else places))
    return function
