"""Calls of every kind, and what their weights are in plain scalar loops of float64."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from saccade.lens.capture.call import Call

BATCH, HEADS, QUERIES, KEYS, DIM = 2, 4, 7, 11, 5


def parts(queries: int = QUERIES, keys: int = KEYS, shared: int = HEADS) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    key, value = (torch.randn(BATCH, shared, keys, DIM) * 2 for _ in range(2))
    return torch.randn(BATCH, HEADS, queries, DIM) * 2, key, value


def holes() -> Tensor:
    """A boolean mask that differs by head; in the first head of the second item one query may look nowhere."""
    torch.manual_seed(3)
    mask = torch.rand(BATCH, HEADS, QUERIES, KEYS) < 0.6
    mask[1, 0, 2] = False
    return mask


def padded() -> Tensor:
    mask = torch.ones(BATCH, 1, 1, KEYS, dtype=torch.bool)
    mask[1, ..., 6:] = False
    return mask


def bias() -> Tensor:
    torch.manual_seed(4)
    return torch.randn(1, HEADS, QUERIES, KEYS)


LEARNED = torch.tensor([0.3, -0.2, 1.0, 0.0])

CASES: dict[str, Callable[[], Call]] = {
    "plain": lambda: Call(*parts()),
    "scale": lambda: Call(*parts(), scale=0.1),
    "causal": lambda: Call(*parts(9, 9), causal=True),
    "causal from the first slot": lambda: Call(*parts(), causal=True),
    "causal to the last slot": lambda: Call(*parts(), causal=True, first=KEYS - QUERIES),
    "window": lambda: Call(*parts(9, 9), causal=True, window=3),
    "padding": lambda: Call(*parts(), padded()),
    "holes": lambda: Call(*parts(), holes()),
    "one mask for all": lambda: Call(*parts(), holes()[:1, :1]),
    "numbers": lambda: Call(*parts(), bias()),
    "numbers that hide": lambda: Call(*parts(), torch.where(padded(), 0.0, torch.finfo(torch.float32).min)),
    "bias and mask": lambda: Call(*parts(), holes(), bias()),
    "a floor": lambda: Call(*parts(), holes(), bias(), floor=torch.finfo(torch.float32).min),
    "grouped": lambda: Call(*parts(shared=2), holes()),
    "one head of keys": lambda: Call(*parts(shared=1)),
    "cap": lambda: Call(*parts(), padded(), cap=3.0),
    "sinks": lambda: Call(*parts(), padded(), sinks=LEARNED),
    "a mask function": lambda: Call(*parts(), allowed=lambda b, h, i, j: (j - i) % 3 != (b + h) % 3),
    "a score function": lambda: Call(*parts(), modified=lambda s, b, h, i, j: s - LEARNED[h] * (i - j).abs()),
    "grouped, causal, window, cap, sinks": lambda: Call(
        *parts(9, 9, 2), causal=True, window=4, cap=3.0, sinks=LEARNED, scale=0.4
    ),
}


def dense(call: Call) -> Tensor:
    """`[batch, heads, query, key]` by the book."""
    query, key = call.query.double(), call.key.double()
    batch, heads, queries, keys = call.shape
    found = torch.zeros(batch, heads, queries, keys, dtype=torch.float64)
    for b in range(batch):
        for h in range(heads):
            for i in range(queries):
                row = [_score(call, query, key, b, h, i, j) for j in range(keys)]
                sink = -math.inf if call.sinks is None else float(call.sinks[h])
                most = max(*row, sink)
                if most == -math.inf:
                    continue
                exps = [math.exp(score - most) for score in row]
                total = sum(exps) + math.exp(sink - most)
                found[b, h, i] = torch.tensor([x / total for x in exps], dtype=torch.float64)
    return found


def _score(call: Call, query: Tensor, key: Tensor, b: int, h: int, i: int, j: int) -> float:
    scale = query.shape[3] ** -0.5 if call.scale is None else call.scale
    score = float(query[b, h, i] @ key[b, h * key.shape[1] // query.shape[1], j]) * scale
    if call.cap is not None:
        score = call.cap * math.tanh(score / call.cap)
    if call.modified is not None:
        score = float(call.modified(torch.tensor(score), *map(torch.tensor, (b, h, i, j))))
    hidden = False
    for one in (call.bias, call.mask):
        if one is None:
            continue
        place = one[min(b, one.shape[0] - 1), min(h, one.shape[1] - 1), min(i, one.shape[2] - 1), j]
        if one.dtype == torch.bool:
            hidden = hidden or not place
        else:
            score += float(place)
    standing = call.first + i
    if (call.causal and j > standing) or (call.window is not None and j <= standing - call.window):
        hidden = True
    if call.allowed is not None and not call.allowed(*map(torch.tensor, (b, h, i, j))):
        hidden = True
    return call.floor if hidden else score
