"""Vocabularies: what was encoded comes back, whatever it says."""

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from saccade.data import PIECES, stretches, times
from saccade.data.alphabet import spread
from saccade.data.tokens import END, SPECIAL, UNKNOWN, Vocabulary, learn, load
from saccade.errors import RunError

TEXTS = [
    "Ein Hund rennt, schnell!",
    "two  spaces and a tab\tand a line\nbreak",
    "下午三点一刻，晚上九点半",
    "naïve cafe\u0301 \U0001f469\u200d\U0001f680 हिन्दी",
    "<s> </s> <pad> <unk> <0x41>",
    " leading and trailing  ",
    "it's 3.14 (or so) -- not 2_000",
    "▁ is no space, a▁b ▁▁ c nor \ufdd0\ufdd1▁\ufdd0\ufdd2\ufdd0",
    "\0 and \x07, \x1b[0m; \u2028\u00a0\u3000 \ufffe 𒀭 𓂀 ᚠ",
]
LEVELS = ["char", "word", "bpe", "unigram"]
levels = pytest.mark.parametrize("level", LEVELS)
pieces = pytest.mark.parametrize("level", PIECES)


@levels
@pytest.mark.parametrize("text", TEXTS)
def test_what_was_encoded_comes_back(level, text):
    vocabulary = learn(TEXTS, level)
    tokens = vocabulary.encode(text)
    assert tokens.ids[-1] == END
    assert tokens.labels[-1] == SPECIAL[END]
    assert len(tokens.ids) == len(tokens.labels)
    assert min(tokens.ids[:-1]) >= len(SPECIAL), "a text that says <s> means it"
    assert vocabulary.decode(tokens.ids) == text
    assert vocabulary.encode_many([text, ""]) == [tokens.ids, [END]]


LEARNT = {level: learn(TEXTS, level, 400) for level in LEVELS}
CHAR = LEARNT["char"]
STRANGE = st.sampled_from("▁\ufdd0\ufdd1\ufdd2 \0<0x41>")


@pieces
@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | STRANGE))
@example("🏳️‍🌈👩‍🚀 \0\x01\x7f\u200b <0x41><s> ▁<0xE2> 𒀭𐎀ꙮ")
def test_no_text_is_unknown_to_pieces(level, text):
    vocabulary = LEARNT[level]
    assert UNKNOWN not in vocabulary.encode(text).ids
    assert vocabulary.decode(vocabulary.encode(text).ids) == text
    assert vocabulary.encode_many([text]) == [vocabulary.encode(text).ids]


@pieces
def test_an_older_vocabulary_reads_as_it_did(level, tmp_path):
    parts = json.loads(LEARNT[level].to_json())
    del parts["normalizer"]["normalizers"][:2]
    del parts["decoder"]["decoders"][-2:]
    (tmp_path / "old.json").write_text(json.dumps(parts), "utf-8")
    old = load(tmp_path / "old.json")
    for text in TEXTS:
        if "▁" not in text and "\ufdd0" not in text:
            assert old.encode(text) == LEARNT[level].encode(text)
            assert old.decode(old.encode(text).ids) == text


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("".join(TEXTS))))
def test_known_characters_come_back_in_any_order(text):
    assert CHAR.decode(CHAR.encode(text).ids) == text
    assert CHAR.encode(text).labels == [*text, SPECIAL[END]]


@levels
def test_what_was_never_seen_is_unknown_and_shown_as_itself(level):
    tokens = learn(["a b c"], level).encode("a Ω c")
    if level in PIECES:
        assert UNKNOWN not in tokens.ids
    else:
        assert tokens.ids.count(UNKNOWN) == 1
        assert tokens.labels[tokens.ids.index(UNKNOWN)].strip() == "Ω"


def test_vocabularies_have_a_largest_size():
    texts = [" ".join(f"w{a}{b}" for b in "abcdefghij") for a in "klmnopqrstuvwxyz"]
    assert learn(texts, "word", 50).size == 50
    for level in PIECES:
        assert learn(texts, level, 300).size <= 300
        assert learn(texts, level, 5).size >= 260, "the bytes are always there"
    assert learn(texts, "char", 5).size == len(set("".join(texts))) + 4


@pieces
def test_rare_characters_leave_room_for_pieces(level):
    texts = [f"thing {chr(0x4E00 + n)} thing {chr(0x4E00 + n % 7)} nothing" for n in range(3000)]
    vocabulary = learn(texts, level, 1000)
    assert vocabulary.size <= 1000
    labels = {vocabulary.label(i) for i in range(vocabulary.size)}
    assert sum(len(label) == 1 for label in labels) <= 374
    assert set(map(chr, range(0x4E00, 0x4E07))) <= labels
    assert len(vocabulary.encode("thing nothing").ids) <= 7
    assert [vocabulary.decode(ids) for ids in vocabulary.encode_many(texts)] == texts


def test_chinese_without_spaces_has_pieces_of_several_characters():
    hours = "一二三四五六七八九十"
    texts = [f"{day}{half}{hour}点{rest}" for day in ("今天", "明天") for half in ("上午", "下午", "晚上")
             for hour in hours for rest in ("半", "一刻", "整")]  # fmt: skip
    vocabulary = learn(texts, "unigram", 320)
    tokens = vocabulary.encode("明天下午三点一刻")
    assert "".join(tokens.labels[:-1]) == vocabulary.decode(tokens.ids) == "明天下午三点一刻"
    assert len(tokens.ids) - 1 <= 5


