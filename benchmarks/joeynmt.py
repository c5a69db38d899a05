"""A recurrent translator beside Joey NMT 2.3: target tokens a second in training, sentences a second in search.

usage: python benchmarks/joeynmt.py [--data multi30k] [--config FILE.yaml] [--joeynmt PYTHON] [--threads 2]

Multi30k German to English, in turns: us in float32, us in bfloat16, Joey, and again. Figures are medians of turns. The
model of the configuration: LSTM 256 in both directions, LSTM 512, additive attention of 512 units after the cell, input
feeding, embeddings of 256, untied, dropout 0.3, label smoothing 0.1, 8,000 byte pairs of both sides, 64 sentences a
step. Ours is the same, `--attend after --feed input`, but for this:

- Joey begins with the encoder's last states; ours with a linear layer of them, W h.
- Joey drops of what the cell reads and of [s; c]; ours of E y and of the attentional vector.
- Joey's attentional layer has a bias and its output layer none; ours the other way round.
- Joey's steps are of any 64 sentences, and it predicts at padding too; ours are of like length, and only where a token
  is. Adam at a constant rate there, AdamW here, whose weights are also averaged.
- Each has byte pairs that it learned itself, so sentences a second stand beside tokens a second.

A turn of training is so many steps of one epoch, after some that nobody measures, by one clock: from the beginning of
the first step to the beginning of the one after the last. Our model at the end of the epoch, in float32, is then given
to Joey too, and both answer the test part with it: a beam of 5, 64 sentences together, at most 60 tokens, without a
penalty of length, and with Wu's of 1, where ours too gives up what would be no better with one more token (`--early`).
How many answers are the same is counted. Seconds are those of the clock, and those that the process worked, which a
busy machine changes less; a goal is met where it is by both. Writes JSON and prints a table.
"""

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from provenance import provenance
from turns import Contestant, medians

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"
OURS, PEER = HERE / "joeynmt_ours.py", HERE / "joeynmt_peer.py"
TEST = "test_2016_flickr"
PRECISIONS = ("float32", "bfloat16")
GOALS = {"training": 3, "search": 5}
EPOCH = 453
"""Steps of 64 sentences in 29,000."""
Rows = dict[str, list[dict[str, float]]]


def unpacked(data: Path, folder: Path) -> None:
    """The files as Joey reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "val", TEST):
        for side in ("de", "en"):
            (folder / f"{part}.{side}").write_bytes(gzip.decompress((data / f"{part}.{side}.gz").read_bytes()))


def configured(config: Path, folder: Path, work: Path) -> Path:
    """Joey's configuration with the files of this folder, and a folder of its own to write to."""
    text = re.sub(r'"data/', f'"{folder}/', config.read_text("utf-8"))
    written = work / "joeynmt.yaml"
    written.write_text(re.sub(r'model_dir: ".*"', f'model_dir: "{work / "joeynmt"}"', text), "utf-8")
    return written


def in_turns(commands: dict[str, list[Any]], threads: int, rounds: int, *, finish: str | None = None) -> Rows:
    """So many turns of each; then the one that is named goes on to its end."""
    contestants = {name: Contestant(command, threads) for name, command in commands.items()}
    turns: Rows = {name: [] for name in commands}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            turns[name].append(contestant())
            print(threads, name, turns[name][-1], file=sys.stderr, flush=True)
    for name, contestant in contestants.items():
        if name != finish:
            contestant.stop()
    if finish is not None:
        contestants[finish].finish()
    return turns


def judged(turns: Rows, counted: list[str], goal: float) -> dict[str, Any]:
    """Medians of each, and how many times Joey's ours are."""
    rates = {name: {what: medians(some, what) for what in counted} for name, some in turns.items()}
    peer = rates["joeynmt"]
    ratio = {
        name: {what: {clock: rates[name][what][clock] / peer[what][clock] for clock in peer[what]} for what in counted}
        for name in PRECISIONS
    }
    # By both clocks: what else runs on a machine can take time from one side alone.
    met = {name: min(ratio[name][counted[0]].values()) >= goal for name in PRECISIONS}
    length = {name: some[0]["tokens"] / some[0]["sentences"] for name, some in turns.items()}
    return {"rates": rates, "ratio": ratio, "goal": goal, "met": met, "tokens_a_sentence": length, "turns": turns}


