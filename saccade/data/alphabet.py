"""What vocabularies are learned from: enough texts of many, and the characters that are worth a token."""

from collections import Counter
from collections.abc import Iterable, Sequence

_ENOUGH = 20_000_000  # characters; the library needs up to 50 bytes for each, so that any number of texts fits
_TEXT = 50  # what a text takes beside its characters


def spread(texts: Iterable[str], enough: int = _ENOUGH) -> list[str]:
    """Some of the texts, from beginning to end: all, or every second, fourth, ... so that they are not too many.

    >>> spread((str(n) for n in range(9)), enough=200)
    ['0', '4', '8']
    """
    some = _Spread(enough)
    for text in texts:
        some.add(text)
    return some.kept


def spread_sides(rows: Iterable[Sequence[str]], sides: int) -> list[list[str]]:
    """Of rows of so many texts those that `spread` takes of each side, in one pass.

    >>> spread_sides([("a", "x"), ("b", "y")], 2)
    [['a', 'b'], ['x', 'y']]
    """
    found = [_Spread(_ENOUGH) for _ in range(sides)]
    for row in rows:
        for some, text in zip(found, row, strict=True):
            some.add(text)
    return [some.kept for some in found]


class _Spread:
    def __init__(self, enough: int):
        self.kept: list[str] = []
        self._enough, self._size, self._stride, self._place = enough, 0, 1, 0

    def add(self, text: str) -> None:
        place, self._place = self._place, self._place + 1
        if place % self._stride:
            return
        self.kept.append(text)
        self._size += len(text) + _TEXT
        while self._size > self._enough and len(self.kept) > 1:
            self.kept, self._stride = self.kept[::2], 2 * self._stride
            self._size = sum(map(len, self.kept)) + _TEXT * len(self.kept)


def commonest(texts: list[str], most: int) -> list[str]:
    """The texts with no more than so many different characters beside the space: rarer ones are spaces.

    >>> commonest(["abc", "ab", "a"], 2)
    ['ab ', 'ab', 'a']
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    del counts[" "]
    rare = sorted(counts, key=lambda one: (-counts[one], one))[most:]
    if not rare:
        return texts
    table = dict.fromkeys(map(ord, rare), " ")
    return [text.translate(table) for text in texts]
