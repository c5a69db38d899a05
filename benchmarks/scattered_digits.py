"""Digits scattered on a canvas, read from left to right: soft attention, hard attention, and none.

usage: python benchmarks/scattered_digits.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

One to five MNIST digits on 100 x 100 pixels, no box on another; canvases to train on and to choose the best round by
are made of MNIST's training digits, those to test on of its test digits. Where each digit stands is known: of the
weight that the decoder laid when it wrote a digit, the share inside its 28 x 28 box is measured, by the middles of the
regions, over all digits of canvases whose every digit was read right. Writes JSON and prints the table of the README.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trials
from composed import SIDE, Box, mnist, write_canvases
from numpy.typing import NDArray

from saccade.tasks.caption.options import CaptionOptions

# Chosen on canvases of training digits.
COMMON: dict[str, Any] = {
    "height": SIDE,
    "width": SIDE,
    "grey": True,
    "filters": 16,
    "epochs": 5,
    "learning_rate": 0.002,
    "precision": "bfloat16",
}
KINDS: dict[str, dict[str, Any]] = {
    "soft": {"attention": "visual"},
    "hard": {"attention": "visual+reinforce", "epochs": 8},
    "no attention": {"attention": "none"},
}
GOALS = {"exact": 97.0, "in_box": 70.0}


def share_in_box(weights: NDArray[np.float32], box: Box, side: int = SIDE) -> float:
    """The share of weights `[row, column]` over a square image that lies inside a box, by the middles of the cells."""
    rows, columns = ((np.arange(count) + 0.5) * side / count for count in weights.shape)
    inside = ((rows >= box.top) & (rows < box.bottom))[:, None] & ((columns >= box.left) & (columns < box.right))
    return float(weights[inside].sum() / weights.sum())


def looked_at(trained: Any, test: Path) -> dict[str, Any]:
    """The mean share of weight in the right box."""
    boxes = json.loads((test.parent / "boxes.json").read_text("utf-8"))
    lines = [line.split("\t") for line in test.read_text("utf-8").splitlines()]
    shares: list[float] = []
    for begin in range(0, len(lines), 256):
        some = lines[begin : begin + 256]
        answers = trained.answer([test.parent / name for name, _ in some])
        for (name, text), answer in zip(some, answers, strict=True):
            if answer.text == text and answer.weights is not None:
                shares += [share_in_box(row, Box(*box)) for row, box in zip(answer.weights, boxes[name], strict=False)]
    return {"digits": len(shares), "in_box": float(np.mean(shares)) if shares else None}


def trial(options: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    """One training."""
    measure = None if options["attention"] == "none" else partial(looked_at, test=files[2])
    chosen = CaptionOptions(**{**COMMON, **options})
    return trials.train(chosen, [files[0]], [files[1]], {"test": [files[2]]}, measure=measure)


def main() -> None:
    given = trials.arguments(__doc__ or "", "scattered_digits.json")
    train, test = (mnist(given.data / "mnist", part) for part in ("train", "t10k"))
    folder = given.work / "data"
    files = [
        write_canvases(folder / "train", train[0][:55000], train[1][:55000], 32000, 1),
        write_canvases(folder / "held", train[0][55000:], train[1][55000:], 500, 2),
        write_canvases(folder / "test", *test, 2000, 3),
    ]
    found = trials.run(given, {kind: partial(trial, options, files) for kind, options in KINDS.items()})
    if found is None:
        return
    table = {kind: summary(result) for kind, result in found.items()}
    results = {"goals": GOALS, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Percent right, percent of weight in the right box, and what it cost."""
    test = result["tests"]["test"]
    share = result.get("measured", {}).get("in_box")
    return {
        "exact": 100 * test["exact_match"],
        "cer": 100 * test["cer"],
        "in_box": None if share is None else 100 * share,
        **{name: result[name] for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")},
    }


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| scattered digits | exact, % | weight in the right box, % | minutes of a core |", "|---|---|---|---|"]
    for kind, row in results["table"].items():
        share = "–" if row["in_box"] is None else f"{row['in_box']:.1f}"
        lines.append(f"| {kind} | {row['exact']:.1f} | {share} | {row['cpu_seconds'] / 60:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
