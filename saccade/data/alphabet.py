"""What vocabularies are learned from: enough texts of many, and the characters that are worth a token."""

from collections import Counter
from collections.abc import Iterable

_ENOUGH = 20_000_000  # characters; the library needs up to 50 bytes for each, so that any number of texts fits
_TEXT = 50  # what a text takes beside its characters


def spread(texts: Iterable[str], enough: int = _ENOUGH) -> list[str]:
    """Some of the texts, from beginning to end: all, or every second, fourth, ... so that they are not too many.

    >>> spread((str(n) for n in range(9)), enough=200)
    ['0', '4', '8']
    """
    kept: list[str] = []
    size, stride = 0, 1
    for place, text in enumerate(texts):
        if place % stride:
            continue
        kept.append(text)
        size += len(text) + _TEXT
        while size > enough and len(kept) > 1:
            kept, stride = kept[::2], 2 * stride
            size = sum(map(len, kept)) + _TEXT * len(kept)
    return kept


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
