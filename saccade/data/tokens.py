"""Texts to token ids and back: characters, words or pieces of words, learned from a person's own files."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Encoding, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from saccade.data import PIECES, Level
from saccade.data.alphabet import commonest, spread
from saccade.data.corpus import Rows, rows_of
from saccade.data.stretches import Stretches
from saccade.errors import RunError, first_line

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]

# A word keeps the space before it (as ▁), punctuation stands alone, and the pieces joined give the text back.
_LETTERS = r"\p{L}\p{M}\p{N}_"
_WORDS = f"▁?[{_LETTERS}]+|▁?(?:\ufdd0[\ufdd1\ufdd2]|[^\\s▁{_LETTERS}])|\\s|▁"
# Where a text itself says ▁ it is escaped, with code points that are kept free for such uses; so are they.
_ESCAPED = (("\ufdd0", "\ufdd0\ufdd2"), ("▁", "\ufdd0\ufdd1"))
_END_MARK = "\ufdd3"


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
        # Characters have no mark for the space.
        self._marked = tokenizer.normalizer is not None and "▁" in tokenizer.normalizer.normalize_str(" ")
        self._stretches: Stretches | None = None

    def encode(self, text: str) -> Tokens:
        """The ids and labels of a text; what was never seen in training is `<unk>` in ids and itself in labels."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        labels = [self._readable(token) for token in self._tokens(text, encoding)]
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

    def rows(self, texts: Sequence[str]) -> Rows:
        """The ids that `encode_many` gives, of all texts one after another: for many texts, several times as fast.

        >>> learn(["to be"], "word").rows(["be", "to be to"])
        Rows(numbers=array([4, 2, 5, 4, 5, 2], dtype=int32), lengths=array([2, 4], dtype=int32))
        """
        if self._stretches is None:
            parted = _parted(self.tokenizer)
            if parted is None:
                return rows_of(self.encode_many(texts))
            self._stretches = Stretches(self.tokenizer, parted, END)
        return self._stretches.rows(texts)

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
        return self._readable(self._name(identity, extra))

    def _readable(self, token: str) -> str:
        return _unmarked(token) if self._marked else token

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


def _unmarked(token: str) -> str:
    # ▁ marks the space before a word or piece; alone it is a space.
    read = " " if token == "▁" else token.removeprefix("▁")
    for written, escaped in reversed(_ESCAPED):
        read = read.replace(escaped, written)
    return read


def learn(texts: Iterable[str], level: Level, size: int = 8000, *, cased: bool = True, least: int = 1) -> Vocabulary:
    """Learn a vocabulary from texts, read once.

    Words and pieces are learned from about 20 million characters; of more texts every second is taken, or every
    fourth, and so on. Of pieces at most half (in a small vocabulary 256) are single characters, the commonest.

    Args:
        level: "char" takes every code point; "word" the most frequent words and punctuation marks; "bpe" byte-pair
            pieces (Sennrich et al. 2016); "unigram" the pieces of a unigram language model (Kudo 2018). Pieces have
            the 256 bytes added, so that no text is unknown.
        size: the largest number of tokens, special ones included, for words and pieces.
        cased: whether capital letters are told from small ones.
        least: how often a word must occur.
    """
    tokenizer = _blank(level)
    if not cased:
        parts = [normalizers.Lowercase()] + ([] if tokenizer.normalizer is None else [tokenizer.normalizer])
        tokenizer.normalizer = normalizers.Sequence(parts)
    if level in PIECES:
        pieces = max(size - 256, 2 * len(SPECIAL))
        some = commonest(spread(texts), min(max(pieces // 2, 256), pieces - 2 * len(SPECIAL)))
        (_learn_pairs if level == "bpe" else _learn_unigrams)(tokenizer, some, pieces)
    else:
        texts = spread(texts) if level == "word" else texts
        words, often = (size, least) if level == "word" else (10**9, 1)
        trainer: Any = trainers.WordLevelTrainer(
            vocab_size=words, min_frequency=often, special_tokens=SPECIAL, show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(_finished(tokenizer, level))


def _learn_pairs(tokenizer: Tokenizer, texts: list[str], size: int) -> None:
    trainer: Any = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)


def _learn_unigrams(tokenizer: Tokenizer, texts: list[str], size: int) -> None:
    # The library only considers what is followed by different characters in different words, so no piece that is only
    # an end. So every other text has an end mark behind each word, which is not kept. Not every text with and without:
    # each sentence of a script without spaces would be there twice, and would be a piece of its own.
    trainer: Any = trainers.UnigramTrainer(
        vocab_size=size + 1, special_tokens=SPECIAL, unk_token=SPECIAL[UNKNOWN], show_progress=False
    )
    mark: Any = normalizers.Replace(Regex(f"(?<=[{_LETTERS}])(?![{_LETTERS}])"), _END_MARK)
    unmarked = (text.replace(_END_MARK, " ") for text in texts)
    # Every other one, but never one side of pairs alone: Thue and Morse's order.
    every_other = (mark.normalize_str(text) if at.bit_count() % 2 else text for at, text in enumerate(unmarked))
    splitter = tokenizer.pre_tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS.replace(_LETTERS, _LETTERS + _END_MARK)), "isolated")
    tokenizer.train_from_iterator(every_other, trainer)
    tokenizer.pre_tokenizer = splitter


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
        raise RunError(f"{path}: expected a tokenizer; got {first_line(error)}") from None


def _blank(level: Level) -> Tokenizer:
    if level == "char":
        tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m:.|\n)"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer
    tokenizer = Tokenizer(_model(level))
    # Not the library's Metaspace: it takes a text's own leading space for the one that it puts there itself.
    escape = [normalizers.Replace(written, escaped) for written, escaped in _ESCAPED]
    tokenizer.normalizer = normalizers.Sequence([*escape, normalizers.Replace(" ", "▁"), normalizers.Prepend("▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    spaces = [decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
    unescape = [decoders.Replace(escaped, written) for written, escaped in reversed(_ESCAPED)]
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), *spaces, *unescape])
    return tokenizer


