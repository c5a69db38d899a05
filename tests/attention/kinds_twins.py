"""The other kinds once more, as plain scalar loops that read like the papers; a scalar is a tensor without axes."""

import math

import torch
from twins import ZERO, additive, dot, entmax, plus, read, softmax, tanh, times

Scalar = torch.Tensor


def rotated(x: list, place: int, dim: int, layout: str) -> list:
    """Su et al. 2021, eq. 34: the pairs among the first `dim` numbers turn by an angle each."""
    half, turned = dim // 2, list(x)
    for i in range(half):
        one, other = (i, i + half) if layout == "halves" else (2 * i, 2 * i + 1)
        angle = place * 10000 ** (-2 * i / dim)
        turned[one] = x[one] * math.cos(angle) - x[other] * math.sin(angle)
        turned[other] = x[one] * math.sin(angle) + x[other] * math.cos(angle)
    return turned


def bucket(step: int, buckets: int, furthest: int) -> int:
    """Raffel et al. 2020, §2.1, in both directions: see also their program."""
    half = buckets // 2
    alone, first, distance = half // 2, half if step > 0 else 0, abs(step)
    if distance < alone:
        return first + distance
    far = alone + int(math.log(distance / alone) / math.log(furthest / alone) * (half - alone))
    return first + min(far, half - 1)


def of_a_head(name: str, h: int, heads: int, query: list, keys: list, place: int, w: dict) -> list:
    """Scores of one query at `place` for one head, before bias and mask."""
    width = len(query)
    if name in ("content heads", "one inner for all heads"):
        if name == "content heads" and h == 1:
            return [dot(query, times(w["inner.1.key.weight"], k)) for k in keys]
        mine = {part: w[f"inner.0.{part}"] for part in ("query.weight", "key.weight", "v")}
        return [additive(query, k, mine) for k in keys]
    if name.startswith("rotary"):
        dim, layout = (4, "halves") if name == "rotary heads" else (width, "neighbours")
        query = rotated(query, place, dim, layout)
        keys = [rotated(k, j, dim, layout) for j, k in enumerate(keys)]
    if name == "relative heads":
        table = w["positions.key.weight"]
        keys = [plus(k, table[min(max(j - place, -2), 2) + 2]) for j, k in enumerate(keys)]
    scores = [dot(query, k) / math.sqrt(width) for k in keys]
    if name == "alibi heads":
        return [e - 2 ** (-8 * (h + 1) / heads) * abs(place - j) for j, e in enumerate(scores)]
    if name == "bucketed heads":
        return [e + w["positions.table.weight"][bucket(j - place, 8, 5)][h] for j, e in enumerate(scores)]
    return scores


def multi_head(name: str, query: list, key: list, value: list, mask: list, bias: list, w: dict) -> tuple[list, list]:
    """Vaswani et al. 2017, §3.2.2, and what others made of it: contexts of one sentence, and weights of every head."""
    several = {"grouped heads": (4, 2), "one shared head": (3, 1), "one inner for all heads": (4, 2)}
    heads, shared = several.get(name, (2, 2))
    width, wide = len(w["query.weight"]) // heads, len(w["value.weight"]) // shared
    contexts, alignment = [], [[] for _ in range(heads)]
    for i, (s, allowed, b) in enumerate(zip(query, mask, bias, strict=True)):
        seen, place = s if any(allowed) else [ZERO] * len(s), len(key) - len(query) + i
        joined = []
        for h in range(heads):
            of_query, of_key = slice(h * width, (h + 1) * width), h * shared // heads
            mine, of_value = slice(of_key * width, (of_key + 1) * width), slice(of_key * wide, (of_key + 1) * wide)
            q = plus(times(w["query.weight"][of_query], seen), w["query.bias"][of_query])
            keys = [plus(times(w["key.weight"][mine], k), w["key.bias"][mine]) for k in key]
            values = [plus(times(w["value.weight"][of_value], v), w["value.bias"][of_value]) for v in value]
            scores = plus(of_a_head(name, h, heads, q, keys, place, w), b)
            a = entmax(scores, allowed, ZERO + 2) if name == "content heads" and h == 1 else softmax(scores, allowed)
            if name == "relative heads":
                table = w["positions.value.weight"]
                values = [plus(v, table[min(max(j - place, -2), 2) + 2]) for j, v in enumerate(values)]
            joined += read(a, values)
            alignment[h].append(a)
        contexts.append(plus(times(w["output.weight"], joined), w["output.bias"]))
    return contexts, alignment


