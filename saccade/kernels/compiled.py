"""The loops of the CPU kernels, compiled by Numba: `tanh(q + k) = 1 - 2 / (1 + exp(2q) exp(2k))`, in float32.

Exponentials are taken once for each query and each key; what is left of the query * key * dim inner steps is a
multiply-add, a reciprocal and another multiply-add. The loops are serial and let go of the interpreter; whoever shares
them out over threads gives each its own range, and no sum is ever split between two ranges.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

ONE, TWO, HALF, FOUR = (np.float32(x) for x in (1, 2, 0.5, 4))
LIMIT = np.float32(43)
"""exp(2 * 43) is about the largest float32; beyond, a query or key counts as this much."""
_FAR = np.float32(34)
ROWS = 32
"""Queries in a tile; what is read of the keys for one of them is then in the nearest caches for the others."""
_KEYS, _SLOTS = 64, 512
"""Keys in a tile, forward and backward."""
_BIG = np.float32(2**30)
"""For `exp(2 (q + k))`, so that the product of four fits; tanh is 1 - 2e-9 there, which float32 cannot tell from 1."""
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_P2, _P3, _P4, _P5, _P6, _P7 = (
    np.float32(x) for x in (0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
)


def _compiled(*fast: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile at the first call and keep the result on disk, where there is a place for it.

    The compiler is never told that numbers are finite: NaN must come through.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", *fast}}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # neither beside this file nor in the user's cache can anything be written
            return njit(**options)(function)

    return decorate


@_compiled()
def _largest(bits):
    """The bits of the largest |x| that is not NaN: as integers such numbers are ordered too, and loops fill vectors."""
    most = np.int32(0)
    for i in range(bits.shape[0]):
        for d in range(bits.shape[1]):
            one = bits[i, d] & np.int32(0x7FFFFFFF)
            one = one if one <= np.int32(0x7F800000) else np.int32(0)
            most = one if one > most else most
    return most


@_compiled()
def exponentials(x, out, largest, start, stop):
    """`exp(2x)` of sentences start to stop, and the largest |x| of each, NaN left out.

    x, out:  `[batch, row, dim]` and `[batch, row, units]`, padded with zeros.
    largest: `[batch]`.

    2^n times a polynomial, as in Cephes' expf, within one unit in the last place.
    """
    dim = x.shape[2]
    power = np.empty(dim, np.int32)
    scale, bits, most = power.view(np.float32), x.view(np.int32), largest.view(np.int32)
    for b in range(start, stop):
        most[b] = _largest(bits[b])
        for i in range(x.shape[1]):
            row, result = x[b, i], out[b, i]
            for d in range(dim):
                y = TWO * (LIMIT if row[d] > LIMIT else (-LIMIT if row[d] < -LIMIT else row[d]))
                n = np.floor(y * _LOG2E + HALF)
                power[d] = (np.int32(n) + np.int32(127)) << np.int32(23)
                r = (y - n * _LN2_HIGH) - n * _LN2_LOW
                result[d] = ONE + r + r * r * (_P2 + r * (_P3 + r * (_P4 + r * (_P5 + r * (_P6 + r * _P7)))))
            for d in range(dim):
                result[d] *= scale[d]
            result[dim:] = 0


@_compiled()
def within(query, key):
    """Whether cutting queries and keys at LIMIT changes no score, by the largest of each sentence.

    It would where one is beyond and the other far on the other side; tanh(43 - 34) is one in float32.
    """
    for b in range(query.shape[0]):
        q, k = query[b], key[b]
        if (q > LIMIT and k > _FAR) or (k > LIMIT and q > _FAR):
            return False
    return True


@_compiled()
def turned(k, out, start, stop):
    """Sentences start to stop, keys side by side: `[batch, key, units]` to `[batch, units', slots]`, padded with 0."""
    keys, units, few = k.shape[1], out.shape[1], 16
    for b in range(start, stop):
        for first in range(0, keys, few):
            for left in range(0, units, few):
                for d in range(left, min(left + few, units)):
                    for j in range(first, min(first + few, keys)):
                        out[b, d, j] = k[b, j, d]
        out[b, :, keys:] = 0


@_compiled("reassoc")  # a sum fills vector registers only if it may be reordered
def scores(q, k, v, out, start, stop):
    """Scores of the tiles of queries start to stop, of which each sentence has `ceil(query / ROWS)`.

    q, k, v: `exp(2q)` `[batch, query, units]`, `exp(2k)` `[batch, key, units]`, v `[units]`.
    out:     `[batch, query, key]`.
    """
    queries, keys = out.shape[1], out.shape[2]
    tiles = (queries + ROWS - 1) // ROWS
    for tile in range(start, stop):
        b, first = tile // tiles, tile % tiles * ROWS
        for left in range(0, keys, _KEYS):
            for i in range(first, min(first + ROWS, queries)):
                for j in range(left, min(left + _KEYS, keys)):
                    half = np.float32(0)  # tanh / -2 is summed: 1 - tanh would lose its last digits
                    for d in range(v.shape[0]):
                        half += v[d] / (ONE + q[b, i, d] * k[b, j, d]) - HALF * v[d]
                    out[b, i, j] = -TWO * half


@_compiled("reassoc")
def _gradients(g, rows, width, q, k, v, d, left, dq, dk, dv):
    """What `rows` queries and `width` slots from `left` on add to the gradients of the four hidden units from d on.

    With `r = 1 / (1 + q k)` a query's gradient is `4 v` times the sum of `g r (1 - r)` over the slots, a key's the same
    over the queries; v's is the sum of `g (1 - 2r)`. Here slots lie side by side, so that dk is written in vectors.
    """
    k0, k1, k2, k3 = k[d, left:], k[d + 1, left:], k[d + 2, left:], k[d + 3, left:]
    e0, e1, e2, e3 = dk[d, left:], dk[d + 1, left:], dk[d + 2, left:], dk[d + 3, left:]
    v0, v1, v2, v3 = FOUR * v[d], FOUR * v[d + 1], FOUR * v[d + 2], FOUR * v[d + 3]
    for i in range(rows):
        q0, q1, q2, q3, row = q[i, d], q[i, d + 1], q[i, d + 2], q[i, d + 3], g[i]
        m0 = m1 = m2 = m3 = n0 = n1 = n2 = n3 = total = np.float32(0)
        for j in range(width):
            a, b = ONE + _clamped(q0 * k0[j]), ONE + _clamped(q1 * k1[j])
            c, f = ONE + _clamped(q2 * k2[j]), ONE + _clamped(q3 * k3[j])
            ab, cf = a * b, c * f
            one = ONE / (ab * cf)  # four reciprocals for one division
            x, y = one * cf, one * ab
            r0, r1, r2, r3 = x * b, x * a, y * f, y * c
            g0, g1, g2, g3 = row[j] * r0, row[j] * r1, row[j] * r2, row[j] * r3
            m0, m1, m2, m3, total = m0 + g0, m1 + g1, m2 + g2, m3 + g3, total + row[j]
            g0, g1, g2, g3 = g0 - g0 * r0, g1 - g1 * r1, g2 - g2 * r2, g3 - g3 * r3
            n0, n1, n2, n3 = n0 + g0, n1 + g1, n2 + g2, n3 + g3
            e0[j] += v0 * g0
            e1[j] += v1 * g1
            e2[j] += v2 * g2
            e3[j] += v3 * g3
        dq[i, d] += v0 * n0
        dq[i, d + 1] += v1 * n1
        dq[i, d + 2] += v2 * n2
        dq[i, d + 3] += v3 * n3
        dv[d] += total - TWO * m0
        dv[d + 1] += total - TWO * m1
        dv[d + 2] += total - TWO * m2
        dv[d + 3] += total - TWO * m3


@_compiled()
def _clamped(x):
    return _BIG if x > _BIG else x  # NaN stays NaN


@_compiled()
def gradients(g, q, k, v, dq, dk, dv, start, stop):
    """Gradients of the fours of hidden units start to stop, of which each sentence has `units / 4`.

    g:      the gradient of the scores, `[batch, query, key]`.
    k, dk:  `[batch, units, slots]`, as `turned` makes them.
    dq, dv: `[batch, query, units]` and `[batch, units]`, which is to be summed over the sentences.
    """
    queries, keys, slots, fours = g.shape[1], g.shape[2], k.shape[2], v.shape[0] // 4
    tile = np.empty((ROWS, _SLOTS), np.float32)
    for b in range(start // fours, (stop + fours - 1) // fours):
        low, high = max(start - b * fours, 0) * 4, min(stop - b * fours, fours) * 4
        dq[b, :, low:high] = 0
        dv[b, low:high] = 0
        for left in range(0, slots, _SLOTS):
            width = min(_SLOTS, slots - left)
            real = min(width, keys - left)
            dk[b, low:high, left : left + width] = 0
            for first in range(0, queries, ROWS):
                rows = min(ROWS, queries - first)
                for i in range(rows):
                    tile[i, :real] = g[b, first + i, left : left + real]
                    tile[i, real:width] = 0
                for d in range(low, high, 4):
                    _gradients(tile, rows, width, q[b, first:], k[b], v, d, left, dq[b, first:], dk[b], dv[b])


@_compiled()
def step_gradients(g, q, k, v, dq, dk, dv, start, stop):
    """Gradients of a few queries, sentences start to stop, with keys as they are remembered: `[batch, key, units]`."""
    units = v.shape[0]
    sums = np.empty((2, units), np.float32)
    for b in range(start, stop):
        dk[b] = 0
        dv[b] = 0
        for i in range(g.shape[1]):
            sums[:] = 0
            total = np.float32(0)
            for j in range(g.shape[2]):
                weight = g[b, i, j]
                total += weight
                for d in range(units):
                    r = ONE / (ONE + q[b, i, d] * k[b, j, d])
                    part = weight * r
                    sums[0, d] += part
                    part = part - part * r
                    sums[1, d] += part
                    dk[b, j, d] += FOUR * v[d] * part
            for d in range(units):
                dv[b, d] += total - TWO * sums[0, d]
                dq[b, i, d] = FOUR * v[d] * sums[1, d]
