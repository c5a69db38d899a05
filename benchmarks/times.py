"""The clock times of the attention tutorials: saccade beside the tutorials' own Keras model, and beside no attention.

Also beside itself: with the additive kernels taken away, and with the decoder that attends after its cell.

usage: python benchmarks/times.py [--data time.tsv] [--seeds 0,1,2] [--keras PYTHON] [--out FILE]

Trains on the first 8,000 lines of time.tsv and tests on the last 2,000, with defaults except `--level char`; seed by
seed Keras, then ours in turn. The clocks run from the start of training (Keras:
compilation included; saccade: reading the file and learning the vocabularies included) and stand while the test part
is measured. The test part is measured, never tuned on. Writes JSON and prints the tables of the README.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
from provenance import provenance

from saccade.data.pairs import Pair, PairFile, to_tsv
from saccade.kernels import choice
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate
from saccade.tasks.translate.translator import Longest, Translator
from saccade.training.callbacks import AveragedWeights
from saccade.training.fit import fit

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data" / "time" / "time.tsv"
LENGTHS = ((1, 9), (10, 19), (20, 29), (30, 50))
PLAIN = "additive, plain PyTorch"
OURS: dict[str, dict[str, Any]] = {
    "additive": {"attention": "additive"},
    PLAIN: {"attention": "additive"},
    "additive, attend after": {"attention": "additive", "attend": "after"},
    "none": {"attention": "none"},
}
TITLES = {
    "additive": "saccade, `additive`",
    "additive, attend after": "saccade, `additive`, `--attend after`",
    "none": "saccade, `none`",
    "keras": "Keras 3 with JAX",
}
GOAL = {"exact_match": 0.988, "loss_sum_per_example": 0.05}


class Probe(pl.Callback):
    """Measures the test part every 25 steps with the averaged weights, off the clock, until a loss is reached."""

    def __init__(self, goal: float, test: list[Pair]):
        self.goal, self.test = goal, test
        self.started, self.paused = time.perf_counter(), 0.0
        self.reached: float | None = None

    def seconds(self) -> float:
        """What the clock shows."""
        return time.perf_counter() - self.started - self.paused

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.average = next(callback for callback in trainer.callbacks if isinstance(callback, AveragedWeights))
        self.vocabularies = Translate().read_codec(Run(trainer.default_root_dir))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.reached is None and trainer.global_step % 25 == 0:
            now, shown = time.perf_counter(), self.seconds()
            scores = Translator(self.average.model, self.vocabularies, Longest(1, 1)).teacher_forced(self.test)
            if scores.loss_sum_per_example <= self.goal:
                self.reached = shown
            self.paused += time.perf_counter() - now


def keras(python: Path, files: list[Path], seed: int) -> dict[str, Any]:
    """One training of the peer, in a process of its own."""
    command = [python, HERE / "keras_times.py", *files, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"})
    if done.returncode:
        sys.exit(f"keras failed: {(done.stderr.strip() or 'silently').splitlines()[-1]}")
    result = json.loads(done.stdout.splitlines()[-1])
    return {**result["epochs"][-1], "keras": result["keras"], "backend": result["backend"]}


def saccade(name: str, file: Path, test: list[Pair], seed: int, goal: float) -> dict[str, Any]:
    """One training of ours."""
    options = TranslateOptions(level="char", seed=seed, **OURS[name])
    start = Start(PairFile((file,)), None)
    kernels = patch.object(choice, "usable", frozenset) if name == PLAIN else nullcontext()
    with tempfile.TemporaryDirectory() as folder, kernels:
        probe = Probe(goal, test)
        translator = fit(Path(folder) / "run", options, start, device="cpu", say=lambda line: None, watch=[probe])
        seconds = probe.seconds()
        scores = vars(translator.evaluate(test)) | {"seconds": seconds, "seconds_to_keras_loss": probe.reached}
        return scores | {"exact_match_by_length": by_length(translator, test)}


def by_length(translator: Translator, test: list[Pair]) -> dict[str, float]:
    """Exact match of greedy answers, by the number of characters of the input."""
    right: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for pair, (answer,) in zip(test, translator.answer([pair.source for pair in test]), strict=True):
        span = next(span for span in LENGTHS if span[0] <= len(pair.source) <= span[1])
        right[span].append(answer.text == pair.target)
    return {f"{low}-{high}": statistics.mean(right[low, high]) for low, high in LENGTHS}


def ambiguous(train: list[Pair], test: list[Pair]) -> int:
    """Test inputs that occur in the training part with another answer: nobody can be right about both."""
    answers = defaultdict(set)
    for pair in train:
        answers[pair.source].add(pair.target)
    return sum(bool(answers[pair.source] - {pair.target}) for pair in test)


def mean(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.mean(run[name] for run in runs)


def tables(results: dict[str, Any]) -> str:
    """The tables of the README, in Markdown."""
    runs, k = results["runs"], results["runs"]["keras"]
    lines = ["| | exact match | loss, summed per example | seconds to train | seconds to Keras's final loss |"]
    lines.append("|---|---|---|---|---|")
    for name, title in TITLES.items():
        some = runs[name]
        reached = [run.get("seconds_to_keras_loss") for run in some]
        to_keras = f"{mean(k, 'seconds'):.0f}" if name == "keras" else "not reached"
        if all(reached):
            to_keras = f"{statistics.mean(reached):.1f}"
        figures = (
            f"{mean(some, 'exact_match'):.4f} | {mean(some, 'loss_sum_per_example'):.4f} | {mean(some, 'seconds'):.0f}"
        )
        lines.append(f"| {title} | {figures} | {to_keras} |")
    lines += ["", "| characters in the input | " + " | ".join(f"{a}-{b}" for a, b in LENGTHS) + " |"]
    lines.append("|---|" + "---|" * len(LENGTHS))
    for name in ("additive", "none"):
        spans = [statistics.mean(run["exact_match_by_length"][f"{a}-{b}"] for run in runs[name]) for a, b in LENGTHS]
        lines.append(f"| `{name}` | " + " | ".join(f"{value:.1%}" for value in spans) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--keras", type=Path, default=HERE.parent / ".venv-bench" / "bin" / "python")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "times.json")
    options = parser.parse_args()
    if not options.keras.is_file():
        sys.exit(f"{options.keras}: expected the Python of the peer's environment (make benchmarks makes it)")
    if not options.data.is_file():
        sys.exit(
            f"{options.data}: expected time.tsv (github.com/Choco31415/Attention_Network_With_Keras); it is not there"
        )
    pairs = list(PairFile((options.data,)))
    train, test = pairs[:8000], pairs[8000:]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("keras", *OURS)}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "train.tsv", Path(folder) / "test.tsv"]
        for file, part in zip(files, (train, test), strict=True):
            file.write_text(to_tsv([tuple(pair) for pair in part]), "utf-8")
        for seed in map(int, options.seeds.split(",")):
            runs["keras"].append(keras(options.keras, files, seed))
            for name in OURS:
                runs[name].append(saccade(name, files[0], test, seed, runs["keras"][-1]["loss_sum_per_example"]))
    ratios = [
        run["seconds_to_keras_loss"] / peer["seconds"]
        for run, peer in zip(runs["additive"], runs["keras"], strict=True)
    ]
    results = {
        **provenance(),
        "training_pairs": len(train),
        "test_pairs": len(test),
        "test_inputs_with_another_answer_in_training": ambiguous(train, test),
        "ratio_of_times_to_keras_loss": {"median": statistics.median(ratios), "all": ratios},
        "seconds_without_kernels": mean(runs[PLAIN], "seconds") / mean(runs["additive"], "seconds"),
        "goal": GOAL,
        "runs": runs,
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(tables(results))
    print(f"\ntime to Keras's final loss, of Keras's time: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
