"""Texts to token ids and back: characters, words or byte-pair pieces, learned from a person's own files."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Encoding, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from saccade.data import Level
from saccade.errors import RunError

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]

# A word keeps the space before it (as ▁), punctuation stands alone, and the pieces joined give the text back.
_WORDS = Regex(r"▁?[\p{L}\p{M}\p{N}_]+|▁?[^\s▁\p{L}\p{M}\p{N}_]|\s|▁")


class Tokens(NamedTuple):
    """An encoded text: ids with the end token last, and how each reads; `</s>` stands for the end."""

    ids: list[int]
    labels: list[str]


class Vocabulary:
    """A tokenizer of the Hugging Face library with the four special tokens of this house in front.

    >>> vocabulary = learn(["to be", "to see"], "char")
    >>> vocabulary.encode("bet").labels
    ['b', 'e', 't', '</s>']
    >>> vocabulary.decode(vocabulary.encode("to be").ids)
    'to be'
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size()
        self.unknown = UNKNOWN

    def encode(self, text: str) -> Tokens:
        """The ids and labels of a text; what was never seen in training is `<unk>` in ids and itself in labels."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        labels = [_readable(token) for token in self._tokens(text, encoding)]
        return Tokens([*encoding.ids, END], [*labels, SPECIAL[END]])

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text as the tokenizer names them, those never seen in training too; without an end token."""
        return self._tokens(text, self.tokenizer.encode(text, add_special_tokens=False))

    def _tokens(self, text: str, encoding: Encoding) -> list[str]:
        if UNKNOWN not in encoding.ids:
            return list(encoding.tokens)
        # Only characters and words can be unknown, and they are what the text is first split into.
        normalizer, splitter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        assert splitter is not None
        normal = text if normalizer is None else normalizer.normalize_str(text)
        return [token for token, _ in splitter.pre_tokenize_str(normal)]

    def identity(self, token: str) -> int | None:
        """The id of a token as `tokens` names it; None for what was never seen."""
        identity: int | None = self.tokenizer.token_to_id(token)
        return identity

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, the end token last; on all cores."""
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[*encoding.ids, END] for encoding in encodings]

    def cut_many(self, texts: Sequence[str], most: int) -> list[tuple[list[int], bool]]:
        """The ids of at most so many tokens of each text, without an end token, and whether there are more of them."""
        return [(ids[:-1][:most], len(ids) > most + 1) for ids in self.encode_many(texts)]

    def spans(self, text: str, most: int) -> list[tuple[str, int]]:
        """How each of at most so many tokens of a text reads, and how many ids it is: one."""
        return [(label, 1) for label in self.encode(text).labels[:-1][:most]]

    def written_many(self, texts: Sequence[str], most: int) -> list[list[str]]:
        """At most so many tokens of each text as the text writes them, capitals kept.

        >>> learn(["a film"], "word", cased=False).written_many(["A FILM"], 9)
        [['A', 'FILM']]
        """
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            [text[begin:end].removeprefix(" ") or " " for begin, end in encoding.offsets[:most]]
            for text, encoding in zip(texts, found, strict=True)
        ]

    def stretches_many(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where each token of each text stands in it: its first character and the one behind its last; no end token.

        >>> learn(["to be"], "word").stretches_many(["to be"])
        [[(0, 2), (2, 5)]]
        """
        return [encoding.offsets for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def label(self, identity: int, extra: Sequence[str] = ()) -> str:
        """How a token reads; ids beyond the vocabulary are those of `extra`."""
        return _readable(self._name(identity, extra))

    def decode(self, ids: Sequence[int], extra: Sequence[str] = ()) -> str:
        """The text of some ids, special tokens left out; ids beyond the vocabulary are those of `extra`."""
        assert self.tokenizer.decoder is not None
        text: str = self.tokenizer.decoder.decode([self._name(i, extra) for i in ids if i >= len(SPECIAL)])
        return text

    def _name(self, identity: int, extra: Sequence[str]) -> str:
        return str(self.tokenizer.id_to_token(identity)) if identity < self.size else extra[identity - self.size]

    def to_json(self) -> str:
        """The whole tokenizer as JSON."""
        text: str = self.tokenizer.to_str(pretty=True)
        return text


def _readable(token: str) -> str:
    # ▁ marks the space before a word or piece; alone it is a space.
    return " " if token == "▁" else token.removeprefix("▁")


def learn(texts: Iterable[str], level: Level, size: int = 8000, *, cased: bool = True, least: int = 1) -> Vocabulary:
    """Learn a vocabulary from texts, read once.

    Args:
        level: "char" takes every code point; "word" the most frequent words and punctuation marks; "bpe" byte-pair
            pieces (Sennrich et al. 2016), with the 256 bytes added so that no text is unknown.
        size: the largest number of tokens, special ones included, for words and pieces.
        cased: whether capital letters are told from small ones.
        least: how often a word must occur.
    """
    tokenizer = _blank(level)
    if not cased:
        parts = [normalizers.Lowercase()] + ([] if tokenizer.normalizer is None else [tokenizer.normalizer])
        tokenizer.normalizer = normalizers.Sequence(parts)
    if level == "bpe":
        pieces = max(size - 256, len(SPECIAL))
        trainer: Any = trainers.BpeTrainer(vocab_size=pieces, special_tokens=SPECIAL, show_progress=False)
    else:
        words, often = (size, least) if level == "word" else (10**9, 1)
        trainer = trainers.WordLevelTrainer(
            vocab_size=words, min_frequency=often, special_tokens=SPECIAL, show_progress=False
        )
    tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(_finished(tokenizer, level))


def load(path: Path) -> Vocabulary:
    """Read a vocabulary that `to_json` wrote.

    Raises:
        RunError: no such file, or not a tokenizer.
    """
    return Vocabulary(read_tokenizer(path))


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer of the Hugging Face library, from its JSON.

    Raises:
        RunError: no such file, or not a tokenizer.
    """
    try:
        return Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise RunError(f"{path}: expected a tokenizer; got {str(error).splitlines()[0]}") from None


def _blank(level: Level) -> Tokenizer:
    if level == "char":
        tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m:.|\n)"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer
    model = models.WordLevel(unk_token=SPECIAL[UNKNOWN]) if level == "word" else models.BPE(byte_fallback=True)
    tokenizer = Tokenizer(model)
    # Not the library's Metaspace: it takes a text's own leading space for the one that it puts there itself.
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(" ", "▁"), normalizers.Prepend("▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_WORDS, "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _finished(tokenizer: Tokenizer, level: Level) -> Tokenizer:
    """The trained tokenizer, in which special tokens are no longer found in text: a text may say `<s>` and mean it."""
    parts: dict[str, Any] = json.loads(tokenizer.to_str())
    parts["added_tokens"] = []
    if level == "bpe":
        vocabulary = parts["model"]["vocab"]
        for byte in range(256):
            vocabulary.setdefault(f"<0x{byte:02X}>", len(vocabulary))
        parts["model"]["unk_token"] = SPECIAL[UNKNOWN]
    return Tokenizer.from_str(json.dumps(parts, ensure_ascii=False))
