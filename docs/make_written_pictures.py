"""Make the pictures of docs/tasks/caption.md and transcribe.md from real data; some minutes, most of them to train.

usage: python docs/make_written_pictures.py [--data DIR] [--lines RUN] [--digits RUN] [--captions RUN] [NAME ...]

A run that is given was trained elsewhere and is looked at; without it a small one is trained. Each picture shows what
its run reads right.
"""

import argparse
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

import saccade
from saccade.data.images import read_image
from saccade.files import write_atomic
from saccade.lens.answers import drawing_of
from saccade.lens.figure import save
from saccade.metrics import edit_distance

HERE = Path(__file__).parent / "tasks"
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

NEEDS = {
    "caption": ("coco_mini/captions.jsonl", "coco_mini/images.zip"),
    "line": ("fraktur_lines/lines.tsv", "fraktur_lines/lines32.zip"),
    "transcribe": ("fsdd/manifest.tsv", "fsdd/recordings.zip"),
}
PHOTOGRAPHS = ("000000196393.jpg", "000000174375.jpg")  # both CC BY 2.0
CAPTIONS = saccade.CaptionOptions(
    attention="visual+entmax15",
    height=96,
    width=96,
    filters=12,
    hidden=128,
    warp=0.05,
    dropout=0.1,
    label_smoothing=0.0,
    batch_size=26,
    learning_rate=0.004,
    epochs=160,
    patience=1000,
    precision="bfloat16",
)
WIDEST, LONGEST = 560, 36  # pixels and letters of a line that a page has room for
SPOKEN = 5  # digits
MOST = 295_000  # bytes of a picture


def caption(data: Path, work: Path, run: Path | None) -> Image.Image:
    """Two of the 26 photographs that a captioner has learned by heart."""
    folder = data / "coco_mini"
    with zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(work)
    rows = map(json.loads, (folder / "captions.jsonl").read_text("utf-8").splitlines())
    shortest = {row["file"]: min(map(str.strip, row["captions"]), key=len) for row in rows if row["split"] == "train"}
    listed = work / "list.tsv"
    listed.write_text("".join(f"{file}\t{text}\n" for file, text in shortest.items()), "utf-8")
    trained = saccade.load(run) if run else saccade.train(CAPTIONS, listed, work / "run", valid=listed, device="cpu")
    right = sum(trained(work / file).text == text for file, text in shortest.items())
    print(f"{right} of {len(shortest)} captions are those that it was shown")
    drawn = []
    for file in PHOTOGRAPHS:
        answer = trained(work / file)._replace(pixels=read_image(work / file))  # finer than what it saw
        drawn.append(picture(drawing_of(answer), work, title=answer.text))
    return below(drawn)


def line(data: Path, work: Path, run: Path | None) -> Image.Image:
    """A line of a print that was not trained on."""
    import fraktur_lines

    files = fraktur_lines.lists(data, work)
    if run is None:
        options = {**fraktur_lines.COMMON, **fraktur_lines.KINDS["CTC and attention"], "epochs": 12}
        trained = saccade.train(saccade.CaptionOptions(**options), files["train"], work / "run", valid=files["dev"])
    else:
        trained = saccade.load(run)
    listed = saccade.ListFile((files["test"],), ("image", "caption"))
    some = ((one.path, one.texts[0]) for one in listed if 20 <= len(one.texts[0]) <= LONGEST)
    answer = first_right(trained, ((path, text) for path, text in some if Image.open(path).width <= WIDEST))
    return picture(drawing_of(answer), work, title=answer.text)


def transcribe(data: Path, work: Path, run: Path | None) -> Image.Image:
    """A string of digits, joined from recordings that were not trained on."""
    import composed
    import spoken_digits

    recordings = composed.fsdd(data / "fsdd")
    test = [one for one in recordings if one.split == "test"]
    heard = composed.write_recordings(work / "test", composed.strings(test, 60, 3))
    if run is None:
        learn, held = spoken_digits.apart([one for one in recordings if one.split == "train"])
        lists = [
            composed.write_recordings(work / name, composed.strings(some, count, seed))
            for name, some, count, seed in (("train", learn, 4000, 1), ("held", held, 200, 2))
        ]
        options = saccade.TranscribeOptions(**{**spoken_digits.COMMON, "epochs": 10})
        trained = saccade.train(options, lists[0], work / "run", valid=lists[1])
    else:
        trained = saccade.load(run)
    listed = saccade.ListFile((heard,), ("audio", "text"))
    answer = first_right(trained, ((one.path, one.texts[0]) for one in listed if len(one.texts[0].split()) == SPOKEN))
    return picture(drawing_of(answer), work, title=answer.text)


def first_right(trained: Any, some: Iterable[tuple[Path, str]]) -> Any:
    """The first answer that is the text; where none is, that of the fewest edits."""
    tried: list[tuple[int, str, Any]] = []
    for path, text in some:
        answer = trained(path)
        tried.append((edit_distance(answer.text, text), text, answer))
        if not tried[-1][0]:
            break
    edits, text, answer = min(tried, key=lambda one: one[0])
    print(f"{Path(answer.file).name}, of {len(tried)} tried, {edits} edits: {text}")
    return answer


def picture(drawing: Any, work: Path, *, title: str) -> Image.Image:
    """A drawing as an image."""
    save(drawing, work / "drawn.png", title=title)
    return Image.open(io.BytesIO((work / "drawn.png").read_bytes())).convert("RGB")


def below(images: list[Image.Image]) -> Image.Image:
    """One below the other."""
    sheet = Image.new("RGB", (max(one.width for one in images), sum(one.height for one in images)), "white")
    top = 0
    for one in images:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet


def write(image: Image.Image, path: Path) -> None:
    """A PNG of at most some 300 KiB: narrower until it is, and in 256 colours."""
    width = 1800
    while True:
        smaller = image.copy()
        smaller.thumbnail((width, 4000), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        smaller.quantize(256, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE).save(
            file, "PNG", optimize=True
        )
        if len(file.getvalue()) < MOST:
            break
        width -= 60
    write_atomic(path, file.getvalue())
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")


MAKE = {
    "caption": (caption, "captions", "caption.png"),
    "line": (line, "lines", "caption-line.png"),
    "transcribe": (transcribe, "digits", "transcribe.png"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MAKE, []], metavar="NAME", help=", ".join(MAKE))
    parser.add_argument("--data", type=Path, default=BENCHMARKS.parents[1] / "shared" / "data")
    for _, option, _ in MAKE.values():
        parser.add_argument(f"--{option}", type=Path, metavar="RUN")
    given = parser.parse_args()
    for name in given.names or MAKE:
        missing = [file for file in NEEDS[name] if not (given.data / file).is_file()]
        if missing:
            print(f"{name}: expected {' and '.join(missing)} in {given.data}; left out")
            continue
        make, option, file = MAKE[name]
        with tempfile.TemporaryDirectory() as work:
            write(make(given.data, Path(work), getattr(given, option)), HERE / file)


if __name__ == "__main__":
    main()
