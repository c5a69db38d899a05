"""What looking at a model costs: a row of every head, figures of long inputs, the last layer of a generation.

usage: python benchmarks/look.py [--rounds 3] [--tokens 4096] [--long 16384] [--prompt 1024] [--steps 256] [--layers 8]
    [--long-layers 1] [--width 512] [--heads 8] [--threads 1] [--parts row figures generation] [--out FILE]

1. A BERT of random weights: plain; looked at, and one row of every head read; eager with `output_attentions=True`.
2. The same, of fewer layers, on a longer input: plain; looked at, and entropy and coverage of every head measured.
3. A Llama of random weights writes after a prompt: plain; looked at, the last layer's rows kept.

Every measurement has a process of its own, and the kinds take turns, round after round. Memory is the highest that the
process rose above where it stood before, from its VmHWM. Seconds are those that the process worked, as others may work
beside it; the clock's are written down too. Figures are medians, of the times the median of the rounds' ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from provenance import provenance

import saccade

HERE = Path(__file__).parent
KINDS = {
    "row": ("plain", "looked", "eager"),
    "figures": ("plain", "looked"),
    "generation": ("plain", "looked"),
}
GOALS = {
    "row": {"time": 1.10, "memory": 1 / 15},
    "figures": {"time": 4.0, "bytes": 10**9},
    "generation": {"time": 1.10, "bytes": 10**8},
}


def bert(options: argparse.Namespace, kind: str) -> Any:
    import transformers as hf

    tokens = max(options.tokens, options.long)
    config = hf.BertConfig(
        vocab_size=1000,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.width,
        max_position_embeddings=tokens,
        attn_implementation="eager" if kind == "eager" else "sdpa",
    )
    return hf.BertModel(config, add_pooling_layer=False).eval()


def llama(options: argparse.Namespace) -> Any:
    import transformers as hf

    config = hf.LlamaConfig(
        vocab_size=1000,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=max(1, options.heads // 4),
        intermediate_size=4 * options.width,
        pad_token_id=0,
        eos_token_id=None,
    )
    return hf.LlamaForCausalLM(config).eval()


def encode(options: argparse.Namespace, part: str, kind: str) -> Any:
    """A function that runs the encoder over so many tokens, and looks."""
    if part == "figures":
        options.layers = options.long_layers
    model = bert(options, kind)

    def run(size: int) -> None:
        tokens = torch.arange(size)[None] * 7919 % 1000
        with saccade.look(model) if kind == "looked" else nullcontext() as seen, torch.no_grad():
            model(tokens, output_attentions=kind == "eager")
        if seen is not None and part == "row":
            assert all(bool(site.row(size // 2).isfinite().all()) for site in seen.sites)
        if seen is not None and part == "figures":
            assert len(seen.measure("entropy", "coverage").values) == options.layers * options.heads

    return run


def write(options: argparse.Namespace, kind: str) -> Any:
    """A function that writes after a prompt of so many tokens, and looks."""
    model = llama(options)
    last = f"model.layers.{options.layers - 1}.self_attn"

    def run(size: int) -> None:
        tokens = torch.arange(size)[None] * 7919 % 999 + 1
        steps = {"max_new_tokens": options.steps, "min_new_tokens": options.steps, "do_sample": False}
        with saccade.look(model, sites=last, rows="last") if kind == "looked" else nullcontext() as seen:
            model.generate(tokens, attention_mask=torch.ones_like(tokens), **steps)
        if seen is not None:
            assert len(seen[last].places) == options.steps

    return run


def measure(options: argparse.Namespace, part: str, kind: str) -> dict[str, float]:
    """Seconds and bytes of one run, in this process."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    run = write(options, kind) if part == "generation" else encode(options, part, kind)
    steps, options.steps = options.steps, 4
    run(64)  # what is loaded or chosen once
    options.steps = steps
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far begins anew
    before = memory("VmRSS")
    begun, worked = time.perf_counter(), time.process_time()
    run({"row": options.tokens, "figures": options.long, "generation": options.prompt}[part])
    taken = {"seconds": time.perf_counter() - begun, "worked": time.process_time() - worked}
    return taken | {"bytes": memory("VmHWM") - before}


def memory(name: str) -> int:
    """A line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def compare(part: str, rounds: int) -> dict[str, Any]:
    """Medians of every kind, each run in a process of its own."""
    taken: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS[part]}
    for turn in range(rounds):
        for kind in KINDS[part] if turn % 2 == 0 else KINDS[part][::-1]:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", part, kind]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            taken[kind].append(json.loads(done.stdout.splitlines()[-1]))
            print(part, kind, taken[kind][-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = {
        kind: {name: statistics.median(one[name] for one in each) for name in ("seconds", "worked", "bytes")}
        for kind, each in taken.items()
    }
    over = found["looked"]["bytes"] - found["plain"]["bytes"]
    pairs = list(zip(taken["looked"], taken["plain"], strict=True))
    found["time"] = statistics.median(one["worked"] / other["worked"] for one, other in pairs)
    found["wall"] = statistics.median(one["seconds"] / other["seconds"] for one, other in pairs)
    found["bytes"] = over
    if "eager" in found:
        found["memory"] = over / (found["eager"]["bytes"] - found["plain"]["bytes"])
    found["goals"] = GOALS[part]
    found["met"] = all(found[name] <= goal for name, goal in GOALS[part].items())
    return found


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    asked = results["options"]
    names = {
        "row": f"a row of every head, {asked['tokens']:,} tokens, {asked['layers']} layers",
        "figures": f"entropy and coverage of every head, {asked['long']:,} tokens, {asked['long_layers']} layer",
        "generation": f"{asked['steps']} tokens written after {asked['prompt']:,}, {asked['layers']} layers",
    }
    lines = ["| | plain | looked at | eager | time | memory more |", "|---|---|---|---|---|---|"]
    for part in KINDS:
        found = results[part]
        cells = [
            f"{found[kind]['worked']:.1f} s, {found[kind]['bytes'] / 2**20:.0f} MiB" if kind in found else "–"
            for kind in ("plain", "looked", "eager")
        ]
        over = f"{found['time']:.2f} × | {found['bytes'] / 2**20:.0f} MiB"
        lines.append(f"| {names[part]} | {' | '.join(cells)} | {over} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--long", type=int, default=16384)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--long-layers", type=int, default=1)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "look.json")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options, *options.one)))
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    asked = {name: value for name, value in vars(options).items() if name not in ("one", "out", "parts")}
    results: dict[str, Any] = {**provenance(), "options": asked}
    for part in options.parts:
        results[part] = compare(part, options.rounds)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if set(results) >= set(KINDS):
        print(tables(results))


if __name__ == "__main__":
    main()
