"""Pairs of texts in words, and which words belong together: aligned texts, Pharaoh lines, links that people drew."""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from saccade.alignments import Link, Links
from saccade.alignments.symmetry import transposed
from saccade.data.records import lines_of, objects_of
from saccade.errors import DataError

_LINK = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)


class WordPair(NamedTuple):
    """The words of a text and of its translation."""

    source: tuple[str, ...]
    target: tuple[str, ...]


class Gold(NamedTuple):
    """A pair of texts with the links that people drew: those they were sure of, and those that are possible beside.

    `where` is the file and the line.
    """

    words: WordPair
    sure: Links
    possible: Links
    where: str

    def turned(self) -> "Gold":
        """The same of the other direction."""
        words = WordPair(self.words.target, self.words.source)
        return Gold(words, transposed(self.sure), transposed(self.possible), self.where)


def word_pairs(source: Path, target: Path) -> Iterator[WordPair]:
    """The pairs of two aligned files of a sentence a line, its words parted by white space.

    Raises:
        DataError: naming file and line: no such file, bytes that are not UTF-8, a line without a word, files of
            different lengths, or without a line.
    """
    empty = True
    for first, second in zip_longest(lines_of(source), lines_of(target)):
        if first is None or second is None:
            raise _shorter(source if first is None else target, (first or second)[0])
        yield WordPair(_words(source, *first), _words(target, *second))
        empty = False
    if empty:
        raise DataError(f"{source}: expected sentences, one a line; the file is empty")


def _words(path: Path, number: int, line: str) -> tuple[str, ...]:
    words = tuple(line.split())
    if not words:
        raise DataError(f"{path}:{number}: expected a word at least; the line is empty")
    return words


def _shorter(path: Path, number: int) -> DataError:
    return DataError(f"{path}: expected as many lines as its partner; it ends before line {number}")


def pharaoh(links: Links) -> str:
    """Links in one line, by source word and then by target word.

    >>> pharaoh({(1, 2), (0, 0), (1, 0)})
    '0-0 1-0 1-2'
    """
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def parse_pharaoh(line: str, lengths: tuple[int, int], where: str) -> Links:
    """The links in a line.

    Args:
        lengths: how many words source and target have.
        where: the file and the line, for errors.

    Raises:
        DataError: what is no link, as a negative number, and a link of a word that is not there.

    >>> sorted(parse_pharaoh("1-0 0-0", (2, 1), "a:1"))
    [(0, 0), (1, 0)]
    """
    return frozenset(_within(_link(word, where), lengths, where) for word in line.split())


def _link(word: str, where: str) -> Link:
    found = _LINK.fullmatch(word)
    if found is None:
        raise DataError(f"{where}: expected links as 0-1, source and target word counted from 0; got {word[:40]!r}")
    return int(found[1]), int(found[2])


def _within(link: Link, lengths: tuple[int, int], where: str) -> Link:
    if not all(0 <= place < length for place, length in zip(link, lengths, strict=True)):
        there = f"{lengths[0]} source and {lengths[1]} target words, counted from 0"
        raise DataError(f"{where}: expected links between {there}; got {link[0]}-{link[1]}")
    return link


def read_pharaoh(path: Path, lengths: Iterable[tuple[int, int]]) -> Iterator[Links]:
    """The links of each pair of texts, from a file of a line a pair; an empty line has none.

    Args:
        lengths: of each pair, how many words source and target have.

    Raises:
        DataError: naming file and line: no such file, bytes that are not UTF-8, what is no link, a link of a word
            that is not there, more or fewer lines than pairs.
    """
    for number, (found, sizes) in enumerate(zip_longest(lines_of(path), lengths), 1):
        if found is None:
            raise DataError(f"{path}: expected a line for each pair; it ends before line {number}")
        if sizes is None:
            raise DataError(f"{path}:{number}: expected a line for each of {number - 1} pairs; got another")
        yield parse_pharaoh(found[1], sizes, f"{path}:{number}")


def read_gold(path: Path) -> Iterator[Gold]:
    """Pairs with links that people drew, from JSON lines: `src` and `tgt`, lists of words; `sure` and `possible`,
    lists of [source word, target word] counted from 0.

    Raises:
        DataError: naming file and line: no such file, a line that is no such object, a link of a word that is not
            there; at the end: no pair at all.
    """
    empty = True
    for found in objects_of(path):
        if found is not None:
            where, record = found
            words = WordPair(*(_list_of_words(where, record, name) for name in ("src", "tgt")))
            lengths = len(words.source), len(words.target)
            sure, possible = (_links(where, record, name, lengths) for name in ("sure", "possible"))
            yield Gold(words, sure, possible, where)
            empty = False
    if empty:
        raise DataError(f"{path}: expected pairs with their links; the file is empty")


def _list_of_words(where: str, record: dict[str, Any], name: str) -> tuple[str, ...]:
    words = record.get(name)
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise DataError(f"{where}: expected a list of words named {name!r}; got {_said(record, name)}")
    return tuple(words)


def _links(where: str, record: dict[str, Any], name: str, lengths: tuple[int, int]) -> Links:
    pairs = record.get(name)
    if not isinstance(pairs, list) or not all(_is_link(pair) for pair in pairs):
        raise DataError(f"{where}: expected a list of [source, target] named {name!r}; got {_said(record, name)}")
    return frozenset(_within((source, target), lengths, where) for source, target in pairs)


def _is_link(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(place) is int for place in pair)


def _said(record: dict[str, Any], name: str) -> str:
    return repr(record[name])[:60] if name in record else f"only {', '.join(record)}"
