"""Lines of German prints of the 19th century: attention over columns with CTC, and CTC alone.

usage: python benchmarks/fraktur_lines.py [--data DIR] [--jobs N] [--only NAME] [--out FILE]

archiscribe-corpus (Johannes Baiter, CC BY 4.0; images scaled to 32 pixels of height), split by whole works; the best
round is chosen on the development part, and the test part was never tuned on. Writes JSON and prints the table of the
README.
"""

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import trials

from saccade.files import write_atomic
from saccade.tasks.caption.options import CaptionOptions

# Chosen on the development part.
COMMON: dict[str, Any] = {
    "read": "columns",
    "level": "char",
    "grey": True,
    "height": 32,
    "width": 0,
    "filters": 16,
    "halvings": 4,
    "encoder_layers": 2,
    "hidden": 256,
    "batch_size": 16,
    "epochs": 12,
    "learning_rate": 0.002,
    "warp": 0.1,
    "precision": "bfloat16",
    "patience": 100,
}
KINDS: dict[str, dict[str, Any]] = {
    "CTC and attention": {"ctc": 0.5, "attention": "additive", "attend": "after"},
    "CTC alone": {"ctc": 1.0, "decoder": "none"},
}
BEAM = {"CTC and attention": 5, "CTC alone": 1}
GOALS = {"cer": 10.0, "stretch": 5.0}


def lists(data: Path, work: Path) -> dict[str, Path]:
    """The images, and a list of each part."""
    folder = work / "png"
    if not folder.is_dir():
        with zipfile.ZipFile(data / "fraktur_lines" / "lines32.zip") as archive:
            archive.extractall(folder)
    rows = (data / "fraktur_lines" / "lines.tsv").read_text("utf-8").splitlines()
    cells = [row.split("\t") for row in rows[1:]]
    found = {}
    for part in ("train", "dev", "test"):
        found[part] = folder / f"{part}.tsv"
        write_atomic(found[part], "".join(f"{row[0]}\t{row[5]}\n" for row in cells if row[1] == part))
    return found


def trial(kind: str, files: dict[str, Path]) -> dict[str, Any]:
    """One training."""
    chosen = CaptionOptions(**{**COMMON, **KINDS[kind]})
    tests = {"dev": [files["dev"]], "test": [files["test"]]}
    return trials.train(chosen, [files["train"]], [files["dev"]], tests, beam=BEAM[kind])


def main() -> None:
    given = trials.arguments(__doc__ or "", "fraktur_lines.json")
    given.work.mkdir(parents=True, exist_ok=True)
    files = lists(given.data, given.work)
    found = trials.run(given, {kind: partial(trial, kind, files) for kind in KINDS})
    if found is None:
        return
    results = {"goals": GOALS, "table": {kind: summary(result) for kind, result in found.items()}}
    trials.write(given, found, results)
    print(tables(results))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Error rates in percent, and what they cost."""
    cost = {name: result[name] for name in ("seconds", "cpu_seconds", "peak_mib", "parameters")}
    rates = {f"{part}_{name}": 100 * result["tests"][part][name] for part in ("dev", "test") for name in ("cer", "wer")}
    return {**rates, **cost}


def tables(results: dict[str, Any]) -> str:
    """The table of the README."""
    lines = ["| lines of Fraktur | CER, % | WER, % | minutes of a core |", "|---|---|---|---|"]
    for kind, row in results["table"].items():
        lines.append(f"| {kind} | {row['test_cer']:.1f} | {row['test_wer']:.1f} | {row['cpu_seconds'] / 60:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
