"""Additive scores and additive attention on CUDA, in Triton: float32 inside, four terms to a reciprocal.

`tanh(q + k) = 1 - 2 / (1 + exp(2q) exp(2k))`. Exponentials are made beforehand, hidden units first, so that a tile of
`[query, key]` reads a unit's values side by side. A GPU takes reciprocals at an eighth of the rate of multiply-adds, so
four of them share one: about 4 1/4 operations an inner step forward and 7 to 8 in each pass backward. Every sum has one
owner, so that the same inputs give the same bits: a pass for queries, a pass for keys, nothing is added by two at once.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from saccade.kernels.masked import read_values

_LIMIT, _FAR = 43.0, 34.0
"""exp(2 * 43) is about the largest float32; a query cut there is right unless the key is beyond -34 (tanh(9) is 1)."""
_ROWS, _COLUMNS = 32, 64
"""A tile: 16 elements a thread with four warps, so that four denominators and a sum stay in registers."""
_VALUES = 256
"""Values that one program of the fused kernel reads; for wider ones scores are made again."""
_CHUNK = 256
"""Queries at a time in the backward pass of the fused kernel, whose memory grows with the keys alone."""


class _Ready(NamedTuple):
    """What kernels read.

    q, k, v: `exp(2q)`, `exp(2k)` as `[batch, units, row]`, v `[units]`; units are a multiple of four.
    raw:     the float32 queries and keys in the same layout, for sentences that are far.
    far:     int32 `[batch]`: whether one of q, k is beyond 43 where the other may be far on the other side.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    raw: tuple[Tensor, Tensor]
    far: Tensor


@triton.jit
def _denominator(q, k, x, y, FAR: tl.constexpr):
    """`1 + exp(2 (q + k))`, cut at 2^30, where tanh is 1, so that the product of four is a float32; NaN stays NaN."""
    if FAR:
        e = tl.exp(2.0 * (x[:, None] + y[None, :]))
    else:
        e = q[:, None] * k[None, :]
    return 1.0 + tl.where(e > 1073741824.0, 1073741824.0, e)


@triton.jit
def _unit(rows, raw, d, place, inside, length, FAR: tl.constexpr):
    """A hidden unit of some rows: its exponentials, and for those that are far itself."""
    value = tl.load(rows + d * length + place, mask=inside, other=0.0)
    if FAR:
        return value, tl.load(raw + d * length + place, mask=inside, other=0.0)
    return value, value


@triton.jit
def _tile(
    q,
    k,
    rq,
    rk,
    v,
    i,
    j,
    queries,
    keys,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    FAR: tl.constexpr,
):
    """Scores `[ROWS, COLUMNS]` of the queries i and keys j."""
    half = tl.zeros((ROWS, COLUMNS), tl.float32)
    row, column = i < queries, j < keys
    for d in range(0, UNITS, 4):
        q0, x0 = _unit(q, rq, d, i, row, queries, FAR)
        q1, x1 = _unit(q, rq, d + 1, i, row, queries, FAR)
        q2, x2 = _unit(q, rq, d + 2, i, row, queries, FAR)
        q3, x3 = _unit(q, rq, d + 3, i, row, queries, FAR)
        k0, y0 = _unit(k, rk, d, j, column, keys, FAR)
        k1, y1 = _unit(k, rk, d + 1, j, column, keys, FAR)
        k2, y2 = _unit(k, rk, d + 2, j, column, keys, FAR)
        k3, y3 = _unit(k, rk, d + 3, j, column, keys, FAR)
        v0, v1, v2, v3 = tl.load(v + d), tl.load(v + d + 1), tl.load(v + d + 2), tl.load(v + d + 3)
        a, b = _denominator(q0, k0, x0, y0, FAR), _denominator(q1, k1, x1, y1, FAR)
        c, e = _denominator(q2, k2, x2, y2, FAR), _denominator(q3, k3, x3, y3, FAR)
        ab, ce = a * b, c * e
        # What is summed is tanh / -2: sums of 1 - tanh would lose their last digits.
        half += ((v0 * b + v1 * a) * ce + (v2 * e + v3 * c) * ab) / (ab * ce) - 0.5 * ((v0 + v1) + (v2 + v3))
    return -2.0 * half


