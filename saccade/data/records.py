"""Records out of a person's files: the lines of a text file, plain or gzipped, and TSV, CSV and JSON lines in it.

Every record comes with where it stands, `file:line`; an empty line or row is None, so that a reader can count it.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

from saccade.errors import DataError

Fields = tuple[str, list[str]]
"""Where a record stands, and its cells."""


def format_of(path: Path) -> str:
    """The suffix that tells the format: in lower case, without `.gz`, one for all names of JSON lines.

    >>> format_of(Path("a.CSV.gz")), format_of(Path("a.ndjson")), format_of(Path("a"))
    ('.csv', '.jsonl', '')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return ".jsonl" if last in (".json", ".ndjson") else last


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a UTF-8 text file, plain or `.gz`, without their ends (LF or CRLF) and without a BOM.

    Raises:
        DataError: naming the file, and the line where it is known; a NUL too, which no text has.
    """
    try:
        # GzipFile finds its lines in Python: a pass over pairs takes twice as long without a reader before it.
        with BufferedReader(gzip.open(path, "rb")) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                text = decoded(raw, f"{path}:{number}")
                if "\0" in text:
                    place = raw.index(b"\0") + 1
                    raise DataError(f"{path}:{number}: expected UTF-8 text; got byte 0x00 at column {place}")
                yield number, text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
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


def fields_of(path: Path, counts: Collection[int], expected: str) -> Iterator[Fields | None]:
    """The lines of a TSV file, each of as many fields as one of `counts`.

    Raises:
        DataError: a line of another number of fields; `expected` says what should stand there.
    """
    for number, line in lines_of(path):
        if not line.strip():
            yield None
            continue
        fields = line.split("\t")
        if len(fields) not in counts:
            got = "no TAB" if len(fields) == 1 else f"{len(fields)} columns"
            raise DataError(f"{path}:{number}: expected {expected}; got {got}")
        yield f"{path}:{number}", fields


def named_fields_of(path: Path, columns: Sequence[str]) -> Iterator[Fields | None]:
    """The lines of a TSV file under one that names its columns, each as the cells of these columns.

    Raises:
        DataError: no such column, a line of another number of fields than the first.
    """
    records = lines_of(path)
    _, first = next(records, (1, ""))
    header = first.split("\t")
    indices = [_column(path, header, name) for name in columns]
    for number, line in records:
        cells = line.split("\t")
        if not line.strip():
            yield None
        elif len(cells) != len(header):
            raise DataError(f"{path}:{number}: expected {len(header)} columns, as in the header; got {len(cells)}")
        else:
            yield f"{path}:{number}", [cells[i] for i in indices]


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[Fields | None]:
    """The rows of a CSV file with a header, each as the cells of these columns; a row stands where it begins.

    Raises:
        DataError: no such column, a row of another number of cells than the header, quotes that are not CSV.
    """
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
                yield f"{path}:{start}", [row[i] for i in indices]
            start = position + 1
    except csv.Error as error:
        raise DataError(f"{path}:{position}: expected CSV; got {error}") from None


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise DataError(f"{path}:1: expected a column named {name!r}; got {', '.join(header)} (choose with --columns)")
    return header.index(name)


def objects_of(path: Path) -> Iterator[tuple[str, dict[str, Any]] | None]:
    """The objects of a file of JSON lines.

    Raises:
        DataError: a line that is not a JSON object.
    """
    for number, line in lines_of(path):
        if not line.strip():
            yield None
            continue
        try:
            record = json_of(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: expected a JSON object; got {error.msg} at {error.pos + 1}") from None
        except ValueError as error:
            raise DataError(f"{path}:{number}: expected a JSON object; got {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: expected a JSON object; got {type(record).__name__}")
        yield f"{path}:{number}", record


def json_of(text: str) -> Any:
    """What JSON says.

    Raises:
        ValueError: text that is no JSON, that is nested beyond reason, or that has half a character (a lone surrogate).
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects too deep in each other") from None
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def text_named(where: str, record: dict[str, Any], name: str) -> str:
    """The text of this name in a JSON object.

    Raises:
        DataError: it is not there, or no text.
    """
    text = record.get(name)
    if not isinstance(text, str):
        raise unlike(where, record, name, f"a text named {name!r}")
    return text


def unlike(where: str, record: dict[str, Any], name: str, expected: str) -> DataError:
    """The error that a JSON object has something else under this name than was expected, or nothing."""
    got = f"a {type(record[name]).__name__} there" if name in record else f"only {', '.join(record)}"
    return DataError(f"{where}: expected {expected}; got {got} (choose with --columns)")
