"""The mechanisms once more, as plain scalar loops that read like the papers.

A scalar is a tensor without axes, so that the loops have gradients too; a vector is a list of them.
"""

import math
from functools import partial

import monotonic_twins
import normalizer_twins as rows
import torch

from saccade.attention.catalogue import parse

Scalar = torch.Tensor
ZERO = torch.tensor(0.0, dtype=torch.float64)


def dot(a: list, b: list) -> Scalar:
    return sum((x * y for x, y in zip(a, b, strict=True)), ZERO)


def times(matrix: list, vector: list) -> list:
    return [dot(row, vector) for row in matrix]


def plus(*vectors: list) -> list:
    return [sum(column, ZERO) for column in zip(*vectors, strict=True)]


def tanh(vector: list) -> list:
    return [torch.tanh(x) for x in vector]


def length(vector: list) -> Scalar:
    return torch.sqrt(dot(vector, vector))


def additive(s: list, h: list, w: dict) -> Scalar:
    """v . tanh(W s + U h), Bahdanau et al. 2015, A.1.2."""
    return dot(w["v"], tanh(plus(times(w["query.weight"], s), times(w["key.weight"], h))))


def additive_normed(s: list, h: list, w: dict) -> Scalar:
    """g v / |v| . tanh(W s + U h + b), Salimans and Kingma 2016, eq. 2."""
    hidden = tanh(plus(times(w["query.weight"], s), times(w["key.weight"], h), w["key.bias"]))
    return w["g"] * dot(w["v"], hidden) / length(w["v"])


def tanh_sum(s: list, h: list, w: dict) -> Scalar:
    """sum of tanh(W [s; h] + b)."""
    return sum(tanh(plus(times(w["joined.weight"], s + h), w["joined.bias"])), ZERO)


def concat(s: list, h: list, w: dict) -> Scalar:
    """v . tanh(W [s; h]), Luong et al. 2015, §3.1."""
    return dot(w["v"], tanh(times(w["joined.weight"], s + h)))


def general(s: list, h: list, w: dict) -> Scalar:
    """s . W h, Luong et al. 2015, §3.1."""
    return dot(s, times(w["key.weight"], h))


def cosine(s: list, h: list, w: dict) -> Scalar:
    """beta cos(s, h), Graves et al. 2014, eq. 5 and 6."""
    return torch.exp(w["log_sharpness"]) * dot(s, h) / (length(s) * length(h))


def gaussian_kernel(s: list, h: list, w: dict) -> Scalar:
    """-|s - h|^2 / (2 width^2), Watson 1964."""
    between = [x - y for x, y in zip(s, h, strict=True)]
    return -dot(between, between) / (2 * torch.exp(w["log_width"]) ** 2)


SCORES = {
    "additive": additive,
    "additive-normed": additive_normed,
    "tanh-sum": tanh_sum,
    "concat": concat,
    "general": general,
    "dot": lambda s, h, w: dot(s, h),
    "scaled-dot": lambda s, h, w: dot(s, h) / math.sqrt(len(s)),
    "cosine": cosine,
    "gaussian-kernel": gaussian_kernel,
    "pointer": additive,
}


def softmax(scores: list, seen: list) -> list:
    largest = max((s.detach() for s, ok in zip(scores, seen, strict=True) if ok), default=ZERO)
    powers = [torch.exp(s - largest) if ok else ZERO for s, ok in zip(scores, seen, strict=True)]
    total = sum(powers, ZERO)
    return [p / total if total else ZERO for p in powers]


def sigmoid(scores: list, seen: list) -> list:
    return [1 / (1 + torch.exp(-s)) if ok else ZERO for s, ok in zip(scores, seen, strict=True)]


