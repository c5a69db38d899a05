"""Ids of words that can be copied: those of the target vocabulary, then those that only the source at hand has.

The pointer-generator of See et al. 2017 writes over an extended vocabulary: the target vocabulary, and after it the
tokens of this one source that the target vocabulary lacks, in order of first occurrence.
"""

from typing import NamedTuple

from saccade.data.tokens import PAD, SPECIAL, UNKNOWN, Vocabulary


class Copyable(NamedTuple):
    """A source as what can be copied from it.

    ids:   the extended id at each source token, the end token last, which like anything special is PAD: never copied.
    extra: the tokens that the target vocabulary lacks; `extra[k]` has the id `size of the target vocabulary + k`.
    """

    ids: list[int]
    extra: list[str]


def copyable(text: str, source: Vocabulary, target: Vocabulary) -> Copyable:
    """What can be copied from a source text.

    >>> from saccade.data.tokens import learn
    >>> copyable("abxbx", learn(["abx"], "char"), learn(["ab"], "char"))
    Copyable(ids=[4, 5, 6, 5, 6, 0], extra=['x'])
    """
    ids: list[int] = []
    extra: dict[str, int] = {}
    for token in source.tokens(text):
        known = target.identity(token)
        if known is None:
            known = extra.setdefault(token, target.size + len(extra))
        ids.append(PAD if known < len(SPECIAL) else known)
    return Copyable([*ids, PAD], list(extra))


def with_copies(text: str, ids: list[int], target: Vocabulary, extra: list[str]) -> list[int]:
    """The ids of a target text, in which an unknown token that the source has is its extended id.

    Args:
        text: the target.
        ids: what the target vocabulary makes of it.
        extra: of the source, see `Copyable`.

    >>> from saccade.data.tokens import learn
    >>> vocabulary = learn(["ab"], "char")
    >>> with_copies("axy", vocabulary.encode("axy").ids, vocabulary, ["x"])
    [4, 6, 3, 2]
    """
    if not extra or UNKNOWN not in ids:
        return ids
    place = {token: target.size + k for k, token in enumerate(extra)}
    tokens = [*target.tokens(text), ""]
    return [place.get(token, i) if i == UNKNOWN else i for i, token in zip(ids, tokens, strict=True)]
