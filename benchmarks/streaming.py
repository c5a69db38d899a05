"""Translation from more pairs than memory holds: what is in memory, how fast, and whether each pair is seen once.

usage: python benchmarks/streaming.py [--pairs 10000000] [--level bpe] [--vocab 8000] [--batch-tokens 8192] [--kills 1]
    [--seed 0] [--work FOLDER] [--out FILE]

1. Pairs of made-up words, the commonest of 200,000 as in real texts (Zipf), are written into a `.tsv.gz`.
2. A process does what `saccade train translate` does before its first step: it holds a part out, learns vocabularies
   and encodes. Then it draws the batches of one epoch, and writes down after each which pairs it has seen.
3. It is killed (SIGKILL) at a random moment of the epoch; another one encodes again, as `--resume` does, finds the same
   pairs, and goes on behind the last batch that was written down. So it goes until the epoch is over.

A thread samples memory twice a second: `anonymous` is what a process has of its own, `file` what it sees of files that
are mapped, which the system takes back at need. Tokens are of both sides, padding not counted. Needs Linux.
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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance

from saccade.data.pairs import PairFile
from saccade.tasks.base import Start
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate

HERE = Path(__file__).parent
LETTERS = np.array(list("etaoinshrdlucmfwygpbvk"))
WORDS = 200_000


class Memory(threading.Thread):
    """Samples what the process holds, stage by stage."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stage, self.samples = "start", []
        self._began, self._over = time.monotonic(), threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            self.sample()

    def sample(self) -> None:
        lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
        found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("RssAnon:", "RssFile:")}
        second = round(time.monotonic() - self._began, 1)
        self.samples.append((second, self.stage, round(found["RssAnon:"]), round(found["RssFile:"])))

    def enter(self, stage: str) -> None:
        self.sample()
        self.stage = stage
        self.sample()

    def table(self) -> dict[str, Any]:
        """Highest MiB of each stage, and at most a hundred samples over time."""
        self._over.set()
        self.sample()
        stages: dict[str, dict[str, float]] = {}
        for second, stage, anonymous, file in self.samples:
            known = stages.setdefault(stage, {"anonymous_mib": 0, "file_mib": 0, "from_s": second})
            known["anonymous_mib"] = max(known["anonymous_mib"], anonymous)
            known["file_mib"] = max(known["file_mib"], file)
            known["to_s"] = second
        thin = self.samples[:: -(-len(self.samples) // 100)]
        return {"stages": stages, "over_time": thin}


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
    memory, task, folder = Memory(), Translate(), given.work
    memory.start()
    options = TranslateOptions(
        level=given.level, vocab_size=given.vocab, batch_tokens=given.batch_tokens, seed=given.seed
    )
    start = Start(PairFile((folder / "pairs.tsv.gz",)), None)
    times = [time.monotonic()]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        memory.enter("hold out")
        training, _ = task.parts(start, options, lambda line: None)
        memory.enter("learn")
        times.append(time.monotonic())
        codec = task.learn(start, training, options)
        memory.enter("encode")
        times.append(time.monotonic())
        corpus = task.corpus(Path(scratch), "training", training, codec, options)
        memory.enter("draw batches")
        times.append(time.monotonic())
        schedule = task.schedule(corpus, options)
        (folder / "total").write_text(f"{schedule.per_epoch} {corpus.fingerprint}\n")
        first, _ = seen_before(folder)
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
        times.append(time.monotonic())
    tokens = int(corpus.sizes.sum() + corpus.target_sizes.sum())
    held, learned, encoded, drew = (round(after - before, 1) for before, after in pairwise(times))
    report = {
        "pairs": len(corpus),
        "tokens": tokens,
        "batches": schedule.per_epoch,
        "first_batch": first,
        "seconds": {"hold out": held, "learn": learned, "encode": encoded, "draw batches": drew},
        "encoded_tokens_per_s": round(tokens / encoded),
        "drawn_tokens_per_s": round(drawn / max(drew, 0.1)),
        "padding": round(padded / max(drawn, 1) - 1, 3),
        "fingerprint": corpus.fingerprint,
        "memory": memory.table(),
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
    seen = np.fromfile(given.work / "seen", np.int64)
    once = bool((np.bincount(seen, minlength=report["pairs"]) == 1).all())
    return {
        "pairs_written": given.pairs,
        "gz_mib": round((given.work / "pairs.tsv.gz").stat().st_size / 2**20, 1),
        "writing_s": round(written, 1),
        "killed_after_batches": killed,
        "every_pair_once": once,
        "same_pairs_each_time": fingerprints <= {report["fingerprint"]},
        **report,
    }


def main() -> None:
    """See the usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
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
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        given.work = Path(folder)
        result = measure(given)
    given.out.write_text(json.dumps({**provenance(), **result}, indent=1) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "memory"}, indent=1))
    for stage, figures in result["memory"]["stages"].items():
        print(f"{stage:14} {figures['anonymous_mib']:6.0f} MiB of its own, {figures['file_mib']:6.0f} MiB of files")


if __name__ == "__main__":
    main()
