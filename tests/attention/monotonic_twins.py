"""Monotonic attention and MoChA once more, as scalar loops that read like the papers.

A scalar is a tensor without axes, so that the loops have gradients too; a vector is a list of them.
"""

import torch

Scalar = torch.Tensor
ZERO = torch.tensor(0.0, dtype=torch.float64)
ONE = ZERO + 1.0


def expected(energies: list, previous: list, allowed: list) -> list:
    """alpha_i of Raffel et al. 2017, eq. 12 to 14, slot by slot."""
    alpha, q, p_before = [], ZERO, ZERO
    for e, came, ok in zip(energies, previous, allowed, strict=True):
        p = torch.sigmoid(e) if ok else ZERO
        q = (1 - p_before) * q + came
        alpha.append(p * q)
        p_before = p
    return alpha


def hard(energies: list, previous: list, allowed: list) -> list:
    """alpha_i of Raffel et al. 2017, Algorithm 1: from t_{i-1} on, stop at the first slot with p > 1/2."""
    alpha = [ZERO] * len(energies)
    if ONE not in previous:  # the end was reached before
        return alpha
    for j in range(previous.index(ONE), len(energies)):
        if allowed[j] and torch.sigmoid(energies[j]) > 0.5:
            alpha[j] = ONE
            break
    return alpha


def chunk_weights(alpha: list, u: list, width: int, allowed: list) -> list:
    """beta_i of Chiu and Raffel 2018, §2.4, as two sums; hidden slots have exp(u) = 0."""
    power = [torch.exp(x) if ok else ZERO for x, ok in zip(u, allowed, strict=True)]
    beta = []
    for j in range(len(u)):
        terms = [ZERO]
        for k in range(j, min(j + width, len(u))):
            if allowed[j] and allowed[k]:
                terms.append(alpha[k] * power[j] / sum(power[max(0, k - width + 1) : k + 1], ZERO))
        beta.append(sum(terms, ZERO))
    return beta


def dot(a: list, b: list) -> Scalar:
    return sum((x * y for x, y in zip(a, b, strict=True)), ZERO)


def network(prefix: str, s: list, h: list, w: dict) -> Scalar:
    """v . tanh(W s + V h + b)."""
    rows = zip(w[f"{prefix}query.weight"], w[f"{prefix}key.weight"], w[f"{prefix}key.bias"], strict=True)
    return dot(w[f"{prefix}v"], [torch.tanh(dot(row_w, s) + dot(row_v, h) + b) for row_w, row_v, b in rows])


def attend(query, key, value, mask, bias, noise, w, chunk=None) -> tuple[list, list, list]:
    """Contexts, weights and last alignment of one sentence, all nested lists of scalars.

    Without noise it decodes as in Algorithm 1; with a chunk it is MoChA.
    """
    alpha = [ONE] + [ZERO] * (len(key) - 1)
    contexts, weights = [], []
    for i, (s, allowed) in enumerate(zip(query, mask, strict=True)):
        length = torch.sqrt(dot(w["v"], w["v"]))
        e = [w["g"] * network("", s, h, w) / length + w["r"] + b for h, b in zip(key, bias[i], strict=True)]
        if noise is None:
            row = hard(e, alpha, allowed)
        else:
            row = expected([e_j + n for e_j, n in zip(e, noise[i], strict=True)], alpha, allowed)
        if any(allowed):
            alpha = row
        if chunk is not None:
            row = chunk_weights(row, [network("chunk_", s, h, w) for h in key], chunk, allowed)
        contexts.append([dot(row, column) for column in zip(*value, strict=True)])
        weights.append(row)
    return contexts, weights, alpha