@triton.jit
def _scores(q, k, rq, rk, v, far, out, queries, keys, UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    across, down = tl.cdiv(keys, COLUMNS), tl.cdiv(queries, ROWS)
    program = tl.program_id(0)
    b = (program // (across * down)).to(tl.int64)
    i = program // across % down * ROWS + tl.arange(0, ROWS)
    j = program % across * COLUMNS + tl.arange(0, COLUMNS)
    q, k, rq, rk = q + b * UNITS * queries, k + b * UNITS * keys, rq + b * UNITS * queries, rk + b * UNITS * keys
    if tl.load(far + b) != 0:
        scores = _tile(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, True)
    else:
        scores = _tile(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, False)
    place = b * queries * keys + i[:, None].to(tl.int64) * keys + j[None, :]
    tl.store(out + place, scores, mask=(i < queries)[:, None] & (j < keys)[None, :])


@triton.jit
def _sums(
    g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FAR: tl.constexpr
):
    """For four hidden units: the sums over all columns of `g r (1 - r)`, `[ROWS]` each, and of `g r` over rows too."""
    row = i < rows
    q0, x0 = _unit(q, rq, d, i, row, rows, FAR)
    q1, x1 = _unit(q, rq, d + 1, i, row, rows, FAR)
    q2, x2 = _unit(q, rq, d + 2, i, row, rows, FAR)
    q3, x3 = _unit(q, rq, d + 3, i, row, rows, FAR)
    zero = tl.zeros((ROWS, COLUMNS), tl.float32)
    n0, n1, n2, n3, m0, m1, m2, m3 = zero, zero, zero, zero, zero, zero, zero, zero
    for left in range(0, columns, COLUMNS):
        j = left + tl.arange(0, COLUMNS)
        column = j < columns
        place = i[:, None].to(tl.int64) * g_row + j[None, :].to(tl.int64) * g_column
        gradient = tl.load(g + place, mask=row[:, None] & column[None, :], other=0.0)
        k0, y0 = _unit(k, rk, d, j, column, columns, FAR)
        k1, y1 = _unit(k, rk, d + 1, j, column, columns, FAR)
        k2, y2 = _unit(k, rk, d + 2, j, column, columns, FAR)
        k3, y3 = _unit(k, rk, d + 3, j, column, columns, FAR)
        a, b = _denominator(q0, k0, x0, y0, FAR), _denominator(q1, k1, x1, y1, FAR)
        c, e = _denominator(q2, k2, x2, y2, FAR), _denominator(q3, k3, x3, y3, FAR)
        ab, ce = a * b, c * e
        one = 1.0 / (ab * ce)  # one reciprocal gives four
        x, y = one * ce, one * ab
        r0, r1, r2, r3 = x * b, x * a, y * e, y * c
        g0, g1, g2, g3 = gradient * r0, gradient * r1, gradient * r2, gradient * r3
        m0, m1, m2, m3 = m0 + g0, m1 + g1, m2 + g2, m3 + g3
        n0, n1, n2, n3 = n0 + (g0 - g0 * r0), n1 + (g1 - g1 * r1), n2 + (g2 - g2 * r2), n3 + (g3 - g3 * r3)
    n0, n1, n2, n3 = tl.sum(n0, 1), tl.sum(n1, 1), tl.sum(n2, 1), tl.sum(n3, 1)
    m0, m1, m2, m3 = tl.sum(m0, 1), tl.sum(m1, 1), tl.sum(m2, 1), tl.sum(m3, 1)
    return n0, n1, n2, n3, tl.sum(m0, 0), tl.sum(m1, 0), tl.sum(m2, 0), tl.sum(m3, 0)


@triton.jit
def _gradients(
    g, q, k, rq, rk, v, far, dq, dv, rows, columns, g_batch, g_row, g_column,
    UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The gradient of the rows, queries or keys, and of each tile's part in `sum of g r`, for four hidden units."""
    fours: tl.constexpr = UNITS // 4
    down = tl.cdiv(rows, ROWS)
    program = tl.program_id(0)
    b = (program // (fours * down)).to(tl.int64)
    tile = program // fours % down
    d = program % fours * 4
    i = tile * ROWS + tl.arange(0, ROWS)
    g, q, k = g + b * g_batch, q + b * UNITS * rows, k + b * UNITS * columns
    rq, rk = rq + b * UNITS * rows, rk + b * UNITS * columns
    if tl.load(far + b) != 0:
        n0, n1, n2, n3, m0, m1, m2, m3 = _sums(
            g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS, COLUMNS, True
        )
    else:
        n0, n1, n2, n3, m0, m1, m2, m3 = _sums(
            g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS, COLUMNS, False
        )
    into, row = dq + (b * UNITS + d) * rows + i, i < rows
    tl.store(into, 4.0 * tl.load(v + d) * n0, mask=row)
    tl.store(into + rows, 4.0 * tl.load(v + d + 1) * n1, mask=row)
    tl.store(into + 2 * rows, 4.0 * tl.load(v + d + 2) * n2, mask=row)
    tl.store(into + 3 * rows, 4.0 * tl.load(v + d + 3) * n3, mask=row)
    part = dv + (b * down + tile) * UNITS + d
    tl.store(part, m0)
    tl.store(part + 1, m1)
    tl.store(part + 2, m2)
    tl.store(part + 3, m3)


@triton.jit
def _attention(
    q, k, rq, rk, v, far, finite, value, mask, context, log_sum, queries, keys, width, m_batch, m_row, m_column,
    UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, VALUES: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Scores, softmax as it goes along and weighted sum, for a tile of queries and some columns of the values."""
    across, down = tl.cdiv(width, VALUES), tl.cdiv(queries, ROWS)
    program = tl.program_id(0)
    b = (program // (across * down)).to(tl.int64)
    i = program // across % down * ROWS + tl.arange(0, ROWS)
    d = program % across * VALUES + tl.arange(0, VALUES)
    row = i < queries
    q, k, rq, rk = q + b * UNITS * queries, k + b * UNITS * keys, rq + b * UNITS * queries, rk + b * UNITS * keys
    is_far = tl.load(far + b) != 0
    most, total = tl.full((ROWS,), float("-inf"), tl.float32), tl.zeros((ROWS,), tl.float32)
    found = tl.zeros((ROWS, VALUES), tl.float32)
    for left in range(0, keys, COLUMNS):
        j = left + tl.arange(0, COLUMNS)
        column = j < keys
        if is_far:
            e = _tile(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, True)
        else:
            e = _tile(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, False)
        whole = tl.load(finite + b * keys + j, mask=column, other=1)
        e = tl.where((whole != 0)[None, :], e, float("nan"))
        allowed = row[:, None] & column[None, :]
        if MASKED:
            place = b * m_batch + i[:, None].to(tl.int64) * m_row + j[None, :].to(tl.int64) * m_column
            allowed = allowed & (tl.load(mask + place, mask=allowed, other=0) != 0)
        e = tl.where(allowed, e, float("-inf"))
        higher = tl.maximum(most, tl.max(e, 1))
        # Where nothing has been allowed yet the difference of two infinities would be NaN.
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        p, before = tl.exp(e - shift[:, None]), tl.exp(most - shift)
        total = total * before + tl.sum(p, 1)
        most = higher
        there = column[:, None] & (d < width)[None, :]
        some = tl.load(value + (b * keys + j[:, None]) * width + d[None, :], mask=there, other=0.0).to(tl.float32)
        broken = (some != some) | (tl.abs(some) == float("inf"))
        found = found * before[:, None] + tl.dot(p, tl.where(broken, 0.0, some), input_precision="ieee")
        if tl.max(tl.max(broken.to(tl.int32), 1), 0) != 0:  # zero times NaN is NaN, also under a mask
            hurt = tl.dot((p != 0).to(tl.float32), broken.to(tl.float32), input_precision="ieee")
            found = tl.where(hurt > 0, float("nan"), found)
    found = tl.where(total[:, None] == 0, 0.0, found / total[:, None])
    place = (b * queries + i[:, None]) * width + d[None, :]
    tl.store(context + place, found.to(context.dtype.element_ty), mask=row[:, None] & (d < width)[None, :])
    # Infinity for who may look nowhere: in the backward pass exp(e - infinity) is zero.
    sums = tl.where(total == 0, float("inf"), most + tl.log(tl.where(total == 0, 1.0, total)))
    tl.store(log_sum + b * queries + i, sums, mask=row & (program % across == 0))


def _ready(q: Tensor, k: Tensor, v: Tensor) -> _Ready:
    units = -(-q.shape[2] // 4) * 4
    missing = units - q.shape[2]
    raw = [torch.nn.functional.pad(x.float(), (0, missing)).transpose(1, 2).contiguous() for x in (q, k)]
    made = [torch.nn.functional.pad((2 * x.float().clamp(-_LIMIT, _LIMIT)).exp(), (0, missing)) for x in (q, k)]
    turned = [x.transpose(1, 2).contiguous() for x in made]
    beyond = [[(x.abs() > limit).flatten(1).any(1) for x in raw] for limit in (_LIMIT, _FAR)]
    far = (beyond[0][0] & beyond[1][1]) | (beyond[0][1] & beyond[1][0])
    weights = torch.nn.functional.pad(v.float(), (0, missing)).contiguous()
    return _Ready(turned[0], turned[1], weights, (raw[0], raw[1]), far.int())


def load() -> None:
    """Nothing: Triton compiles for the sizes at hand, and keeps it on disk."""


def scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`e_ij = v . tanh(q_i + k_j)`, float32 `[batch, query, key]`, of `[batch, query, dim]` and `[batch, key, dim]`."""
    batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
    out = torch.empty(batch, queries, keys, device=q.device)
    if out.numel():
        ready = _ready(q, k, v)
        programs = batch * triton.cdiv(queries, _ROWS) * triton.cdiv(keys, _COLUMNS)
        with torch.cuda.device_of(q):
            _scores[(programs,)](
                ready.q, ready.k, *ready.raw, ready.v, ready.far, out, queries, keys,
                UNITS=ready.v.numel(), ROWS=_ROWS, COLUMNS=_COLUMNS,
            )  # fmt: skip
    return out


def scores_backward(grad: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `scores` to q, k and v, in their dtypes, from that of the scores."""
    if not grad.numel():
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    ready, dim, grad = _ready(q, k, v), v.numel(), grad.float()
    turned = ready._replace(q=ready.k, k=ready.q, raw=ready.raw[::-1])
    dq, part = _of_rows(grad, ready)
    dk, _ = _of_rows(grad.transpose(1, 2), turned)
    dv = grad.sum() - 2 * part.sum((0, 1))
    return dq[..., :dim].to(q.dtype), dk[..., :dim].to(k.dtype), dv[:dim].to(v.dtype)


def _of_rows(grad: Tensor, ready: _Ready) -> tuple[Tensor, Tensor]:
    """The gradient of what stands in the rows of `grad`, and each tile's part of `sum of g r`."""
    batch, rows, columns = grad.shape
    units, tiles = ready.v.numel(), triton.cdiv(rows, _ROWS)
    found = torch.empty(batch, units, rows, device=grad.device)
    part = torch.empty(batch, tiles, units, device=grad.device)
    with torch.cuda.device_of(grad):
        _gradients[(batch * tiles * (units // 4),)](
            grad, ready.q, ready.k, *ready.raw, ready.v, ready.far, found, part, rows, columns, *grad.stride(),
            UNITS=units, ROWS=_ROWS, COLUMNS=_COLUMNS,
        )  # fmt: skip
    return found.transpose(1, 2), part


def attention(q: Tensor, k: Tensor, v: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Context `[batch, query, value_dim]`, and the logarithm of each softmax's denominator, float32 `[batch, query]`.

    Nothing of size query * key is stored. Mask: True = may attend, `[batch or 1, query or 1, key]`; a query that may
    attend nowhere gets zeros and infinity.
    """
    batch, queries, keys, width = q.shape[0], q.shape[1], k.shape[1], value.shape[2]
    context = torch.zeros(batch, queries, width, dtype=value.dtype, device=q.device)
    log_sum = torch.full((batch, queries), torch.inf, device=q.device)
    if context.numel() and keys:
        finite = k.isfinite().all(-1)
        ready = _ready(q, k.masked_fill(~finite[..., None], 0.0), v)
        shown = finite if mask is None else mask.expand(batch, queries, keys)
        columns = min(_VALUES, triton.next_power_of_2(max(width, 16)))
        programs = batch * triton.cdiv(queries, _ROWS) * triton.cdiv(width, columns)
        with torch.cuda.device_of(q):
            _attention[(programs,)](
                ready.q, ready.k, *ready.raw, ready.v, ready.far, finite.to(torch.int8), value.contiguous(),
                shown.view(torch.int8), context, log_sum, queries, keys, width,
                *(shown.stride() if mask is not None else (0, 0, 0)),
                UNITS=ready.v.numel(), ROWS=_ROWS, COLUMNS=_COLUMNS, VALUES=columns, MASKED=mask is not None,
            )  # fmt: skip
    return context, log_sum


def attention_backward(
    grad: Tensor, context: Tensor, log_sum: Tensor, q: Tensor, k: Tensor, v: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of `attention` to q, k, v and value, some hundred queries at a time: memory grows with the keys."""
    grad32, value32 = grad.float(), value.float()
    finite = k.isfinite().all(-1)[:, None]
    clean = k.masked_fill(~finite.transpose(1, 2), 0.0)
    delta = (grad32 * context.float()).sum(-1, keepdim=True)
    dq = torch.zeros_like(q)
    dk, dvalue, dv = (torch.zeros(x.shape, device=x.device) for x in (k, value, v))
    for first in range(0, q.shape[1], _CHUNK):
        rows = slice(first, first + _CHUNK)
        p = (scores(q[:, rows], clean, v) - log_sum[:, rows, None]).exp()
        p = p.masked_fill(~finite, torch.nan)
        g = p * (grad32[:, rows] @ value32.transpose(1, 2) - delta[:, rows])
        if mask is not None:
            hidden = ~(mask if mask.shape[1] == 1 else mask[:, rows])
            p, g = p.masked_fill(hidden, 0.0), g.masked_fill(hidden, 0.0)
        dq[:, rows], dk_part, dv_part = scores_backward(g, q[:, rows], clean, v)
        dk, dv, dvalue = dk + dk_part, dv + dv_part, dvalue + read_values(p.transpose(1, 2), grad32[:, rows], None)
    return dq, dk.to(k.dtype), dv.to(v.dtype), dvalue.to(value.dtype)
