"""Pairs of texts with the links of their words, from a person's files: what guides attention in training."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import NamedTuple

from saccade.alignments import Links
from saccade.data.aligned import read_pharaoh
from saccade.data.pairs import PairFile


class LinkedPair(NamedTuple):
    """One example: texts whose words one space parts, and which words belong together."""

    source: str
    target: str
    links: Links


@dataclass
class LinkedFile:
    """The pairs of a file, each with its line of a file of Pharaoh links; read a line at a time.

    White space between words is read as one space. An empty line of the pairs has an empty line of links.

    Raises:
        DataError: while iterating, naming file and line: what `PairFile` and `read_pharaoh` refuse.
    """

    pairs: PairFile
    links: Path

    def __str__(self) -> str:
        return str(self.pairs)

    def __iter__(self) -> Iterator[LinkedPair]:
        lines, again = tee((line and tuple(side.split() for side in line)) for line in self.pairs.lines())
        sizes = ((0, 0) if line is None else (len(line[0]), len(line[1])) for line in again)
        for links, line in zip(read_pharaoh(self.links, sizes), lines, strict=True):
            if line is not None:
                yield LinkedPair(" ".join(line[0]), " ".join(line[1]), links)
