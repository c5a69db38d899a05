"""Word alignments of the Canadian Hansards (HLT-NAACL 2003): RNN and Transformer, guided by their own links, eflomal.

usage: python benchmarks/alignments.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

24,917 pairs to learn from, in lower case, without those of the test part; one source in fifty of them is held out, for
the loss and for the choice of layer, shift or posterior by the agreement of both directions. The 447 test pairs alone
have links by people. Each kind of model is trained in both directions; the links of both, put together by grow-diag,
then guide the same runs for some more epochs (Garg et al. 2019, Chen et al. 2020). eflomal (Östling and Tiedemann 2016)
runs where `eflomal-align` is on the path, on the same pairs. Writes JSON and prints a table of alignment error rates.
"""

import gzip
import hashlib
import json
import resource
import shutil
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
import trials

from saccade.alignments import Links, Method
from saccade.alignments.symmetry import symmetrize, transposed
from saccade.alignments.weights import likeliest
from saccade.data.aligned import Gold, WordPair, parse_pharaoh, pharaoh, read_gold, word_pairs
from saccade.data.pairs import PairFile
from saccade.files import write_atomic
from saccade.metrics.alignments import alignment_scores
from saccade.runs import METRICS, Run
from saccade.tasks.base import Start
from saccade.tasks.load import load
from saccade.tasks.translate.aligning import align
from saccade.tasks.translate.choosing import ByAgreement, by_agreement, keep
from saccade.tasks.translate.options import TranslateOptions

COMMON: dict[str, Any] = {"precision": "bfloat16", "max_length": 150, "patience": 100, "batch_tokens": 2000, "seed": 0}
KINDS: dict[str, dict[str, Any]] = {
    "RNN": {
        "vocab_size": 5000,
        "attend": "after",
        "embedding": 256,
        "hidden": 256,
        "dropout": 0.3,
        "tied": "target",
        "learning_rate": 0.003,
        "epochs": 14,
    },
    "Transformer": {
        "encoder": "transformer",
        "decoder": "transformer",
        "vocab_size": 6000,
        "shared": True,
        "tied": "all",
        "hidden": 128,
        "layers": 3,
        "feedforward": 256,
        "dropout": 0.1,
        "learning_rate": 0.002,
        "epochs": 12,
    },
}
GUIDED: dict[str, dict[str, Any]] = {
    "RNN": {"guided": 1.0, "epochs": 3, "learning_rate": 0.001},
    "Transformer": {"guided": 1.0, "epochs": 3, "learning_rate": 0.001},
}
WAYS = ("en-fr", "fr-en")
GUIDE: Method = "grow-diag"
GOALS = {"unguided": 20.0, "guided": 12.0}


class Files(NamedTuple):
    """The parts in lower case: aligned texts to learn from and to choose by, English first, and the test pairs."""

    train: tuple[Path, Path]
    held: tuple[Path, Path]
    gold: Path


