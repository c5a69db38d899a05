"""Lists of images or recordings and the texts that belong to them: TSV, CSV or JSON lines, plain or gzipped."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data.records import (
    Fields,
    fields_of,
    format_of,
    lines_of,
    named_fields_of,
    objects_of,
    rows_of,
    text_named,
    unlike,
)
from saccade.errors import DataError

_NAMED = 5


class Listed(NamedTuple):
    """One example: an image or a recording, its texts, and its name in the list, with that list's name and line."""

    path: Path
    texts: tuple[str, ...]
    name: str
    where: str


class _Entry(NamedTuple):
    """What stands at one place of a list."""

    where: str
    name: str
    texts: tuple[str, ...]


@dataclass
class ListFile:
    r"""The files that a list names, or several in turn, with their texts; read a line at a time, never held in memory.

    The format follows the name: `.csv` with a header, `.jsonl` / `.json` / `.ndjson`, anything else is TSV; with `.gz`
    after it, it is unpacked. A TSV whose first line names the columns has any number of them; it names them where it
    holds the name of the files' column beside that of the texts', first of all, or among three or more. Otherwise each
    line is file TAB text. JSON lines hold a text or a list of texts. A file may be listed more than once, each time
    with another text. Empty lines are skipped and counted.

    All names are looked up before the first example is given, once.

    Args:
        paths: the lists, read in this order.
        columns: the names of the file and the text in the header of CSV and TSV, and in JSON lines.
        folder: where the files are; None for beside the list that names them.
        skip_bad: whether files that are not there are left out and counted; else they are an error.
        unlabelled: whether only the files are wanted: a line of TSV may be a file alone, other formats need no text.

    Raises:
        DataError: while iterating, naming file and line: no such list or folder, a line that is no file and text, an
            empty name or text, bytes that are not UTF-8; files that are not there, all in one; at a list's end: nothing
            in it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.png").touch()
    >>> _ = (folder / "list.tsv").write_text("a.png\ta dog runs\n")
    >>> [(one.path.name, one.texts) for one in ListFile((folder / "list.tsv",), ("file", "text"))]
    [('a.png', ('a dog runs',))]
    """

    paths: tuple[Path, ...]
    columns: tuple[str, str]
    folder: Path | None = None
    skip_bad: bool = field(default=False, kw_only=True)
    unlabelled: bool = field(default=False, kw_only=True)
    skipped: int = field(default=0, init=False)
    """Empty lines met in the last pass."""
    missing: int = field(default=0, init=False)
    """How many times a file was named that is not there; these are left out."""
    _absent: frozenset[str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.paths:
            raise DataError("expected at least one list of files; got none")

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    def __iter__(self) -> Iterator[Listed]:
        if self._absent is None:
            self._absent = self._look_up()
        self.skipped = 0
        for path, entry in self._entries():
            if entry.where not in self._absent:
                yield Listed(self._place(path, entry.name), entry.texts, entry.name, entry.where)

    def _look_up(self) -> frozenset[str]:
        """Where files are named that are not there."""
        if self.folder is not None and not self.folder.is_dir():
            raise DataError(f"{self.folder}: expected a folder; there is none")
        absent: set[str] = set()
        first: dict[str, str] = {}
        self.missing, count = 0, 0
        for path, (where, name, _) in self._entries():
            count += 1
            # Not Path.is_file: it raises where a name is too long to be one.
            if not os.path.isfile(self._place(path, name)):
                self.missing += 1
                absent.add(where)
                if len(first) < _NAMED:
                    first.setdefault(name, where)
        if absent and (self.missing == count or not self.skip_bad):
            some = ", ".join(f"{name} ({where})" for name, where in first.items())
            there = "" if self.folder is None else f" in {self.folder}"
            more = ", ..." if self.missing > len(first) else ""
            got = f"got {self.missing} of {count} that are not there: {some}{more}"
            raise DataError(f"{self}: expected the files it names{there}; {got}")
        return frozenset(absent)

    def _place(self, path: Path, name: str) -> Path:
        return (path.parent if self.folder is None else self.folder) / name

    def _entries(self) -> Iterator[tuple[Path, _Entry]]:
        for path in self.paths:
            found = False
            for entry in self._read(path):
                if entry is None:
                    self.skipped += 1
                else:
                    found = True
                    yield path, entry
            if not found:
                what = "files" if self.unlabelled else "files and their texts"
                raise DataError(f"{path}: expected {what}; the list is empty")

    def _read(self, path: Path) -> Iterator[_Entry | None]:
        if format_of(path) == ".jsonl":
            return self._read_json_lines(path)
        return self._read_fields(self._fields(path))

    def _fields(self, path: Path) -> Iterator[Fields | None]:
        columns = self.columns[:1] if self.unlabelled else self.columns
        if format_of(path) == ".csv":
            return rows_of(path, columns)
        if _is_header(path, self.columns):
            return named_fields_of(path, columns)
        named = f"a first line that names the columns {' and '.join(map(repr, columns))} (choose with --columns)"
        if self.unlabelled:
            return fields_of(path, (1, 2), f"a file alone, file TAB text, or {named}")
        return fields_of(path, (2,), f"file TAB text, or {named}")

    def _read_fields(self, records: Iterator[Fields | None]) -> Iterator[_Entry | None]:
        for record in records:
            if record is None:
                yield None
            else:
                where, (name, *texts) = record
                yield _entry(where, name, None if self.unlabelled else texts)

    def _read_json_lines(self, path: Path) -> Iterator[_Entry | None]:
        file, text = self.columns
        for found in objects_of(path):
            if found is None:
                yield None
            else:
                where, record = found
                texts = None if self.unlabelled else _texts(where, record, text)
                yield _entry(where, text_named(where, record, file), texts)


def _is_header(path: Path, columns: tuple[str, str]) -> bool:
    file, text = columns
    for _, line in lines_of(path):
        cells = line.split("\t")
        # A text of one word may read like the files' column, so that one alone in a second field says nothing.
        return file in cells and (text in cells or cells[0] == file or len(cells) > 2)
    return False


def _texts(where: str, record: dict[str, Any], name: str) -> list[str]:
    value = record.get(name)
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise unlike(where, record, name, f"a text or a list of texts named {name!r}")
    return value


def _entry(where: str, name: str, texts: list[str] | None) -> _Entry:
    if not name.strip():
        raise DataError(f"{where}: expected the name of a file; it is empty")
    some = tuple(text for text in texts or () if text.strip())
    if texts is not None and not some:
        raise DataError(f"{where}: expected a text; it is empty")
    return _Entry(where, name.strip(), some)
