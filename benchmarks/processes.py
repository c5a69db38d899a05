"""Two processes beside one on the same global batches: the same losses, and how fast.

usage: python benchmarks/processes.py [--data FOLDER] [--steps 50] [--out FILE]

Trains `translate` on Multi30k, German to English, with defaults but for --dropout 0, --hidden and --embedding of 256
and 64 pairs a step: in one process with one thread, and in two with one each (gloo, started by torchrun). Writes the
largest difference between their losses at any step, and target tokens a second over the steps after the tenth: by the
clock, which other work on the machine slows, and by the seconds that all processes worked; and how long it takes to
make a batch. Prints the table of docs/scale.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import lightning.pytorch as pl
import torch
from provenance import provenance

from saccade.data.pairs import PairFile
from saccade.files import write_atomic
from saccade.tasks.base import Start
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit
from saccade.training.launch import QUIET
from saccade.training.module import Part, Plan, RoundOfBatches, TrainingModule
from saccade.training.together import found

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data" / "multi30k"
OPTIONS = TranslateOptions(dropout=0.0, embedding=256, hidden=256, batch_size=64)
# Processes, and the threads of each.
WAYS = {"one process, one thread": (1, 1), "two processes, one thread each": (2, 1)}
FIRST = 10


class Curve(pl.Callback):
    """The loss of every step, and what was done from the tenth to the last."""

    def __init__(self, steps: int) -> None:
        self.losses: list[float] = []
        self.steps, self.before = steps, torch.zeros(2)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Write a step down."""
        assert isinstance(pl_module, TrainingModule)
        loss, counted = (pl_module.sums - self.before).tolist()
        self.before = pl_module.sums.clone()
        self.losses.append(loss / counted)
        if trainer.global_step == FIRST:
            self.began, self.worked, self.tokens = time.perf_counter(), time.process_time(), float(pl_module.sums[1])
        if trainer.global_step == self.steps:
            self.seconds, self.worked = time.perf_counter() - self.began, time.process_time() - self.worked
            self.tokens = float(pl_module.sums[1]) - self.tokens


class Timed(RoundOfBatches):
    """Batches, and the seconds that each took to be made."""

    took: ClassVar[list[float]] = []

    def __iter__(self) -> Iterator[Part]:
        batches = super().__iter__()
        for _ in range(len(self)):
            began = time.thread_time()
            batch = next(batches)
            self.took.append(time.thread_time() - began)
            yield batch


def work(data: Path, out: Path, steps: int) -> None:
    """One training, or a process's part of it."""
    files = [PairFile((data / f"{part}.de.gz", data / f"{part}.en.gz")) for part in ("train", "val")]
    curve, threads, plan = Curve(steps), torch.get_num_threads(), lambda options, batches: Plan(1, steps, batches)
    with patch("saccade.training.fit.plan", plan), patch("saccade.training.fit.RoundOfBatches", Timed):
        fit(out / "run", OPTIONS, Start(*files), device="cpu", say=lambda line: None, watch=[curve])
    figures = {"losses": curve.losses, "seconds": curve.seconds, "worked": curve.worked, "tokens": curve.tokens}
    figures |= {"threads": threads, "batch_ms": 1000 * statistics.median(Timed.took)}
    write_atomic(out / f"{found().rank}.json", json.dumps(figures))


def measured(data: Path, steps: int, processes: int, threads: int) -> dict[str, Any]:
    """A training in processes of its own."""
    started = [sys.executable]
    if processes > 1:
        started += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [*started, __file__, f"--data={data}", f"--steps={steps}", f"--worker={folder}"]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads), **dict([QUIET])})
        parts = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(processes)]
        (last,) = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    assert all(part["threads"] == threads for part in parts)
    first, worked = parts[0], sum(part["worked"] for part in parts)
    return {
        "tokens_per_second": round(first["tokens"] / first["seconds"]),
        "tokens_per_second_of_work": round(first["tokens"] / worked),
        "step_ms": round(1000 * first["seconds"] / (steps - FIRST), 1),
        "batch_ms": round(first["batch_ms"], 2),
        "validation": json.loads(last),
        "losses": [round(loss, 7) for loss in first["losses"]],
    }


def tables(results: dict[str, Any]) -> str:
    """The table of docs/scale.md, in Markdown."""
    lines = [
        "| | target tokens a second | a second of work | a step, ms | of these making the batch |",
        "|---|---|---|---|---|",
    ]
    for name, run in results["runs"].items():
        speeds = f"{run['tokens_per_second']:,} | {run['tokens_per_second_of_work']:,}"
        lines.append(f"| {name} | {speeds} | {run['step_ms']:.0f} | {run['batch_ms']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """See the usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "processes.json")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.data, given.worker, given.steps)
        return
    about = {**provenance(), "load_before": round(os.getloadavg()[0], 1)}
    runs = {name: measured(given.data, given.steps, *way) for name, way in WAYS.items()}
    one, two = (runs[name]["losses"] for name in WAYS)
    result = {
        **about,
        "steps": given.steps,
        "largest_difference": max(abs(a - b) for a, b in zip(one, two, strict=True)),
        "runs": runs,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(tables(result))
    print(f"largest difference of a step's loss: {result['largest_difference']:.1e}")


if __name__ == "__main__":
    main()
