"""The additive kernels beside what one would write, what a compiler makes of it, and Keras; and what they cost.

usage: python benchmarks/additive.py [--rounds 9] [--threads 1,2] [--keras PYTHON] [--device cpu] [--out FILE]

Contestants take turns, round after round; figures are medians, float32, the same tensors and threads for all:

- eager:    `torch.tanh(q[:, :, None] + k[:, None]) @ v`
- compiled: torch.compile of that, for these very sizes
- identity: torch.compile of `sum v - 2 sum v / (1 + exp(2q) exp(2k))` as plain PyTorch
- keras:    `keras.layers.AdditiveAttention`'s formula on its torch and JAX backends, each in a process of its own,
            JAX compiled as a whole (see keras_additive.py)

Then: the share of what this processor can do at all, memory, exactness, the first call of a process, and how the cost
grows. With --device cuda: the bfloat16 row alone. Writes JSON and prints the table of the README.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from additive_costs import exactness, first_call, growth, limit, memory
from provenance import provenance
from torch import Tensor

from saccade import kernels

HERE = Path(__file__).parent
Call = Callable[[], Any]
PAUSE = 0.05
"""Seconds between processes: threads of one that still wait for work, by spinning, would take a core from the next."""
SLOW = {"eager": 3}
"""How often contestants that take seconds run at most."""


def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(q[:, :, None] + k[:, None]) @ v


def identity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return v.sum() - 2 * (v / (1 + (2 * q).exp()[:, :, None] * (2 * k).exp()[:, None])).sum(-1)


def inputs(sizes: tuple[int, ...], device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[Tensor]:
    batch, queries, keys, dim = sizes
    torch.manual_seed(0)
    made = [torch.randn(shape) for shape in ((batch, queries, dim), (batch, keys, dim), (dim,))]
    return [x.to(device, dtype).requires_grad_() for x in made]


def forward(score: Callable[..., Tensor], given: list[Tensor]) -> Call:
    def call() -> None:
        with torch.no_grad():
            score(*given)

    return call


def both(score: Callable[..., Tensor], given: list[Tensor], toward: Tensor) -> Call:
    return lambda: torch.autograd.grad(score(*given), given, toward)


def medians(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Median seconds of each, in turns, after two calls that nobody measures."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
        call()
    for turn in range(rounds):
        for name, call in calls.items():
            if turn < SLOW.get(name, rounds):
                begin = time.perf_counter()
                call()
                spent[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in spent.items()}


def contestants(sizes: tuple[int, ...]) -> dict[str, Callable[..., Tensor]]:
    torch._dynamo.reset()
    found: dict[str, Callable[..., Tensor]] = {"ours": kernels.additive_scores}
    if shutil.which("g++") or shutil.which("clang++") or shutil.which("cl"):
        found |= {name: torch.compile(f, dynamic=False) for name, f in (("compiled", eager), ("identity", identity))}
    return found | {"eager": eager}


def scores(sizes: tuple[int, ...], rounds: int, *, backward: bool, remembered: bool = False) -> dict[str, float]:
    given = inputs(sizes)
    toward, prepared = torch.randn(sizes[:3]), kernels.prepare(given[1])
    found = contestants(sizes)
    if remembered:
        found["remembered"] = lambda *x: kernels.additive_scores(*x, prepared=prepared)
    calls = {name: both(f, given, toward) if backward else forward(f, given) for name, f in found.items()}
    return medians(calls, rounds)


class Peer:
    """Keras in a process of its own, which runs once whenever it is told to."""

    def __init__(self, python: Path, backend: str, sizes: tuple[int, ...], threads: int):
        flags = (
            f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
        )
        environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(threads), "XLA_FLAGS": flags}
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
        command = ["taskset", "-c", cores] if shutil.which("taskset") else []
        command += [str(python), str(HERE / "keras_additive.py"), *map(str, sizes)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)

    def __call__(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("keras_additive.py ended; run it alone to see why")
        return float(answer)


def whole(sizes: tuple[int, ...], rounds: int, threads: int, pythons: dict[str, Path]) -> dict[str, float]:
    """Whole attention, forward and backward, beside Keras."""
    given = [*inputs(sizes), torch.randn(sizes[0], sizes[2], sizes[3]).requires_grad_()]
    toward = torch.randn(sizes[0], sizes[1], sizes[3])
    ours = both(lambda *x: kernels.additive_attention(*x)[0], given, toward)
    peers = {f"keras, {backend}": Peer(python, backend, sizes, threads) for backend, python in pythons.items()}
    spent: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
    ours()
    for _ in range(rounds):
        time.sleep(PAUSE)
        begin = time.perf_counter()
        ours()
        spent["ours"].append(time.perf_counter() - begin)
        for name, peer in peers.items():
            time.sleep(PAUSE)
            spent[name].append(peer())
    for peer in peers.values():
        peer.process.kill()
    return {name: statistics.median(times) for name, times in spent.items()}


ROWS = {
    "scores forward [16, 256, 256, 256]": ((16, 256, 256, 256), False, {"compiled": 15, "eager": 100}),
    "scores forward [4, 1024, 1024, 256]": ((4, 1024, 1024, 256), False, {"compiled": 15, "eager": 100}),
    "forward and backward [16, 256, 256, 256]": ((16, 256, 256, 256), True, {"compiled": 20}),
    "forward and backward [64, 50, 50, 128]": ((64, 50, 50, 128), True, {"compiled": 6}),
    "a decoder's step [64, 1, 50, 512], forward and backward": ((64, 1, 50, 512), True, {"compiled": 1.5, "eager": 3}),
}
WHOLE = {
    "whole attention [64, 50, 50, 128]": (64, 50, 50, 128),
    "whole attention [16, 256, 256, 256]": (16, 256, 256, 256),
}
TIMES = 10


def timed(rounds: int, threads: int, pythons: dict[str, Path]) -> dict[str, Any]:
    """Every row with so many threads: seconds, and how many times faster than whom, against the goal."""
    torch.set_num_threads(threads)
    rows = {}
    for title, (sizes, backward, goals) in ROWS.items():
        seconds = scores(sizes, rounds, backward=backward, remembered=sizes[1] == 1)
        rows[title] = judged(seconds, goals, ours="remembered" if sizes[1] == 1 else "ours")
        print(threads, title, rows[title]["faster"], flush=True)
    for title, sizes in WHOLE.items():
        rows[title] = judged(
            whole(sizes, rounds, threads, pythons), dict.fromkeys(peers_of(pythons), TIMES), ours="ours"
        )
        print(threads, title, rows[title]["faster"], flush=True)
    return rows


def peers_of(pythons: dict[str, Path]) -> list[str]:
    return [f"keras, {backend}" for backend in pythons]


def judged(seconds: dict[str, float], goals: dict[str, float], *, ours: str) -> dict[str, Any]:
    faster = {name: spent / seconds[ours] for name, spent in seconds.items() if name != ours}
    missing = [name for name in goals if name not in faster]  # no compiler here, say
    met = {name: faster[name] >= goal for name, goal in goals.items() if name in faster}
    return {"seconds": seconds, "faster": faster, "goal": goals, "met": met, "missing": missing}


def on_cuda(rounds: int) -> dict[str, Any]:
    """[16, 1024, 1024, 256] in bfloat16, forward and backward; and the share of what the GPU can start at all.

    An inner step takes 4 instructions forward (of four steps together: four denominators, eleven products and sums and
    a reciprocal), 6 in the pass for the queries and as many in that for the keys: 16 in all. The limit is 128 of them a
    clock on each multiprocessor.
    """
    given = inputs((16, 1024, 1024, 256), "cuda", torch.bfloat16)
    toward = torch.randn(16, 1024, 1024, device="cuda")
    calls = {}
    for name, f in contestants((16, 1024, 1024, 256)).items():
        if name != "eager":
            call = both(lambda *x, f=f: f(*x).float(), given, toward)
            calls[name] = lambda call=call: (call(), torch.cuda.synchronize())
    row = judged(medians(calls, rounds), {"compiled": 4, "identity": 1.5}, ours="ours")
    properties = torch.cuda.get_device_properties(0)
    rate = properties.multi_processor_count * 128 * torch.cuda.clock_rate() * 1e6
    row["share_of_limit"] = 16 * 16 * 1024 * 1024 * 256 / rate / row["seconds"]["ours"]
    row["limit"] = f"{properties.name}: {rate:.3g} instructions a second, 16 an inner step"
    return row


def tables(results: dict[str, Any]) -> str:
    """The table of the README, in Markdown: times faster at one thread and at two."""
    threads = results["threads"]
    lines = ["| | against | goal | " + " | ".join(f"{n} thread{'s' if n > 1 else ''}" for n in threads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(threads))
    for title, row in results["rows"][str(threads[0])].items():
        for name in row["goal"]:
            figures = [results["rows"][str(n)][title]["faster"].get(name) for n in threads]
            shown = " | ".join("no compiler" if figure is None else f"{figure:.1f} ×" for figure in figures)
            lines.append(f"| {title} | {name} | {row['goal'][name]:g} × | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--keras", type=Path, default=HERE.parent / ".venv-bench" / "bin" / "python")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "additive.json")
    options = parser.parse_args()
    results: dict[str, Any] = {**provenance(), "rounds": options.rounds}
    if options.device == "cuda":
        results["cuda"] = on_cuda(options.rounds)
        print(json.dumps(results["cuda"], indent=1))
    else:
        if not options.keras.is_file():
            sys.exit(f"{options.keras}: expected the Python of the peer's environment (make benchmarks makes it)")
        pythons = {"torch": Path(sys.executable), "jax": options.keras}
        threads = [int(n) for n in options.threads.split(",")]
        results |= {"threads": threads, "first_call": first_call(), "memory": memory(), "exactness": exactness()}
        results["limit"] = {str(n): limit(n, options.rounds) for n in threads}
        results["growth"] = growth(options.rounds)
        results["rows"] = {str(n): timed(options.rounds, n, pythons) for n in threads}
        print(tables(results))
        print(json.dumps({name: results[name] for name in ("first_call", "memory", "exactness", "limit")}, indent=1))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
