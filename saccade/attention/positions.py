"""Places as the heads of multi-head attention know them: keys turned by their place, biases by distance.

Positions that are added to the input of a whole model (sinusoidal, learned) stand in `saccade.layers.positions`.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade.errors import at_least_one
from saccade.normalizers.base import precise


class Positions(nn.Module):
    """What multi-head attention asks of places; a subclass answers what it has an answer to, and this one nothing."""

    needs_weights = False
    """Whether the context cannot be had without the weights."""

    def check(self, heads: int, dim: int) -> None:
        """Refuse heads of a number or width that does not fit."""

    def turn(self, x: Tensor, start: int | Tensor) -> Tensor:
        """Queries or keys `[batch, heads, slot, dim]` at the places from `start` (or `[batch]` of them) on."""
        return x

    def bias(self, query: Tensor, keys: int, place: int) -> Tensor | None:
        """What is added to the scores of queries `[batch, heads, query, dim]`, the first of which stands at `place`.

        `[batch or 1, heads, query, key]`.
        """
        return None

    def read(self, weights: Tensor, place: int) -> Tensor | None:
        """What is added to the contexts for weights `[batch, heads, query, key]` of queries from `place` on."""
        return None


def rotate(
    x: Float[Tensor, "batch heads slot dim"],
    place: Int[Tensor, "batch_or_1 slot"],
    *,
    base: float = 10_000.0,
    layout: Literal["halves", "neighbours"] = "halves",
) -> Float[Tensor, "batch heads slot dim"]:
    """Turn each pair of numbers by an angle that grows with the place (Su et al. 2021, eq. 34).

    `(a, b) -> (a cos(m t_i) - b sin(m t_i), a sin(m t_i) + b cos(m t_i))`, `t_i = base^(-2i / dim)`, for the i-th pair
    at place m, so that `rotate(q, m) . rotate(k, n)` depends on `m - n` alone.

    Args:
        x: queries or keys, `[batch, heads, slot, dim]`, dim even; turned in float32 or better.
        place: of each slot, `[batch or 1, slot]`.
        base: how slowly the last pair turns.
        layout: a pair is `(x_i, x_{i + dim/2})` ("halves": Llama, GPT-NeoX) or `(x_2i, x_2i+1)` ("neighbours": the
            paper, GPT-J).

    >>> x = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    >>> [round(number, 3) for number in rotate(x, torch.tensor([[2]])).flatten().tolist()]  # cos 2, sin 2
    [-0.416, 0.909]
    """
    wide = precise(x)
    half = x.shape[-1] // 2
    speed = base ** (-torch.arange(half, dtype=wide.dtype, device=x.device) / half)
    angle = (place[..., None] * speed)[:, None]
    cos, sin = angle.cos(), angle.sin()
    if layout == "halves":
        a, b = wide[..., :half], wide[..., half:]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)
    a, b = wide[..., ::2], wide[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class Rotary(Positions):
    """Rotary positions of Su et al. 2021: see `rotate`. Weights depend on distances, nothing is learned.

    Args:
        dim: how many numbers of each head are turned, the first ones; even.
        base: how slowly the last pair turns.
        layout: which numbers are a pair, "halves" (as Llama) or "neighbours" (as the paper).

    >>> Rotary(4).turn(torch.ones(1, 1, 2, 6), start=0).shape
    torch.Size([1, 1, 2, 6])
    """

    def __init__(self, dim: int, *, base: float = 10_000.0, layout: Literal["halves", "neighbours"] = "halves"):
        super().__init__()
        if dim < 2 or dim % 2:
            raise ValueError(f"rotary positions turn pairs, so dim must be even; got {dim}")
        if layout not in ("halves", "neighbours"):
            raise ValueError(f"layout must be halves or neighbours; got {layout!r}")
        self.dim, self.base, self.layout = dim, base, layout

    def check(self, heads: int, dim: int) -> None:
        """Refuse heads that are narrower than what is turned."""
        if dim < self.dim:
            raise ValueError(f"rotary positions turn {self.dim} numbers of each head; got heads of {dim}")

    def turn(self, x: Tensor, start: int | Tensor) -> Tensor:
        """Turn the first `dim` numbers."""
        first = start[:, None] if isinstance(start, Tensor) else start
        place = torch.arange(x.shape[2], device=x.device)[None] + first
        turned = rotate(x[..., : self.dim], place, base=self.base, layout=self.layout)
        return turned if x.shape[-1] == self.dim else torch.cat([turned, x[..., self.dim :]], -1)


def alibi_slopes(heads: int) -> list[float]:
    """`m_h = 2^(-8h / heads)` for h = 1 ... heads (Press et al. 2022, §3), where heads are a power of two.

    Otherwise those of the next lower power, and then every other one of the next higher, as in the authors' program.

    >>> alibi_slopes(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    lower = 2 ** math.floor(math.log2(heads))
    own = [2 ** (-8 * (h + 1) / lower) for h in range(lower)]
    return own + [2 ** (-4 * (h + 1) / lower) for h in range(0, 2 * (heads - lower), 2)]


class Alibi(Positions):
    """Attention with linear biases of Press et al. 2022, §3: `-m_h |i - j|` is added to the scores; nothing is learned.

    >>> Alibi().bias(torch.zeros(1, 2, 3, 4), keys=3, place=0)[0, 0].tolist()  # the first of two heads: m = 1/16
    [[-0.0, -0.0625, -0.125], [-0.0625, -0.0, -0.0625], [-0.125, -0.0625, -0.0]]
    """

    def bias(self, query: Tensor, keys: int, place: int) -> Tensor:
        """`[1, heads, query, key]`, float32 or better."""
        slopes = torch.tensor(alibi_slopes(query.shape[1]), dtype=precise(query[..., :0]).dtype, device=query.device)
        return (-slopes[:, None, None] * steps(query, keys, place).abs())[None]


class BucketedBias(Positions):
    """The relative biases of T5 (Raffel et al. 2020, §2.1): one number for each head and bucket of distances.

    Half of the buckets are a distance each, the other half grow like its logarithm up to `furthest`, beyond which all
    are one. T5's layers share one of them: give the same module to each.

    Args:
        heads: how many the attention has.
        buckets: how many there are, of both directions together.
        furthest: the distance from which on all are one bucket.
        bidirectional: whether slots after the query have buckets of their own; else they share that of distance 0.

    >>> BucketedBias(2, buckets=8, furthest=16).bias(torch.zeros(1, 2, 3, 4), keys=5, place=2).shape
    torch.Size([1, 2, 3, 5])
    """

    def __init__(self, heads: int, *, buckets: int = 32, furthest: int = 128, bidirectional: bool = True):
        super().__init__()
        if buckets < (4 if bidirectional else 2) or furthest <= buckets // (4 if bidirectional else 2):
            raise ValueError(f"furthest must lie beyond the buckets of one distance; got {furthest} and {buckets}")
        self.furthest, self.bidirectional = furthest, bidirectional
        self.table = nn.Embedding(buckets, heads)

    def check(self, heads: int, dim: int) -> None:
        """Refuse another number of heads."""
        if heads != self.table.embedding_dim:
            raise ValueError(f"positions must be those of {heads} heads; got {self.table.embedding_dim}")

    def bias(self, query: Tensor, keys: int, place: int) -> Tensor:
        """`[1, heads, query, key]`."""
        found: Tensor = self.table(self.bucket(steps(query, keys, place)))
        return precise(found).permute(2, 0, 1)[None]

    def bucket(self, step: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The bucket of each step `key - query`."""
        buckets, past = self.table.num_embeddings, torch.zeros_like(step)
        if self.bidirectional:
            buckets //= 2
            past, distance = (step > 0) * buckets, step.abs()
        else:
            distance = (-step).clamp(min=0)
        alone = buckets // 2
        # The logarithm in float32, as T5 has it: at the edges of buckets a more exact one would choose another.
        share = (distance.clamp(min=1).float() / alone).log() / math.log(self.furthest / alone)
        far = (alone + (share * (buckets - alone)).long()).clamp(max=buckets - 1)
        return past + torch.where(distance < alone, distance, far)


class RelativeVectors(Positions):
    """Relative positions of Shaw et al. 2018, eq. 3 and 4: a vector for each step, added to keys and to values.

    `e_ij = q_i . (k_j + a^K_{j-i}) / sqrt(d)`, `z_i = sum_j alpha_ij (v_j + a^V_{j-i})`, steps clipped at `furthest`.
    All heads share them. The values' part needs the weights, so there is no fused path.

    Args:
        dim: width of a head's queries.
        furthest: the step k at which distances are clipped.
        value_dim: width of a head's values; 0 for vectors on the keys alone, `dim` where None.

    >>> RelativeVectors(4, furthest=2).read(torch.ones(1, 2, 3, 5), place=2).shape
    torch.Size([1, 2, 3, 4])
    """

    def __init__(self, dim: int, *, furthest: int, value_dim: int | None = None):
        super().__init__()
        at_least_one({"furthest": furthest})
        self.dim, self.furthest = dim, furthest
        self.key = nn.Embedding(2 * furthest + 1, dim)
        width = dim if value_dim is None else value_dim
        self.value = nn.Embedding(2 * furthest + 1, width) if width else None
        self.needs_weights = self.value is not None
        for table in filter(None, (self.key, self.value)):
            nn.init.xavier_uniform_(table.weight)

    def check(self, heads: int, dim: int) -> None:
        """Refuse heads of another width."""
        if dim != self.dim:
            raise ValueError(f"positions must be those of heads of {dim}; got {self.dim}")

    def bias(self, query: Tensor, keys: int, place: int) -> Tensor:
        """`[batch, heads, query, key]`."""
        # Scores with every vector first, and then the one that each pair wants: no tensor of pairs times dim.
        with torch.autocast(query.device.type, enabled=False):
            every = precise(query) @ precise(self.key.weight).T / math.sqrt(self.dim)
        clipped = self._clipped(query, keys, place).expand(*query.shape[:2], -1, -1)
        return every.gather(-1, clipped)

    def read(self, weights: Tensor, place: int) -> Tensor | None:
        """`[batch, heads, query, value_dim]`."""
        if self.value is None:
            return None
        wide = precise(weights)
        clipped = self._clipped(weights, weights.shape[-1], place).expand(*weights.shape[:2], -1, -1)
        each = wide.new_zeros(*weights.shape[:3], self.value.num_embeddings).scatter_add(-1, clipped, wide)
        with torch.autocast(weights.device.type, enabled=False):
            return each @ precise(self.value.weight)

    def _clipped(self, query: Tensor, keys: int, place: int) -> Tensor:
        return steps(query, keys, place).clamp(-self.furthest, self.furthest) + self.furthest


def steps(query: Tensor, keys: int, place: int) -> Int[Tensor, "query key"]:
    """`j - i` from the place i of each query of `[..., query, dim]`, the first of which is `place`, to each key's j.

    >>> steps(torch.zeros(2, 1), keys=3, place=1).tolist()
    [[-1, 0, 1], [-2, -1, 0]]
    """
    key = torch.arange(keys, device=query.device)
    return key - torch.arange(place, place + query.shape[-2], device=query.device)[:, None]
