"""Words to the ids of their characters."""

from collections.abc import Iterable, Sequence

from saccade.data.lexicon import Lexicon

LONGEST_WORD = 30
"""Characters of a word that are read: web addresses have hundreds."""


def spelled(words: Sequence[str], characters: Lexicon) -> list[list[int]]:
    """The ids of the first characters of each word, between two of their own that mark where it begins and ends.

    >>> spelled(["ab", "b?"], Lexicon("ab"))
    [[4, 2, 3, 5], [4, 3, 1, 5]]
    """
    begin, end = characters.size, characters.size + 1
    return [[begin, *characters.ids(word[:LONGEST_WORD]), end] for word in words]


def count(characters: Lexicon) -> int:
    """How many ids there are, with padding, unknown characters and the two marks.

    >>> count(Lexicon("ab"))
    6
    """
    return characters.size + 2


class Forms:
    """Different words as they were written, numbered from 1 on in the order in which they came: each is spelled once.

    >>> forms = Forms()
    >>> forms.numbers(["ab", "b", "ab"]), forms.spelled(Lexicon("ab"))
    ([1, 2, 1], [[0], [4, 2, 3, 5], [4, 3, 5]])
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The number of each word."""
        return [self._numbers.setdefault(word, len(self._numbers) + 1) for word in words]

    def spelled(self, characters: Lexicon) -> list[list[int]]:
        """The ids of the characters of padding and of each word, by its number."""
        return [[0], *spelled(list(self._numbers), characters)]
