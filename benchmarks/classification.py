"""Short texts: our classifiers beside no attention, and beside TF-IDF with logistic regression.

usage: python benchmarks/classification.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

TREC and SST-2 have test parts; MR and SUBJ are measured in ten folds. Of each training part but SST-2's a tenth is
held out to choose the best round by; nothing was tuned on a test part. Three seeds where there is one test
part; ± is the standard deviation over folds or seeds. Writes JSON and prints the table of the README.
"""

import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trials

from saccade.data.labelled import LabelledFile
from saccade.files import write_atomic
from saccade.tasks.classify.options import ClassifyOptions

# Chosen on folds of TREC's training part and on the development part of SST-2. MR and SUBJ are forty trainings, and
# do without what takes two and a half times as long.
ATTENTION: dict[str, Any] = {"self_attention": "multi-head"}
NONE: dict[str, Any] = {"attention": "none"}
ADVERSARIAL: dict[str, Any] = {"characters": "cnn", "adversarial": 1.0}
SENTENCES: dict[str, dict[str, Any]] = {"attention": ATTENTION, "no attention": NONE}
HARD: dict[str, dict[str, Any]] = {kind: {**ADVERSARIAL, **options} for kind, options in SENTENCES.items()}
LONGER: dict[str, dict[str, Any]] = {kind: {**options, "epochs": 12} for kind, options in HARD.items()}
KINDS = {"TREC": LONGER, "SST-2": HARD, "MR": SENTENCES, "SUBJ": SENTENCES}
PUBLISHED = {
    "TREC": {"Kim 2014, CNN-rand": 91.2},
    "SUBJ": {"Kim 2014, CNN-rand": 89.6},
    "MR": {"Kim 2014, CNN-rand": 76.1},
    "SST-2": {"Kim 2014, CNN-rand, phrases too": 82.7},
}
GOALS = {"TREC": 91.0, "SUBJ": 90.0, "MR": 76.5, "SST-2": 81.0}

Rows = list[tuple[str, str]]


def read(path: Path, encoding: str) -> Rows:
    """The lines of a file of `label SPACE text`."""
    # Not by splitlines, to which some characters of latin-1 are line ends.
    lines = (line.split(" ", 1) for line in path.read_text(encoding).split("\n") if line.strip())
    return [(label, text.strip()) for label, text in lines]


def tsv(rows: Rows, path: Path) -> Path:
    """The rows in our own form."""
    if not path.exists():
        write_atomic(path, "".join(f"{label}\t{text}\n" for label, text in rows))
    return path


def splits(data: Path, work: Path) -> dict[str, list[tuple[Path, Path | None, Path]]]:
    """For each data set its (training, validation, test) files, once for each fold."""
    work.mkdir(parents=True, exist_ok=True)
    text = data / "text_sentence"
    found: dict[str, list[tuple[Path, Path | None, Path]]] = {
        "TREC": [
            (
                tsv(read(text / "TREC.train.all", "latin-1"), work / "trec-train.tsv"),
                None,
                tsv(read(text / "TREC.test.all", "utf-8"), work / "trec-test.tsv"),
            )
        ],
        "SST-2": [
            tuple(  # type: ignore[list-item]
                tsv(read(text / f"stsa.binary.{part}", "utf-8"), work / f"sst2-{part}.tsv")
                for part in ("train", "dev", "test")
            )
        ],
    }
    for name, file in (("MR", "rt-polarity.all"), ("SUBJ", "subj.all")):
        rows = read(text / file, "latin-1")
        random.Random(0).shuffle(rows)
        found[name] = [
            (
                tsv([row for i, row in enumerate(rows) if i % 10 != fold], work / f"{name}-{fold}-train.tsv"),
                None,
                tsv(rows[fold::10], work / f"{name}-{fold}-test.tsv"),
            )
            for fold in range(10)
        ]
    return found


def tfidf(train: Path, valid: Path | None, test: Path) -> dict[str, Any]:
    """TF-IDF of words and pairs of words, and logistic regression, on training and validation part together.

    How strongly it is regularised and how counts are scaled are chosen by cross-validation on what it learns from.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    learn, unseen = (list(LabelledFile(tuple(filter(None, paths)))) for paths in ((train, valid), (test,)))
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
    pipeline = Pipeline([("words", words), ("regression", LogisticRegression(max_iter=1000))])
    choices = {"regression__C": [10, 100], "words__sublinear_tf": [False, True]}
    model = GridSearchCV(pipeline, choices, cv=3)
    model.fit([one.text for one in learn], [one.labels[0] for one in learn])
    right = model.score([one.text for one in unseen], [one.labels[0] for one in unseen])
    return {"tests": {"test": {"accuracy": right}}, "chosen": model.best_params_}


def ours(options: dict[str, Any], seed: int, train: Path, valid: Path | None, test: Path) -> dict[str, Any]:
    """One training with some options."""
    chosen = ClassifyOptions(**options, seed=seed)
    return trials.train(chosen, [train], [valid] if valid else [], {"test": [test]})


def main() -> None:
    given = trials.arguments(__doc__ or "", "classification.json")
    todo: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, folds in splits(given.data, given.work / "data").items():
        seeds = 3 if len(folds) == 1 else 1
        for fold, files in enumerate(folds):
            todo[f"{name}/TF-IDF/{fold}"] = partial(tfidf, *files)
            for kind, options in KINDS[name].items():
                for seed in range(seeds):
                    todo[f"{name}/{kind}/{fold + seed}"] = partial(ours, options, seed, *files)
    found = trials.run(given, todo)
    if found is None:
        return
    rows: dict[str, Any] = {}
    for name, result in found.items():
        data, kind, _ = name.split("/")
        rows.setdefault(data, {}).setdefault(kind, []).append(result)
    table = {data: {kind: summary(results) for kind, results in kinds.items()} for data, kinds in rows.items()}
    results = {"goals": GOALS, "published": PUBLISHED, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy in percent, its spread over folds or seeds, and what it cost."""
    each = [100 * result["tests"]["test"]["accuracy"] for result in results]
    cost = {
        name: max(result[name] for result in results)
        for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")
        if name in results[0]
    }
    spread = statistics.stdev(each) if len(each) > 1 else 0.0
    return {"accuracy": statistics.mean(each), "spread": spread, "each": each, **cost}


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    head = "| accuracy, % | goal | attention | no attention | TF-IDF | published | seconds of a core |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for data, kinds in results["table"].items():
        published = ", ".join(f"{value} ({name})" for name, value in results["published"][data].items()) or "–"
        both = (kinds[kind] for kind in ("attention", "no attention"))
        told = " | ".join(f"{row['accuracy']:.1f} ± {row['spread']:.1f}" for row in both)
        plain, seconds = kinds["TF-IDF"]["accuracy"], kinds["attention"]["cpu_seconds"]
        lines.append(f"| {data} | {results['goals'][data]:.1f} | {told} | {plain:.1f} | {published} | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
