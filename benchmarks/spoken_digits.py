"""Spoken digits: single ones, strings of three to seven, a speaker never heard, and strings written as they come in.

usage: python benchmarks/spoken_digits.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

The Free Spoken Digit Dataset, 8 kHz. Its own split (index 0 to 4 of each digit and speaker is test, 300 recordings);
strings are recordings of one speaker joined as they are, those of the test part of test recordings alone. One training
on the single recordings and on 5,000 strings of them is measured on single ones and on strings; "leave one out" trains
on the single recordings of five speakers and tests on all of the sixth, six times. A tenth of the training recordings,
and strings of them, are held out to choose the best round by, and nothing was tuned on a test part. Beside the
recogniser (joint CTC and location-sensitive attention): no attention, and MoChA with an encoder of one direction, which
is measured as a stream: its delay is from the end of a digit in the sound to when the word was written. Writes JSON and
prints the table of the README.
"""

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trials
from composed import WORDS, Spoken, fsdd, strings, write_recordings

from saccade.data.recordings import read_recording
from saccade.tasks.transcribe.options import TranscribeOptions

# Chosen on the held-out tenth of the training recordings.
COMMON: dict[str, Any] = {
    "level": "word",
    "rate": 8000,
    "normalize": "training",
    "mels": 40,
    "hidden": 128,
    "time_mask": 8,
    "frequency_mask": 6,
    "learning_rate": 0.004,
    "precision": "bfloat16",
    "patience": 100,
}
KINDS: dict[str, dict[str, Any]] = {
    "attention": {},
    "no attention": {"attention": "none", "ctc": 0.0},
    "streaming": {"attention": "mocha", "streaming": True},
}
EPOCHS = {"digits": 12, "speaker": 25}
GOALS = {"single": 98.5, "strings": 3.0}
COUNT = 5000  # strings to train on


class Parts(NamedTuple):
    """Lists to train on, to choose by, and by name to test on."""

    train: list[Path]
    held: list[Path]
    tests: dict[str, list[Path]]


def parts(data: Path, work: Path) -> dict[str, Parts]:
    """The lists of each training."""
    recordings = fsdd(data / "fsdd")
    some: dict[str, list[Spoken]] = dict(
        zip(NAMES, (*apart([one for one in recordings if one.split == "train"]), []), strict=True)
    )
    some["test"] = [one for one in recordings if one.split == "test"]
    alone = {name: single(work / f"single-{name}", some[name]) for name in NAMES}
    joined = {
        name: write_recordings(work / f"strings-{name}", strings(some[name], count, seed))
        for name, count, seed in zip(NAMES, (COUNT, 300, 500), (1, 2, 3), strict=True)
    }
    train, held = ([alone[name], joined[name]] for name in ("train", "held"))
    found = {"digits": Parts(train, held, {"single": [alone["test"]], "strings": [joined["test"]]})}
    for speaker in sorted({one.speaker for one in recordings}):
        learn, chosen = apart([one for one in recordings if one.speaker != speaker])
        left = [one for one in recordings if one.speaker == speaker]
        lists = [
            [single(work / f"{speaker}-{name}", them)] for name, them in zip(NAMES, (learn, chosen, left), strict=True)
        ]
        found[f"speaker {speaker}"] = Parts(lists[0], lists[1], {"single": lists[2]})
    return found


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


def trial(options: dict[str, Any], files: Parts) -> dict[str, Any]:
    """One training; streams are also listened to."""
    chosen = TranscribeOptions(**{**COMMON, **options})
    measure = partial(delays, test=files.tests["strings"][0]) if chosen.streaming else None
    return trials.train(chosen, files.train, files.held, files.tests, measure=measure)


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


def main() -> None:
    given = trials.arguments(__doc__ or "", "spoken_digits.json")
    todo: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, files in parts(given.data, given.work / "data").items():
        what = name.split(" ")[0]
        for kind in KINDS if what == "digits" else ("attention",):
            todo[f"{name}/{kind}"] = partial(trial, {**KINDS[kind], "epochs": EPOCHS[what]}, files)
    found = trials.run(given, todo)
    if found is None:
        return
    speakers = {name: result for name, result in found.items() if name.startswith("speaker ")}
    results = {
        "goals": GOALS,
        "digits": {kind: summary(found[f"digits/{kind}"]) for kind in KINDS},
        "speakers": {name.split(" ")[1].split("/")[0]: summary(result) for name, result in speakers.items()},
    }
    trials.write(given, found, results)
    print(tables(results))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Percent of single digits right, the word error rate of strings in percent, delays, and what it cost."""
    tests = result["tests"]
    rates = {"wer": 100 * tests["strings"]["wer"]} if "strings" in tests else {}
    cost = {name: result[name] for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")}
    return {"exact": 100 * tests["single"]["exact_match"], **rates, **result.get("measured", {}), **cost}


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    head = "| spoken digits | single, % right | strings, WER % | delay of a word, s (95 %) | minutes of a core |"
    lines = [head, "|---|---|---|---|---|"]
    for kind, row in results["digits"].items():
        delay = f"{row['median_s']:.2f} ({row['p95_s']:.2f})" if row.get("words") else "–"
        shown = f"{row['exact']:.1f} | {row['wer']:.1f} | {delay} | {row['cpu_seconds'] / 60:.0f}"
        lines.append(f"| {kind} | {shown} |")
    lines += ["", "| left out | " + " | ".join(results["speakers"]) + " | mean |"]
    lines.append("|---|" + "---|" * (len(results["speakers"]) + 1))
    each = [row["exact"] for row in results["speakers"].values()]
    shares = " | ".join(f"{share:.1f}" for share in [*each, statistics.mean(each)])
    lines.append(f"| single, % right | {shares} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