def tables(results: dict[str, Any]) -> str:
    """Rates by the clock, and ratios by the clock and by what the processor worked, in Markdown."""
    lines = ["| | threads | Joey NMT | float32 | bfloat16 | goal | times in float32 | in bfloat16 |", "|" + "---|" * 8]
    for title, what in (("training", "tokens"), ("search", "sentences"), ("search, penalty of 1", "sentences")):
        for threads, row in results[title].items():
            rates = " | ".join(f"{row['rates'][name][what]['seconds']:,.0f}" for name in ("joeynmt", *PRECISIONS))
            ratios = (row["ratio"][name][what] for name in PRECISIONS)
            times = " | ".join(f"{ratio['seconds']:.2f} × (work {ratio['work']:.2f} ×)" for ratio in ratios)
            lines.append(f"| {title}, {what} a second | {threads} | {rates} | {row['goal']} × | {times} |")
    return "\n".join(lines)


def training(config: Path, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Training in turns; with the first number of threads ours in float32 goes on to its end, and the model stays."""
    warm, steps = options.warm, options.steps
    commands: dict[str, list[Any]] = {}
    for name in PRECISIONS:
        run = options.work / f"{name}-{threads}"
        shutil.rmtree(run, ignore_errors=True)
        commands[name] = [sys.executable, OURS, "train", options.work / "data", run, name, warm, steps]
    commands["joeynmt"] = [options.joeynmt, PEER, "train", config, warm, steps]
    finish = "float32" if threads == options.threads[0] else None
    return judged(
        in_turns(commands, threads, options.rounds, finish=finish), ["tokens", "sentences"], GOALS["training"]
    )


def search(config: Path, threads: int, alpha: float, options: argparse.Namespace) -> dict[str, Any]:
    """Search in turns, with the model that was trained in float32."""
    run, data, some = options.work / f"float32-{options.threads[0]}", options.work / "data", options.sentences
    subprocess.run([sys.executable, OURS, "hand", run, data], check=True)
    commands: dict[str, list[Any]] = {
        name: [sys.executable, OURS, "search", run, name, alpha, data, some] for name in PRECISIONS
    }
    commands["joeynmt"] = [options.joeynmt, PEER, "search", config, alpha, data, some]
    found = judged(in_turns(commands, threads, options.search_rounds), ["sentences", "tokens"], GOALS["search"])
    compared = subprocess.run([sys.executable, OURS, "read", run, data], check=True, capture_output=True, text=True)
    return found | {"answers": json.loads(compared.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "multi30k")
    parser.add_argument("--config", type=Path, default=SHARED / "peers" / "joeynmt-multi30k-rnn.yaml")
    parser.add_argument("--joeynmt", type=Path, default=HERE.parent / ".venv-joey" / "bin" / "python")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=20, help="steps that nobody measures")
    parser.add_argument("--steps", type=int, default=50, help="steps of a turn")
    parser.add_argument("--search-rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "joeynmt.json")
    parser.add_argument("--work", type=Path, default=HERE / "work" / "joeynmt", help="a folder for data and models")
    options = parser.parse_args()
    options.work = options.work.resolve()
    if not options.joeynmt.is_file():
        sys.exit(f"{options.joeynmt}: expected the Python of the peer's environment (make benchmarks makes it)")
    if options.warm + options.rounds * options.steps >= EPOCH:
        sys.exit(f"--warm and --rounds times --steps must be within an epoch of {EPOCH} steps")
    unpacked(options.data, options.work / "data")
    config = configured(options.config, options.work / "data", options.work)
    subprocess.run([options.joeynmt, PEER, "pieces", options.work / "data"], check=True)
    results: dict[str, Any] = {**provenance(), "joeynmt": "2.3.0"}
    results["training"] = {n: training(config, n, options) for n in options.threads}
    results["search"] = {n: search(config, n, 0.0, options) for n in options.threads}
    results["search, penalty of 1"] = {n: search(config, n, 1.0, options) for n in options.threads}
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(tables(results))


if __name__ == "__main__":
    main()
