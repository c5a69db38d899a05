"""Edits between what was said and what is true: word and character error rates, token edits."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from saccade.errors import MissingExtraError


class ErrorRates(NamedTuple):
    """wer and cer: edits for each true word or character, 0 where all is right, above 1 where much is said in excess;
    the edits of words by their kind, and how many words and characters are true.
    """

    wer: float
    cer: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    characters: int


def error_rates(said: Sequence[str], true: Sequence[str]) -> ErrorRates:
    """Word and character error rate over a whole corpus: `(S + D + I) / N`, the fewest edits that make each true text
    into the one said, summed over texts, by the true words or characters N; from jiwer (Morris et al. 2004).

    Texts are compared as they are, cased and with their punctuation; a run of white space is one space, which is a
    character too, and none counts at either end. A text with nothing true adds what was said as insertions, one with
    nothing said its true words as deletions.

    Raises:
        ValueError: there is not one text said for each true one, or nothing is true at all.

    >>> error_rates(["the cat sat", "a"], ["the cat", "b"])[:5]
    (0.6666666666666666, 0.625, 1, 0, 1)
    """
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtraError(error.name or "jiwer", "train") from None
    if len(said) != len(true):
        raise ValueError(f"said must be one text for each of the {len(true)} true ones; got {len(said)}")
    said, true = ([" ".join(text.split()) for text in side] for side in (said, true))
    if not any(true):
        raise ValueError(f"true must hold at least one word; got {len(true)} texts without")
    words, characters = jiwer.process_words(true, said), jiwer.process_characters(true, said)
    return ErrorRates(
        wer=float(words.wer),
        cer=float(characters.cer),
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        words=words.hits + words.substitutions + words.deletions,
        characters=characters.hits + characters.substitutions + characters.deletions,
    )


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The fewest substitutions, deletions and insertions that make one sequence the other (Levenshtein 1966), from
    rapidfuzz; token ids, words, or the characters of a text.

    >>> edit_distance([4, 5, 6], [4, 6, 6, 7]), edit_distance("sitting", "kitten")
    (2, 3)
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingExtraError(error.name or "rapidfuzz", "train") from None
    return Levenshtein.distance(one, other)
