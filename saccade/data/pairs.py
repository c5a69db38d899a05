"""Pairs of texts from a person's files: TSV, CSV, JSON lines or two aligned text files, plain or gzipped; Parquet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data.records import Fields, fields_of, format_of, lines_of, objects_of, rows_of, text_named
from saccade.data.tables import NESTED, is_table, table_rows
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
    `.gz` after it, it is unpacked. `.parquet` and data sets by name (`hf:NAME:SPLIT`) are streamed, see `tables`. Two
    files hold one sentence a line. Empty lines (in aligned files, Parquet and data sets: where either side is empty)
    are skipped and counted.

    Args:
        paths: one file, or two aligned ones.
        columns: the names of the source and the target in CSV (its header), JSON lines, Parquet and data sets; in the
            last three they may stand within a column called `translation`.

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
        return (pair for pair in self.lines() if pair is not None)

    def lines(self) -> Iterator[Pair | None]:
        """What stands on each line: a pair, or None on an empty one."""
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
            for path in filter(is_table, self.paths):
                raise DataError(f"{path}: expected a text file of a sentence a line; a table holds both sides")
            return _read_aligned(*self.paths)
        (path,) = self.paths
        if is_table(path):
            return _read_fields(table_rows(path, self.columns))
        match format_of(path):
            case ".csv":
                return _read_fields(rows_of(path, self.columns))
            case ".jsonl":
                return _read_json_lines(path, self.columns)
        return _read_fields(fields_of(path, (2,), "source TAB target"))


def _read_fields(records: Iterator[Fields | None]) -> Iterator[Pair | None]:
    for record in records:
        if record is None:
            yield None
        else:
            where, (source, target) = record
            yield _pair(where, source, target)


def _read_json_lines(path: Path, columns: Columns) -> Iterator[Pair | None]:
    for found in objects_of(path):
        if found is None:
            yield None
        else:
            where, record = found[0], _spread_out(found[1])
            source, target = (text_named(where, record, name) for name in columns)
            yield _pair(where, source, target)


def _spread_out(record: dict[str, Any]) -> dict[str, Any]:
    """A record with what its `translation` holds beside the rest."""
    inner = record.get(NESTED)
    return {**inner, **record} if isinstance(inner, dict) else record


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


def _pair(where: str, source: str, target: str) -> Pair:
    for name, text in (("source", source), ("target", target)):
        if not text.strip():
            raise DataError(f"{where}: expected a {name} text; it is empty")
    return Pair(source, target)


def to_tsv(pairs: list[tuple[str, str]]) -> str:
    """The pairs as source TAB target, one a line."""
    return "".join(f"{source}\t{target}\n" for source, target in pairs)
