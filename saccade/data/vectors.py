"""Word vectors from a text file, as word2vec, GloVe and fastText write them: a word and its numbers on each line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saccade.data.records import lines_of
from saccade.errors import DataError


class Vectors(NamedTuple):
    """The vectors of some words, in their order.

    values: zeros where a word has none, float32 `[words, dim]`.
    found:  whether a word has one, bool `[words]`.
    """

    values: NDArray[np.float32]
    found: NDArray[np.bool_]


def read_vectors(path: Path, words: Sequence[str]) -> Vectors:
    """The vectors of these words out of a text file, plain or `.gz`; no other row of it is kept.

    A first line of two whole numbers is the header of word2vec and fastText: rows, and numbers a row. Without it, as
    in GloVe, the first row tells how many. A word may hold spaces, as some of GloVe's do, unless what follows its last
    one is a number. Where a word is not in the file, its lower-case form is taken; of equal words in the file the
    first counts.

    Raises:
        DataError: naming file and line: a row of another width, and in the first row or that of a wanted word
            something that is no finite number; an empty file; no word found.
    """
    wanted = {*words, *(word.lower() for word in words)}
    rows: dict[str, NDArray[np.float32]] = {}
    count, dim = 0, 0
    for count, (where, word, numbers) in enumerate(_rows(path), 1):
        if count == 1 or word in wanted:
            row = _vector(where, numbers)
            dim = len(row)
            if word in wanted:
                rows.setdefault(word, row)
    if count == 0:
        raise DataError(f"{path}: expected word vectors; the file is empty")
    if not rows:
        raise DataError(f"{path}: expected a vector of at least one of {len(words)} words; none is in its {count} rows")
    values = np.zeros((len(words), dim), np.float32)
    found = np.zeros(len(words), np.bool_)
    for i, word in enumerate(words):
        name = word if word in rows else word.lower()
        if name in rows:
            values[i], found[i] = rows[name], True
    return Vectors(values, found)


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Where each row stands, its word and its numbers."""
    dim = 0
    for number, text in lines_of(path):
        line = text.rstrip(" ")  # word2vec and fastText write one there
        if number == 1 and _is_header(line):
            dim = int(line.split(" ")[1])
        elif line:
            width = line.count(" ")
            dim = dim or width
            if width == dim > 0:  # nearly always, and fast
                word, _, numbers = line.partition(" ")
            else:
                word, numbers = _with_spaces(f"{path}:{number}", line, dim)
            yield f"{path}:{number}", word, numbers


def _is_header(line: str) -> bool:
    parts = line.split(" ")
    return len(parts) == 2 and all(part.isdecimal() and int(part) > 0 for part in parts)


def _with_spaces(where: str, line: str, dim: int) -> tuple[str, str]:
    parts = line.split(" ")
    size = len(parts) - 1
    if size <= dim or np.isfinite(_number(parts[size - dim])):
        raise DataError(f"{where}: expected a word and {dim or 'its'} numbers; got {size}")
    return " ".join(parts[: size - dim + 1]), " ".join(parts[size - dim + 1 :])


def _vector(where: str, numbers: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        row = np.array([_number(part) for part in numbers.split(" ")], np.float32)
    if not np.isfinite(row).all():
        bad = numbers.split(" ")[int(np.isfinite(row).argmin())]
        raise DataError(f"{where}: expected a finite number; got {bad!r}")
    return row


def _number(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
