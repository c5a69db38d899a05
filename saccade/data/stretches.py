"""Texts to ids by their stretches: what stands between spaces is encoded once, and looked up from then on."""

from array import array
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from tokenizers import Tokenizer

from saccade.data.corpus import Rows

_KNOWN = 1 << 16  # stretches that are remembered, and as many again that were met before; some 200 bytes each
_LONGEST = 40  # characters of one that is: a script without spaces says whole sentences only once


class Stretches:
    """A tokenizer of the Hugging Face library that remembers.

    Args:
        tokenizer: one that gives a text the ids of its stretches one after another.
        parted: the stretches of a text. An empty one is a space that follows another.
        end: the id behind each text.
    """

    def __init__(self, tokenizer: Tokenizer, parted: Callable[[str], Sequence[str]], end: int):
        self._tokenizer, self._parted = tokenizer, parted
        self._known: dict[str, bytes] = {}
        self._before: dict[str, bytes] = {}
        self._end = _bytes([end])

    def rows(self, texts: Sequence[str]) -> Rows:
        """The ids of each text and the end."""
        parts = [self._parted(text) for text in texts]
        self._learn(set(chain.from_iterable(parts)))
        ids = [b"".join(map(self._known.__getitem__, some)) + self._end for some in parts]
        lengths = np.fromiter(map(len, ids), np.int32, len(ids)) // 4
        self._forget()
        return Rows(np.frombuffer(b"".join(ids), np.int32), lengths)

    def _learn(self, needed: set[str]) -> None:
        needed -= self._known.keys()
        there = needed & self._before.keys()
        self._known.update((part, self._before[part]) for part in there)
        new = list(needed - there)
        found = self._tokenizer.encode_batch_fast([part or " " for part in new], add_special_tokens=False)
        for part, encoding in zip(new, found, strict=True):
            # A space alone is encoded with the one that every text has before it.
            ids = encoding.ids if part else encoding.ids[: len(encoding.ids) // 2]
            self._known[part] = _bytes(ids)
        self._long = [part for part in new if len(part) > _LONGEST]

    def _forget(self) -> None:
        for part in self._long:
            del self._known[part]
        if len(self._known) > _KNOWN:
            self._known, self._before = {}, self._known


def _bytes(ids: Sequence[int]) -> bytes:
    return array("i", ids).tobytes()
