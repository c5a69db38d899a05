"""Recordings and features out of files: what is heard, what it becomes, and every file that is none named in a line."""

import sys
import zipfile

import numpy as np
import pytest
import torch

from saccade.data.recordings import (
    FrontEnd,
    Recording,
    deltas,
    doubts,
    features_of,
    kind_of,
    read_features,
    read_recording,
)
from saccade.data.resampling import resampled
from saccade.errors import DataError, MissingExtraError, OptionError
from saccade.layers.logmel import log_mel

soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'saccade[audio]'")

RNG = np.random.default_rng(1)
SOUND = np.round(RNG.uniform(-0.9, 0.9, 1501) * 32768).astype(np.float32) / 32768
"""What 16 bits can say exactly."""


def written(tmp_path, samples, name="a.wav", rate=8000, **options):
    soundfile.write(tmp_path / name, samples, rate, **options)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.WAV", {"format": "WAV", "subtype": "FLOAT"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.flac", {}),
        ("a.aiff", {}),
        ("a.sound", {"format": "WAV"}),
    ],
)
@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_recording_is_what_its_file_says(tmp_path, name, options, rate):
    found = read_recording(written(tmp_path, SOUND, name, rate, **options))
    assert found.samples.dtype == np.float32
    assert found.samples.tolist() == SOUND.tolist()
    assert (found.rate, found.clipped, found.seconds) == (rate, 0.0, 1501 / rate)


def test_channels_are_averaged(tmp_path):
    found = read_recording(written(tmp_path, np.stack([SOUND, SOUND[::-1], 0 * SOUND], 1), subtype="FLOAT"))
    np.testing.assert_allclose(found.samples, (SOUND + SOUND[::-1]) / 3, rtol=0, atol=1e-7)


@pytest.mark.parametrize("subtype", ["GSM610", "MS_ADPCM", "ULAW"])
def test_other_codecs_are_heard_to_their_end(tmp_path, subtype):
    tone = np.sin(np.arange(8000) / 20) / 2
    found = read_recording(written(tmp_path, tone, subtype=subtype))
    assert np.abs(found.samples[:8000] - tone).mean() < 0.05
    assert 8000 <= len(found.samples) < 8500


def broken(tmp_path, what):
    """A file that is no whole recording."""
    path = tmp_path / f"{what}.wav"
    if what == "folder":
        path.mkdir()
    elif what == "raw":
        path = tmp_path / "a.raw"
        path.write_bytes(bytes(100))
    elif what == "text":
        path.write_text("one two three")
    elif what == "nothing":
        path.write_bytes(b"")
    elif what == "silent":
        written(tmp_path, np.zeros(0), path.name)
    elif what == "pickle":
        path = tmp_path / "a.npy.wav"
        np.save(open(path, "wb"), np.zeros(3))  # noqa: SIM115
    elif what in ("nan", "inf"):
        wrong = SOUND.copy()
        wrong[400] = float(what)
        written(tmp_path, wrong, path.name, subtype="FLOAT")
    elif what.startswith("half"):
        path = tmp_path / f"a.{what[5:]}"
        whole = written(tmp_path, np.tile(SOUND, 20), path.name).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "header":
        path.write_bytes(written(tmp_path, SOUND).read_bytes()[:30])
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", "expected a readable file; got No such file or directory"),
        ("folder", "expected a readable file; got Is a directory"),
        ("raw", "expected a recording, as in .wav or .flac; libsndfile says: samplerate must be specified"),
        ("text", "expected a recording, as in .wav or .flac; libsndfile says: Format not recognised"),
        ("nothing", "expected a recording, as in .wav or .flac; libsndfile says: Format not recognised"),
        ("header", "expected a recording, as in .wav or .flac; libsndfile says: Error in WAV file."),
        ("pickle", "expected a recording, as in .wav or .flac; libsndfile says: Format not recognised"),
        ("silent", "expected a recording; got one without samples"),
        ("nan", "expected finite samples; got nan at 0.050 s"),
        ("inf", "expected finite samples; got inf at 0.050 s"),
        ("half wav", "expected a whole recording of 60040 bytes; the file ends after 29998"),
        ("half aiff", "expected a whole recording of 60048 bytes; the file ends after"),
        ("half au", "expected a whole recording of 60040 bytes; the file ends after"),
        ("half flac", "expected a recording, as in .wav or .flac; libsndfile says: flac decoder lost sync"),
        ("half mp3", "expected a whole recording of 30020 samples; the file ends after"),
    ],
)
def test_a_file_that_is_no_recording_is_named(tmp_path, what, message):
    path = broken(tmp_path, what)
    with pytest.raises(DataError) as raised:
        read_recording(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_that_nobody_knew_is_no_promise(tmp_path, size):
    path = written(tmp_path, SOUND)
    raw = bytearray(path.read_bytes())
    raw[4:8] = raw[40:44] = size.to_bytes(4, "little")
    path.write_bytes(raw)
    assert read_recording(path).samples.tolist() == SOUND.tolist()


def test_what_stands_behind_the_samples_does_no_harm(tmp_path):
    path = written(tmp_path, SOUND)
    path.write_bytes(path.read_bytes() + b"notes of someone")
    assert read_recording(path).samples.tolist() == SOUND.tolist()


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"needs soundfile.*saccade\[audio\]"):
        read_recording(tmp_path / "a.wav")


