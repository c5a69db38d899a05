"""Rows out of Parquet files, and out of data sets by name: a folder, or one of the Hugging Face hub.

`hf:NAME` names a data set, `hf:NAME:SPLIT` another part of it than `train`, `hf:NAME:CONFIG:SPLIT` one of several in
it. It is streamed by the datasets library: nothing is unpacked onto the disk, and no program that came with it is run.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data.records import Fields, format_of
from saccade.errors import DataError, MissingExtraError

HUB = "hf:"
NESTED = "translation"
"""The column in which sets for translation hold both sides by language, as those of WMT do."""
_ROWS = 1000
_PATIENCE = 10.0  # seconds for the hub to answer at all; the library itself would try again for half a minute


class Named(NamedTuple):
    """A data set by name."""

    name: str
    config: str | None
    split: str

    @property
    def local(self) -> bool:
        """Whether it is a folder here."""
        return Path(self.name).is_dir()


def named(path: Path) -> Named | None:
    """The data set that a path names; None for a file.

    Raises:
        DataError: `hf:` with something else behind it than a name, a configuration and a split.

    >>> named(Path("hf:wmt/wmt14:de-en:test"))
    Named(name='wmt/wmt14', config='de-en', split='test')
    >>> named(Path("hf:some/set")), named(Path("some/set.tsv"))
    (Named(name='some/set', config=None, split='train'), None)
    """
    text = path.as_posix()
    if not text.startswith(HUB):
        return None
    name, *rest = text.removeprefix(HUB).split(":")
    if not name or len(rest) > 2 or not all(rest):
        raise DataError(f"{text}: expected hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT; got something else")
    return Named(name, rest[0] if len(rest) == 2 else None, rest[-1] if rest else "train")


def is_table(path: Path) -> bool:
    """Whether this is a Parquet file or the name of a data set."""
    return path.as_posix().startswith(HUB) or format_of(path) == ".parquet"


@cache
def revision(name: str) -> str:
    """The commit that a data set of the hub stands at, asked once: every pass of a training reads the same one.

    Raises:
        DataError: no such set, none that may be read, or no connection; says so at once.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError
    except ImportError as error:
        raise MissingExtraError(error.name or "huggingface_hub", "datasets") from None
    expected = f"{HUB}{name}: expected a folder or a data set of the Hugging Face hub"
    try:
        return str(HfApi().dataset_info(name, timeout=_PATIENCE).sha)
    except OfflineModeIsEnabled:
        raise DataError(f"{expected}; got no such folder, and the hub is switched off (HF_HUB_OFFLINE)") from None
    except RepositoryNotFoundError:
        raise DataError(f"{expected}; got neither, or a set that needs `hf auth login`") from None
    except Exception as error:  # of the library below it, of whatever name
        raise DataError(f"{expected}; got no such folder, and no answer of the hub ({_line(error)})") from None


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Fields | None]:
    """The rows of a Parquet file or a data set, each as the texts of these columns; None where one of them is empty.

    A column that is not there is looked for within the one called `translation`.

    Raises:
        DataError: it cannot be read, has no such column, or another kind than text in it; or is not there.
    """
    number = 0
    try:
        for table in _opened(path).with_format("arrow").iter(_ROWS):
            flat = table.flatten()
            texts = [_texts(path, flat, name) for name in columns]
            for cells in zip(*texts, strict=True):
                number += 1
                there = all(cell is not None and cell.strip() for cell in cells)
                yield (f"{path}:{number}", list(cells)) if there else None
    except (DataError, MissingExtraError):
        raise
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x}"
        raise DataError(f"{path}: expected UTF-8 text; got {byte} after row {number}") from None
    except Exception as error:  # of the libraries below, of whatever name
        behind = f" after row {number}" if number else ""
        raise DataError(f"{path}: expected a table that can be read; got {_line(error)}{behind}") from None


def _opened(path: Path) -> Any:
    try:
        import datasets
        from huggingface_hub.utils import logging
    except ImportError as error:
        raise MissingExtraError(error.name or "datasets", "datasets") from None
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    logging.set_verbosity(datasets.logging.CRITICAL)
    where = named(path)
    if where is None:
        _readable(path)
        files = {"data_files": escape(str(path)), "batch_size": _ROWS}
        return datasets.load_dataset("parquet", split="train", streaming=True, **files)
    commit = None if where.local else revision(where.name)
    try:
        return datasets.load_dataset(where.name, where.config, split=where.split, revision=commit, streaming=True)
    except Exception as error:
        raise DataError(f"{path}: expected a data set that can be read; got {_line(error)}") from None


def _readable(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file; got {error.strerror or error}") from None


def _texts(path: Path, table: Any, name: str) -> list[str | None]:
    names = table.column_names
    found = name if name in names else f"{NESTED}.{name}"
    if found not in names:
        raise DataError(f"{path}: expected a column named {name!r}; got {', '.join(names)} (choose with --columns)")
    texts: list[str | None] = table.column(found).to_pylist()
    for text in texts:
        if text is not None and not isinstance(text, str):
            raise DataError(f"{path}: expected texts in the column {name!r}; got a {type(text).__name__} there")
    return texts


def _line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
