"""Log mel frames: the formula written out, other libraries' numbers, and a stream that equals the whole."""

import math

import numpy as np
import pytest
import torch

from saccade.layers.logmel import LogMel, LogMelStream, log_mel, mel_filters

SMALL = LogMel(rate=1000, mels=7, window=0.031, hop=0.013)
"""Windows of 31 samples, 13 apart."""


def written_out(x: np.ndarray, front: LogMel, size: int) -> np.ndarray:
    """One frame, bin and band after the other, from the formulas."""
    mel = lambda hertz: 2595 * math.log10(1 + hertz / 700)  # noqa: E731
    edges = [mel(front.low) + i * (mel(front.top) - mel(front.low)) / (front.mels + 1) for i in range(front.mels + 2)]
    frames = []
    for start in range(0, max(len(x) - front.width + front.stride, 1), front.stride):
        seen = [(n, x[start + n]) for n in range(front.width) if start + n < len(x)]
        seen = [(n, value * math.sin(math.pi * n / front.width) ** 2) for n, value in seen]
        bands = [0.0] * front.mels
        for k in range(size // 2 + 1):
            power = abs(sum(value * np.exp(-2j * math.pi * k * n / size) for n, value in seen)) ** 2
            here = mel(k * front.rate / size)
            for m in range(front.mels):
                low, middle, high = edges[m : m + 3]
                if low < here < high:
                    height = (here - low) / (middle - low) if here <= middle else (high - here) / (high - middle)
                    bands[m] += height * power
        frames.append([math.log(max(band, 1e-10)) for band in bands])
    return np.array(frames)


@pytest.mark.parametrize("samples", [1, 5, 30, 31, 32, 44, 45, 101])
def test_it_is_the_formula(samples):
    x = torch.randn(samples, dtype=torch.float64) / 3
    found = SMALL(x)
    assert found.shape == (SMALL.frames(samples), 7)
    np.testing.assert_allclose(found, written_out(x.numpy(), SMALL, 32), rtol=0, atol=1e-3 if samples == 1 else 1e-9)


def test_float32_is_close_to_float64():
    x = torch.randn(3, 8000, dtype=torch.float64) / 5
    torch.testing.assert_close(log_mel(x.float(), rate=8000).double(), log_mel(x, rate=8000), rtol=0, atol=2e-3)
    assert log_mel(x.bfloat16(), rate=8000).dtype == torch.bfloat16


@pytest.mark.parametrize(("rate", "size"), [(8000, 256), (16000, 512), (44100, 2048)])
def test_spectra_are_those_of_stft(rate, size):
    front = LogMel(rate=rate)
    x = torch.randn(2, front.width + 6 * front.stride, dtype=torch.float64)
    window = torch.nn.functional.pad(torch.hann_window(front.width, dtype=x.dtype), (0, size - front.width))
    padded = torch.nn.functional.pad(x, (0, size - front.width))
    spectrum = torch.stft(padded, size, front.stride, window=window, center=False, return_complex=True)
    filters = torch.from_numpy(mel_filters(front))
    expected = (spectrum.abs().square().transpose(1, 2) @ filters).log()
    torch.testing.assert_close(front(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("front", [LogMel(rate=16000), LogMel(rate=8000, mels=40, low=0, high=3800)])
def test_filters_are_those_of_transformers(front):
    audio = pytest.importorskip("transformers.audio_utils", reason="needs transformers")
    mine = mel_filters(front)
    sizes = (len(mine), front.mels, front.low, front.top, front.rate)
    others = audio.mel_filter_bank(*sizes, mel_scale="kaldi", triangularize_in_mel_space=True)
    np.testing.assert_allclose(mine, others, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mels", [1, 40, 80, 128, 200])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_no_band_is_blind(rate, mels):
    filters = mel_filters(LogMel(rate=rate, mels=mels))
    assert (filters.max(0) > 0).all()
    assert filters.min() == 0
    assert filters.max() <= 1


def test_a_tone_is_in_its_band():
    front = LogMel(rate=16000, mels=40)
    middles = 700 * np.expm1(np.linspace(*(1127 * np.log1p(np.array([20, 8000]) / 700)), 42)[1:-1] / 1127)
    for band in (5, 20, 35):
        tone = torch.sin(2 * math.pi * middles[band] * torch.arange(4000) / 16000)
        assert (front(tone).argmax(-1) == band).all()


def test_ten_times_the_power_is_ln_10_more_and_silence_is_the_floor():
    x = torch.randn(4000, dtype=torch.float64)
    torch.testing.assert_close(SMALL(x * math.sqrt(10)) - SMALL(x), torch.full_like(SMALL(x), math.log(10)))
    assert log_mel(torch.zeros(100), rate=8000).unique().tolist() == [pytest.approx(math.log(1e-10))]


def test_a_frame_sees_its_window_alone():
    x = torch.randn(31 + 5 * 13)
    for frame in range(6):
        other = torch.full_like(x, float("nan"))
        other[frame * 13 : frame * 13 + 31] = x[frame * 13 : frame * 13 + 31]
        torch.testing.assert_close(SMALL(other)[frame], SMALL(x)[frame], rtol=0, atol=1e-5)


def test_gradients_reach_the_samples_and_rows_are_apart():
    x = (torch.randn(2, 57, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(SMALL, x)
    torch.testing.assert_close(SMALL(x)[1], SMALL(x[1]))


@pytest.mark.parametrize("front", [SMALL, LogMel(rate=1000, mels=5, window=0.02, hop=0.02)])
@pytest.mark.parametrize("samples", [1, 19, 20, 21, 31, 32, 40, 44, 57, 137])
@pytest.mark.parametrize("piece", [1, 7, 20, 31, 137])
def test_a_stream_is_the_whole(front, samples, piece):
    x, stream = torch.randn(2, samples), LogMelStream(front)
    for _ in range(2):  # a stream that is finished begins anew
        frames = [stream.push(part) for part in x.split(piece, -1)]
        whole = [*frames, stream.finish()]
        torch.testing.assert_close(torch.cat(whole, -2), front(x), rtol=0, atol=1e-5)
        # What is complete is not kept back.
        seen = 0
        for part, come in zip(x.split(piece, -1), np.cumsum([f.shape[-2] for f in frames]), strict=True):
            seen += part.shape[-1]
            assert come == max((seen - front.width) // front.stride + 1, 0)


def test_a_stream_of_nothing_is_refused():
    stream = LogMelStream(SMALL)
    assert stream.push(torch.zeros(0)).shape == (0, 7)
    with pytest.raises(ValueError, match="got none"):
        stream.finish()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0}, "rate must be at least 1; got 0"),
        ({"rate": 8000, "mels": 0}, "mels must be at least 1; got 0"),
        ({"rate": 8000, "hop": 0.03}, "hop must be from a sample to window = 0.025 seconds; got 0.03"),
        ({"rate": 8000, "hop": 0}, "hop must be"),
        ({"rate": 8000, "high": 4001}, "from 0 to rate / 2 = 4000 Hz, low below high; got low = 20, high = 4001"),
        ({"rate": 8000, "low": 300, "high": 300}, "low below high"),
        ({"rate": 8000, "low": -1}, "low below high"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        log_mel(torch.zeros(100), **settings)


@pytest.mark.parametrize("x", [torch.zeros(3, 0), torch.tensor(1.0), torch.zeros(100, dtype=torch.int16)])
def test_what_is_no_waveform_is_refused(x):
    with pytest.raises(ValueError, match=r"waveform must be \[..., samples\]"):
        SMALL(x)