def _parted(tokenizer: Tokenizer) -> Callable[[str], Sequence[str]] | None:
    """How a text falls into stretches whose ids, one after another, are its own; None for a tokenizer of another make.

    Characters stand alone. Of words and pieces none holds a space (▁) but as its first character, and a normaliser that
    changes one character at a time does not look beyond it.
    """
    known: dict[Level, Callable[[str], Sequence[str]]] = {"char": list, "word": _at_spaces}
    found = json.loads(tokenizer.to_str())
    for level, parted in known.items():
        blank = json.loads(_blank(level).to_str())
        steps, own = (_steps(parts["normalizer"]) for parts in (found, blank))
        if steps and steps[0]["type"] == "Lowercase":
            steps = steps[1:]
        if (steps, found["pre_tokenizer"]) == (own, blank["pre_tokenizer"]):
            return parted
    return None


def _steps(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if normalizer is None:
        return []
    if normalizer["type"] != "Sequence":
        return [normalizer]
    return [step for part in normalizer["normalizers"] for step in _steps(part)]


def _at_spaces(text: str) -> list[str]:
    return text.split(" ") if text else []


def _model(level: Level) -> Any:
    if level == "word":
        return models.WordLevel(unk_token=SPECIAL[UNKNOWN])
    return models.BPE(byte_fallback=True) if level == "bpe" else models.Unigram()


def _finished(tokenizer: Tokenizer, level: Level) -> Tokenizer:
    """The trained tokenizer, in which special tokens are no longer found in text: a text may say `<s>` and mean it."""
    parts: dict[str, Any] = json.loads(tokenizer.to_str())
    model, parts["added_tokens"] = parts["model"], []
    if level == "bpe":
        for byte in range(256):
            model["vocab"].setdefault(f"<0x{byte:02X}>", len(model["vocab"]))
        model["unk_token"] = SPECIAL[UNKNOWN]
    if level == "unigram":
        model["byte_fallback"] = True
        special, learned = model["vocab"][: len(SPECIAL)], _settled(model["vocab"][len(SPECIAL) :])
        model["vocab"] = [*special, *learned, *([f"<0x{byte:02X}>", 0.0] for byte in range(256))]
    return Tokenizer.from_str(json.dumps(parts, ensure_ascii=False))


def _settled(pieces: list[list[Any]]) -> list[list[Any]]:
    """Pieces and their log-probabilities, the same in every process.

    The library sums in an order that changes, which shows in the last digits; and to characters that the model has
    given up it gives the least score, and 0.0001 more each, in an order that changes too: here all have the least.
    """
    least = min((score for _, score in pieces), default=0.0)

    def settled(piece: str, score: float) -> float:
        steps = (score - least) * 10_000
        given_up = len(piece) == 1 and steps < len(pieces) and abs(steps - round(steps)) < 1e-6
        return round(least if given_up else score, 8)

    kept = ([piece, settled(piece, score)] for piece, score in pieces if _END_MARK not in piece)
    return sorted(kept, key=lambda one: (-one[1], one[0]))
