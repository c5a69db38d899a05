"""The folder of an exported run: all that an engine needs to answer, and nothing that has to be unpickled.

    export.json                    format version, engine, of what run, versions, limits, what was verified
    tokenizer-source.json ...      the vocabularies
    model.bin, encoder.onnx ...    the model as the engine reads it

A folder is written beside its place, and takes its name when its answers have been verified.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saccade.data import tokens
from saccade.data.paircorpus import Vocabularies
from saccade.errors import ExportError, RunError
from saccade.export import TARGETS
from saccade.export.translator import Exported
from saccade.files import write_atomic
from saccade.tasks.translate.translator import Longest

EXPORT, FORMAT = "export.json", 1


def is_export(folder: Path) -> bool:
    """Whether a run was exported here."""
    return (folder / EXPORT).is_file()


def read(folder: Path) -> dict[str, Any]:
    """What `export.json` says.

    Raises:
        RunError: no such file, a broken one, or a format or an engine of a newer program.
    """
    path = folder / EXPORT
    if not path.is_file():
        raise RunError(f"{folder}: expected an exported run; it holds no {EXPORT} (make one: saccade export)")
    try:
        said = json.loads(path.read_text("utf-8"))
        known = said["format"] <= FORMAT and said["engine"] in TARGETS
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: expected what saccade export writes; got {type(error).__name__}: {error}") from None
    if not known:
        came = f"format {said['format']} of {said['engine']}"
        raise RunError(f"{path}: expected format {FORMAT} or older of {', '.join(TARGETS)}; got {came}")
    return dict(said)


def write(folder: Path, said: dict[str, Any], vocabularies: Vocabularies) -> None:
    """Write `export.json` and the vocabularies."""
    for side, vocabulary in zip(Vocabularies._fields, vocabularies, strict=True):
        write_atomic(folder / f"tokenizer-{side}.json", vocabulary.to_json())
    text = json.dumps({**said, "format": FORMAT}, indent=2, ensure_ascii=False, sort_keys=True)
    write_atomic(folder / EXPORT, text + "\n")


def load(folder: Path) -> Exported:
    """The translator in the folder of an exported run, run by its engine.

    Raises:
        RunError: no exported run, or a broken file, which is named.
        MissingExtraError: the engine is not installed.
    """
    said = read(folder)
    vocabularies = Vocabularies(*(tokens.load(folder / f"tokenizer-{side}.json") for side in Vocabularies._fields))
    longest, limits = Longest(**said["longest"]), said["limits"]
    if said["engine"] == "ctranslate2":
        from saccade.export.ctranslate2 import CTranslate2

        return CTranslate2(folder, vocabularies, longest, positions=limits["positions"])
    from saccade.export.stepping import Stepping

    return Stepping(folder, said["engine"], vocabularies, longest, said["program"])


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder that takes the name `out` when all went well, in place of a former export; else nothing is left.

    Raises:
        ExportError: something that no export made stands there, or its folder cannot be written.
    """
    if out.exists() and not is_export(out) and not (out.is_dir() and not any(out.iterdir())):
        raise ExportError(f"{out}: expected a new folder or a former export's; it holds something else (see --out)")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise ExportError(f"{out}: expected a folder that can be written; got {error.strerror or error}") from None
    try:
        yield making
        making.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        making.rename(out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
