"""Translation from more pairs than memory holds: what is in memory, how fast, and whether each pair is seen once.

usage: python benchmarks/streaming.py [--pairs 10000000] [--few 200000] [--level bpe] [--vocab 8000]
    [--batch-tokens 8192] [--kills 1] [--seed 0] [--work FOLDER] [--out FILE]

1. Pairs of made-up words, the commonest of 200,000 as in real texts (Zipf), are written into a `.tsv.gz`.
2. A process does what `saccade train translate` does before its first step: it holds a part out, learns vocabularies
   and encodes. Then it draws the batches of one epoch, and writes down after each which pairs it has seen.
3. It is killed (SIGKILL) at a random moment of the epoch; another one does what `--resume` does: it takes up what was
   encoded, and goes on behind the last batch that was written down. So it goes until the epoch is over.
4. All of it once before with `--few` pairs: what a stage has in memory more than then grows with the pairs.

A thread samples memory ten times a second: `anonymous` is what a process has of its own, `file` what it sees of files
that are mapped, which the system takes back at need. Seconds are those on the clock, and those that the process worked
(on all cores together). Tokens are of both sides, padding not counted. Needs Linux.
"""

import argparse
import gzip
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance

from saccade.data.pairs import PairFile
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate
from saccade.training.prepare import prepare

HERE = Path(__file__).parent
LETTERS = np.array(list("etaoinshrdlucmfwygpbvk"))
WORDS = 200_000


