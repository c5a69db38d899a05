"""Parts of speech and names: our taggers with and without attention over the words' states.

usage: python benchmarks/tagging.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

UD English EWT (universal parts of speech) and WNUT 2017 (emerging names), each trained on its training part, with the
best round chosen on its development part, and measured once on its test part. From scratch, without outside vectors.
Writes JSON and prints the table of the README.
"""

from functools import partial
from pathlib import Path
from typing import Any

import trials

from saccade.tasks.tag.options import TagOptions

# Options chosen on the development parts.
KINDS: dict[str, dict[str, Any]] = {
    "no attention": {"attention": "none"},
    "multi-head": {"attention": "multi-head"},
    "additive": {"attention": "additive"},
}
DATA: dict[str, tuple[tuple[str, str, str], dict[str, Any]]] = {
    "UD English EWT, UPOS": (
        tuple(f"ud_english_ewt/en_ewt-ud-{part}.conllu.gz" for part in ("train", "dev", "test")),  # type: ignore[dict-item]
        {"epochs": 8},
    ),
    "WNUT 2017": (
        ("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", "wnut17/emerging.test.annotated"),
        {"cased": False, "dropout": 0.5, "word_dropout": 0.5, "character_hidden": 100, "epochs": 30},
    ),
}
PUBLISHED = {"UD English EWT, UPOS": "95.4 (Stanza, with vectors)", "WNUT 2017": "about 40 (outside resources)"}


def trial(files: tuple[Path, Path, Path], options: dict[str, Any]) -> dict[str, Any]:
    """One training."""
    train, valid, test = files
    return trials.train(TagOptions(**options), [train], [valid], {"test": [test]})


def main() -> None:
    given = trials.arguments(__doc__ or "", "tagging.json")
    todo = {
        f"{name}/{kind}": partial(trial, tuple(given.data / file for file in files), {**options, **chosen})
        for name, (files, options) in DATA.items()
        for kind, chosen in KINDS.items()
    }
    found = trials.run(given, todo)
    if found is None:
        return
    table: dict[str, Any] = {}
    for name, result in found.items():
        data, kind = name.split("/")
        test = result["tests"]["test"]
        figures = {part: test[part] for part in ("accuracy", "unknown_accuracy", "span_f1")}
        table.setdefault(data, {})[kind] = {**figures, "seconds": result["seconds"], "peak_mib": result["peak_mib"]}
    results = {"published": PUBLISHED, "table": table}
    trials.write(given, found, results)
    print(tables(results))


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    head = "| words | attention | accuracy, % | of words never seen, % | span F1, % | seconds | published |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for data, kinds in results["table"].items():
        for kind, row in kinds.items():
            spans = "–" if row["span_f1"] is None else f"{100 * row['span_f1']:.1f}"
            figures = (
                f"{100 * row['accuracy']:.2f} | {100 * row['unknown_accuracy']:.1f} | {spans} | {row['seconds']:.0f}"
            )
            lines.append(f"| {data} | {kind} | {figures} | {results['published'][data]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
