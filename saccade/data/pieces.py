"""Texts to the ids of pieces, by a tokenizer that came with a model that others have trained."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer

from saccade.data.tokens import read_tokenizer


class PiecedWords(NamedTuple):
    """A sentence of words in pieces.

    ids:   of the pieces, special ones in front and behind among them.
    first: where the first piece of each word stands, from 1 on; 0 for a word that has none.
    """

    ids: list[int]
    first: list[int]


class Pieces:
    """A tokenizer of the Hugging Face library with its special pieces; ids are one more than its own: 0 is padding.

    It has what a `Vocabulary` has to read texts. What a text says is never taken for a special piece.

    Args:
        text: the tokenizer's JSON.
        apart: whether what is read are words that stand apart, as if each had a space before it.
    """

    def __init__(self, text: str, *, apart: bool = False):
        self._tokenizer = Tokenizer.from_str(_apart(text) if apart else text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        self.text = text
        self.special: int = self._tokenizer.num_special_tokens_to_add(False)
        """How many special pieces stand around a text."""
        own = self._tokenizer.get_vocab(with_added_tokens=False).values()
        self.size = max((*own, *self._tokenizer.encode("").ids), default=-1) + 1
        """How many pieces a text may be cut into, special ones among them and padding not."""
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        found = None if unknown is None else self._tokenizer.token_to_id(unknown)
        self.unknown = 0 if found is None else found + 1

    def cut_many(self, texts: Sequence[str], most: int) -> list[tuple[list[int], bool]]:
        """The ids of at most so many pieces of each text between special ones, and whether there are more of them."""
        found = []
        for encoding in self._tokenizer.encode_batch(list(texts)):
            ids, kept = encoding.ids, _kept(encoding, most)
            found.append(([ids[place] + 1 for place in kept], 0 < len(kept) < len(ids)))
        return found

    def spans(self, text: str, most: int) -> list[tuple[str, int]]:
        """How the words of a text read, and of how many pieces each is; special pieces stand for themselves."""
        encoding, spans = self._tokenizer.encode(text), []
        words, tokens, offsets = encoding.word_ids, encoding.tokens, encoding.offsets
        for word, some in groupby(_kept(encoding, most), lambda i: (words[i], i if words[i] is None else -1)):
            places = list(some)
            reads = text[offsets[places[0]][0] : offsets[places[-1]][1]] if word[0] is not None else tokens[places[0]]
            spans.append((reads.strip() or reads, len(places)))
        return spans

    def words_many(self, sentences: Sequence[Sequence[str]]) -> list[PiecedWords]:
        """The pieces of the words of each sentence."""
        found = self._tokenizer.encode_batch([list(words) for words in sentences], is_pretokenized=True)
        return [_pieced(encoding, len(words)) for encoding, words in zip(found, sentences, strict=True)]

    def to_json(self) -> str:
        """The whole tokenizer as JSON."""
        return self.text


def load(path: Path, *, apart: bool = False) -> Pieces:
    """Read a tokenizer that `to_json` wrote.

    Raises:
        RunError: no such file, or not a tokenizer.
    """
    return Pieces(read_tokenizer(path).to_str(), apart=apart)


def _kept(encoding: Encoding, most: int) -> list[int]:
    """The places of at most so many pieces, and of the special ones around them; of nothing, none."""
    special = encoding.special_tokens_mask
    own = [place for place, is_special in enumerate(special) if not is_special][:most]
    return sorted(own + [place for place, is_special in enumerate(special) if is_special]) if own else []


def _pieced(encoding: Encoding, words: int) -> PiecedWords:
    first = [0] * words
    for place, word in enumerate(encoding.word_ids, 1):
        if word is not None and not first[word]:
            first[word] = place
    return PiecedWords([i + 1 for i in encoding.ids], first)


def _apart(text: str) -> str:
    """The tokenizer for which each word has a space before it, where pieces tell."""
    parts: dict[str, Any] = json.loads(text)
    splitter = parts.get("pre_tokenizer") or {}
    for part in (splitter, *splitter.get("pretokenizers", ())):
        if part.get("type") == "ByteLevel":
            part["add_prefix_space"] = True
        if part.get("type") == "Metaspace":
            part["prepend_scheme"] = "always"
    return json.dumps(parts)
