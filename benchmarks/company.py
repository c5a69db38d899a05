"""Whether an answer depends on what is answered beside it: equal sequences of tokens, of 1,000.

usage: python benchmarks/company.py [--run RUN] [--data test_2016_flickr.de.gz] [--beams 1,5] [--orders 3] [--out FILE]

The first 1,000 sentences of a file, by a run of `train translate`, where none is named the one from German of
multi30k.py: each alone, then in batches of 64 in the order of the file, then in batches of 64 in shuffled orders, then
all at once, where sentences of like length stand together. Counted are the sentences whose tokens are those of the
answer alone, and those whose score is too, to the last bit. Writes JSON.
"""

import argparse
import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

from provenance import provenance

from saccade.tasks.devices import calculating
from saccade.tasks.load import load
from saccade.tasks.translate.translator import Answer, Translator

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data" / "multi30k" / "test_2016_flickr.de.gz"
BATCH = 64


def sentences(file: Path, count: int) -> list[str]:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()][:count]


def batched(translator: Translator, texts: list[str], order: list[int], size: int, beam: int) -> list[Answer]:
    """The answers, `size` sentences at a time in an order; given in that of the texts."""
    found: dict[int, Answer] = {}
    for begin in range(0, len(order), size):
        some = order[begin : begin + size]
        answers = translator.answer([texts[i] for i in some], beam=beam)
        found.update(zip(some, (best for (best,) in answers), strict=True))
    return [found[i] for i in range(len(texts))]


def same(answers: list[Answer], alone: list[Answer]) -> dict[str, int]:
    pairs = list(zip(answers, alone, strict=True))
    tokens = sum(one.target == other.target for one, other in pairs)
    return {"tokens": tokens, "tokens_and_score": sum((a.target, a.score) == (b.target, b.score) for a, b in pairs)}


def measured(translator: Translator, texts: list[str], beam: int, orders: int) -> dict[str, Any]:
    plain = list(range(len(texts)))
    alone = batched(translator, texts, plain, 1, beam)
    found = {f"batches of {BATCH}": same(batched(translator, texts, plain, BATCH, beam), alone)}
    for seed in range(orders):
        order = random.Random(seed).sample(plain, len(plain))
        found[f"batches of {BATCH}, order {seed}"] = same(batched(translator, texts, order, BATCH, beam), alone)
    found["all at once"] = same(batched(translator, texts, plain, len(plain), beam), alone)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=HERE / "work" / "multi30k" / "de-en_RNN_additive")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--beams", type=lambda text: [int(n) for n in text.split(",")], default=[1, 5])
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "company.json")
    options = parser.parse_args()
    translator, texts = load(options.run), sentences(options.data, options.count)
    if not isinstance(translator, Translator):
        sys.exit(f"{options.run}: expected a run of train translate")
    results: dict[str, Any] = {**provenance(), "precision": options.precision, "sentences": len(texts)}
    with calculating(translator.device, options.precision):
        for beam in options.beams:
            results[f"beam {beam}"] = measured(translator, texts, beam, options.orders)
            print(f"beam {beam}", json.dumps(results[f"beam {beam}"]), flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
