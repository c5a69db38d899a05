"""Labelled texts and documents from a person's files: TSV, CSV or JSON lines, plain or gzipped."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from saccade.data.records import fields_of, format_of, objects_of, rows_of, unlike
from saccade.errors import DataError

_CLOSING = "\"'”’»」』）)\\]"
# A run of stops is looked at once, from its first stop on: so the time stays linear in the length of the run.
_END = re.compile(rf"(?<![.!?])[.!?]++[{_CLOSING}]*+(?=\s)|[。！？]++[{_CLOSING}]*+")


class Labelled(NamedTuple):
    """One example: a text is one sentence, a document several; `where` is the file and line it came from, if any."""

    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    where: str = ""

    @property
    def text(self) -> str:
        """The sentences joined by a space."""
        return " ".join(self.sentences)


@dataclass
class LabelledFile:
    """The labelled texts of one file or of several in turn, read a line at a time and never held in memory.

    The format follows the name: `.csv` with a header, `.jsonl` / `.json` / `.ndjson`, anything else is label TAB text;
    with `.gz` after it, it is unpacked. JSON lines hold a text or a list of sentences under the name of the text, or
    else a list under "sentences"; a label that is a number or a truth value there is taken as its JSON text. Spaces
    around a label, empty sentences of a document and the second of two equal labels are left out. Empty lines are
    skipped and counted.

    Args:
        paths: the files, read in this order.
        columns: the names of the text and the label in CSV (its header) and JSON lines.
        several: whether an example has several labels: fields are split at commas, JSON holds a list of them.
        unlabelled: whether only the texts are wanted: a TSV line may be a text alone, and other formats need no label.

    Raises:
        DataError: while iterating, naming file and line: no such file, a line that is no labelled text, an empty label
            or text, a list of labels where there is one, bytes that are not UTF-8; at a file's end: no text in it.
    """

    paths: tuple[Path, ...]
    columns: tuple[str, str] = ("text", "label")
    several: bool = False
    unlabelled: bool = False
    skipped: int = field(default=0, init=False)
    """Empty lines met in the last pass."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise DataError("expected at least one file of texts; got none")

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    def __iter__(self) -> Iterator[Labelled]:
        self.skipped = 0
        for path in self.paths:
            found = False
            for example in self._read(path):
                if example is None:
                    self.skipped += 1
                else:
                    found = True
                    yield example
            if not found:
                raise DataError(f"{path}: expected {'' if self.unlabelled else 'labelled '}texts; the file is empty")

    def _read(self, path: Path) -> Iterator[Labelled | None]:
        if format_of(path) == ".jsonl":
            return self._read_json_lines(path)
        return self._read_fields(path)

    def _read_fields(self, path: Path) -> Iterator[Labelled | None]:
        if format_of(path) == ".csv":
            records = rows_of(path, self.columns[:1] if self.unlabelled else self.columns)
        elif self.unlabelled:
            records = fields_of(path, (1, 2), "a text alone, or label TAB text")
        else:
            records = fields_of(path, (2,), "label TAB text")
        for record in records:
            if record is None:
                yield None
                continue
            where, cells = record
            text, *labels = cells if format_of(path) == ".csv" else reversed(cells)
            labels = [] if self.unlabelled else labels
            if self.several:
                labels = [part for label in labels for part in label.split(",")]
            yield _labelled(where, labels, [text])

    def _read_json_lines(self, path: Path) -> Iterator[Labelled | None]:
        text, label = self.columns
        for found in objects_of(path):
            if found is None:
                yield None
                continue
            where, record = found
            labels = [] if self.unlabelled else _labels(where, record, label, self.several)
            yield _labelled(where, labels, _sentences(where, record, text))


def _labels(where: str, record: dict[str, Any], name: str, several: bool) -> list[str]:
    value = record.get(name)
    if isinstance(value, list) and not several:
        raise DataError(f"{where}: expected one label; got a list of {len(value)}")
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise unlike(where, record, name, f"a label named {name!r}")
    if not values:
        raise DataError(f"{where}: expected a label; got an empty list")
    return [one if isinstance(one, str) else json.dumps(one) for one in values]


def _sentences(where: str, record: dict[str, Any], name: str) -> list[str]:
    there = name if name in record else "sentences"
    value = record.get(there)
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        what = "a text or a list of sentences named"
        raise unlike(where, record, there, f"{what} {name!r}" + (" or 'sentences'" if name != there else ""))
    return value


def _labelled(where: str, labels: Sequence[str], sentences: Sequence[str]) -> Labelled:
    names = [label.strip() for label in labels]
    if not all(names):
        raise DataError(f"{where}: expected a label; it is empty")
    some = tuple(sentence for sentence in sentences if sentence.strip())
    if not some:
        what = "a text" if len(sentences) == 1 else "a document with a sentence in it"
        raise DataError(f"{where}: expected {what}; it is empty")
    return Labelled(tuple(dict.fromkeys(names)), some, where)


def sentences_of(text: str) -> tuple[str, ...]:
    """The sentences of a running text, without the spaces around them.

    A sentence ends at a line break; after `.`, `!` or `?`, with closing quotes and brackets, before a space; and after
    `。`, `！` or `？`, likewise, whatever follows. Nothing is known of abbreviations: "Mr. Smith" is two sentences.

    >>> sentences_of('It rained. "Why?" she asked... at 3.30!')
    ('It rained.', '"Why?"', 'she asked...', 'at 3.30!')
    >>> sentences_of("下雨了。为什么？！她问“谁？”")
    ('下雨了。', '为什么？！', '她问“谁？”')
    """
    lines = (line.strip() for line in _END.sub(r"\g<0>\n", text).splitlines())
    return tuple(line for line in lines if line)
