"""Sentences of tagged words from a person's files: columns as of CoNLL, CoNLL-U or JSON lines, plain or gzipped."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import category

from saccade.data.records import format_of, lines_of, objects_of, unlike
from saccade.errors import DataError, OptionError

Row = tuple[int, list[str]]
"""The number of a line and its cells; no cells where a sentence ends."""

_CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_CHOICES = ("form", "lemma", "upos", "xpos", "deprel")
# Opening marks before a word one by one, the word, closing marks behind it one by one; marks alone too.
# A mark upon a letter (accents, vowel signs) stands here as the one that re is told of: \w does not know them.
_MARK = "\u0300"
_PARTS = re.compile(
    rf"""(?<!\w)["'“‘(\[{{¿¡«](?=.)|[\w@#$€£&%*+/\\<>=~^|_-](?:.*[\w@#$€£&%*+/\\<>=~^|_{_MARK}-])?|\S{_MARK}*"""
)
_ID = re.compile(r"\d+([-.]\d+)?")


class Tagged(NamedTuple):
    """One sentence: as many tags as words, or none where they were not asked for.

    `where` is the file and the line of its first word, if it came from one.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str = ""


@dataclass
class TaggedFile:
    """The tagged sentences of one file or of several in turn, read a line at a time and never held in memory.

    The format follows the name; with `.gz` after it, it is unpacked.

    - `.conllu`: CoNLL-U. Comments, ranges of multiword tokens (`1-2`) and empty nodes (`1.1`) are left out.
    - `.jsonl`, `.json`, `.ndjson`: a list of words and a list of tags on each line.
    - anything else: a word a line, its columns parted by TABs, or by spaces where the first word's line has no TAB; a
      blank line ends a sentence. Every word has as many columns as the first. Lines of `-DOCSTART-` are left out, and
      so is a line that begins with `#` and a space unless it has as many columns as the words have: there `#` is a
      word, as `# O` is in a file of words and tags. `#` and a TAB always begin a word.

    Args:
        paths: the files, read in this order.
        columns: where words and tags are: numbers from 1 in columns (else the first and the last), names out of form,
            lemma, upos, xpos, deprel in CoNLL-U (else form and upos), names in JSON lines (else words and tags).
        unlabelled: whether only the words are wanted; then there need be no tags.

    Raises:
        OptionError: columns that a format cannot have.
        DataError: while iterating, naming file and line: no such file, a word of more or fewer columns than those
            before, no column of tags, more or fewer tags than words, bytes that are not UTF-8; at a file's end: no
            word in it.
    """

    paths: tuple[Path, ...]
    columns: tuple[str, str] | None = None
    unlabelled: bool = False

    def __post_init__(self) -> None:
        if not self.paths:
            raise DataError("expected at least one file of words; got none")
        for name in self.columns or ():
            for path in self.paths:
                _check(name, format_of(path))

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    def __iter__(self) -> Iterator[Tagged]:
        for path in self.paths:
            found = False
            for sentence in self._read(path):
                found = True
                yield sentence
            if not found:
                raise DataError(f"{path}: expected {'' if self.unlabelled else 'tagged '}words; the file is empty")

    def _read(self, path: Path) -> Iterator[Tagged]:
        match format_of(path):
            case ".jsonl":
                return self._read_json_lines(path, *(self.columns or ("words", "tags")))
            case ".conllu":
                return self._sentences(_conllu(path), path, *self._numbers(path))
        return self._sentences(_columns(path), path, *self._numbers(path))

    def _numbers(self, path: Path) -> tuple[int, int]:
        """The column of the words and that of the tags, from 0; -1 is the last."""
        if format_of(path) == ".conllu":
            word, tag = self.columns or ("form", "upos")
            return _CONLLU.index(word), _CONLLU.index(tag)
        if self.columns is None:
            return 0, -1
        return int(self.columns[0]) - 1, int(self.columns[1]) - 1

    def _sentences(self, rows: Iterator[Row], path: Path, word: int, tag: int) -> Iterator[Tagged]:
        words: list[str] = []
        tags: list[str] = []
        first = ""
        for number, cells in rows:
            if cells:
                where = f"{path}:{number}"
                first = first or where
                words.append(_cell(where, cells, word, "word"))
                if not self.unlabelled:
                    if tag == -1 and len(cells) == 1:
                        raise DataError(f"{where}: expected a word and its tag; got 1 column")
                    tags.append(_cell(where, cells, tag, "tag"))
            elif words:
                yield Tagged(tuple(words), tuple(tags), first)
                words, tags, first = [], [], ""
        if words:
            yield Tagged(tuple(words), tuple(tags), first)

    def _read_json_lines(self, path: Path, word: str, tag: str) -> Iterator[Tagged]:
        for found in objects_of(path):
            if found is None:
                continue
            where, record = found
            words = _texts(where, record, word)
            if not words:
                raise DataError(f"{where}: expected a sentence with a word in it; it is empty")
            tags = () if self.unlabelled else _texts(where, record, tag)
            if not self.unlabelled and len(tags) != len(words):
                raise DataError(f"{where}: expected as many tags as words; got {len(tags)} tags for {len(words)} words")
            yield Tagged(words, tags, where)


class _Layout(NamedTuple):
    """How a file of columns is written: parted by TABs or by spaces, and how many columns a word has."""

    tabs: bool
    width: int


def _check(name: str, form: str) -> None:
    if form == ".conllu":
        if name not in _CHOICES:
            raise OptionError(f"--columns: expected two of {', '.join(_CHOICES)} for CoNLL-U; got {name!r}")
    elif form != ".jsonl" and not (name.isdecimal() and int(name) > 0):
        raise OptionError(f"--columns: expected the numbers of two columns, from 1; got {name!r}")


def _texts(where: str, record: dict[str, Any], name: str) -> tuple[str, ...]:
    values = record.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise unlike(where, record, name, f"a list of texts named {name!r}")
    if not all(value.strip(" ") for value in values):
        raise DataError(f"{where}: expected texts in {name!r}; one of them is empty")
    return tuple(values)


def _cell(where: str, cells: list[str], column: int, what: str) -> str:
    if column >= len(cells):
        raise DataError(
            f"{where}: expected a {what} in column {column + 1}; got {len(cells)} columns (choose with --columns)"
        )
    if not cells[column]:
        raise DataError(f"{where}: expected a {what}; it is empty")
    return cells[column]


def _conllu(path: Path) -> Iterator[Row]:
    for number, line in lines_of(path):
        if not line.strip():
            yield number, []
        elif not line.startswith("#"):
            cells = line.split("\t")
            if len(cells) != len(_CONLLU):
                raise DataError(f"{path}:{number}: expected the {len(_CONLLU)} columns of CoNLL-U; got {len(cells)}")
            if not _ID.fullmatch(cells[0]):
                raise DataError(f"{path}:{number}: expected a number in the first column; got {cells[0]!r}")
            if cells[0].isdecimal():
                # An underscore is how CoNLL-U writes nothing, but as a word or a lemma it may be one.
                yield number, cells[:3] + ["" if cell == "_" else cell for cell in cells[3:]]


def _columns(path: Path) -> Iterator[Row]:
    lines, ahead = tee(lines_of(path))
    layout = _layout(ahead)
    del ahead  # else every line would be kept for it
    for number, line in lines:
        cells = _split(line, layout.tabs)
        if _ends(line):
            yield number, []
        elif len(cells) == layout.width:
            yield number, cells
        elif not line.startswith("# "):
            raise DataError(f"{path}:{number}: expected {layout.width} columns, as before; got {len(cells)}")


def _layout(lines: Iterator[tuple[int, str]]) -> _Layout:
    for _, line in lines:
        if not line.startswith("# ") and not _ends(line):
            tabs = "\t" in line
            return _Layout(tabs, len(_split(line, tabs)))
    return _Layout(False, 0)


def _split(line: str, tabs: bool) -> list[str]:
    # Not str.split(): some words hold, or are, a space that does not break.
    return [cell.strip(" ") for cell in line.split("\t")] if tabs else re.split(r"[ \t]+", line.strip(" \t"))


def _ends(line: str) -> bool:
    return line.split(maxsplit=1)[:1] in ([], ["-DOCSTART-"])


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text: parted at spaces, and from the punctuation around them.

    What is parted already stays as it is, but for words that end in a full stop of their own, as "Mr." does.

    >>> words_of('Ann, who lives in Paris (France), said: "Hi!"')
    ('Ann', ',', 'who', 'lives', 'in', 'Paris', '(', 'France', ')', ',', 'said', ':', '"', 'Hi', '!', '"')
    """
    return tuple(word[part.start() : part.end()] for word in text.split() for part in _PARTS.finditer(_marked(word)))


def _marked(word: str) -> str:
    """A word with all its marks alike."""
    return word if word.isascii() else "".join(_MARK if category(one)[0] == "M" else one for one in word)


def is_span_scheme(tags: Iterable[str]) -> bool:
    """Whether tags mark spans of words, so that scores of entities mean something.

    Every tag is O or begins with B- (the first word of a span), I- (inside), E- or L- (the last) or S- or U- (the only
    one), and at least one begins with B-.

    >>> is_span_scheme(["O", "B-person", "I-person"]), is_span_scheme(["NOUN", "VERB"])
    (True, False)
    """
    heads = {tag if tag == "O" else tag[:2] for tag in tags}
    return "B-" in heads and heads <= {"O", "B-", "I-", "E-", "L-", "S-", "U-"}
