"""The other kinds once more, as plain scalar loops that read like the papers; a scalar is a tensor without axes."""

import math

import torch
from twins import ZERO, dot, plus, read, softmax, tanh, times

Scalar = torch.Tensor


def multi_head(query: list, key: list, value: list, mask: list, bias: list, w: dict, heads: int) -> tuple[list, list]:
    """Vaswani et al. 2017, §3.2.2: contexts of one sentence, and the weights of every head."""
    width = len(w["query.weight"]) // heads
    contexts, alignment = [], [[] for _ in range(heads)]
    for s, allowed, b in zip(query, mask, bias, strict=True):
        seen = s if any(allowed) else [ZERO] * len(s)
        joined = []
        for h in range(heads):
            mine = slice(h * width, (h + 1) * width)
            q = plus(times(w["query.weight"][mine], seen), w["query.bias"][mine])
            keys = [plus(times(w["key.weight"][mine], k), w["key.bias"][mine]) for k in key]
            values = [plus(times(w["value.weight"][mine], v), w["value.bias"][mine]) for v in value]
            a = softmax(plus([dot(q, k) / math.sqrt(width) for k in keys], b), allowed)
            joined += read(a, values)
            alignment[h].append(a)
        contexts.append(plus(times(w["output.weight"], joined), w["output.bias"]))
    return contexts, alignment


def structured(x: list, allowed: list, w: dict) -> tuple[list, list]:
    """Lin et al. 2017, eq. 5 to 7."""
    hidden = [tanh(times(w["hidden.weight"], h)) for h in x]
    alignment = [softmax([dot(row, u) for u in hidden], allowed) for row in w["hops.weight"]]
    return [read(a, x) for a in alignment], alignment


def squeeze_excitation(x: list, w: dict) -> tuple[list, list]:
    """Hu et al. 2018, eq. 2 to 4, of one image as channels of rows of pixels."""
    z = [sum((p for row in channel for p in row), ZERO) / (len(channel) * len(channel[0])) for channel in x]
    hidden = [torch.relu(u) for u in plus(times(w["squeeze.weight"], z), w["squeeze.bias"])]
    gate = [torch.sigmoid(u) for u in plus(times(w["excite.weight"], hidden), w["excite.bias"])]
    return [[[g * p for p in row] for row in channel] for g, channel in zip(gate, x, strict=True)], gate
