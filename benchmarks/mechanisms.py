"""What each mechanism costs: time and peak memory, forward and backward; and local windows over a long memory.

usage: python benchmarks/mechanisms.py [--rounds 15] [--names additive,dot] [--device cpu] [--out FILE]

Two sizes: that of the clock times (32 sentences of 20 slots, 6 queries, 128 wide) and one sentence of 512 slots and 512
queries. Mechanisms take turns, round after round; the figure is the median over rounds, and beside it the ratio to dot
attention, the cheapest. Memory is the most that tensors made by the call held at once, counted from the allocator's
events. Writes JSON and prints tables.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler talks

import torch
from provenance import provenance
from torch.profiler import ProfilerActivity, profile

from saccade import build, masks
from saccade.attention.catalogue import MECHANISMS
from saccade.attention.results import dense

HERE = Path(__file__).parent
DIM, HIDDEN = 128, 64
SIZES = {"clock times": (32, 6, 20), "512 x 512": (1, 512, 512)}
"""Batch, queries and slots."""
LOCAL = ("local-m", "local-p")
QUERIES, SHORT, LONG = 64, 100, 10_000


def call(name: str, batch: int, queries: int, slots: int, device: str, *, half_width: int = 10) -> Callable[[], None]:
    """A forward and backward pass of everything that learns: query, keys, values and weights."""
    torch.manual_seed(0)
    attend = build(name, query_dim=DIM, key_dim=DIM, hidden_dim=HIDDEN, slots=slots, half_width=half_width)
    attend = attend.to(device)
    query = torch.randn(batch, queries, DIM, device=device, requires_grad=True)
    key, value = (torch.randn(batch, slots, DIM, device=device, requires_grad=True) for _ in range(2))
    mask = masks.padding(torch.full((batch,), slots, device=device))
    toward = torch.randn(batch, queries, DIM, device=device)
    learned = [query, key, value, *attend.parameters()]

    def run() -> None:
        attend(query, key, value, mask=mask).context.backward(toward)
        if device != "cpu":
            torch.cuda.synchronize()
        for tensor in learned:  # here, so that memory is counted from nothing
            tensor.grad = None

    return run


def seconds(run: Callable[[], None]) -> float:
    """One call on the clock."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def interleaved(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The median time of each, taken in turns so that the machine's moods fall on all alike."""
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return {name: statistics.median(times) for name, times in taken.items()}


def peak_bytes(run: Callable[[], None], device: str) -> int:
    """The most that the call held at once beyond what was there before."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    held = most = 0
    for taken in allocations(run):
        held += taken
        most = max(most, held)
    return most


def allocations(run: Callable[[], None]) -> list[int]:
    """The bytes that a call takes on a CPU, one after the other, and below zero those that it gives back."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


def measure(names: list[str], rounds: int, device: str) -> dict[str, Any]:
    """Every mechanism at both sizes."""
    found: dict[str, Any] = {}
    for size, (batch, queries, slots) in SIZES.items():
        runs = {name: call(name, batch, queries, slots, device) for name in names}
        # The recurrent ones take 512 steps: fewer rounds for the large size.
        times = interleaved(runs, rounds if queries < 100 else max(rounds // 3, 3))
        found[size] = {
            name: {
                "seconds": times[name],
                "ratio_to_dot": times[name] / times["dot"],
                "peak_bytes": peak_bytes(run, device),
            }
            for name, run in runs.items()
        }
    return found


def local(rounds: int, device: str) -> dict[str, Any]:
    """64 queries with half-width 10 over 10,000 slots, in units of the same over 100 slots."""
    found = {}
    for name in LOCAL:
        pair = {str(slots): call(name, 1, QUERIES, slots, device) for slots in (SHORT, LONG)}
        times = interleaved(pair, 10 * rounds)
        found[name] = {
            "seconds": times,
            "ratio": times[str(LONG)] / times[str(SHORT)],
            "peak_bytes": {slots: peak_bytes(run, device) for slots, run in pair.items()},
        }
        weights = build(name, query_dim=DIM, key_dim=DIM, hidden_dim=HIDDEN)(
            torch.randn(1, QUERIES, DIM), torch.randn(1, LONG, DIM), torch.randn(1, LONG, DIM)
        ).weights
        assert weights.values.shape == (1, QUERIES, 21), "weights must be (start, values)"
        assert dense(weights).shape == (1, QUERIES, LONG)
    return found


def tables(results: dict[str, Any]) -> str:
    """Markdown: a row for each mechanism; local windows below."""
    sizes = results["sizes"]
    lines = ["| mechanism |" + "".join(f" {size}: ms | of dot | peak MB |" for size in sizes)]
    lines.append("|---|" + "---|" * (3 * len(sizes)))
    for name in next(iter(sizes.values())):
        row = [sizes[size][name] for size in sizes]
        cells = (f" {x['seconds'] * 1e3:.2f} | {x['ratio_to_dot']:.1f} | {x['peak_bytes'] / 1e6:.1f} |" for x in row)
        lines.append(f"| `{name}` |" + "".join(cells))
    lines += ["", f"| {QUERIES} queries, half-width 10 | over {SHORT} slots: ms | over {LONG:,}: ms | ratio |"]
    lines.append("|---|---|---|---|")
    for name, found in results["local"].items():
        short, long = (found["seconds"][str(slots)] * 1e3 for slots in (SHORT, LONG))
        lines.append(f"| `{name}` | {short:.2f} | {long:.2f} | {found['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--names", default=",".join(n for n in MECHANISMS if n not in ("none", "softmax")))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "mechanisms.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = list(dict.fromkeys(["dot", *options.names.split(",")]))
    results = {
        **provenance(),
        "threads": options.threads,
        "device": options.device,
        "local": local(options.rounds, options.device),
        "sizes": measure(names, options.rounds, options.device),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(tables(results))


if __name__ == "__main__":
    main()