def entmax(scores: list, seen: list, alpha: Scalar) -> list:
    """The value by bisection; the gradient by Peters et al. 2019, Proposition 2, and Correia et al. 2019, 1."""
    open_ = [s for s, ok in zip(scores, seen, strict=True) if ok]
    if not open_:
        return [ZERO] * len(scores)
    a = alpha.item()
    p = rows.sparsemax([s.item() for s in open_]) if a == 2 else rows.entmax([s.item() for s in open_], a)
    moved = [s - s.detach() for s in open_]
    by_alpha = rows.entmax_by_alpha(p, a) if a != 2 else [0.0] * len(p)
    jacobian = rows.entmax_jacobian(p, a)
    found = iter(
        [x + dot([ZERO + y for y in j], moved) + d * (alpha - a) for x, j, d in zip(p, jacobian, by_alpha, strict=True)]
    )
    return [next(found) if ok else ZERO for ok in seen]


def chosen(scores: list, seen: list) -> list:
    """One at the best slot."""
    best = max((s.item() for s, ok in zip(scores, seen, strict=True) if ok), default=None)
    return [ZERO + (ok and s.item() == best) for s, ok in zip(scores, seen, strict=True)]


def straight_through(scores: list, seen: list) -> list:
    """The value of the choice, the gradient of softmax."""
    both = zip(chosen(scores, seen), softmax(scores, seen), strict=True)
    return [c + (p - p.detach()) for c, p in both]


NORMALIZERS = {
    "softmax": lambda s, seen, g, w: softmax(s, seen),
    "sigmoid": lambda s, seen, g, w: sigmoid(s, seen),
    "sparsemax": lambda s, seen, g, w: entmax(s, seen, ZERO + 2),
    "entmax15": lambda s, seen, g, w: entmax(s, seen, ZERO + 1.5),
    "entmax": lambda s, seen, g, w: entmax(s, seen, 1 + torch.sigmoid(w["normalizer.a"])),
    "argmax": lambda s, seen, g, w: chosen(s, seen),
    "straight-through": lambda s, seen, g, w: straight_through(s, seen),
    "gumbel": lambda s, seen, g, w: straight_through(plus(s, g), seen),
    "reinforce": lambda s, seen, g, w: chosen(plus(s, g), seen),
}


def content_scores(mechanism: str, s: list, keys: list, w: dict) -> list:
    """The scores of one query over every slot."""
    if mechanism in ("location", "fixed-slot"):  # the j-th row of W s, Luong et al. 2015, eq. 8
        bias = w.get("place.bias", [ZERO] * len(w["place.weight"]))
        known = plus(times(w["place.weight"], s), bias)
        return [known[j] if j < len(known) else ZERO for j in range(len(keys))]
    return [SCORES[mechanism](s, h, w) for h in keys]


def read(weights: list, values: list) -> list:
    """sum_j a_j v_j."""
    return [dot(weights, column) for column in zip(*values, strict=True)]


def centre_of(window: str, i: int, s: list, allowed: list, w: dict) -> Scalar:
    """p_i of Luong et al. 2015, §3.2."""
    if window == "local-m":
        return ZERO + i
    hidden = tanh(times(w["window.query.weight"], s))
    return sum(allowed) * torch.sigmoid(dot(w["window.v.weight"][0], hidden))


def content(parts, query, key, value, mask, bias, noise, w, half_width) -> tuple[list, list]:
    """Content scores under any normaliser and window."""
    contexts, alignment = [], []
    for i, (s, allowed) in enumerate(zip(query, mask, strict=True)):
        scores = plus(content_scores(parts.mechanism, s, key, w), bias[i])
        seen = list(allowed)
        if parts.window:
            p = centre_of(parts.window, i, s, allowed, w)
            seen = [ok and p - half_width <= j <= p + half_width for j, ok in enumerate(allowed)]
        a = NORMALIZERS[parts.normalizer](scores, seen, noise[i], w)
        if parts.window == "local-p":
            sigma = half_width / 2
            a = [a_j * torch.exp(-((j - p) ** 2) / (2 * sigma**2)) for j, a_j in enumerate(a)]
        context = read(a, value)
        if parts.mechanism == "fixed-slot":
            # Who may look nowhere is not seen itself.
            q = s if any(allowed) else [ZERO] * len(s)
            context = plus(times(w["combine.weight"], q + context), w["combine.bias"])
        contexts.append(context)
        alignment.append(a)
    return contexts, alignment


