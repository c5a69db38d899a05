"""Additive scores and additive attention on CUDA, in Triton: float32 inside, several terms to a reciprocal.

`tanh(q + k) = 1 - 2 / (1 + exp(2q) exp(2k))`. Exponentials are made beforehand, hidden units first, so that a tile of
`[query, key]` reads a unit's values side by side. A GPU starts one instruction a clock, but a reciprocal only every
eighth: terms share one. Four of them in the forward pass make 4 instructions an inner step, two in the backward passes,
which need each reciprocal by itself, 6 (four: 6 1/2). Every sum has one owner, so that the same inputs give the same
bits: a pass for queries, a pass for keys, nothing is added by two at once.
"""

import os
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from saccade.kernels.masked import read_values

_LIMIT, _FAR, _NEAR = 43.0, 34.0, 10.3
"""exp(2 * 43) is about the largest float32; a query cut there is right unless the key is beyond -34 (tanh(9) is 1).

Where the largest query and the largest key are 10.3 together, no denominator is beyond 2^30.
"""
_SCORES = {"ROWS": 16, "COLUMNS": 128, "num_warps": 4}
_GRADIENTS = {"ROWS": 32, "COLUMNS": 32, "num_warps": 4}
_ATTENTION = {"ROWS": 32, "COLUMNS": 64, "num_warps": 4}
"""Tiles, and the warps that share one.

For the scores 32 columns go to a warp: a thread's queries lie side by side and are loaded four at once. With eight
elements a thread for the gradients, whose sums stay in registers, 16 warps fit on a multiprocessor.
"""
_VALUES = 256
"""Values that one program of the fused kernel reads; for wider ones scores are made again."""
_CHUNK = 256
"""Queries at a time in the backward pass of the fused kernel, whose memory grows with the keys alone."""
_ESTIMATE = tl.constexpr(torch.version.cuda is not None and os.environ.get("TRITON_INTERPRET", "0") == "0")
"""Whether reciprocals are one instruction of the GPU, right to a last digit: elsewhere there is no such instruction."""


class _Ready(NamedTuple):
    """What kernels read.

    q, k, v: `exp(2q)`, `exp(2k)` as `[batch, units, row]`, v `[units]`; units are a multiple of four, rows one of 128:
             the largest tile, so that no unit is read under a mask.
    raw:     the float32 queries and keys in the same layout, for sentences that are far.
    reach:   int32 `[batch]`: 0 where no denominator needs a cut, 2 where one of q, k is beyond 43 and the other may be
             far on the other side, else 1.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    raw: tuple[Tensor, Tensor]
    reach: Tensor


@triton.jit
def _denominator(q, k, x, y, REACH: tl.constexpr):
    """`1 + exp(2 (q + k))`, no more than 2^30, where tanh is 1: the product of four is a float32; NaN stays NaN."""
    if REACH == 2:
        found = tl.exp(2.0 * (x[:, None] + y[None, :])) + 1.0
    else:
        found = q[:, None] * k[None, :] + 1.0
    if REACH == 0:
        return found
    return tl.minimum(found, 1073741824.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _reciprocal(x):
    if _ESTIMATE:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=r,r", [x], tl.float32, is_pure=True, pack=1)
    return 1.0 / x


@triton.jit
def _unit(rows, raw, unit, i, REACH: tl.constexpr):
    """A hidden unit of the rows i: its exponentials, and for those that are far itself."""
    value = tl.load(rows + unit + i)
    if REACH == 2:
        return value, tl.load(raw + unit + i)
    return value, value


@triton.jit
def _padded(rows):
    return tl.cdiv(rows, 128) * 128


@triton.jit
def _tile_of(
    q, k, rq, rk, v, i, j, queries, keys,
    UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """Scores `[ROWS, COLUMNS]` of the queries i and keys j."""
    half = tl.zeros((ROWS, COLUMNS), tl.float32)
    tall, wide = _padded(queries), _padded(keys)
    for d in range(0, UNITS, 4):
        q0, x0 = _unit(q, rq, d * tall, i, REACH)
        q1, x1 = _unit(q, rq, (d + 1) * tall, i, REACH)
        q2, x2 = _unit(q, rq, (d + 2) * tall, i, REACH)
        q3, x3 = _unit(q, rq, (d + 3) * tall, i, REACH)
        k0, y0 = _unit(k, rk, d * wide, j, REACH)
        k1, y1 = _unit(k, rk, (d + 1) * wide, j, REACH)
        k2, y2 = _unit(k, rk, (d + 2) * wide, j, REACH)
        k3, y3 = _unit(k, rk, (d + 3) * wide, j, REACH)
        v0, v1, v2, v3 = tl.load(v + d), tl.load(v + d + 1), tl.load(v + d + 2), tl.load(v + d + 3)
        a, b = _denominator(q0, k0, x0, y0, REACH), _denominator(q1, k1, x1, y1, REACH)
        c, e = _denominator(q2, k2, x2, y2, REACH), _denominator(q3, k3, x3, y3, REACH)
        ab, ce = a * b, c * e
        # What is summed is tanh / -2: sums of 1 - tanh would lose their last digits.
        half += ((v0 * b + v1 * a) * ce + (v2 * e + v3 * c) * ab) * _reciprocal(ab * ce) - 0.5 * ((v0 + v1) + (v2 + v3))
    return -2.0 * half


@triton.jit
def _tile(
    reach, q, k, rq, rk, v, i, j, queries, keys, UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The same, by the path that a sentence needs."""
    if reach == 0:
        scores = _tile_of(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, 0)
    elif reach == 1:
        scores = _tile_of(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, 1)
    else:
        scores = _tile_of(q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS, 2)
    return scores


