"""Pairs of texts from a person's files: TSV, CSV, JSON lines or two aligned text files, plain or gzipped."""

import codecs
import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from saccade.errors import DataError

Columns = tuple[str, str]
SOURCE_AND_TARGET: Columns = ("source", "target")


class Pair(NamedTuple):
    """One example."""

    source: str
    target: str


@dataclass
class PairFile:
    """The pairs of one file, or of two aligned ones, read a line at a time and never held in memory.

    The format follows the name: `.csv`, `.jsonl` / `.json` / `.ndjson`, anything else is source TAB target; with
    `.gz` after it, it is unpacked. Two files hold one sentence a line. Empty lines (in aligned files: where either is
    empty) are skipped and counted.

    Args:
        paths: one file, or two aligned ones.
        columns: the names of the source and the target in CSV (its header) and JSON lines.

    Raises:
        DataError: while iterating, naming file and line: no such file, a line that is not a pair, bytes that are not
            UTF-8, aligned files of different lengths; at the end: no pair at all.
    """

    paths: tuple[Path, ...]
    columns: Columns = SOURCE_AND_TARGET
    skipped: int = field(default=0, init=False)
    """Empty lines met in the last pass."""

    def __post_init__(self) -> None:
        if len(self.paths) not in (1, 2):
            raise DataError(f"expected one file of pairs or two aligned text files; got {len(self.paths)} files")

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    def __iter__(self) -> Iterator[Pair]:
        self.skipped, found = 0, False
        for pair in self._read():
            if pair is None:
                self.skipped += 1
            else:
                found = True
                yield pair
        if not found:
            raise DataError(f"{self}: expected pairs of source and target; the file is empty")

    def _read(self) -> Iterator[Pair | None]:
        if len(self.paths) == 2:
            return _read_aligned(*self.paths)
        (path,) = self.paths
        match _suffix(path):
            case ".csv":
                return _read_csv(path, self.columns)
            case ".jsonl" | ".json" | ".ndjson":
                return _read_json_lines(path, self.columns)
        return _read_tsv(path)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a UTF-8 text file, plain or `.gz`, without their ends (LF or CRLF) and without a BOM.

    Raises:
        DataError: naming the file, and the line where it is known.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                yield number, decoded(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, f"{path}:{number}")
    except (gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"{path}: expected a whole gzip file; got {error}".rstrip(".")) from None
    except OSError as error:
        raise DataError(f"{path}: expected a readable file; got {error.strerror or error}") from None


def decoded(raw: bytes, where: str) -> str:
    """A line of UTF-8 without its end (LF or CRLF).

    Raises:
        DataError: bytes that are not UTF-8; names `where` and the first such byte.
    """
    try:
        return raw.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
        raise DataError(f"{where}: expected UTF-8 text; got {byte}") from None


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read_tsv(path: Path) -> Iterator[Pair | None]:
    for number, line in lines_of(path):
        if not line.strip():
            yield None
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            got = "no TAB" if len(fields) == 1 else f"{len(fields)} columns"
            raise DataError(f"{path}:{number}: expected source TAB target; got {got}")
        yield _pair(path, number, *fields)


def _read_csv(path: Path, columns: Columns) -> Iterator[Pair | None]:
    position = 1

    def text() -> Iterator[str]:
        nonlocal position
        for number, line in lines_of(path):
            position = number
            yield line + "\n"

    reader = csv.reader(text(), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        indices = [_column(path, header, name) for name in columns]
        start = position + 1
        for row in reader:
            if not any(cell.strip() for cell in row):
                yield None
            elif len(row) != len(header):
                raise DataError(f"{path}:{start}: expected {len(header)} columns, as in the header; got {len(row)}")
            else:
                yield _pair(path, start, row[indices[0]], row[indices[1]])
            start = position + 1
    except csv.Error as error:
        raise DataError(f"{path}:{position}: expected CSV; got {error}") from None


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise DataError(f"{path}:1: expected a column named {name!r}; got {', '.join(header)} (choose with --columns)")
    return header.index(name)


def _read_json_lines(path: Path, columns: Columns) -> Iterator[Pair | None]:
    for number, line in lines_of(path):
        if not line.strip():
            yield None
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: expected a JSON object; got {error.msg} at {error.pos + 1}") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: expected a JSON object; got {type(record).__name__}")
        for name in columns:
            if not isinstance(record.get(name), str):
                got = f"a {type(record[name]).__name__} there" if name in record else f"only {', '.join(record)}"
                raise DataError(f"{path}:{number}: expected a text named {name!r}; got {got} (choose with --columns)")
        yield _pair(path, number, record[columns[0]], record[columns[1]])


def _read_aligned(source: Path, target: Path) -> Iterator[Pair | None]:
    left, right = lines_of(source), lines_of(target)
    while True:
        first, second = next(left, None), next(right, None)
        if first is None and second is None:
            return
        if first is None or second is None:
            short, number = (source, second) if first is None else (target, first)
            assert number is not None
            raise DataError(f"{short}: expected as many lines as its partner; it ends before line {number[0]}")
        yield Pair(first[1], second[1]) if first[1].strip() and second[1].strip() else None


def _pair(path: Path, number: int, source: str, target: str) -> Pair:
    for name, text in (("source", source), ("target", target)):
        if not text.strip():
            raise DataError(f"{path}:{number}: expected a {name} text; it is empty")
    return Pair(source, target)


def to_tsv(pairs: list[tuple[str, str]]) -> str:
    """The pairs as source TAB target, one a line."""
    return "".join(f"{source}\t{target}\n" for source, target in pairs)