def sigmoid(vector: list) -> list:
    return [torch.sigmoid(x) for x in vector]


def structured(x: list, allowed: list, w: dict) -> tuple[list, list]:
    """Lin et al. 2017, eq. 5 to 7."""
    hidden = [tanh(times(w["hidden.weight"], h)) for h in x]
    alignment = [softmax([dot(row, u) for u in hidden], allowed) for row in w["hops.weight"]]
    return [read(a, x) for a in alignment], alignment


def context_vector(x: list, allowed: list, w: dict) -> tuple[list, list]:
    """Yang et al. 2016, eq. 5 to 7."""
    hidden = [tanh(plus(times(w["hidden.weight"], h), w["hidden.bias"])) for h in x]
    a = softmax([dot(u, w["context"]) for u in hidden], allowed)
    return read(a, x), a


def bag(x: list, allowed: list, w: dict) -> tuple[list, list]:
    """Ilse et al. 2018, eq. 8, and 9 where there is a gate."""
    scores = []
    for h in x:
        hidden = tanh(times(w["hidden.weight"], h))
        if "gate.weight" in w:
            hidden = [a * b for a, b in zip(hidden, sigmoid(times(w["gate.weight"], h)), strict=True)]
        scores.append(dot(w["w"], hidden))
    a = softmax(scores, allowed)
    return read(a, x), a


def multi_hop(x: list, allowed: list, w: dict) -> tuple[list, list]:
    """Sukhbaatar et al. 2015, §2.2, three hops."""
    query, alignment = w["query"], []
    for _ in range(3):
        a = softmax([dot(query, times(w["key.weight"], h)) for h in x], allowed)
        query = plus(times(w["turn.weight"], query), read(a, [times(w["value.weight"], h) for h in x]))
        alignment.append(a)
    return query if any(allowed) else [ZERO] * len(query), alignment


def mean(channel: list) -> Scalar:
    return sum((p for row in channel for p in row), ZERO) / (len(channel) * len(channel[0]))


def largest(values: list) -> Scalar:
    return torch.stack(values).max()


def gated(x: list, gate: list) -> list:
    """Every channel times its gate."""
    return [[[g * p for p in row] for row in channel] for g, channel in zip(gate, x, strict=True)]


def gated_places(x: list, gate: list) -> list:
    """Every place times its gate."""
    return [[[g * p for g, p in zip(*rows, strict=True)] for rows in zip(gate, channel, strict=True)] for channel in x]


def squeeze_excitation(x: list, w: dict) -> tuple[list, list]:
    """Hu et al. 2018, eq. 2 to 4, of one image as channels of rows of pixels."""
    hidden = [torch.relu(u) for u in plus(times(w["squeeze.weight"], [mean(c) for c in x]), w["squeeze.bias"])]
    gate = sigmoid(plus(times(w["excite.weight"], hidden), w["excite.bias"]))
    return gated(x, gate), gate


