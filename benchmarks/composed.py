"""Tasks that are put together from real pieces: digits scattered on a canvas, spoken digits joined to strings.

The pieces are real, the compositions are made here, from a seed; where each piece stands is known, so that what was
looked at can be scored.
"""

import gzip
import io
import json
import struct
import wave
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE, APART = 100, 6  # of a canvas, in pixels; and between the left edges of two digits, so that their order is clear


class Box(NamedTuple):
    """Where a digit stands on a canvas, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def mnist(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [count, 28, 28] and digits of `train` or `t10k`."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        _, count, height, width = struct.unpack(">IIII", file.read(16))
        images = np.frombuffer(file.read(), np.uint8).reshape(count, height, width)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read()[8:], np.uint8)
    return images, labels


def canvas(
    images: NDArray[np.uint8], chance: np.random.Generator, most: int = 5, side: int = SIDE
) -> tuple[NDArray[np.uint8], list[int], list[Box]]:
    """One to `most` digits on side x side pixels, no box on another, read from left to right: which, and where."""
    count = int(chance.integers(1, most + 1))
    while True:
        places = chance.integers(0, side - 28 + 1, (count, 2))
        apart = np.abs(places[:, None] - places[None]) + np.eye(count, dtype=int)[..., None] * side
        if (apart.max(-1) >= 28).all() and (apart[..., 0] >= APART).all():
            break
    places = places[np.argsort(places[:, 0])]
    chosen = chance.integers(0, len(images), count).tolist()
    page = np.zeros((side, side), np.uint8)
    boxes = []
    for i, (left, top) in zip(chosen, places.tolist(), strict=True):
        page[top : top + 28, left : left + 28] = images[i]
        boxes.append(Box(left, top, left + 28, top + 28))
    return page, chosen, boxes


def write_canvases(
    folder: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    count: int,
    seed: int,
    *,
    most: int = 5,
    side: int = SIDE,
) -> Path:
    """PNG files with a list of them (`list.tsv`) and their boxes (`boxes.json`, by file)."""
    if (folder / "boxes.json").exists():
        return folder / "list.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    chance, boxes, lines = np.random.default_rng(seed), {}, []
    for i in range(count):
        page, chosen, places = canvas(images, chance, most, side)
        Image.fromarray(page).save(folder / f"{i}.png")
        lines.append(f"{i}.png\t{' '.join(str(labels[j]) for j in chosen)}\n")
        boxes[f"{i}.png"] = places
    (folder / "list.tsv").write_text("".join(lines), "utf-8")
    (folder / "boxes.json").write_text(json.dumps(boxes), "utf-8")
    return folder / "list.tsv"


class Spoken(NamedTuple):
    """A recording of one digit, 8 kHz, 16 bit."""

    digit: int
    speaker: str
    split: str
    samples: NDArray[np.int16]


def fsdd(folder: Path) -> list[Spoken]:
    """All recordings, in the order of the manifest."""
    rows = [line.split("\t") for line in (folder / "manifest.tsv").read_text("utf-8").splitlines()]
    place = {name: i for i, name in enumerate(rows[0])}
    found = []
    with zipfile.ZipFile(folder / "recordings.zip") as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        for row in rows[1:]:
            with wave.open(io.BytesIO(archive.read(names[Path(row[place["file"]]).name]))) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
            found.append(Spoken(int(row[place["digit"]]), row[place["speaker"]], row[place["split"]], samples))
    return found


def strings(recordings: Sequence[Spoken], count: int, seed: int) -> Iterator[tuple[NDArray[np.int16], str, list[int]]]:
    """Strings of three to seven digits of one speaker, joined as they are: samples, words, where each digit ends."""
    chance = np.random.default_rng(seed)
    speakers = sorted({one.speaker for one in recordings})
    by_speaker = {speaker: [one for one in recordings if one.speaker == speaker] for speaker in speakers}
    for _ in range(count):
        own = by_speaker[speakers[chance.integers(len(speakers))]]
        some = [own[i] for i in chance.integers(0, len(own), chance.integers(3, 8)).tolist()]
        ends = np.cumsum([len(one.samples) for one in some]).tolist()
        yield np.concatenate([one.samples for one in some]), " ".join(WORDS[one.digit] for one in some), ends


def write_recordings(folder: Path, made: Iterable[tuple[NDArray[np.int16], str, list[int]]], rate: int = 8000) -> Path:
    """WAV files with a list of them (`list.tsv`) and where each word ends, in samples (`ends.json`, by file)."""
    if (folder / "ends.json").exists():
        return folder / "list.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    ends, lines = {}, []
    for i, (samples, text, after) in enumerate(made):
        with wave.open(str(folder / f"{i}.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(rate)
            sound.writeframes(samples.astype("<i2").tobytes())
        lines.append(f"{i}.wav\t{text}\n")
        ends[f"{i}.wav"] = after
    (folder / "list.tsv").write_text("".join(lines), "utf-8")
    (folder / "ends.json").write_text(json.dumps(ends), "utf-8")
    return folder / "list.tsv"