class Watch(threading.Thread):
    """Stage by stage what the process holds, and how long it takes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stages: dict[str, dict[str, float]] = {}
        self.over_time: list[tuple[float, str, int, int]] = []
        self._over, self._began = threading.Event(), time.monotonic()
        self._clock, self._worked = self._began, time.process_time()
        self.stage = ""
        self.enter("start")

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.sample()

    def sample(self) -> None:
        lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
        found = {line[0]: round(int(line[1]) / 1024) for line in lines if line[0] in ("RssAnon:", "RssFile:")}
        anonymous, file = found["RssAnon:"], found["RssFile:"]
        self.over_time.append((round(time.monotonic() - self._began, 1), self.stage, anonymous, file))
        known = self.stages[self.stage]
        known["anonymous_mib"] = max(known["anonymous_mib"], anonymous)
        known["least_anonymous_mib"] = min(known["least_anonymous_mib"], anonymous)
        known["file_mib"] = max(known["file_mib"], file)

    def enter(self, stage: str) -> None:
        """One stage is over, another begins."""
        clock, worked = time.monotonic(), time.process_time()
        if self.stage:
            self.sample()
            self.stages[self.stage]["seconds"] += round(clock - self._clock, 1)
            self.stages[self.stage]["cpu_seconds"] += round(worked - self._worked, 1)
        none = {"seconds": 0.0, "cpu_seconds": 0.0, "anonymous_mib": 0, "least_anonymous_mib": 10**6, "file_mib": 0}
        self.stages.setdefault(stage, none)
        self.stage, self._clock, self._worked = stage, clock, worked
        self.sample()

    def table(self) -> dict[str, Any]:
        """The stages, and at most a hundred samples over time."""
        self.enter(self.stage)
        return {"stages": self.stages, "over_time": self.over_time[:: -(-len(self.over_time) // 100)]}


class Watched(Translate):
    """A task that says which stage it has come to."""

    def __init__(self, watch: Watch):
        self.watch = watch

    def parts(self, *given: Any) -> Any:
        self.watch.enter("hold out")
        return super().parts(*given)

    def learn(self, *given: Any) -> Any:
        self.watch.enter("learn")
        return super().learn(*given)

    def corpus(self, folder: Path, name: str, *given: Any) -> Any:
        self.watch.enter(f"encode {name}")
        return super().corpus(folder, name, *given)

    def reopen(self, *given: Any) -> Any:
        self.watch.enter("take up")
        return super().reopen(*given)


def write_pairs(path: Path, count: int, seed: int) -> None:
    """Made-up pairs: the target has the words of the source, spelled backwards and in another order."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.integers(2, 11, WORDS))
    letters = "".join(LETTERS[np.minimum(rng.geometric(0.12, ends[-1]) - 1, len(LETTERS) - 1)])
    words = [letters[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for begin in range(0, count, 10_000):
            lengths = np.clip(rng.lognormal(2.3, 0.6, min(10_000, count - begin)).astype(int), 1, 120)
            # About as Zipf has it: the rank is e to a uniform number.
            ranks = np.exp(rng.uniform(0, np.log(WORDS), lengths.sum())).astype(int) - 1
            place = 0
            for length in lengths:
                some = [words[rank] for rank in ranks[place : place + length]]
                place += length
                file.write(f"{' '.join(some)}\t{' '.join(word[::-1] for word in reversed(some))}\n")


def seen_before(folder: Path) -> tuple[int, int]:
    """How many batches were written down whole, and how many pairs are in them; what is behind them is cut off."""
    sizes = np.fromfile(folder / "sizes", np.int64) if (folder / "sizes").exists() else np.empty(0, np.int64)
    for name, length in (("sizes", len(sizes)), ("seen", int(sizes.sum()))):
        with open(folder / name, "ab") as file:
            file.truncate(8 * length)
    return len(sizes), int(sizes.sum())


def work(given: argparse.Namespace) -> None:
    """Prepare as a training does, and draw the batches of an epoch behind those that were seen."""
    watch, folder = Watch(), given.work
    watch.start()
    task, run = Watched(watch), Run(folder / "run")
    options = TranslateOptions(
        level=given.level, vocab_size=given.vocab, batch_tokens=given.batch_tokens, seed=given.seed
    )
    first, _ = seen_before(folder)
    start = Start(PairFile((folder / "pairs.tsv.gz",)), None, resume=run.exists())
    if not run.exists():
        run.create()
    corpus = prepare(run, task, options, start, lambda line: None, going_on=False).training
    watch.enter("order")
    schedule = task.schedule(corpus, options)
    schedule[first]
    (folder / f"prepared-{time.time_ns()}.json").write_text(json.dumps(watch.table()))
    (folder / "total").write_text(f"{schedule.per_epoch} {corpus.fingerprint}\n")
    watch.enter("draw batches")
    drawn = padded = 0
    with open(folder / "seen", "ab") as seen, open(folder / "sizes", "ab") as sizes:
        for step in range(first, schedule.per_epoch):
            indices = schedule[step]
            batch = corpus.batch(indices)
            drawn += int(batch.lengths.sum() + (batch.target != 0).sum())
            padded += batch.source.numel() + batch.target.numel()
            assert max(batch.source.numel(), batch.target.numel()) <= given.batch_tokens or len(indices) == 1
            seen.write(indices.tobytes())
            seen.flush()
            sizes.write(len(indices).to_bytes(8, "little"))
            sizes.flush()
    table = watch.table()
    report = {
        "pairs": len(corpus),
        "tokens": int(corpus.sizes.sum() + corpus.target_sizes.sum()),
        "batches": schedule.per_epoch,
        "first_batch": first,
        "drawn_tokens_per_s": round(drawn / max(table["stages"]["draw batches"]["seconds"], 0.1)),
        "drawn_tokens_per_cpu_s": round(drawn / max(table["stages"]["draw batches"]["cpu_seconds"], 0.1)),
        "padding": round(padded / max(drawn, 1) - 1, 3),
        "fingerprint": corpus.fingerprint,
        "last_process": table,
    }
    (folder / "report.json").write_text(json.dumps(report))


def start_worker(given: argparse.Namespace) -> subprocess.Popen[bytes]:
    arguments = [f"--{name}={getattr(given, name)}" for name in ("level", "vocab", "seed", "work")]
    arguments += [f"--batch-tokens={given.batch_tokens}", "--worker"]
    return subprocess.Popen([sys.executable, __file__, *arguments])


def run_and_kill(given: argparse.Namespace) -> tuple[list[int], set[str]]:
    """One epoch, killed at random moments of it: after how many batches; and the fingerprints of what was encoded."""
    chance, killed, fingerprints = random.Random(given.seed), [], set()
    total, sizes = given.work / "total", given.work / "sizes"
    while len(killed) < given.kills:
        total.unlink(missing_ok=True)
        worker = start_worker(given)
        while not (total.exists() and total.read_text().endswith("\n")):
            assert worker.poll() is None, "the worker failed"
            time.sleep(0.01)
        batches, fingerprint = total.read_text().split()
        fingerprints.add(fingerprint)
        begun = sizes.stat().st_size // 8 if sizes.exists() else 0
        last = chance.randint(begun + 1, max(begun + 1, int(0.8 * int(batches))))
        while worker.poll() is None and (not sizes.exists() or sizes.stat().st_size < 8 * last):
            time.sleep(0.001)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        killed.append(seen_before(given.work)[0])
    assert start_worker(given).wait() == 0
    return killed, fingerprints


def measure(given: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    write_pairs(given.work / "pairs.tsv.gz", given.pairs, given.seed)
    written = time.monotonic() - began
    killed, fingerprints = run_and_kill(given)
    report = json.loads((given.work / "report.json").read_text())
    begun = json.loads(min(given.work.glob("prepared-*.json")).read_text())
    encoding = begun["stages"]["encode training"]
    seen = np.fromfile(given.work / "seen", np.int64)
    once = bool((np.bincount(seen, minlength=report["pairs"]) == 1).all())
    return {
        "pairs_written": given.pairs,
        "gz_mib": round((given.work / "pairs.tsv.gz").stat().st_size / 2**20, 1),
        "encoded_mib": round(sum(path.stat().st_size for path in (given.work / "run" / "scratch").iterdir()) / 2**20),
        "writing_s": round(written, 1),
        "killed_after_batches": killed,
        "every_pair_once": once,
        "same_pairs_each_time": fingerprints <= {report["fingerprint"]},
        "taken_up": "encode training" not in report["last_process"]["stages"],
        "encoded_tokens_per_s": round(report["tokens"] / max(encoding["seconds"], 0.1)),
        "encoded_tokens_per_cpu_s": round(report["tokens"] / max(encoding["cpu_seconds"], 0.1)),
        **report,
        "first_process": begun,
    }


def measured(given: argparse.Namespace, pairs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        return measure(argparse.Namespace(**{**vars(given), "work": Path(folder), "pairs": pairs}))


def grown(many: dict[str, Any], few: dict[str, Any]) -> dict[str, float]:
    """MiB that each stage holds more of many pairs than of few, at most, in the process that has most of it."""

    def most(found: dict[str, Any]) -> dict[str, float]:
        stages: dict[str, float] = {}
        for process in ("first_process", "last_process"):
            for stage, figures in found[process]["stages"].items():
                stages[stage] = max(stages.get(stage, 0), figures["anonymous_mib"])
        return stages

    before = most(few)
    return {stage: size - before[stage] for stage, size in most(many).items()}


def main() -> None:
    """See the usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--few", type=int, default=200_000)
    parser.add_argument("--level", default="bpe")
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="for the files: some 150 bytes a pair, and 250 while one works")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "streaming.json")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.worker:
        work(given)
        return
    few, many = (measured(given, pairs) for pairs in (given.few, given.pairs))
    result = {"memory_more_mib": grown(many, few), **many, "few": few}
    given.out.write_text(json.dumps({**provenance(), **result}, indent=1) + "\n")
    shown = {name: value for name, value in result.items() if not isinstance(value, dict)}
    print(json.dumps({**shown, "memory_more_mib": result["memory_more_mib"]}, indent=1))
    for process in ("first_process", "last_process"):
        for stage, figures in result[process]["stages"].items():
            print(f"{process} {stage:18} {figures}")


if __name__ == "__main__":
    main()