def location_sensitive(query, key, value, mask, bias, noise, w, cumulative=False) -> tuple[list, list]:
    """Chorowski et al. 2015, eq. 8 and 9; cumulative as in Shen et al. 2018."""
    slots, before = len(key), [ZERO] * len(key)
    contexts, alignment = [], []
    for s, allowed, b in zip(query, mask, bias, strict=True):
        scores = []
        for j, h in enumerate(key):
            f = []
            for (filter,) in w["convolution.weight"]:
                middle = len(filter) // 2
                covered = [(j + r - middle, x) for r, x in enumerate(filter)]
                f.append(sum((x * before[k] for k, x in covered if 0 <= k < slots), ZERO))
            parts = times(w["query.weight"], s), times(w["key.weight"], h), times(w["location.weight"], f)
            scores.append(dot(w["v"], tanh(plus(*parts, w["location.bias"]))))
        a = softmax(plus(scores, b), allowed)
        if any(allowed):
            before = plus(before, a) if cumulative else a
        contexts.append(read(a, value))
        alignment.append(a)
    return contexts, alignment


def coverage(query, key, value, mask, bias, noise, w) -> tuple[list, list]:
    """See et al. 2017, eq. 10 and 11; with U_f that of Tu et al. 2016, eq. 5 to 7, N = 2."""
    contexts, alignment = [], []
    covered = [ZERO] * len(key)
    for s, allowed, b in zip(query, mask, bias, strict=True):
        scores = []
        for h, c in zip(key, covered, strict=True):
            of_coverage = [row[0] * c for row in w["coverage.weight"]]
            parts = times(w["query.weight"], s), times(w["key.weight"], h), of_coverage, w["coverage.bias"]
            scores.append(dot(w["v"], tanh(plus(*parts))))
        a = softmax(plus(scores, b), allowed)
        worth = [1.0] * len(key)
        if "worth.weight" in w:
            worth = [2 * torch.sigmoid(dot(w["worth.weight"][0], h)) for h in key]
        covered = [c + a_j / phi for c, a_j, phi in zip(covered, a, worth, strict=True)]
        contexts.append(read(a, value))
        alignment.append(a)
    return contexts, alignment


def gaussian_mixture(query, key, value, mask, bias, noise, w) -> tuple[list, list]:
    """Graves 2013, eq. 46 to 51."""
    components = len(w["parameters_of.weight"]) // 3
    kappa = [ZERO] * components
    contexts, alignment = [], []
    for s, allowed in zip(query, mask, strict=True):
        raw = [torch.exp(x) for x in plus(times(w["parameters_of.weight"], s), w["parameters_of.bias"])]
        alpha, beta, step = raw[:components], raw[components : 2 * components], raw[2 * components :]
        kappa = plus(kappa, step) if any(allowed) else kappa
        a = []
        for u, ok in enumerate(allowed, 1):
            bells = (x * torch.exp(-b * (k - u) ** 2) for x, b, k in zip(alpha, beta, kappa, strict=True))
            a.append(sum(bells, ZERO) if ok else ZERO)
        contexts.append(read(a, value))
        alignment.append(a)
    return contexts, alignment


def gaussian_mixture_v2b(query, key, value, mask, bias, noise, w) -> tuple[list, list]:
    """Battenberg et al. 2020, §2.2."""
    components = len(w["first"][0])
    mu = [ZERO] * components
    contexts, alignment = [], []
    for s, allowed in zip(query, mask, strict=True):
        hidden = tanh(plus(times(w["parameters_of.0.weight"], s), w["parameters_of.0.bias"]))
        raw = times(w["parameters_of.2.weight"], hidden)
        share, step, sigma = (raw[k : k + components] for k in range(0, 3 * components, components))
        total = sum((torch.exp(x) for x in share), ZERO)
        if any(allowed):
            mu = [m + torch.log(1 + torch.exp(x + b)) for m, x, b in zip(mu, step, w["first"][0], strict=True)]
        sigma = [torch.log(1 + torch.exp(x + b)) for x, b in zip(sigma, w["first"][1], strict=True)]
        a = []
        for u, ok in enumerate(allowed, 1):
            bells = (
                torch.exp(x) / total * torch.exp(-((u - m) ** 2) / (2 * d**2)) / torch.sqrt(2 * math.pi * d**2)
                for x, m, d in zip(share, mu, sigma, strict=True)
            )
            a.append(sum(bells, ZERO) if ok else ZERO)
        contexts.append(read(a, value))
        alignment.append(a)
    return contexts, alignment


