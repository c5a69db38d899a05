"""Spoken digits: single ones, strings of three to seven, a speaker never heard, and strings written as they come in.

usage: python benchmarks/spoken_digits.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

The Free Spoken Digit Dataset, 8 kHz. Its own split (index 0 to 4 of each digit and speaker is test, 300 recordings);
strings are recordings of one speaker joined as they are, those of the test part of test recordings alone; "leave one
out" trains on five speakers and tests on all recordings of the sixth, six times. A tenth of the training recordings is
held out to choose the best round by, and nothing was tuned on a test part. Beside the recogniser (joint CTC and
location-sensitive attention): no attention, and MoChA with an encoder of one direction, which is measured as a stream:
its delay is from the end of a digit in the sound to when the word was written. Writes JSON and prints the table of the
README.
"""

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trials
from composed import WORDS, Spoken, fsdd, strings, write_recordings

from saccade.data.recordings import read_recording
from saccade.tasks.transcribe.options import TranscribeOptions

# Chosen on the held-out tenth of the training recordings.
COMMON: dict[str, Any] = {"level": "word", "rate": 8000, "mels": 40, "hidden": 128, "precision": "bfloat16"}
KINDS: dict[str, dict[str, Any]] = {
    "attention": {},
    "no attention": {"attention": "none", "ctc": 0.0},
    "streaming": {"attention": "mocha", "streaming": True, "normalize": "training"},
}
EPOCHS = {"single": 30, "strings": 12, "speaker": 30}
GOALS = {"single": 98.5, "strings": 3.0}
COUNT = 6000  # strings to train on


def parts(data: Path, work: Path) -> dict[str, tuple[Path, Path, Path]]:
    """For each measurement the lists to train on, to choose by and to test on."""
    recordings = fsdd(data / "fsdd")
    train = [one for one in recordings if one.split == "train"]
    test = [one for one in recordings if one.split == "test"]
    learn, held = apart(train)
    found = {
        "single": tuple(single(work / f"single-{name}", some) for name, some in zip(NAMES, (learn, held, test))),
        "strings": tuple(
            write_recordings(work / f"strings-{name}", strings(some, count, seed))
            for name, some, count, seed in zip(NAMES, (learn, held, test), (COUNT, 300, 500), (1, 2, 3))
        ),
    }
    for speaker in sorted({one.speaker for one in recordings}):
        learn, held = apart([one for one in recordings if one.speaker != speaker])
        left = [one for one in recordings if one.speaker == speaker]
        found[f"speaker {speaker}"] = tuple(
            single(work / f"{speaker}-{name}", some) for name, some in zip(NAMES, (learn, held, left))
        )
    return found  # type: ignore[return-value]


NAMES = ("train", "held", "test")


def apart(recordings: list[Spoken]) -> tuple[list[Spoken], list[Spoken]]:
    """Nine tenths, and a tenth."""
    order = np.random.default_rng(0).permutation(len(recordings)).tolist()
    cut = len(order) // 10
    return [recordings[i] for i in order[cut:]], [recordings[i] for i in order[:cut]]


def single(folder: Path, recordings: list[Spoken]) -> Path:
    """Recordings of one digit each."""
    made = ((one.samples, WORDS[one.digit], [len(one.samples)]) for one in recordings)
    return write_recordings(folder, made)


def trial(options: dict[str, Any], files: tuple[Path, Path, Path]) -> dict[str, Any]:
    """One training; streams are also listened to."""
    chosen = TranscribeOptions(**{**COMMON, **options})
    measure = partial(delays, test=files[2]) if chosen.streaming else None
    return trials.train(chosen, [files[0]], [files[1]], {"test": [files[2]]}, measure=measure)


def delays(trained: Any, test: Path) -> dict[str, Any]:
    """Seconds from the end of each digit to when its word was written, where a string came out right."""
    from saccade.tasks.transcribe.stream import Listening

    ends = json.loads((test.parent / "ends.json").read_text("utf-8"))
    found: list[float] = []
    for line in test.read_text("utf-8").splitlines():
        name, text = line.split("\t")
        samples = read_recording(test.parent / name).samples
        listening, heard = Listening(trained), []
        for begin in range(0, len(samples), 400):  # 0.05 s
            heard += listening.push(samples[begin : begin + 400])
        heard += listening.finish()
        words = [one for one in heard if one.text.strip()]
        if [one.text.strip() for one in words] == text.split():
            found += [one.after - end / 8000 for one, end in zip(words, ends[name], strict=True)]
    spread = np.percentile(found, [50, 95]).tolist() if found else [None, None]
    return {"words": len(found), "median_s": spread[0], "p95_s": spread[1]}
