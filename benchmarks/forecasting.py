"""Electricity transformers, 96 hours ahead: our forecasters with and without attention, beside a linear model.

usage: python benchmarks/forecasting.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

ETTh1 as in the literature: 8,640 hours to train, 2,880 to validate, 2,880 to test, seven variables, all of them read
and predicted, standardised by the training part; every window of the test part whose 96 hours lie in it. The linear
model is the ridge regression that `saccade train regress` prints beside every model. Three seeds. Writes JSON and
prints the table of the README.
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import trials

from saccade.files import write_atomic
from saccade.tasks.regress.options import RegressOptions

WINDOW, HORIZON, TRAIN, VALID, TEST = 336, 96, 8640, 2880, 2880
# Chosen on the validation part.
SHAPE: dict[str, Any] = {
    "horizon": HORIZON,
    "window": WINDOW,
    "validation": VALID,
    "hidden": 16,
    "layers": 2,
    "dropout": 0.3,
    "epochs": 2,
}
KINDS: dict[str, dict[str, Any]] = {
    "context vector over a Transformer": {"attention": "context-vector"},
    "learned queries, no encoder": {"attention": "scaled-dot", "encoder": "none"},
    "no attention": {"attention": "none", "encoder": "none"},
    "LSTM, additive, variables together": {
        "attention": "additive",
        "encoder": "lstm",
        "patch": 1,
        "independent": False,
        "direct": False,
        "hidden": 64,
        "layers": 1,
    },
}
PUBLISHED = {"DLinear": 0.375, "PatchTST": 0.370, "Autoformer": 0.449, "Informer": 0.865}
GOAL = 0.39


def files(data: Path, work: Path) -> tuple[Path, Path]:
    """What is trained on (its end validates), and the test part with the window before it."""
    work.mkdir(parents=True, exist_ok=True)
    header, *rows = (data / "etth1" / "ETTh1.csv").read_text("utf-8").splitlines()
    known = TRAIN + VALID
    parts = {"train.csv": rows[:known], "test.csv": rows[known - WINDOW : known + TEST]}
    for name, part in parts.items():
        write_atomic(work / name, "\n".join([header, *part]) + "\n")
    return work / "train.csv", work / "test.csv"


def trial(options: dict[str, Any], seed: int, train: Path, test: Path) -> dict[str, Any]:
    """One training."""
    return trials.train(RegressOptions(**{**SHAPE, **options}, seed=seed), [train], [], {"test": [test]})


def main() -> None:
    given = trials.arguments(__doc__ or "", "forecasting.json")
    train, test = files(given.data, given.work / "data")
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
        tests = [result["tests"]["test"] for result in each]
        table[kind] = {name: statistics.mean(test[name] for test in tests) for name in ("mse", "mae")}
        table[kind] |= {"each": [test["mse"] for test in tests]}
        table[kind] |= {"seconds": statistics.median(result["seconds"] for result in each)}
        table["linear"] = {"mse": tests[0]["linear_mse"], "mae": tests[0]["linear_mae"]}
    results = {"goal": GOAL, "published": PUBLISHED, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| ETTh1, 96 hours ahead | MSE | MAE | seconds |", "|---|---|---|---|"]
    for kind, row in results["table"].items():
        seconds = f"{row['seconds']:.0f}" if "seconds" in row else "–"
        lines.append(f"| {kind} | {row['mse']:.3f} | {row['mae']:.3f} | {seconds} |")
    lines += [f"| {name}, published | {mse:.3f} | – | – |" for name, mse in results["published"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