def parts(data: Path, work: Path) -> Files:
    """Cut the pairs into parts by their English side, so that no sentence is on both sides."""
    folder = data / "wordalign_enfr_hansards"
    test = [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
    for pair in test:
        pair.update({side: [word.lower() for word in pair[side]] for side in ("src", "tgt")})
    tested = {(" ".join(pair["src"]), " ".join(pair["tgt"])) for pair in test}
    texts = (gzip.decompress((folder / f"train.{name}.gz").read_bytes()).decode().lower() for name in ("en", "fr"))
    pairs = [pair for pair in zip(*(text.split("\n")[:-1] for text in texts), strict=True) if pair not in tested]
    held = [pair for pair in pairs if number(pair[0]) % 50 == 0]
    rest = [pair for pair in pairs if number(pair[0]) % 50]
    work.mkdir(parents=True, exist_ok=True)
    train, kept = ((work / f"{part}.en", work / f"{part}.fr") for part in ("train", "held"))
    files = Files(train, kept, work / "gold.jsonl")
    for paths, some in ((files.train, rest), (files.held, held)):
        for path, side in zip(paths, zip(*some, strict=True), strict=True):
            write_atomic(path, "".join(f"{text}\n" for text in side))
    write_atomic(files.gold, "".join(f"{json.dumps(pair)}\n" for pair in test))
    return files


def number(text: str) -> int:
    """A number that only the text decides."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def run_of(given: Namespace, kind: str, way: str, *, guided: bool) -> Path:
    """Where a run is kept."""
    folder: Path = given.work / "runs" / f"{kind}{'-guided' * guided}-{way}"
    return folder


def trial(given: Namespace, files: Files, kind: str, way: str, *, guided: bool) -> dict[str, Any]:
    """One training; it goes on where it was killed, and the seconds of one `resumed` are those of its last part."""
    options, parent = COMMON | KINDS[kind], None
    if guided:
        options |= GUIDED[kind] | {"alignments": str(links_of(given, kind, way))}
        parent = run_of(given, kind, way, guided=False)
    sides = [paths if way == "en-fr" else paths[::-1] for paths in (files.train, files.held)]
    folder = run_of(given, kind, way, guided=guided)
    start = Start(*map(PairFile, sides), parent, resume=Run(folder).exists())
    translator, spent = trials.timed(folder, TranslateOptions(**options), start)
    lines = (folder / METRICS).read_text().splitlines()
    loss = [round(json.loads(line)["loss"], 4) for line in lines]
    return {"loss": loss, "resumed": start.resume, **spent, **trials.size(translator)}


def links_of(given: Namespace, kind: str, way: str) -> Path:
    """Where the links that guide a kind of model are kept."""
    path: Path = given.work / f"links-{kind}.{way}"
    return path


def guide(given: Namespace, files: Files, kind: str) -> dict[str, Any]:
    """Write the links of both unguided runs put together, for each way; choices are those that agree most."""
    begun = time.process_time()
    choose(given, files, kind, guided=False)
    with torch.autocast("cpu", torch.bfloat16):
        both = linked(given, kind, list(word_pairs(*files.train)), guided=False)
    links = [symmetrize(*one, GUIDE) for one in zip(*both, strict=True)]
    for way, some in zip(WAYS, (links, map(transposed, links)), strict=True):
        write_atomic(links_of(given, kind, way), "".join(f"{pharaoh(one)}\n" for one in some))
    return {"links": sum(map(len, links)), "cpu_seconds": round(time.process_time() - begun, 1)}


def choose(given: Namespace, files: Files, kind: str, *, guided: bool) -> list[ByAgreement]:
    """Let the runs of a kind keep the choice whose links agree most on the part that is held out; all, best first."""
    folders = [run_of(given, kind, way, guided=guided) for way in WAYS]
    found = by_agreement(*map(load, folders), list(word_pairs(*files.held)), likeliest)
    for folder, choice in zip(folders, found[0][:2], strict=True):
        keep(Run(folder), choice, {"agreement": found[0].agreement, "on": "held"})
    return found


def linked(given: Namespace, kind: str, pairs: Sequence[WordPair], *, guided: bool) -> list[list[Links]]:
    """The links of each direction's run, as (English, French)."""
    turned = [WordPair(pair.target, pair.source) for pair in pairs]
    forward, backward = (
        [likeliest(one.weights) for one in align(load(run_of(given, kind, way, guided=guided)), some)]
        for way, some in zip(WAYS, (pairs, turned), strict=True)
    )
    return [forward, [transposed(links) for links in backward]]


def rates(both: Sequence[Sequence[Links]], gold: Sequence[Gold]) -> dict[str, float]:
    """Alignment error rates in percent: of each direction, and of both in every way that they are put together."""
    sure, possible = [true.sure for true in gold], [true.possible for true in gold]
    ways = {how: [symmetrize(*one, how) for one in zip(*both, strict=True)] for how in get_args(Method)}
    said = {**dict(zip(WAYS, both, strict=True)), **ways}
    return {name: round(100 * alignment_scores(links, sure, possible).aer, 2) for name, links in said.items()}


def eflomal(given: Namespace, files: Files, gold: Sequence[Gold]) -> dict[str, Any] | None:
    """The rates of eflomal, which reads the test pairs behind those to learn from, as an aligner does."""
    program, paths = shutil.which("eflomal-align"), [given.work / f"eflomal.{name}" for name in ("s", "t", "f", "r")]
    if program is None:
        return None
    for path, text, side in zip(paths, files.train, ("source", "target"), strict=False):
        tested = (" ".join(getattr(true.words, side)) for true in gold)
        write_atomic(path, text.read_text("utf-8") + "".join(f"{line}\n" for line in tested))
    arguments = [part for pair in zip(("-s", "-t", "-f", "-r"), map(str, paths), strict=True) for part in pair]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([program, "--overwrite", "-m", "3", *arguments], check=True, capture_output=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    both = [list(last_lines(path, gold)) for path in paths[2:]]
    return {**rates(both, gold), "cpu_seconds": round(seconds, 1)}


def last_lines(path: Path, gold: Sequence[Gold]) -> Iterator[Links]:
    """The links of the test pairs, which stand last."""
    lines = path.read_text().split("\n")[:-1][-len(gold) :]
    for line, true in zip(lines, gold, strict=True):
        yield parse_pharaoh(line, (len(true.words.source), len(true.words.target)), true.where)


def main() -> None:
    given = trials.arguments(__doc__ or "", "alignments.json")
    files = parts(given.data, given.work)
    plain, guided = (
        {
            f"{kind}{' guided' * led} {way}": partial(trial, given, files, kind, way, guided=led)
            for kind in KINDS
            for way in WAYS
        }
        for led in (False, True)
    )
    links = {f"{kind} links": partial(guide, given, files, kind) for kind in KINDS}
    found = trials.in_stages(given, plain, links, guided)
    if found is not None:
        report(given, files, found)


def report(given: Namespace, files: Files, found: dict[str, dict[str, Any]]) -> None:
    """Measure every run on the test pairs, write it down and print it."""
    gold = list(read_gold(files.gold))
    table: dict[str, Any] = {}
    for kind in KINDS:
        for guided in (False, True):
            choices = choose(given, files, kind, guided=guided)
            both = linked(given, kind, [true.words for true in gold], guided=guided)
            table[f"{kind}{', guided' * guided}"] = {**rates(both, gold), "choices": [told(one) for one in choices[:9]]}
    table["eflomal"] = eflomal(given, files, gold)
    asked = {"goals": GOALS, "common": COMMON, "kinds": KINDS, "guided": GUIDED, "guide": GUIDE}
    results = {**asked, "table": table, "trainings": found}
    trials.write(given, found, results)
    print(tables(results))


def told(choice: ByAgreement) -> dict[str, Any]:
    """A choice of weights with the names of its parts."""
    return {**choice._asdict(), **{way: getattr(choice, way)._asdict() for way in ("forward", "backward")}}


def tables(results: dict[str, Any]) -> str:
    """The table of alignment error rates."""
    ways = ("en-fr", "fr-en", "intersection", "grow-diag", "grow-diag-final-and")
    lines = [f"| AER, % | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for name, row in results["table"].items():
        if row is not None:
            lines.append(f"| {name} | {' | '.join(f'{row[way]:.1f}' for way in ways)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
