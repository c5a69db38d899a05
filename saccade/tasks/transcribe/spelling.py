"""Words from tokens that come one by one."""

import re
from typing import NamedTuple
from unicodedata import east_asian_width

from saccade.data.tokens import END, SPECIAL, Vocabulary

_BYTE = re.compile("<0x[0-9A-F]{2}>")  # a token of byte-pair vocabularies: a part of a character


class Heard(NamedTuple):
    """A word that was written, or the end of an utterance.

    text:   the word, with the space before it; joined they are the transcript. Empty at the end of an utterance.
    tokens: it is made of; `</s>` alone at the end of an utterance.
    at:     where the audio that its last token was heard in ends, in seconds: the end of the slot that was attended,
            or of all audio where none was.
    after:  how much audio had come when it was written, in seconds.
    """

    text: str
    tokens: tuple[str, ...]
    at: float
    after: float

    @property
    def ended(self) -> bool:
        """Whether an utterance ended here."""
        return self.tokens == (SPECIAL[END],)


class Spelling:
    """Tokens put together to words: one is whole when the next begins with a space, or where all tokens are words.

    Chinese, Japanese and Korean characters do not wait for a space. Bytes wait for what is no byte, since only then it
    is known which characters they are.

    Args:
        vocabulary: of the tokens.
        whole: whether every token is a word, or a punctuation mark.

    >>> from saccade.data.tokens import learn
    >>> vocabulary = learn(["to be"], "char")
    >>> spelling = Spelling(vocabulary, whole=False)
    >>> [heard.text for token in vocabulary.encode("to be").ids[:-1] for heard in spelling.add(token, 0.5, 0.6)]
    ['to']
    >>> spelling.finish(0.7)
    [Heard(text=' be', tokens=(' ', 'b', 'e'), at=0.5, after=0.7)]
    """

    def __init__(self, vocabulary: Vocabulary, *, whole: bool):
        self.vocabulary, self.whole = vocabulary, whole
        self._before: list[int] = []  # the word before, which tells a space from the one that stands before a text
        self._word: list[int] = []
        self._at = 0.0

    def add(self, identity: int, at: float, after: float) -> list[Heard]:
        """The words that are whole by this token."""
        heard = self.finish(after) if self._word and self._begins(identity) else []
        self._word.append(identity)
        self._at = at
        return heard + self.finish(after) if self._ends(identity) else heard

    def finish(self, after: float) -> list[Heard]:
        """The word that was waiting for its end, if one was."""
        if not self._word:
            return []
        labels = tuple(map(self.vocabulary.label, self._word))
        heard = Heard(self._behind(self._before, self._word), labels, self._at, after)
        self._before, self._word = self._word, []
        return [heard]

    def _begins(self, identity: int) -> bool:
        return not self._is_byte(identity) and self._behind(self._word[-1:], [identity]).startswith(" ")

    def _ends(self, identity: int) -> bool:
        wide = east_asian_width(self.vocabulary.label(identity)[-1]) in "WF"
        return self.whole or (wide and not self._is_byte(identity))

    def _is_byte(self, identity: int) -> bool:
        return _BYTE.fullmatch(self.vocabulary.label(identity)) is not None

    def _behind(self, before: list[int], tokens: list[int]) -> str:
        """The text of some tokens behind others: a text loses the space before its first word, these keep it."""
        return self.vocabulary.decode(before + tokens)[len(self.vocabulary.decode(before)) :]
