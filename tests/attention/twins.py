"""The mechanisms once more, as plain scalar loops that read like the papers."""

import math


def softmax(scores: list[float], allowed: list[bool]) -> list[float]:
    largest = max((s for s, ok in zip(scores, allowed, strict=True) if ok), default=0.0)
    powers = [math.exp(s - largest) if ok else 0.0 for s, ok in zip(scores, allowed, strict=True)]
    total = sum(powers)
    return [p / total if total else 0.0 for p in powers]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def times(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [dot(row, vector) for row in matrix]


def additive(s: list[float], h: list[float], w: dict[str, list]) -> float:
    """v . tanh(W s + U h), Bahdanau et al. 2015, A.1.2."""
    hidden = [math.tanh(x + y) for x, y in zip(times(w["query.weight"], s), times(w["key.weight"], h), strict=True)]
    return dot(w["v"], hidden)


def concat(s: list[float], h: list[float], w: dict[str, list]) -> float:
    """v . tanh(W [s; h]), Luong et al. 2015, §3.1."""
    return dot(w["v"], [math.tanh(x) for x in times(w["joined.weight"], s + h)])


def general(s: list[float], h: list[float], w: dict[str, list]) -> float:
    """s . W h, Luong et al. 2015, §3.1."""
    return dot(s, times(w["key.weight"], h))


SCORES = {
    "additive": additive,
    "concat": concat,
    "general": general,
    "dot": lambda s, h, w: dot(s, h),
    "scaled-dot": lambda s, h, w: dot(s, h) / math.sqrt(len(s)),
}


def attend(name: str, query: list, key: list, value: list, mask: list, weights: dict) -> tuple[list, list]:
    """Contexts and weights of one sentence, query by query and slot by slot."""
    contexts, alignment = [], []
    for s, allowed in zip(query, mask, strict=True):
        a = softmax([SCORES[name](s, h, weights) for h in key], allowed)
        contexts.append([sum(a_j * v_j[d] for a_j, v_j in zip(a, value, strict=True)) for d in range(len(value[0]))])
        alignment.append(a)
    return contexts, alignment
