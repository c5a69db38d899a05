"""Tags that mark spans of words, and which of them may follow each other: BIO, and BIOES by either of its names."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def may_follow(before: str, after: str, *, ended: bool = False) -> bool:
    """Whether a word tagged `after` may stand behind one tagged `before`; beyond both ends of a sentence stands O.

    A span begins with B- (or is one word, S- or U-), goes on with I- of its own kind, and, in the schemes whose spans
    are `ended`, closes with E- or L- (Ramshaw and Marcus 1995, §4.1, as in CoNLL 2002; Ratinov and Roth 2009, §2).

    >>> may_follow("B-person", "I-person"), may_follow("O", "I-person"), may_follow("B-person", "O", ended=True)
    (True, False, False)
    """
    goes_on, is_open = after[:2] in ("I-", "E-", "L-"), before[:2] in ("B-", "I-")
    if goes_on:
        return is_open and before[2:] == after[2:]
    return not (ended and is_open)


def is_ended(tags: Iterable[str]) -> bool:
    """Whether the spans of these tags have an end of their own, E- or L-.

    >>> is_ended(["O", "B-person", "I-person"]), is_ended(["O", "B-person", "L-person", "U-person"])
    (False, True)
    """
    return any(tag[:2] in ("E-", "L-") for tag in tags)


def is_well_formed(sentence: Sequence[str], *, ended: bool = False) -> bool:
    """Whether every tag of a sentence may follow the one before it.

    >>> is_well_formed(["O", "B-person", "I-person"]), is_well_formed(["O", "I-person"])
    (True, False)
    """
    return all(may_follow(*pair, ended=ended) for pair in pairwise(["O", *sentence, "O"]))


def span_constraints(tags: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """What `may_follow` says of every two tags, for a conditional random field.

    Returns:
        which tag (row) may be followed by which (column), `[tag, tag]`, which may come first and which last, `[tag]`;
        boolean.

    >>> allowed, first, last = span_constraints(["O", "B-x", "I-x"])
    >>> allowed.int().tolist(), first.tolist(), last.tolist()
    ([[1, 1, 0], [1, 1, 1], [1, 1, 1]], [True, True, False], [True, True, True])
    """
    ended = is_ended(tags)
    allowed = torch.tensor([[may_follow(before, after, ended=ended) for after in tags] for before in tags])
    first = torch.tensor([may_follow("O", tag, ended=ended) for tag in tags])
    last = torch.tensor([may_follow(tag, "O", ended=ended) for tag in tags])
    return allowed, first, last
