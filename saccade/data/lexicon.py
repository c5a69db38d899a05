"""Words to ids: the most frequent words of a person's files, whole."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from saccade.errors import RunError

PAD, UNKNOWN = 0, 1


class Lexicon:
    """Words in a fixed order: the first has id 2, after padding and what was never seen.

    Args:
        words: without the two special ones.

    Raises:
        ValueError: a word that is there twice.

    >>> lexicon = learn({"dog": 3, "a": 7, "cat": 3}, most=2)
    >>> lexicon.words, lexicon.size, lexicon.ids(["a", "cat", "dog"])
    (['a', 'cat'], 4, [2, 3, 1])
    """

    def __init__(self, words: Iterable[str]):
        self.words = list(words)
        self._ids = {word: i for i, word in enumerate(self.words, UNKNOWN + 1)}
        if len(self._ids) != len(self.words):
            raise ValueError(f"expected different words; got {len(self.words) - len(self._ids)} more than once")
        self.size = len(self.words) + UNKNOWN + 1

    def ids(self, words: Sequence[str]) -> list[int]:
        """The id of each word."""
        return [self._ids.get(word, UNKNOWN) for word in words]

    def to_json(self) -> str:
        """The words as a JSON list."""
        return json.dumps(self.words)


def learn(counts: Mapping[str, int], *, least: int = 1, most: int | None = None) -> Lexicon:
    """The lexicon of words that were counted: the most frequent first, equal ones in alphabetical order.

    Args:
        least: how often a word must occur.
        most: the largest number of words, special ones not included; None for all.
    """
    often = sorted((word for word, count in counts.items() if count >= least), key=lambda word: (-counts[word], word))
    return Lexicon(often[:most])


def load(path: Path) -> Lexicon:
    """Read a lexicon that `to_json` wrote.

    Raises:
        RunError: no such file, or not a lexicon.
    """
    try:
        words = json.loads(path.read_text("utf-8"))
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("something else than a JSON list of words")
        return Lexicon(words)
    except OSError as error:
        raise RunError(f"{path}: expected a lexicon; got {error.strerror or error}") from None
    except ValueError as error:  # JSON and UTF-8 too
        raise RunError(f"{path}: expected a lexicon; got {error}") from None
