"""Captions of emoji that were never seen: who stands left and right, and in which colour; with and without attention.

usage: python benchmarks/emoji_captions.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

Noto emoji (72 px, Apache 2.0) with their Unicode names, split by the base emoji (the name before the skin tones), so
that no copy of a test image in another tone is trained on. Two rounds, each with a tenth of the bases to test on, a
tenth to choose the best pass by, and of the seven couples with two tones some to test on; the two on which everything
was tuned are always trained on. Of the couples the two tones must be right and in order; BLEU and CIDEr are of all
images of the test parts, most of whose names nobody could know. Writes JSON and prints the table of the README.
"""

import random
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trials

from saccade.files import write_atomic
from saccade.tasks.caption.options import CaptionOptions

# Chosen on couples of two women, which no round tests.
COMMON: dict[str, Any] = {
    "height": 72,
    "width": 72,
    "filters": 32,
    "warp": 0.1,
    "dropout": 0.3,
    "epochs": 24,
    "learning_rate": 0.002,
    "precision": "bfloat16",
    "patience": 100,
}
KINDS: dict[str, dict[str, Any]] = {"attention": {"attention": "visual"}, "no attention": {"attention": "none"}}
TESTED = {
    "first": ("couple with heart man, man", "kiss woman, man", "people holding hands"),
    "second": ("couple with heart woman, man", "kiss man, man"),
}
"""Couples that each round tests; it trains on the others."""
GOALS = {"two_tones": 85.0}


class Emoji(NamedTuple):
    """An image, its name, the name without tones, and its tones."""

    file: str
    name: str
    base: str
    tones: tuple[str, ...]


def emoji(data: Path, work: Path) -> list[Emoji]:
    """All of them; the images are unpacked."""
    folder = work / "png"
    if not folder.is_dir():
        with zipfile.ZipFile(data / "emoji_noto" / "png72.zip") as archive:
            archive.extractall(folder)
    rows = (data / "emoji_noto" / "captions.tsv").read_text("utf-8").splitlines()[1:]
    found = []
    for file, _, name, _, _, tones in (row.split("\t") for row in rows):
        said = tuple(filter(None, tones.split("|")))
        base = name.removesuffix(": " + ", ".join(said)) if said else name
        found.append(Emoji(file, name, base, said))
    return found


def split(found: list[Emoji], work: Path, round: str, seed: int = 8) -> dict[str, Path]:
    """Lists to train on, to choose by and to test on: of the bases without couples a tenth each, each round others."""
    pairs = couples(found)
    bases = sorted({one.base for one in found} - pairs)
    random.Random(seed).shuffle(bases)
    tenth, begin = len(bases) // 10, 2 * list(TESTED).index(round)
    test, held = (set(bases[i * tenth : (i + 1) * tenth]) for i in (begin, begin + 1))
    parts = {"test": test | set(TESTED[round]), "held": held}
    if missing := set(TESTED[round]) - pairs:
        raise SystemExit(f"expected couples called {', '.join(sorted(missing))}; got {', '.join(sorted(pairs))}")
    parts["train"] = {one.base for one in found} - parts["test"] - parts["held"]
    lists = {}
    for part, some in parts.items():
        lists[part] = work / "png" / f"{round}-{part}.tsv"
        write_atomic(lists[part], "".join(f"{one.file}\t{one.name}\n" for one in found if one.base in some))
    return lists


def couples(found: list[Emoji]) -> set[str]:
    """The bases with two tones."""
    return {one.base for one in found if len(one.tones) == 2}


def tones_right(trained: Any, found: list[Emoji], test: Path) -> dict[str, Any]:
    """How often both tones of a couple are right, in order, and each of them."""
    names = {line.split("\t")[0] for line in test.read_text("utf-8").splitlines()}
    some = [one for one in found if len(one.tones) == 2 and one.file in names]
    said = [tones_of(answer.text) for answer in trained.answer([test.parent / one.file for one in some])]
    pairs = list(zip(said, (one.tones for one in some), strict=True))
    return {
        "bases": sorted({one.base for one in some}),
        "couples": len(some),
        "both": sum(a == b for a, b in pairs),
        "first": sum(a[:1] == b[:1] for a, b in pairs),
        "second": sum(a[1:2] == b[1:2] for a, b in pairs),
    }


def tones_of(caption: str) -> tuple[str, ...]:
    """The tones that a caption ends with.

    >>> tones_of("kiss man, man: light skin tone, dark skin tone")
    ('light skin tone', 'dark skin tone')
    """
    _, _, after = caption.rpartition(": ")
    return tuple(part.strip() for part in after.split(",") if part.strip().endswith("skin tone"))


def trial(options: dict[str, Any], lists: dict[str, Path], found: list[Emoji]) -> dict[str, Any]:
    """One training."""
    chosen = CaptionOptions(**{**COMMON, **options})
    measure = partial(tones_right, found=found, test=lists["test"])
    return trials.train(chosen, [lists["train"]], [lists["held"]], {"test": [lists["test"]]}, measure=measure)


def main() -> None:
    given = trials.arguments(__doc__ or "", "emoji_captions.json")
    given.work.mkdir(parents=True, exist_ok=True)
    every = emoji(given.data, given.work)
    asked = [("attention", "first"), ("attention", "second"), ("no attention", "first")]
    todo = {
        f"{kind}/{round}": partial(trial, KINDS[kind], split(every, given.work, round), every) for kind, round in asked
    }
    found = trials.run(given, todo)
    if found is None:
        return
    table = {f"{kind}, {round} round": summary(found[f"{kind}/{round}"]) for kind, round in asked}
    results = {"goals": GOALS, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Percent of couples with the right tones, the scores of all captions, and what it cost."""
    counted = result["measured"]
    shares = {name: 100 * counted[name] / counted["couples"] for name in ("both", "first", "second")}
    captions = {name: result["tests"]["test"][name] for name in ("bleu1", "bleu2", "bleu3", "bleu4", "cider")}
    cost = {name: result[name] for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")}
    return {"bases": counted["bases"], "couples": counted["couples"], **shares, **captions, **cost}


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = [
        "| unseen couples | both tones, in order, % | first, second, % | BLEU-1 | BLEU-4 | minutes of a core |",
        "|---|---|---|---|---|---|",
    ]
    for kind, row in results["table"].items():
        captions = f"{row['bleu1']:.1f} | {row['bleu4']:.1f}"
        tones = f"{row['both']:.1f} | {row['first']:.1f}, {row['second']:.1f}"
        lines.append(f"| {kind} | {tones} | {captions} | {row['cpu_seconds'] / 60:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