@pytest.mark.parametrize("size", [340, 500])
def test_sentences_without_spaces_that_stand_there_once_are_no_pieces(size):
    texts = [text for text, _ in times.pairs(2000, 1) if not re.search("[a-z ]", text)]
    vocabulary = learn(texts, "unigram", size)
    labels = {vocabulary.label(i) for i in range(vocabulary.size)}
    assert {"分", "点"} <= labels
    assert not {text for text in texts if len(text) > 8} & labels
    assert sum(len(ids) - 1 for ids in vocabulary.encode_many(texts)) < 0.85 * sum(map(len, texts))


@pytest.mark.parametrize("side", [0, 1])
def test_ends_are_learned_of_every_side_of_pairs(side):
    ends = [f"{stem}{end}" for stem in ("walk", "talk", "jump", "look", "kick", "fill") for end in ("ing", "ed", "ers")]
    texts = [text for word in ends * 3 for text in ((word, "x"), ("x", word))[side]]
    vocabulary = learn(texts, "unigram", 310)
    assert {"ing", "ers"} <= {vocabulary.label(i) for i in range(vocabulary.size)}


LOWER = {level: learn(TEXTS, level, 400, cased=False) for level in LEVELS}
ODD = st.characters(exclude_categories=["Cs"]) | st.sampled_from("▁\ufdd0\ufdd1\ufdd2   ab.,İẞΣ\u0301\t\n中文")


@levels
@pytest.mark.parametrize("cased", [True, False])
@given(st.lists(st.text(ODD, max_size=30), max_size=12))
@settings(max_examples=40, deadline=None)
def test_rows_are_the_ids_one_after_another(level, cased, texts):
    vocabulary = (LEARNT if cased else LOWER)[level]
    for some in (texts, texts[::-1], [*texts, *TEXTS]):
        found, expected = vocabulary.rows(some), vocabulary.encode_many(some)
        assert found.lengths.tolist() == [len(ids) for ids in expected]
        assert found.numbers.tolist() == [i for ids in expected for i in ids]
    assert vocabulary._stretches is not None


@levels
def test_rows_are_the_same_whatever_is_remembered(level, monkeypatch):
    monkeypatch.setattr(stretches, "_KNOWN", 3)
    vocabulary = Vocabulary(learn(TEXTS, level, 400).tokenizer)
    for begin in range(0, len(TEXTS), 2):
        some = [*TEXTS[begin : begin + 3], "x" * 99, *TEXTS[:begin]]
        assert vocabulary.rows(some).numbers.tolist() == [i for ids in vocabulary.encode_many(some) for i in ids]
        assert len(vocabulary._stretches._known) <= 3 or begin == 0
        assert not [part for part in vocabulary._stretches._known if len(part) > 40]


def test_rows_of_a_tokenizer_of_another_make_are_its_own():
    tokenizer = learn(TEXTS, "word").tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), tokenizer.pre_tokenizer])
    vocabulary = Vocabulary(tokenizer)
    assert vocabulary.rows(["to be"]).numbers.tolist() == vocabulary.encode_many(["to be"])[0]
    assert vocabulary._stretches is None


@pieces
def test_common_words_are_pieces_also_where_no_word_is_longer(level):
    texts = [f"{who} {does} the {what}" for who in ("Anna", "Otto") for does in ("reads", "writes")
             for what in ("letter", "novel", "sermon")]  # fmt: skip
    vocabulary = learn(texts * 20, level, 330)
    labels = {vocabulary.label(i) for i in range(vocabulary.size)}
    assert {"reads", "writes", "letter", "novel"} <= labels
    assert not [label for label in labels if "\ufdd3" in label]


def test_a_vocabulary_is_learned_from_a_part_of_many_texts():
    texts = [f"{n:050}" for n in range(1000)]
    for enough in (10**9, 100_000, 99_999, 5_000, 1):
        kept = spread(iter(texts), enough)
        assert sum(len(text) + 50 for text in kept) <= enough or len(kept) == 1
        assert len(kept) >= min(1000, enough // 210)
        assert [int(text) for text in kept] == list(range(0, 1000, int(kept[1]) if len(kept) > 1 else 1000))
    assert spread([]) == []


def test_the_same_texts_give_the_same_vocabularies_in_every_process():
    program = "import sys; from saccade.data.tokens import learn\n"
    program += "for level in sys.argv[2:]: print(learn(eval(sys.argv[1]), level, 400).to_json())"
    command = [sys.executable, "-c", program, repr(TEXTS), *LEVELS]
    first, second = (
        subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    )
    assert first == second
    assert first.count(b"\n") >= len(LEVELS)


@levels
def test_a_vocabulary_survives_the_disk(level, tmp_path):
    vocabulary, path = learn(TEXTS, level), tmp_path / "tokenizer.json"
    path.write_text(vocabulary.to_json(), "utf-8")
    assert [load(path).encode(text) for text in TEXTS] == [vocabulary.encode(text) for text in TEXTS]
    path.write_text(vocabulary.to_json()[:100], "utf-8")
    with pytest.raises(RunError, match=r"tokenizer\.json: expected a tokenizer; got "):
        load(path)
    with pytest.raises(RunError, match=r"no\.json: expected a tokenizer; got "):
        load(tmp_path / "no.json")
