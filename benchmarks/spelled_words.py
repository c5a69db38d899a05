"""Spelled names, addresses and numbers of CMU's AN4: joint CTC-attention, attention alone, CTC alone.

usage: python benchmarks/spelled_words.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

948 utterances to learn from (42 minutes), 130 of ten other speakers to test on, as 13 MFCCs a frame. Nine speakers of
the training part are held out to choose the best round by; nothing was tuned on the test part. Writes JSON and prints
the table of the README.
"""

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trials

from saccade.files import write_atomic
from saccade.tasks.transcribe.options import TranscribeOptions

# Chosen on the speakers that are held out.
COMMON: dict[str, Any] = {
    "deltas": 2,
    "epochs": 50,
    "batch_size": 16,
    "learning_rate": 0.003,
    "time_mask": 15,
    "frequency_mask": 3,
    "precision": "bfloat16",
    "patience": 100,
}
KINDS: dict[str, dict[str, Any]] = {
    "CTC and attention": {"ctc": 0.5},
    "attention alone": {"ctc": 0.0},
    "CTC alone": {"ctc": 1.0, "decoder": "none"},
}
BEAM = {"CTC and attention": 10, "attention alone": 10, "CTC alone": 1}
GOALS = {"wer": 20.0, "stretch": 10.0}


def lists(data: Path, work: Path) -> dict[str, Path]:
    """Features as .npy files, and a list of each part."""
    folder = work / "npy"
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        part: [line.split("\t") for line in (data / "an4_mfcc" / f"{part}.tsv").read_text("utf-8").splitlines()[1:]]
        for part in ("train", "test")
    }
    speakers = sorted({row[1] for row in rows["train"]})
    held = set(np.random.default_rng(0).permutation(speakers)[:9].tolist())
    parts = {
        "train": [row for row in rows["train"] if row[1] not in held],
        "held": [row for row in rows["train"] if row[1] in held],
        "test": rows["test"],
    }
    with zipfile.ZipFile(data / "an4_mfcc" / "feat.zip") as archive:
        for file, *_ in (row for part in parts.values() for row in part):
            if not (folder / name(file)).exists():
                numbers = np.frombuffer(archive.read(file)[4:], ">f4")
                np.save(folder / name(file), numbers.reshape(-1, 13).astype(np.float32))
    found = {}
    for part, some in parts.items():
        found[part] = folder / f"{part}.tsv"
        write_atomic(found[part], "".join(f"{name(row[0])}\t{row[3]}\n" for row in some))
    return found


def name(file: str) -> str:
    """The name of an utterance's features.

    >>> name("an4_clstk/fash/an251-fash-b.mfc")
    'an4_clstk_fash_an251-fash-b.npy'
    """
    return file.replace("/", "_").removesuffix(".mfc") + ".npy"


def trial(kind: str, files: dict[str, Path]) -> dict[str, Any]:
    """One training."""
    chosen = TranscribeOptions(**{**COMMON, **KINDS[kind]})
    tests = {part: [files[part]] for part in ("held", "test")}
    return trials.train(chosen, [files["train"]], [files["held"]], tests, beam=BEAM[kind])


def main() -> None:
    given = trials.arguments(__doc__ or "", "spelled_words.json")
    files = lists(given.data, given.work)
    found = trials.run(given, {kind: partial(trial, kind, files) for kind in KINDS})
    if found is None:
        return
    results = {"goals": GOALS, "table": {kind: summary(result) for kind, result in found.items()}}
    trials.write(given, found, results)
    print(tables(results))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Error rates in percent, and what they cost."""
    cost = {name: result[name] for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")}
    parts = result["tests"].items()
    return {**{f"{part}_{name}": 100 * scores[name] for part, scores in parts for name in ("wer", "cer")}, **cost}


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| AN4, other speakers | WER, % | CER, % | minutes of a core |", "|---|---|---|---|"]
    for kind, row in results["table"].items():
        lines.append(f"| {kind} | {row['test_wer']:.1f} | {row['test_cer']:.1f} | {row['cpu_seconds'] / 60:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