def spatial_channel(places_first: bool, query, key, value, mask, bias, w) -> tuple[list, list]:
    """Chen et al. 2017, eq. 4 to 8, of regions; the sum over places is C times that of the weighed image."""
    w = {name.removeprefix("weigh."): x for name, x in w.items()}

    def channels(s: list, regions: list) -> list:
        count = max(len(regions), 1)
        scores = []
        for c in range(len(key[0])):
            v = [sum((a[c] for a in regions), ZERO) / count]
            inner = plus(
                plus(times(w["of_channel.weight"], v), w["of_channel.bias"]), times(w["channel_query.weight"], s)
            )
            scores.append(dot(w["channel_score.weight"][0], tanh(inner)))
        return softmax(scores, [True] * len(scores))

    def places(s: list, regions: list, allowed: list, added: list) -> list:
        scores = []
        for a, b in zip(regions, added, strict=True):
            inner = plus(plus(times(w["of_place.weight"], a), w["of_place.bias"]), times(w["place_query.weight"], s))
            scores.append(dot(w["place_score.weight"][0], tanh(inner)) + b)
        return softmax(scores, allowed)

    contexts, alignment = [], []
    for s, allowed, added in zip(query, mask, bias, strict=True):
        seen = [j for j, ok in enumerate(allowed) if ok]
        if places_first:
            alpha = places(s, key, allowed, added)
            beta = channels(s, [[alpha[j] * x for x in key[j]] for j in seen])
        else:
            beta = channels(s, [key[j] for j in seen])
            weighed = [[b * x for b, x in zip(beta, a, strict=True)] for a in key]
            alpha = places(s, weighed, allowed, added)
        contexts.append([len(beta) * b * x for b, x in zip(beta, read(alpha, value), strict=True)])
        alignment.append(alpha)
    return contexts, alignment


STATEFUL = {
    "location-sensitive": location_sensitive,
    "cumulative location-sensitive": partial(location_sensitive, cumulative=True),
    "coverage": coverage,
    "coverage with fertility": coverage,
    "gaussian-mixture": gaussian_mixture,
    "gaussian-mixture-v2b": gaussian_mixture_v2b,
}


def attend(name: str, query, key, value, mask, bias, noise, w, half_width: int) -> tuple[list, list]:
    """Contexts and weights of one sentence by the mechanism called `name`: nested lists of scalars in and out."""
    hard_decoding = name.endswith(", hard")
    name = name.removesuffix(", hard")
    if name in ("monotonic", "mocha"):
        chunk = 4 if name == "mocha" else None
        noise = None if hard_decoding else noise
        return monotonic_twins.attend(query, key, value, mask, bias, noise, w, chunk)[:2]
    if name == "visual":  # Xu et al. 2015, §4.2.1
        contexts, alignment = content(parse("additive"), query, key, value, mask, bias, noise, w, half_width)
        betas = [torch.sigmoid(dot(w["gate.weight"][0], s) + w["gate.bias"][0]) for s in query]
        return [[beta * x for x in row] for beta, row in zip(betas, contexts, strict=True)], alignment
    if name.startswith("sca-cnn"):
        return spatial_channel(name.endswith("places first"), query, key, value, mask, bias, w)
    if name in STATEFUL:
        return STATEFUL[name](query, key, value, mask, bias, noise, w)
    return content(parse(name), query, key, value, mask, bias, noise, w, half_width)
