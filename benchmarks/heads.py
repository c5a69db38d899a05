"""Attention of several heads without weights: beside PyTorch's module, under a window, and linear attention.

usage: python benchmarks/heads.py [--rounds 11] [--threads 1 2] [--device cpu] [--out FILE]

1. `MultiHeadAttention(need_weights=False)` beside `nn.MultiheadAttention(need_weights=False)` with the same weights, at
   [16, 512, 512] with 8 heads, forward and backward: without a mask, causal, and with padding. Both take turns, round
   after round; the figure is the median of the rounds' ratios. Beside it the largest tensor that either made: one of
   batch * heads * 512 * 512 would be 128 MiB.
2. A causal window of 256 over 8,192 positions, 8 heads of 64, forward and backward: by blocks of the places that it
   reaches, beside the same mask written out for the same fused kernel. Memory is counted beyond the context and the
   gradients, which both give; and with them.
3. Causal linear attention beside causal fused attention, as the sequence grows.

Memory is the most that tensors made by a call held at once, counted from the allocator's events.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler talks

import torch
from mechanisms import allocations, peak_bytes, seconds
from provenance import provenance
from torch import Tensor, nn

from saccade import LinearAttention, MultiHeadAttention, masks
from saccade.attention.fused import fused_multihead, patterned_multihead

HERE = Path(__file__).parent
BATCH, TIME, DIM, HEADS = 16, 512, 512, 8
WINDOW, LONG = 256, 8192
LENGTHS = (512, 2048, 8192)


def backward(call: Callable[[], Tensor], learned: list[Tensor], device: str) -> Callable[[], None]:
    """A forward and backward pass."""
    toward = torch.randn_like(call())

    def run() -> None:
        call().backward(toward)
        if device != "cpu":
            torch.cuda.synchronize()
        for tensor in learned:
            tensor.grad = None

    return run


def in_turns(one: Callable[[], None], other: Callable[[], None], rounds: int) -> dict[str, float]:
    """Medians of both, and of the ratio of one to the other round by round, who goes first changing."""
    taken: list[tuple[float, float]] = []
    one(), other()
    for turn in range(rounds):
        if turn % 2:
            taken.append((seconds(one), seconds(other)))
        else:
            second, first = seconds(other), seconds(one)
            taken.append((first, second))
    first, second = ([pair[side] for pair in taken] for side in (0, 1))
    return {
        "seconds": statistics.median(first),
        "peer_seconds": statistics.median(second),
        "ratio": statistics.median(a / b for a, b in taken),
    }


def modules(rounds: int, device: str) -> dict[str, Any]:
    """Ours beside PyTorch's module, the same weights."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).to(device)
    ours = MultiHeadAttention.from_torch(theirs)
    x = torch.randn(BATCH, TIME, DIM, device=device, requires_grad=True)
    hidden = ~masks.causal(TIME, device=device)[0]
    real = masks.padding(torch.linspace(TIME // 2, TIME, BATCH, device=device).long(), TIME)
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "no mask": ({}, {}),
        "causal": ({"mask": masks.Pattern(after=0)}, {"attn_mask": hidden, "is_causal": True}),
        "padding": ({"mask": real}, {"key_padding_mask": ~real}),
    }
    found = {}
    for name, (mine, other) in cases.items():
        one = backward(
            lambda mine=mine: ours(x, x, x, need_weights=False, **mine).context, [x, *ours.parameters()], device
        )
        two = backward(
            lambda other=other: theirs(x, x, x, need_weights=False, **other)[0], [x, *theirs.parameters()], device
        )
        found[name] = in_turns(one, two, rounds)
        if device == "cpu":
            found[name] |= {"largest_bytes": max(allocations(one)), "peer_largest_bytes": max(allocations(two))}
    return found


def window(rounds: int, device: str) -> dict[str, Any]:
    """A window by its blocks, beside the mask written out."""
    torch.manual_seed(0)
    pattern = masks.Pattern(before=WINDOW - 1, after=0)
    q, k, v = (torch.randn(1, HEADS, LONG, DIM // HEADS, device=device, requires_grad=True) for _ in range(3))
    one = backward(lambda: patterned_multihead(q, k, v, pattern), [q, k, v], device)
    two = backward(lambda: fused_multihead(q, k, v, pattern.dense(LONG, device=device)), [q, k, v], device)
    given = 4 * q.numel() * q.element_size()
    found: dict[str, Any] = in_turns(one, two, max(rounds // 3, 3))
    peaks = peak_bytes(one, device), peak_bytes(two, device)
    return found | {
        "peak_bytes": peaks[0],
        "peer_peak_bytes": peaks[1],
        "beyond_bytes": peaks[0] - given,
        "peer_beyond_bytes": peaks[1] - given,
        "memory_ratio": (peaks[0] - given) / (peaks[1] - given),
    }


def linear(rounds: int, device: str) -> dict[str, Any]:
    """Linear attention beside the fused softmax, one sequence of growing length."""
    torch.manual_seed(0)
    ours = LinearAttention(DIM, heads=HEADS, causal=True).to(device)
    theirs = MultiHeadAttention(DIM, DIM, heads=HEADS).to(device)
    found = {}
    for length in LENGTHS:
        x = torch.randn(1, length, DIM, device=device, requires_grad=True)
        one = backward(lambda x=x: ours(x, need_weights=False).context, [x, *ours.parameters()], device)
        two = backward(
            lambda x=x: theirs(x, x, x, mask=masks.Pattern(after=0), need_weights=False).context,
            [x, *theirs.parameters()],
            device,
        )
        found[str(length)] = in_turns(one, two, max(rounds // 3, 3))
    return found


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    by_threads = results["threads"]
    lines = [
        f"| [{BATCH}, {TIME}, {DIM}], {HEADS} heads, forward and backward | threads | time of nn.MultiheadAttention's |"
    ]
    lines += ["|---|---|---|"]
    for threads, found in by_threads.items():
        lines += [f"| {name} | {threads} | {x['ratio']:.2f} |" for name, x in found["modules"].items()]
    lines += ["", f"| window of {WINDOW} over {LONG:,} | threads | time of the full mask's | memory of it | MiB |"]
    lines += ["|---|---|---|---|---|"]
    for threads, found in by_threads.items():
        x = found["window"]
        beyond = f"{x['beyond_bytes'] / 2**20:.0f} of {x['peer_beyond_bytes'] / 2**20:.0f}"
        lines.append(f"| blocks | {threads} | {x['ratio']:.3f} | {x['memory_ratio']:.3f} | {beyond} |")
    lines += ["", "| causal linear attention, steps | threads | time of fused softmax's |", "|---|---|---|"]
    for threads, found in by_threads.items():
        lines += [f"| {int(length):,} | {threads} | {x['ratio']:.2f} |" for length, x in found["linear"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "heads.json")
    options = parser.parse_args()
    results: dict[str, Any] = {**provenance(), "device": options.device, "threads": {}}
    for threads in options.threads:
        torch.set_num_threads(threads)
        results["threads"][str(threads)] = {
            "modules": modules(options.rounds, options.device),
            "window": window(options.rounds, options.device),
            "linear": linear(options.rounds, options.device),
        }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(tables(results))


if __name__ == "__main__":
    main()
