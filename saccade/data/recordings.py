"""Recordings from a person's files, and the frames that they become."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from saccade.data.arrays import Array, checked, mapped
from saccade.data.resampling import resampled
from saccade.data.windows import Scaler
from saccade.errors import DataError, MissingExtraError, OptionError, at_least_one
from saccade.layers.logmel import LogMel

Kind = Literal["recordings", "features"]
"""What the files of a run are: sound, or numbers that someone made of it."""

_FULL = 32767 / 32768  # the largest sample of 16 bits
_CLIPPED = 0.01
_PIPED = 0x7FFF0000  # a size from here on says that a recorder wrote into a pipe and did not know it
_SHORT = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Recording:
    """A waveform.

    samples: float32 `[samples]` of [-1, 1], the mean of the channels.
    rate:    samples a second.
    clipped: which share of the samples of all channels is at full scale.
    """

    samples: Array
    rate: int
    clipped: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


def read_recording(path: Path) -> Recording:
    """A recording from WAV, FLAC or whatever else libsndfile reads.

    A WAV whose header says no length, as one that was written into a pipe, is as long as its file. An MP3 is as long
    as its header says, and one that has none as libsndfile guesses; an Ogg file promises nothing.

    Raises:
        DataError: naming the file: it cannot be read, is no recording, ends before its header says, has no samples or
            one that is not finite.
        MissingExtraError: no soundfile.
    """
    try:
        import soundfile
    except (ImportError, OSError):  # an OSError where libsndfile is missing
        raise MissingExtraError("soundfile", "audio") from None
    try:
        with open(path, "rb"), soundfile.SoundFile(path) as file:  # opened first for what the system says of it
            promised, said, rate = file.frames, file.extra_info, file.samplerate
            sound = file.read(promised, dtype="float32", always_2d=True)  # some codecs read no other way
    except OSError as error:
        raise DataError(f"{path}: expected a readable file; got {error.strerror or error}") from None
    except (soundfile.SoundFileError, TypeError, ValueError) as error:  # the latter two of files without a header
        text = " ".join(getattr(error, "error_string", str(error)).split()).removeprefix("Error : ").rstrip(".")
        raise DataError(f"{path}: expected a recording, as in .wav or .flac; libsndfile says: {text}") from None
    short = next((found for found in map(_sizes, _SHORT.finditer(said)) if found[1] < found[0] < _PIPED), None)
    if short is not None or len(sound) < promised:
        lasts, of, unit = (short[1], short[0], "bytes") if short else (len(sound), promised, "samples")
        raise DataError(f"{path}: expected a whole recording of {of} {unit}; the file ends after {lasts}")
    if not sound.size:
        raise DataError(f"{path}: expected a recording; got one without samples")
    wrong = np.argwhere(~np.isfinite(sound))
    if len(wrong):
        raise DataError(f"{path}: expected finite samples; got {sound[tuple(wrong[0])]} at {wrong[0][0] / rate:.3f} s")
    return Recording(sound.mean(1), rate, float((np.abs(sound) >= _FULL).mean()))


def _sizes(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2])


def doubts(recording: Recording, rate: int) -> list[str]:
    """What a person may want to know of a recording that is heard at this rate, a line each.

    >>> doubts(Recording(np.zeros(800, np.float32), 8000), 16000)
    ['silent: all samples are 0', 'recorded at 8000 Hz, below 16000: nothing above 4000 Hz is in it']
    """
    found, samples = [], recording.samples
    if samples.min() == samples.max():
        found.append(f"silent: all samples are {samples[0]:g}")
    if recording.clipped > _CLIPPED:
        found.append(f"clipped: {100 * recording.clipped:.1f} % of the samples are at full scale")
    if recording.rate < rate:
        above = f"nothing above {recording.rate / 2:g} Hz is in it"
        found.append(f"recorded at {recording.rate} Hz, below {rate}: {above}")
    return found


def read_features(path: Path) -> Array:
    """Frames that someone made, from a `.npy` of floating point `[time, dim]`, as float32.

    Raises:
        DataError: naming the file: it cannot be read, holds other numbers, other axes, nothing, or a number that is not
            finite.
    """
    found = mapped(path)
    if found.dtype.kind != "f" or found.ndim != 2:
        came = f"an array of {found.dtype} {list(found.shape)}"
        raise DataError(f"{path}: expected floating point of [time, dim]; got {came}")
    return np.array(checked(str(path), found, "time, dim"))  # a copy: thousands of mapped files would stay open


def kind_of(paths: Sequence[Path]) -> Kind:
    """What files are by their names: `.npy` are features, all others recordings.

    Raises:
        DataError: some are and some are not, or there are none.
    """
    kinds: dict[Kind, Path] = {}
    for path in paths:
        kinds.setdefault("features" if path.suffix.lower() == ".npy" else "recordings", path)
    if len(kinds) != 1:
        came = ", ".join(f"{kind} as {path}" for kind, path in kinds.items()) or "no files"
        raise DataError(f"expected either recordings or features (.npy); got {came}")
    return next(iter(kinds))


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """What stands between a file and the frames that a model reads.

    rate:      of the sound that is heard; recordings of another rate are resampled to it.
    mels:      bands of a frame of a recording; features are as wide as they are.
    window:    seconds that a frame of a recording sees.
    hop:       seconds from one frame to the next.
    deltas:    how many orders of differences over time are appended: 0, 1 or 2.
    normalize: "recording": each number of the frames has mean 0 and variance 1 over each file; "training": over all
               training files, which is the caller's (`saccade.data.scaling`); "none".

    Raises:
        OptionError: another number of deltas, another way to normalise.
        ValueError: sizes that `LogMel` refuses.
    """

    rate: int
    mels: int = LogMel.mels
    window: float = LogMel.window
    hop: float = LogMel.hop
    deltas: int = 0
    normalize: Literal["recording", "training", "none"] = "recording"

    def __post_init__(self) -> None:
        if self.deltas not in (0, 1, 2):
            raise OptionError(f"--deltas must be 0, 1 or 2; got {self.deltas}")
        if self.normalize not in ("recording", "training", "none"):
            raise OptionError(f"--normalize must be of recording, training, none; got {self.normalize!r}")
        self.logmel()

    @property
    def dim(self) -> int:
        """The width of a frame of a recording, with its deltas."""
        return self.mels * (1 + self.deltas)

    def logmel(self) -> LogMel:
        """How sound at this rate becomes frames."""
        return LogMel(rate=self.rate, mels=self.mels, window=self.window, hop=self.hop)


def features_of(path: Path, front: FrontEnd) -> Array:
    """The frames of a file, float32 `[time, dim]`: those in a `.npy`, or those of a recording.

    Raises:
        DataError: a file that cannot be read.
        MissingExtraError: no soundfile.
    """
    if kind_of([path]) == "features":
        return finished(read_features(path), front)
    return finished(frames_of(read_recording(path), front), front)


def frames_of(recording: Recording, front: FrontEnd) -> Array:
    """The log mel frames of a recording, `[time, mels]`, without what `finished` does."""
    samples = torch.from_numpy(resampled(recording.samples, recording.rate, front.rate))
    return front.logmel()(samples).numpy()


def finished(frames: Array, front: FrontEnd) -> Array:
    """Frames `[time, mels]` with the deltas behind them, normalised where each file is by itself: `[time, dim]`."""
    orders = [frames]
    for _ in range(front.deltas):
        orders.append(deltas(orders[-1]))
    whole = np.concatenate(orders, 1)
    return Scaler.fit(whole).transform(whole) if front.normalize == "recording" else whole


def deltas(features: NDArray[np.floating], width: int = 2) -> Array:
    """How fast each number grows: `d_t = sum_j j (c_{t+j} - c_{t-j}) / (2 sum_j j^2)`, j = 1..width, as float32.

    (Young et al., The HTK Book, 3.4, eq. 5.16.) The first and the last frame are repeated outwards.

    >>> deltas(10 * np.arange(6.0)[:, None])[:, 0].tolist()
    [5.0, 8.0, 10.0, 10.0, 8.0, 5.0]
    """
    at_least_one({"width": width})
    time = len(features)
    padded = np.pad(features, ((width, width), (0, 0)), mode="edge")
    slope = np.zeros(features.shape, np.float32)
    for j in range(1, width + 1):
        slope += j * (padded[width + j :][:time] - padded[width - j :][:time])
    return slope / np.float32(2 * sum(j * j for j in range(1, width + 1)))
