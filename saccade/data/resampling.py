"""Recordings at another rate."""

import math
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from saccade.data.arrays import Array
from saccade.errors import at_least_one

_CROSSINGS = 64  # of the sinc, on each side
_CUTOFF = 0.96  # of the lower of the two highest frequencies: the middle of the slope, which ends at 1
_BETA = 8.0  # of the Kaiser window: what lies above is 80 dB down
_BLOCK = 1 << 15  # outputs computed together


def resampled(samples: Array, from_rate: int, to_rate: int) -> Array:
    """Samples at another rate: `y[k] = sum_i x[i] h(k from / to - i)`, `ceil(n to / from)` of them.

    h is a sinc under a Kaiser window, 64 zero crossings to each side (Smith, Digital Audio Resampling, "Theory of
    Ideal Bandlimited Interpolation"). Frequencies up to 0.92 of the lower of the two highest ones, `rate / 2`, are
    kept, those from it on are gone; before and after the recording there are zeros.

    Args:
        samples: float32 `[samples]`.
        from_rate: samples a second, as they come.
        to_rate: likewise, as they go.

    Raises:
        ValueError: a rate below 1, or another number of axes.

    >>> resampled(np.zeros(441, np.float32), 44100, 16000).shape
    (160,)
    """
    at_least_one({"from_rate": from_rate, "to_rate": to_rate})
    if samples.ndim != 1:
        raise ValueError(f"samples must be [samples]; got {list(samples.shape)}")
    if from_rate == to_rate or not samples.size:
        return samples
    common = math.gcd(from_rate, to_rate)
    up, down = to_rate // common, from_rate // common
    half, filters = _filters(up, down)
    padded = np.pad(samples, half)
    seen = sliding_window_view(padded, 2 * half)  # row i: the inputs from i - half on
    outputs = np.empty(-(-len(samples) * up // down), np.float32)
    for start in range(0, len(outputs), _BLOCK):
        k = np.arange(start, min(start + _BLOCK, len(outputs)))
        outputs[k] = np.einsum("kt,kt->k", seen[k * down // up + 1], filters[k * down % up])
    return outputs


@lru_cache(4)  # files of a run mostly have one rate
def _filters(up: int, down: int) -> tuple[int, Array]:
    """Half the width of h in inputs, and h at the inputs around each of the `up` places between two of them."""
    cutoff = _CUTOFF * min(1, up / down)
    half = math.ceil(_CROSSINGS / cutoff)
    t = np.arange(up)[:, None] / up - np.arange(1 - half, half + 1)  # [up, 2 half]
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (t / half) ** 2, 0, None)))
    h = np.sinc(cutoff * t) * window
    return half, (h / h.sum(1, keepdims=True)).astype(np.float32)