@triton.jit
def _scores(q, k, rq, rk, v, reach, out, queries, keys, UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    across, down = tl.cdiv(keys, COLUMNS), tl.cdiv(queries, ROWS)
    program = tl.program_id(0)
    b = (program // (across * down)).to(tl.int64)
    i = program // across % down * ROWS + tl.arange(0, ROWS)
    j = program % across * COLUMNS + tl.arange(0, COLUMNS)
    tall, wide = b * UNITS * _padded(queries), b * UNITS * _padded(keys)
    q, k, rq, rk = q + tall, k + wide, rq + tall, rk + wide
    scores = _tile(tl.load(reach + b), q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS)
    place = b * queries * keys + i[:, None].to(tl.int64) * keys + j[None, :]
    tl.store(out + place, scores, mask=(i < queries)[:, None] & (j < keys)[None, :])


@triton.jit
def _two(g, q0, q1, x0, x1, k, rk, d, j, wide, m0, m1, s0, s1, REACH: tl.constexpr):
    """Adds `g r` and `g r^2` of two hidden units to their sums."""
    k0, y0 = _unit(k, rk, d * wide, j, REACH)
    k1, y1 = _unit(k, rk, (d + 1) * wide, j, REACH)
    a, b = _denominator(q0, k0, x0, y0, REACH), _denominator(q1, k1, x1, y1, REACH)
    one = _reciprocal(a * b)
    r0, r1 = one * b, one * a
    g0, g1 = g * r0, g * r1
    return m0 + g0, m1 + g1, s0 + g0 * r0, s1 + g1 * r1


@triton.jit
def _sums(
    g, q, k, rq, rk, i, d, rows, columns, g_row, g_column,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """For four hidden units: the sums over all columns of `g r (1 - r)`, `[ROWS]` each, and of `g r` over rows too."""
    tall, wide, row = _padded(rows), _padded(columns), i < rows
    q0, x0 = _unit(q, rq, d * tall, i, REACH)
    q1, x1 = _unit(q, rq, (d + 1) * tall, i, REACH)
    q2, x2 = _unit(q, rq, (d + 2) * tall, i, REACH)
    q3, x3 = _unit(q, rq, (d + 3) * tall, i, REACH)
    zero = tl.zeros((ROWS, COLUMNS), tl.float32)
    m0, m1, m2, m3, s0, s1, s2, s3 = zero, zero, zero, zero, zero, zero, zero, zero
    for left in range(0, columns, COLUMNS):
        j = left + tl.arange(0, COLUMNS)
        place = i[:, None].to(tl.int64) * g_row + j[None, :].to(tl.int64) * g_column
        gradient = tl.load(g + place, mask=row[:, None] & (j < columns)[None, :], other=0.0)
        m0, m1, s0, s1 = _two(gradient, q0, q1, x0, x1, k, rk, d, j, wide, m0, m1, s0, s1, REACH)
        m2, m3, s2, s3 = _two(gradient, q2, q3, x2, x3, k, rk, d + 2, j, wide, m2, m3, s2, s3, REACH)
    m0, m1, m2, m3 = tl.sum(m0, 1), tl.sum(m1, 1), tl.sum(m2, 1), tl.sum(m3, 1)
    n0, n1, n2, n3 = m0 - tl.sum(s0, 1), m1 - tl.sum(s1, 1), m2 - tl.sum(s2, 1), m3 - tl.sum(s3, 1)
    return n0, n1, n2, n3, tl.sum(m0, 0), tl.sum(m1, 0), tl.sum(m2, 0), tl.sum(m3, 0)


@triton.jit
def _gradients(
    g, q, k, rq, rk, v, reach, dq, dv, rows, columns, g_batch, g_row, g_column,
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
    tall, wide = b * UNITS * _padded(rows), b * UNITS * _padded(columns)
    g, q, k, rq, rk = g + b * g_batch, q + tall, k + wide, rq + tall, rk + wide
    path = tl.load(reach + b)
    if path == 0:
        n0, n1, n2, n3, m0, m1, m2, m3 = _sums(
            g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS, COLUMNS, 0
        )  # fmt: skip
    elif path == 1:
        n0, n1, n2, n3, m0, m1, m2, m3 = _sums(
            g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS, COLUMNS, 1
        )  # fmt: skip
    else:
        n0, n1, n2, n3, m0, m1, m2, m3 = _sums(
            g, q, k, rq, rk, i, d, rows, columns, g_row, g_column, ROWS, COLUMNS, 2
        )  # fmt: skip
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
    q, k, rq, rk, v, reach, finite, value, mask, context, log_sum, queries, keys, width, m_batch, m_row, m_column,
    UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, VALUES: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Scores, softmax as it goes along and weighted sum, for a tile of queries and some columns of the values."""
    across, down = tl.cdiv(width, VALUES), tl.cdiv(queries, ROWS)
    program = tl.program_id(0)
    b = (program // (across * down)).to(tl.int64)
    i = program // across % down * ROWS + tl.arange(0, ROWS)
    d = program % across * VALUES + tl.arange(0, VALUES)
    row = i < queries
    tall, wide = b * UNITS * _padded(queries), b * UNITS * _padded(keys)
    q, k, rq, rk = q + tall, k + wide, rq + tall, rk + wide
    path = tl.load(reach + b)
    most, total = tl.full((ROWS,), float("-inf"), tl.float32), tl.zeros((ROWS,), tl.float32)
    found = tl.zeros((ROWS, VALUES), tl.float32)
    for left in range(0, keys, COLUMNS):
        j = left + tl.arange(0, COLUMNS)
        column = j < keys
        e = _tile(path, q, k, rq, rk, v, i, j, queries, keys, UNITS, ROWS, COLUMNS)
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
    dim = q.shape[2]
    units = max(-(-dim // 4), 1) * 4
    raw = [torch.zeros(x.shape[0], units, triton.cdiv(x.shape[1], 128) * 128, device=x.device) for x in (q, k)]
    for turned, x in zip(raw, (q, k), strict=True):
        turned[:, :dim, : x.shape[1]].copy_(x.transpose(1, 2))  # cast and turned at once
    made = [x.clamp(-_LIMIT, _LIMIT).mul_(2).exp_() for x in raw]
    a, b = (torch.linalg.vector_norm(x, torch.inf, (1, 2)) for x in raw)
    # NaN compares as false: such a sentence is never near, and far unless the other side is safe with anything.
    cut = ((a <= _LIMIT) | (b <= _FAR)) & ((b <= _LIMIT) | (a <= _FAR))
    reach = torch.where(cut, (~(a + b <= _NEAR)).int(), 2)
    weights = torch.nn.functional.pad(v.float(), (0, units - dim)).contiguous()
    return _Ready(made[0], made[1], weights, (raw[0], raw[1]), reach.int())


def load() -> None:
    """Nothing: Triton compiles for the sizes at hand, and keeps it on disk."""


def scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`e_ij = v . tanh(q_i + k_j)`, float32 `[batch, query, key]`, of `[batch, query, dim]` and `[batch, key, dim]`."""
    batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
    out = torch.empty(batch, queries, keys, device=q.device)
    if out.numel():
        ready = _ready(q, k, v)
        programs = batch * triton.cdiv(queries, _SCORES["ROWS"]) * triton.cdiv(keys, _SCORES["COLUMNS"])
        with torch.cuda.device_of(q):
            _scores[(programs,)](
                ready.q, ready.k, *ready.raw, ready.v, ready.reach, out, queries, keys,
                UNITS=ready.v.numel(), **_SCORES,
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
    units, tiles = ready.v.numel(), triton.cdiv(rows, _GRADIENTS["ROWS"])
    found = torch.empty(batch, units, rows, device=grad.device)
    part = torch.empty(batch, tiles, units, device=grad.device)
    with torch.cuda.device_of(grad):
        _gradients[(batch * tiles * (units // 4),)](
            grad, ready.q, ready.k, *ready.raw, ready.v, ready.reach, found, part, rows, columns, *grad.stride(),
            UNITS=units, **_GRADIENTS,
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
        programs = batch * triton.cdiv(queries, _ATTENTION["ROWS"]) * triton.cdiv(width, columns)
        with torch.cuda.device_of(q):
            _attention[(programs,)](
                ready.q, ready.k, *ready.raw, ready.v, ready.reach, finite.to(torch.int8), value.contiguous(),
                shown.view(torch.int8), context, log_sum, queries, keys, width,
                *(shown.stride() if mask is not None else (0, 0, 0)),
                UNITS=ready.v.numel(), VALUES=columns, MASKED=mask is not None, **_ATTENTION,
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
