"""Words that nobody has seen come through: a model that may copy beside one that may not.

usage: python benchmarks/copying.py [--jobs N] [--out FILE]

The made-up task: "reverse W1 ... Wn" and "repeat W1 ... Wn" (that is, say it twice), of three to seven words. Half of
the words are of forty common ones, half are new strings of letters. No new word of the test part occurs in training,
and none has a place in the vocabulary. Three seeds each. Writes JSON and prints the table of the README.
"""

import random
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import trials

from saccade.data.pairs import to_tsv
from saccade.files import write_atomic
from saccade.tasks.translate.options import TranslateOptions

COMMON = [f"{a}{b}" for a in "bdfgklmn" for b in "aeiou"]
OPTIONS: dict[str, Any] = {"level": "word", "vocab_size": 60, "epochs": 10}
KINDS = {"copying": {"copy": True}, "without copying": {"copy": False}}
GOAL = 0.99


def strings(count: int, seed: int) -> list[tuple[str, str]]:
    """Made-up pairs; other seeds make other words."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        words = [rng.choice(COMMON) if rng.random() < 0.5 else _new(rng) for _ in range(rng.randint(3, 7))]
        if rng.random() < 0.5:
            made.append((f"reverse {' '.join(words)}", " ".join(reversed(words))))
        else:
            made.append((f"repeat {' '.join(words)}", " ".join(words + words)))
    return made


def _new(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghjklmnpqrstvwxyz") + rng.choice("aeiou") for _ in range(rng.randint(3, 5)))


def files(work: Path) -> tuple[Path, Path]:
    """The training and the test part; what the test part shares with the training are common words alone."""
    work.mkdir(parents=True, exist_ok=True)
    train = strings(10_000, seed=1)
    known = {word for source, _ in train for word in source.split()}
    test = [
        pair
        for pair in strings(2_000, seed=2)
        if not (set(pair[0].split()) - set(COMMON)) & (known - {"reverse", "repeat"})
    ]
    paths = work / "train.tsv", work / "test.tsv"
    for path, pairs in zip(paths, (train, test[:1_000]), strict=True):
        write_atomic(path, to_tsv(pairs))
    return paths


def trial(options: dict[str, Any], seed: int, train: Path, test: Path) -> dict[str, Any]:
    """One training."""
    return trials.train(TranslateOptions(**OPTIONS, **options, seed=seed), [train], [], {"test": [test]})


def main() -> None:
    given = trials.arguments(__doc__ or "", "copying.json")
    train, test = files(given.work / "data")
    todo = {
        f"{kind}/{seed}": partial(trial, options, seed, train, test)
        for kind, options in KINDS.items()
        for seed in range(3)
    }
    found = trials.run(given, todo)
    if found is None:
        return
    table: dict[str, Any] = {}
    for kind in KINDS:
        each = [found[f"{kind}/{seed}"] for seed in range(3)]
        exact = [result["tests"]["test"]["exact_match"] for result in each]
        seconds = statistics.median(result["seconds"] for result in each)
        table[kind] = {"exact_match": statistics.mean(exact), "each": exact, "seconds": seconds}
    results = {"goal": GOAL, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| strings to reverse or repeat, new words among them | exact match | seconds |", "|---|---|---|"]
    lines += [f"| {kind} | {row['exact_match']:.1%} | {row['seconds']:.0f} |" for kind, row in results["table"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
