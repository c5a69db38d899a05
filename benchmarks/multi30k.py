"""Descriptions of images, German, English and French: translators trained on 29,000 pairs on a CPU.

usage: python benchmarks/multi30k.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

Options were chosen on the development part (1,014 pairs), which also tells the best round and each model's penalty of
length; test_2016_flickr is translated once, with a beam of 5. Each training takes one thread. Runs are kept in --work,
for benchmarks/engines.py and benchmarks/company.py. Writes JSON and prints the table of the README.
"""

import gzip
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trials

from saccade import decoding
from saccade.files import write_atomic
from saccade.metrics import text_scores
from saccade.runs import METRICS
from saccade.tasks.load import load
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.presets import PRESETS

COMMON: dict[str, Any] = {
    "shared": True,
    "tied": "all",
    "label_smoothing": 0.1,
    "precision": "bfloat16",
    "patience": 100,
}
MODELS: dict[str, dict[str, Any]] = {
    "RNN, additive": {
        "attend": "after",
        "embedding": 256,
        "hidden": 512,
        "vocab_size": 5000,
        "dropout": 0.4,
        "learning_rate": 0.003,
        "batch_size": 80,
        "epochs": 20,
    },
    "Transformer-tiny": {
        **PRESETS["transformer-tiny"],
        "vocab_size": 5000,
        "dropout": 0.2,
        "epochs": 24,
    },
}
THEN: dict[str, dict[str, Any]] = {"Transformer-tiny": {"epochs": 44}}
"""What is trained further, and with which options: its loss still fell when the learning rate had."""
TRIALS = {
    "de-en RNN, additive": ("cased", 39.0),
    "en-de RNN, additive": ("lower-cased", 40.0),
    "en-de Transformer-tiny": ("lower-cased", 40.0),
    "en-fr RNN, additive": ("lower-cased", 60.0),
    "en-fr Transformer-tiny": ("lower-cased", 60.0),
}
"""What is measured, and the goal: of each pair the better of its models."""
PENALTIES = (0.6, 0.8, 1.0, 1.2, 1.4)
"""The exponents of length that a model is tried with."""
BEAM = 5


def part(data: Path, work: Path, name: str, languages: Sequence[str]) -> list[Path]:
    """The two aligned files of a part."""
    found = []
    for language in languages:
        found.append(work / f"{name}.{language}")
        text = gzip.decompress((data / "multi30k" / f"{name}.{language}.gz").read_bytes())
        write_atomic(found[-1], text)
    return found


def run_of(given: Any, name: str) -> Path:
    """Where the run of a trial is kept."""
    folder: Path = given.work / name.replace(" ", "_").replace(",", "")
    return folder


class Training(NamedTuple):
    """Options, and the training whose weights are trained further."""

    options: dict[str, Any]
    parent: str | None = None


def trainings() -> dict[str, Training]:
    """All that is trained, by name."""
    found = {}
    for name in TRIALS:
        model = name.split(" ", 1)[1]
        first = f"{name}, first" if model in THEN else name
        found[first] = Training({**COMMON, **MODELS[model]})
        if model in THEN:
            found[name] = Training({**COMMON, **MODELS[model], **THEN[model]}, first)
    return found


def trial(given: Any, name: str, training: Training) -> dict[str, Any]:
    """One training."""
    languages = name.split(" ")[0].split("-")
    train, valid = (part(given.data, given.work, some, languages) for some in ("train", "val"))
    parent = None if training.parent is None else run_of(given, training.parent)
    return trials.train(
        TranslateOptions(**training.options), train, valid, {}, folder=run_of(given, name), parent=parent
    )


def measured(given: Any, name: str, parent: str | None) -> dict[str, Any]:
    """BLEU of both parts, and the curve of the training, behind that of the one before it."""
    runs = [run_of(given, one) for one in (parent, name) if one is not None]
    translator, case = load(runs[-1]), TRIALS[name][0]
    dev, test = (
        part(given.data, given.work, some, name.split(" ")[0].split("-")) for some in ("val", "test_2016_flickr")
    )
    tried = {penalty: bleu(translator, *dev, penalty) for penalty in PENALTIES}
    penalty = max(tried, key=lambda one: tried[one][case])
    found: dict[str, Any] = {"penalty": penalty, "tried": {one: round(some[case], 2) for one, some in tried.items()}}
    for title, figures in (("dev", tried[penalty]), ("test", bleu(translator, *test, penalty))):
        found |= {f"{title}_{key}": value for key, value in figures.items()}
    curve = [json.loads(line) for run in runs for line in (run / METRICS).read_text().splitlines()]
    return {**found, "curve": curve}


def bleu(translator: Any, source: Path, target: Path, penalty: float) -> dict[str, Any]:
    """BLEU of the best of a beam, cased and lower-cased, with the signatures of sacreBLEU."""
    manner = decoding.Manner(penalty=decoding.power(penalty))
    best = translator.answer(source.read_text("utf-8").splitlines(), beam=BEAM, manner=manner)
    answers, references = [some[0].text for some in best], target.read_text("utf-8").splitlines()
    found: dict[str, Any] = {}
    for case, lower in (("cased", False), ("lower-cased", True)):
        scores = text_scores(answers, references, tokenize="13a", lowercase=lower)
        found |= {case: scores.bleu, f"{case} signature": scores.bleu_signature}
    return found


def main() -> None:
    given = trials.arguments(__doc__ or "", "multi30k.json")
    asked = trainings()
    every = {name: partial(trial, given, name, training) for name, training in asked.items()}
    first = {name: every[name] for name, training in asked.items() if training.parent is None}
    found = trials.in_stages(given, first, every)
    if found is None:
        return
    table = {}
    for name, (case, goal) in TRIALS.items():
        parent = asked[name].parent
        parts = [found[one] for one in (parent, name) if one is not None]
        spent = {key: round(sum(one[key] for one in parts), 1) for key in ("seconds", "cpu_seconds")}
        size = {key: parts[-1][key] for key in ("peak_mib", "parameters")}
        table[name] = {"case": case, "goal": goal, **measured(given, name, parent), **spent, **size}
    options = {"common": COMMON, **MODELS, "then": THEN}
    results = {"options": options, "penalties": PENALTIES, "beam": BEAM, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| test 2016, beam 5 | BLEU | goal | dev | minutes of a core | parameters |", "|---|---|---|---|---|---|"]
    for name, row in results["table"].items():
        case = row["case"]
        figures = f"{row[f'test_{case}']:.1f} {case} | {row['goal']:.0f} | {row[f'dev_{case}']:.1f}"
        cost = f"{row['cpu_seconds'] / 60:.0f} | {row['parameters'] / 1e6:.1f} M"
        lines.append(f"| {name.replace('-', ' → ', 1)} | {figures} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
