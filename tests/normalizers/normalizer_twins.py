"""The normalisers once more, one row at a time, as plain scalar loops that read like the papers."""

import math

Row = list[float]
Matrix = list[Row]


def softmax(s: Row, temperature: float = 1.0) -> Row:
    powers = [math.exp((x - max(s)) / temperature) for x in s]
    return [p / sum(powers) for p in powers]


def sigmoid(s: Row) -> Row:
    return [1 / (1 + math.exp(-x)) for x in s]


def sparsemax(z: Row) -> Row:
    """Martins & Astudillo 2016, Algorithm 1."""
    ordered = sorted(z, reverse=True)
    heads = [k for k in range(1, len(z) + 1) if 1 + k * ordered[k - 1] > sum(ordered[:k])]
    size = max(heads)
    tau = (sum(ordered[:size]) - 1) / size
    return [max(x - tau, 0.0) for x in z]


def entmax(z: Row, alpha: float) -> Row:
    """Peters et al. 2019, Algorithm 1: halve the interval of tau until it cannot be halved."""

    def weights(tau: float) -> Row:
        return [max((alpha - 1) * x - tau, 0.0) ** (1 / (alpha - 1)) for x in z]

    largest = (alpha - 1) * max(z)
    low, high = largest - 1, largest - len(z) ** (1 - alpha)
    for _ in range(200):
        tau = (low + high) / 2
        if sum(weights(tau)) < 1:
            high = tau
        else:
            low = tau
    return [p / sum(weights(tau)) for p in weights(tau)]


def entmax_jacobian(p: Row, alpha: float) -> Matrix:
    """Peters et al. 2019, Proposition 2: `diag(s) - s s^T / sum(s)`, with `s_i = p_i ^ (2 - alpha)` in the support."""
    s = [x ** (2 - alpha) if x > 0 else 0.0 for x in p]
    n = range(len(p))
    return [[(s[i] if i == j else 0.0) - s[i] * s[j] / sum(s) for j in n] for i in n]


def entmax_by_alpha(p: Row, alpha: float) -> Row:
    """The derivative by alpha, Correia et al. 2019, Proposition 1."""
    s = [x ** (2 - alpha) if x > 0 else 0.0 for x in p]
    skewed = [x / sum(s) for x in s]
    h = [-x * math.log(x) if x > 0 else 0.0 for x in p]
    b = alpha - 1
    return [(p[i] - skewed[i]) / b**2 + (h[i] - skewed[i] * sum(h)) / b for i in range(len(p))]


def argmax(s: Row) -> Row:
    return [1.0 if j == s.index(max(s)) else 0.0 for j in range(len(s))]


def gumbel_softmax(s: Row, g: Row, temperature: float) -> Row:
    """Jang et al. 2017, Eq. 2."""
    return softmax([x + y for x, y in zip(s, g, strict=True)], temperature)


def sample(s: Row, g: Row) -> Row:
    """Jang et al. 2017, Eq. 1."""
    return argmax([x + y for x, y in zip(s, g, strict=True)])


def log_probability(s: Row, w: Row) -> float:
    return sum(math.log(p) for p, chosen in zip(softmax(s), w, strict=True) if chosen)


def entropy(s: Row) -> float:
    return -sum(p * math.log(p) for p in softmax(s))