def efficient_channel(x: list, w: dict) -> tuple[list, list]:
    """Wang et al. 2020, eq. 9."""
    kernel, z = w["kernel.weight"][0][0], [mean(c) for c in x]
    padded = [ZERO] * (len(kernel) // 2) + z + [ZERO] * (len(kernel) // 2)
    gate = sigmoid([dot(kernel, padded[c : c + len(kernel)]) for c in range(len(z))])
    return gated(x, gate), gate


def channel_gate(x: list, w: dict, prefix: str = "") -> tuple[list, list]:
    """Woo et al. 2018, eq. 2."""

    def layers(z: list) -> list:
        hidden = [torch.relu(u) for u in times(w[f"{prefix}squeeze.weight"], z)]
        return times(w[f"{prefix}excite.weight"], hidden)

    gate = sigmoid(plus(layers([mean(c) for c in x]), layers([largest([p for row in c for p in row]) for c in x])))
    return gated(x, gate), gate


def spatial_gate(x: list, w: dict, prefix: str = "") -> tuple[list, list]:
    """Woo et al. 2018, eq. 3, without the batch."""
    height, width, kernel = len(x[0]), len(x[0][0]), w[f"{prefix}kernel.weight"][0]
    half = len(kernel[0]) // 2
    both = (
        [[sum((c[i][j] for c in x), ZERO) / len(x) for j in range(width)] for i in range(height)],
        [[largest([c[i][j] for c in x]) for j in range(width)] for i in range(height)],
    )
    gate = []
    for i in range(height):
        row = []
        for j in range(width):
            total = ZERO
            for plane, weights in zip(both, kernel, strict=True):
                for a, line in enumerate(weights):
                    for b, weight in enumerate(line):
                        p, q = i + a - half, j + b - half
                        if 0 <= p < height and 0 <= q < width:
                            total = total + weight * plane[p][q]
            row.append(torch.sigmoid(total))
        gate.append(row)
    return gated_places(x, gate), gate


def cbam(x: list, w: dict) -> tuple[list, list, list]:
    """Woo et al. 2018, eq. 1."""
    let_through, channel = channel_gate(x, w, "channel.")
    output, place = spatial_gate(let_through, w, "place.")
    return output, channel, place


def sca(x: list, query: list, w: dict, order: str) -> tuple[list, list, list]:
    """Chen et al. 2017, eq. 4 to 8."""
    height, width = len(x[0]), len(x[0][0])

    def channels(image: list) -> list:
        asked, scores = times(w["channel_query.weight"], query), []
        for c in image:
            hidden = tanh(plus(times(w["of_channel.weight"], [mean(c)]), w["of_channel.bias"], asked))
            scores.append(dot(w["channel_score.weight"][0], hidden) + w["channel_score.bias"][0])
        return softmax(scores, [True] * len(image))

    def places(image: list) -> list:
        asked, scores = times(w["place_query.weight"], query), []
        for i in range(height):
            for j in range(width):
                hidden = plus(times(w["of_place.weight"], [c[i][j] for c in image]), w["of_place.bias"], asked)
                scores.append(dot(w["place_score.weight"][0], tanh(hidden)) + w["place_score.bias"][0])
        a = softmax(scores, [True] * len(scores))
        return [a[i * width : (i + 1) * width] for i in range(height)]

    if order == "channel-spatial":
        channel = channels(x)
        place = places(gated(x, channel))
    else:
        place = places(x)
        channel = channels(gated_places(x, place))
    return gated_places(gated(x, channel), place), channel, place


def non_local(x: list, w: dict, pairs: str) -> tuple[list, list]:
    """Wang et al. 2018, eq. 1 to 6."""
    height, width = len(x[0]), len(x[0][0])
    places = [[c[i][j] for c in x] for i in range(height) for j in range(width)]
    layer = lambda name, v: plus(times(w[f"{name}.weight"], v), w[f"{name}.bias"])  # noqa: E731
    theta = phi = places
    if pairs != "gaussian":
        theta, phi = ([layer(name, p) for p in places] for name in ("theta", "phi"))
    weights = []
    for q in theta:
        if pairs == "concatenation":
            row = [torch.relu(dot(w["w"], q + k)) / len(places) for k in phi]
        elif pairs == "dot":
            row = [dot(q, k) / len(places) for k in phi]
        else:
            row = softmax([dot(q, k) for k in phi], [True] * len(places))
        weights.append(row)
    values = [layer("g", p) for p in places]
    found = [plus(layer("output", read(row, values)), p) for row, p in zip(weights, places, strict=True)]
    output = [[[found[i * width + j][c] for j in range(width)] for i in range(height)] for c in range(len(x))]
    return output, weights


def linear(x: list, allowed: list, w: dict, causal: bool) -> tuple[list, list]:
    """Katharopoulos et al. 2020, eq. 4, two heads: contexts, and the weights of every head."""
    layer = lambda name, v: plus(times(w[f"{name}.weight"], v), w[f"{name}.bias"])  # noqa: E731
    phi = lambda v: [u + 1 if u > 0 else torch.exp(u) for u in v]  # noqa: E731
    x = [h if ok else [ZERO] * len(h) for h, ok in zip(x, allowed, strict=True)]
    width = len(x[0]) // 2
    contexts, alignment = [], [[], []]
    for i in range(len(x)):
        both = []
        for h in range(2):
            mine = slice(h * width, (h + 1) * width)
            query, row = phi(layer("query", x[i])[mine]), []
            for j in range(len(x)):
                may = allowed[j] and (j <= i or not causal)
                row.append(dot(query, phi(layer("key", x[j])[mine])) if may else ZERO)
            total = sum(row, ZERO)
            a = [s / total if total else ZERO for s in row]
            both += read(a, [layer("value", h_)[mine] for h_ in x])
            alignment[h].append(a)
        contexts.append(layer("output", both))
    return contexts, alignment
