"""Log mel spectra of a waveform, all at once and as its samples come in."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from saccade.errors import at_least_one
from saccade.normalizers.base import precise

_FLOOR = 1e-10  # of power: below what rounding to 16 bits leaves in a window


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """How a waveform becomes frames: see `log_mel`.

    rate:   samples a second.
    mels:   bands, and so the width of a frame.
    window: seconds that a frame sees.
    hop:    seconds from one frame to the next, at most `window`, so that every sample is in one.
    low:    where the bands begin, in Hz.
    high:   where they end; None: at the highest frequency there is, `rate / 2`.

    Raises:
        ValueError: a size below one, a hop beyond the window, bands that are out of order or above `rate / 2`.
    """

    rate: int
    mels: int = 80
    window: float = 0.025
    hop: float = 0.010
    low: float = 20.0
    high: float | None = None

    def __post_init__(self) -> None:
        at_least_one({"rate": self.rate, "mels": self.mels})
        if not 1 <= self.stride <= self.width:
            raise ValueError(f"hop must be from a sample to window = {self.window} seconds; got {self.hop}")
        if not 0 <= self.low < self.top <= self.rate / 2:
            came = f"low = {self.low:g}, high = {self.top:g}"
            raise ValueError(f"bands must be from 0 to rate / 2 = {self.rate / 2:g} Hz, low below high; got {came}")

    @property
    def width(self) -> int:
        """Samples that a frame sees."""
        return round(self.window * self.rate)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop * self.rate)

    @property
    def top(self) -> float:
        """Where the bands end, in Hz."""
        return self.rate / 2 if self.high is None else self.high

    def frames(self, samples: int) -> int:
        """How many frames so many samples make: `ceil((samples - width) / stride) + 1`, and one of less than a window.

        >>> [LogMel(rate=8000).frames(n) for n in (1, 200, 201, 280, 281)]
        [1, 1, 2, 2, 3]
        """
        return max(-(-(samples - self.width) // self.stride), 0) + 1

    def __call__(self, waveform: Float[Tensor, "*batch samples"]) -> Float[Tensor, "*batch time mels"]:
        """The frames of a waveform of at least one sample."""
        if not waveform.dim() or not waveform.shape[-1] or not waveform.is_floating_point():
            came = f"{list(waveform.shape)} of {waveform.dtype}"
            raise ValueError(f"waveform must be [..., samples] of at least one, in floating point; got {came}")
        x = precise(waveform)
        missing = self.width + (self.frames(x.shape[-1]) - 1) * self.stride - x.shape[-1]
        frames = pad(x, (0, missing)).unfold(-1, self.width, self.stride)  # [..., time, width]
        hann = torch.hann_window(self.width, dtype=x.dtype, device=x.device)
        filters = torch.as_tensor(mel_filters(self), dtype=x.dtype, device=x.device)
        power = torch.fft.rfft(frames * hann, 2 * (len(filters) - 1)).abs().square()
        bands: Tensor = power @ filters
        return bands.clamp(min=_FLOOR).log().to(waveform.dtype)


def log_mel(
    waveform: Float[Tensor, "*batch samples"],
    *,
    rate: int,
    mels: int = LogMel.mels,
    window: float = LogMel.window,
    hop: float = LogMel.hop,
    low: float = LogMel.low,
    high: float | None = LogMel.high,
) -> Float[Tensor, "*batch time mels"]:
    """Natural logarithms of the power in bands of equal width on the mel scale: `ln sum_k H_m[k] |X_t[k]|^2`.

    `X_t` is the Fourier transform of the samples from `t hop` on under a Hann window, as torch.stft gives it with
    `center=False`; `H_m` are the triangles of `mel_filters`. Samples are of [-1, 1], power below 1e-10 counts as 1e-10,
    so silence is -23.03. Nothing is added, and no frame knows of another: without emphasis, dither or a mean taken
    off. A frame begins every hop; the last one has zeros where the recording ends before its window does, and one
    that is shorter than a window makes one frame: `ceil((samples - width) / stride) + 1` (`LogMel.frames`).

    Args:
        waveform: samples `[..., samples]`, at least one.
        rate, mels, window, hop, low, high: see `LogMel`.

    Raises:
        ValueError: no samples, or settings that `LogMel` refuses.

    >>> log_mel(torch.zeros(2, 8000), rate=8000, mels=40).shape
    torch.Size([2, 99, 40])
    """
    return LogMel(rate=rate, mels=mels, window=window, hop=hop, low=low, high=high)(waveform)


def _mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


@cache
def mel_filters(front: LogMel) -> NDArray[np.float64]:
    """Triangles of height 1 that overlap by half, of equal width on the mel scale and straight on it: `[bin, mels]`.

    `mel(f) = 1127 ln(1 + f / 700)` (Young et al., The HTK Book, 3.4, eq. 5.13 and figure 5.3; so in Kaldi too).
    Transforms are as long as the next power of two after the window, or longer where the narrowest triangle, which is
    the lowest, would lie between two bins and see nothing.
    """
    edges = np.linspace(_mel(front.low), _mel(front.top), front.mels + 2)
    narrowest = 700 * (math.exp(edges[2] / 1127) - math.exp(edges[0] / 1127))
    size = 1 << math.ceil(math.log2(max(front.width, front.rate / narrowest, 2)))
    bins = 1127 * np.log1p(np.linspace(0, front.rate / 2, size // 2 + 1) / 700)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles: NDArray[np.float64] = np.minimum(rising, falling).clip(min=0)
    return triangles


class LogMelStream:
    """The frames of a waveform whose samples come in pieces: together they are `log_mel` of the whole.

    Args:
        front: how frames are made.

    >>> stream = LogMelStream(LogMel(rate=8000, mels=40))
    >>> [len(stream.push(torch.zeros(n))) for n in (150, 150, 150)], len(stream.finish())
    ([0, 2, 2], 1)
    """

    def __init__(self, front: LogMel):
        self.front = front
        self._rest: Tensor | None = None  # the samples from the next frame's first on
        self._covered: int | None = None  # how many of them a frame has seen; None before the first frame

    def push(self, samples: Float[Tensor, "*batch samples"]) -> Float[Tensor, "*batch time mels"]:
        """The frames that these samples complete, which may be none."""
        rest = samples if self._rest is None else torch.cat([self._rest, samples], -1)
        front, ready = self.front, (rest.shape[-1] - self.front.width) // self.front.stride + 1
        if ready < 1:
            self._rest = rest
            return rest.new_zeros(*rest.shape[:-1], 0, front.mels)
        frames = front(rest[..., : front.width + (ready - 1) * front.stride])
        self._rest, self._covered = rest[..., ready * front.stride :], front.width - front.stride
        return frames

    def finish(self) -> Float[Tensor, "*batch time mels"]:
        """The last frame where samples are left that none has seen, filled up with zeros; then the stream is new.

        Raises:
            ValueError: not one sample came.
        """
        rest, covered = self._rest, self._covered
        if rest is None or (covered is None and not rest.shape[-1]):
            raise ValueError("a stream must have got samples before its end; got none")
        self._rest = self._covered = None
        if covered is None or rest.shape[-1] > covered:
            return self.front(rest)
        return rest.new_zeros(*rest.shape[:-1], 0, self.front.mels)
