"""A Transformer's answers by CTranslate2 beside our own engine: sentences a second, and how many come out the same.

usage: python benchmarks/engines.py [--run RUN] [--text FILE] [--sentences 1000] [--beam 5] [--alpha 1.0] [--rounds 5]
    [--out FILE]

The run, where none is named the Transformer that multi30k.py has trained, is exported (which compares a hundred greedy
answers, token for token), then both engines answer the first lines of the text, in one process on one thread. Both get
the same batches, 64 sentences of like length, and answers of both have scores and weights. They take turns, round after
round, and begin in turn; figures are medians. Sentences a second are by the time that the process worked, as others may
work beside it; by the clock is written down too. Equality is that of whole answers: greedy, of a beam, and of a beam
ranked by log-probability / length^alpha.
"""

import argparse
import json
import statistics
import tempfile
import time
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from provenance import provenance

from saccade import decoding
from saccade.data.records import lines_of
from saccade.export.exporting import export
from saccade.export.folder import load
from saccade.files import write_atomic
from saccade.tasks.load import task_named
from saccade.tasks.translate.translator import Translator

HERE = Path(__file__).parent
KEPT = HERE / "work" / "multi30k"
BATCH = 64
GOAL = 0.99


def answers(translator: Translator, texts: list[str], beam: int, manner: decoding.Manner = decoding.SEARCHED) -> Any:
    """The best answer to each text."""
    return [best[0] for best in translator.answer(texts, beam=beam, manner=manner)]


def equality(engines: dict[str, Translator], texts: list[str], beam: int, alpha: float) -> dict[str, Any]:
    """Of how many texts the answers are the same, by each way of searching, and the first few that are not."""
    ways = {
        "greedy": (1, decoding.SEARCHED),
        "beam": (beam, decoding.SEARCHED),
        "beam_by_length": (beam, decoding.Manner(penalty=decoding.power(alpha))),
    }
    found: dict[str, Any] = {}
    for name, (width, manner) in ways.items():
        ours, theirs = (answers(engine, texts, width, manner) for engine in engines.values())
        other = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.text != b.text]
        same = 1 - len(other) / len(texts)
        shown = [
            {"sentence": i + 1, "ours": ours[i].line(True), "ctranslate2": theirs[i].line(True)} for i in other[:5]
        ]
        found[name] = {"same": same, "goal": GOAL, "met": same >= GOAL, "first_others": shown}
    return found


def speed(engines: dict[str, Translator], texts: list[str], beam: int, rounds: int) -> dict[str, Any]:
    """Sentences a second of each engine, taking turns."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for engine in engines.values():
        answers(engine, texts[:BATCH], beam)
    for turn in range(rounds):
        for name in sorted(engines, reverse=bool(turn % 2)):
            worked, clock = time.process_time(), time.monotonic()
            answers(engines[name], texts, beam)
            spent[name].append((time.process_time() - worked, time.monotonic() - clock))
    found: dict[str, Any] = {}
    for name, seconds in spent.items():
        worked, clock = (statistics.median(some) for some in zip(*seconds, strict=True))
        found[name] = {
            "sentences_per_second": round(len(texts) / worked, 2),
            "by_the_clock": round(len(texts) / clock, 2),
            "seconds_worked": [round(one, 3) for one, _ in seconds],
        }
    pairs = zip(spent["ours"], spent["ctranslate2"], strict=True)
    return found | {"times_faster": round(statistics.median(ours[0] / theirs[0] for ours, theirs in pairs), 2)}


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| engine | sentences a second | answers as ours: greedy | beam | beam by length |",
        "|---|---|---|---|---|",
    ]
    same = [f"{equal['same']:.1%}" for equal in results["equality"].values()]
    for name, title, cells in (("ours", "our own", ["–"] * len(same)), ("ctranslate2", "CTranslate2", same)):
        lines.append(f"| {title} | {results['speed'][name]['sentences_per_second']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=KEPT / "en-de_Transformer-tiny")
    parser.add_argument("--text", type=Path, default=KEPT / "test_2016_flickr.en")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "engines.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    texts = list(islice((line for _, line in lines_of(given.text) if line.strip()), given.sentences))
    own: Translator = task_named("translate").load(given.run)
    with tempfile.TemporaryDirectory() as work:
        began = time.monotonic()
        done = export(given.run, "ctranslate2", out=Path(work) / "exported", text=given.text)
        exporting = round(time.monotonic() - began, 2)
        engines = {"ours": own, "ctranslate2": load(done.folder)}
        sizes = {"parameters": sum(x.numel() for x in own.model.parameters()), "sentences": len(texts)}
        asked = {"beam": given.beam, "batch": BATCH, "alpha": given.alpha, "rounds": given.rounds, "threads": 1}
        results = {
            **provenance(),
            "ctranslate2": version("ctranslate2"),
            "run": {**sizes, "config": vars(own.model.config), "text": given.text.name},
            "options": asked,
            "export": {"seconds": exporting, "greedy_sentences_verified": done.sentences},
            "equality": equality(engines, texts, given.beam, given.alpha),
            "speed": speed(engines, texts, given.beam, given.rounds),
        }
    given.out.parent.mkdir(exist_ok=True)
    write_atomic(given.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()
