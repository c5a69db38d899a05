"""Documents: a hierarchical attention network beside no attention, one flat text, and TF-IDF with logistic regression.

usage: python benchmarks/documents.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

Movie reviews (Pang and Lee 2004) in five rotations of their ten folds: two to test, one to choose the best round by,
the others to train. Options were chosen on folds to validate; nothing was tuned on a fold to test. ± is the standard
deviation over rotations. Writes JSON and prints the table of the README.
"""

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trials
from classification import ours, summary, tfidf

from saccade.files import write_atomic

LONG: dict[str, Any] = {"encoder": "gru", "embedding": 100, "least": 4, "word_dropout": 0.1, "epochs": 8}
KINDS: dict[str, dict[str, Any]] = {
    "hierarchy, attention": {**LONG, "documents": True},
    "hierarchy, no attention": {**LONG, "documents": True, "attention": "none"},
    "one text, no attention": {**LONG, "attention": "none", "max_length": 1000},
}
GOAL = 84.0


def reviews(data: Path, work: Path, rotation: int) -> tuple[Path, Path, Path]:
    """Folds 2r and 2r + 1 to test, the one before them to validate, the others to train: the issue's five rotations."""
    with gzip.open(data / "movie_reviews" / "movie_reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    test = {2 * rotation, 2 * rotation + 1}
    valid = {(2 * rotation - 1) % 10}
    parts = {"test": test, "valid": valid, "train": set(range(10)) - test - valid}
    paths = []
    for part in ("train", "valid", "test"):
        path = work / f"reviews-{rotation}-{part}.jsonl"
        lines = (json.dumps(document) + "\n" for document in documents if int(document["fold"]) in parts[part])
        if not path.exists():
            write_atomic(path, "".join(lines))
        paths.append(path)
    return paths[0], paths[1], paths[2]


def main() -> None:
    given = trials.arguments(__doc__ or "", "documents.json")
    (given.work / "data").mkdir(parents=True, exist_ok=True)
    todo: dict[str, Callable[[], dict[str, Any]]] = {}
    for rotation in range(5):
        files = reviews(given.data, given.work / "data", rotation)
        todo[f"TF-IDF/{rotation}"] = partial(tfidf, *files)
        for kind, options in KINDS.items():
            todo[f"{kind}/{rotation}"] = partial(ours, options, 0, *files)
    found = trials.run(given, todo)
    if found is None:
        return
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, result in found.items():
        rows.setdefault(name.split("/")[0], []).append(result)
    results = {"goal": GOAL, "table": {kind: summary(each) for kind, each in rows.items()}}
    trials.write(given, found, results)
    print(tables(results))


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| movie reviews | accuracy, % | goal | seconds of a core | MiB |", "|---|---|---|---|---|"]
    for kind, row in results["table"].items():
        goal = f"{results['goal']:.1f}" if kind == "hierarchy, attention" else "–"
        cost = f"{row['cpu_seconds']:.0f} | {row['peak_mib']}" if "cpu_seconds" in row else "– | –"
        lines.append(f"| {kind} | {row['accuracy']:.1f} ± {row['spread']:.1f} | {goal} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