def test_doubts_are_said(tmp_path):
    tone = np.sin(np.arange(8000) / 7)
    assert doubts(read_recording(written(tmp_path, tone * 0.9)), 8000) == []
    assert doubts(read_recording(written(tmp_path, tone * 0.9, rate=44100)), 16000) == []
    clipped = read_recording(written(tmp_path, np.stack([tone * 0.5, (tone * 1.5).clip(-1, 1)], 1)))
    share = (np.abs(tone * 1.5) >= 1).mean() / 2
    assert doubts(clipped, 8000) == [f"clipped: {100 * share:.1f} % of the samples are at full scale"]
    assert doubts(Recording(SOUND, 8000, clipped=0.01), 8000) == []
    low = doubts(Recording(np.full(5, 0.5, np.float32), 8000), 16000)
    assert low == ["silent: all samples are 0.5", "recorded at 8000 Hz, below 16000: nothing above 4000 Hz is in it"]


RATES = [(8000, 16000), (44100, 16000), (16000, 8000), (48000, 16000), (8000, 8191), (11025, 8000)]


@pytest.mark.parametrize(("given", "wanted"), RATES)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_tone_below_the_limit_survives(given, wanted, share):
    hertz = share * min(given, wanted) / 2
    samples = np.sin(2 * np.pi * hertz * np.arange(given // 2) / given + 0.3).astype(np.float32)
    found = resampled(samples, given, wanted)
    assert (found.dtype, len(found)) == (np.float32, -(-len(samples) * wanted // given))
    expected = np.sin(2 * np.pi * hertz * np.arange(len(found)) / wanted + 0.3)
    inner = slice(len(found) // 4, -len(found) // 4)  # before and after there are zeros, which the filter sees
    np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("given", "wanted"), [pair for pair in RATES if pair[0] > pair[1]])
@pytest.mark.parametrize("share", [1.0, 1.1, 1.3])
def test_a_tone_above_the_limit_is_gone(given, wanted, share):
    hertz = share * wanted / 2
    samples = np.sin(2 * np.pi * hertz * np.arange(given // 2) / given + 0.3).astype(np.float32)
    found = resampled(samples, given, wanted)
    assert np.abs(found[len(found) // 4 : -len(found) // 4]).max() < 1e-3


def test_nothing_new_is_above_the_old_limit():
    samples = np.sin(2 * np.pi * 3000 * np.arange(8000) / 8000).astype(np.float32)
    power = np.abs(np.fft.rfft(resampled(samples, 8000, 16000)[4000:-4000] * np.hanning(8000))) ** 2
    assert power[4000:].max() < 1e-7 * power.max()


def test_a_constant_stays_and_short_sounds_have_their_length():
    found = resampled(np.ones(5000, np.float32), 44100, 16000)
    np.testing.assert_allclose(found[300:-300], 1, rtol=0, atol=1e-6)
    for samples in (1, 2, 3, 5):
        assert len(resampled(np.ones(samples, np.float32), 44100, 16000)) == -(-samples * 160 // 441)
    assert resampled(SOUND, 8000, 8000) is SOUND
    with pytest.raises(ValueError, match="to_rate must be at least 1; got 0"):
        resampled(SOUND, 8000, 0)
    with pytest.raises(ValueError, match=r"samples must be \[samples\]; got \[3, 2\]"):
        resampled(np.zeros((3, 2), np.float32), 8000, 16000)


def test_blocks_join():
    samples = RNG.normal(size=150_000).astype(np.float32)
    whole, part = resampled(samples, 16000, 8000), resampled(samples[60_000:80_000], 16000, 8000)
    np.testing.assert_allclose(whole[30_100:39_900], part[100:-100], rtol=0, atol=1e-5)  # 32768 is inside


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4"])
def test_features_are_what_their_file_says(tmp_path, dtype):
    values = RNG.normal(size=(7, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    found = read_features(tmp_path / "a.npy")
    assert found.dtype == np.float32
    assert found.tolist() == values.astype(np.float32).tolist()
    assert not isinstance(found, np.memmap)
    assert found.base is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3, 5), np.float32), r"floating point of \[time, dim\]; got an array of float32 \[2, 3, 5\]"),
        (np.zeros(7, np.float32), r"floating point of \[time, dim\]; got an array of float32 \[7\]"),
        (np.zeros((7, 3), np.int16), r"floating point of \[time, dim\]; got an array of int16 \[7, 3\]"),
        (np.zeros((7, 3), np.complex64), r"floating point of \[time, dim\]; got an array of complex64"),
        (np.zeros((0, 3), np.float32), r"numbers of \[time, dim\]; got an array of \[0, 3\]"),
        (np.zeros((7, 0), np.float32), r"numbers of \[time, dim\]; got an array of \[7, 0\]"),
        (np.full((7, 3), np.nan), r"finite numbers; got nan at time 0, dim 0"),
        (np.full((7, 3), 1e300), r"finite numbers; got 1e\+300 at time 0, dim 0"),
        (np.array([[{}]]), "an array of numbers; got objects"),
    ],
)
def test_features_that_are_none_are_named(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(DataError, match=rf"^{tmp_path}/a\.npy: expected {message}"):
        read_features(tmp_path / "a.npy")


@pytest.mark.parametrize("data", [b"", b"RIFF and so on", None])
def test_a_file_that_is_no_array_is_named(tmp_path, data):
    if data is not None:
        (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match=rf"^{tmp_path}/a\.npy: expected "):
        read_features(tmp_path / "a.npy")


def test_a_mixture_is_refused(tmp_path):
    wav, npy = written(tmp_path, SOUND), tmp_path / "b.NPY"
    np.save(open(npy, "wb"), np.ones((3, 5)))  # noqa: SIM115
    assert (kind_of([wav, wav]), kind_of([npy])) == ("recordings", "features")
    with pytest.raises(DataError, match=r"recordings as .*a\.wav, features as .*b\.NPY"):
        kind_of([wav, wav, npy])
    with pytest.raises(DataError, match="got no files"):
        kind_of([])
    front = FrontEnd(rate=8000, mels=7, normalize="none")
    assert (features_of(wav, front).shape[1], features_of(npy, front).tolist()) == (7, [[1] * 5] * 3)


@pytest.mark.parametrize("rate", [8000, 11025])
def test_a_recording_becomes_log_mel_frames_at_the_rate_of_the_front_end(tmp_path, rate):
    front = FrontEnd(rate=8000, mels=23, normalize="none", hop=0.015)
    found = features_of(written(tmp_path, SOUND, rate=rate), front)
    samples = torch.from_numpy(resampled(SOUND, rate, 8000))
    assert found.tolist() == log_mel(samples, rate=8000, mels=23, hop=0.015).tolist()
    assert (found.dtype, found.shape[1]) == (np.float32, front.dim)


def test_deltas_are_the_regression_and_stand_behind(tmp_path):
    values = RNG.normal(size=(11, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    front = FrontEnd(rate=8000, deltas=2, normalize="none")
    found = features_of(tmp_path / "a.npy", front)
    assert found.shape == (11, 9)
    assert found[:, :3].tolist() == values.tolist()
    at = lambda c, t: c[min(max(t, 0), 10)]  # noqa: E731
    for now, before in ((found[:, 3:6], values), (found[:, 6:], found[:, 3:6])):
        for t in range(11):
            slope = sum(j * (at(before, t + j) - at(before, t - j)) for j in (1, 2)) / 10
            np.testing.assert_allclose(now[t], slope, rtol=0, atol=1e-6)
    # Inside, a slope is what a line through 2 width + 1 points has.
    lines = [np.polyfit(range(-3, 4), values[t - 3 : t + 4], 1)[0] for t in range(3, 8)]
    np.testing.assert_allclose(deltas(values, 3)[3:8], lines, rtol=0, atol=1e-5)
    assert deltas(values[:1]).tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match="width must be at least 1"):
        deltas(values, 0)


def test_each_recording_has_mean_0_and_variance_1(tmp_path):
    sound = np.tile(SOUND, 5) * np.linspace(0.1, 1, 7505)
    found = features_of(written(tmp_path, sound), FrontEnd(rate=8000, mels=23, deltas=1))
    np.testing.assert_allclose(found.mean(0), 0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.std(0), 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [np.zeros(4000), SOUND[:50]])
def test_silence_and_a_single_frame_are_zeros(tmp_path, samples):
    found = features_of(written(tmp_path, samples), FrontEnd(rate=8000, mels=23, deltas=2))
    assert found.shape[0] == (1 if len(samples) == 50 else 49)
    assert (found == 0).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"deltas": 3}, OptionError, "--deltas must be 0, 1 or 2; got 3"),
        ({"normalize": "batch"}, OptionError, "--normalize must be of recording, training, none; got 'batch'"),
        ({"mels": 0}, ValueError, "mels must be at least 1"),
        ({"hop": 1.0}, ValueError, "hop must be"),
    ],
)
def test_front_ends_that_make_no_sense_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        FrontEnd(rate=8000, **settings)


def test_spoken_digits_are_heard(tmp_path, shared_data):
    """All of a speaker's test recordings: frames as the manifest says, and more alike within a digit than across."""
    folder = shared_data / "fsdd"
    if not (folder / "recordings.zip").is_file():
        pytest.skip(f"needs spoken digits: {folder} is not there")
    rows = [line.split("\t") for line in (folder / "manifest.tsv").read_text("utf-8").splitlines()[1:]]
    rows = [row for row in rows if row[2] == "jackson" and row[4] == "test"]
    front, means = FrontEnd(rate=8000, mels=40, normalize="none"), []
    with zipfile.ZipFile(folder / "recordings.zip") as archive:
        for name, _, _, _, _, samples in rows:
            path = archive.extract(name, tmp_path)
            recording = read_recording(tmp_path / name)
            assert (len(recording.samples), recording.rate) == (int(samples), 8000), path
            assert doubts(recording, 8000) == []
            frames = features_of(tmp_path / name, front)
            assert frames.shape == (front.logmel().frames(int(samples)), 40)
            thirds = np.array_split(frames, 3)
            means.append(np.concatenate([third.mean(0) for third in thirds]))
    digits, points = np.array([row[1] for row in rows]), np.array(means)
    apart = np.square(points[:, None] - points).sum(-1) + np.diag([np.inf] * len(points))
    assert len(rows) == 50
    assert (digits[apart.argmin(1)] == digits).mean() > 0.8
