"""Vocabularies: what was encoded comes back, whatever it says."""

import hashlib
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.tokens import END, SPECIAL, UNKNOWN, learn, load
from saccade.errors import RunError

TEXTS = [
    "Ein Hund rennt, schnell!",
    "two  spaces and a tab\tand a line\nbreak",
    "下午三点一刻，晚上九点半",
    "naïve cafe\u0301 \U0001f469\u200d\U0001f680 हिन्दी",
    "<s> </s> <pad> <unk> <0x41>",
    " leading and trailing  ",
    "it's 3.14 (or so) -- not 2_000",
]
levels = pytest.mark.parametrize("level", ["char", "word", "bpe"])


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


BPE, CHAR = learn(TEXTS, "bpe", 400), learn(TEXTS, "char")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"])))
def test_no_text_is_unknown_to_pieces(text):
    assert UNKNOWN not in BPE.encode(text).ids
    assert BPE.decode(BPE.encode(text).ids) == text


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("".join(TEXTS))))
def test_known_characters_come_back_in_any_order(text):
    assert CHAR.decode(CHAR.encode(text).ids) == text
    assert CHAR.encode(text).labels == [*text, SPECIAL[END]]


@levels
def test_what_was_never_seen_is_unknown_and_shown_as_itself(level):
    tokens = learn(["a b c"], level).encode("a Ω c")
    if level == "bpe":
        assert UNKNOWN not in tokens.ids
    else:
        assert tokens.ids.count(UNKNOWN) == 1
        assert tokens.labels[tokens.ids.index(UNKNOWN)].strip() == "Ω"


def test_vocabularies_have_a_largest_size():
    texts = [" ".join(f"w{a}{b}" for b in "abcdefghij") for a in "klmnopqrstuvwxyz"]
    assert learn(texts, "word", 50).size == 50
    assert learn(texts, "bpe", 300).size <= 300
    assert learn(texts, "bpe", 5).size >= 260, "the bytes are always there"
    assert learn(texts, "char", 5).size == len(set("".join(texts))) + 4


@levels
def test_the_same_texts_give_the_same_vocabulary_in_every_process(level):
    program = "import sys; from saccade.data.tokens import learn\n"
    program += "sys.stdout.write(learn(eval(sys.argv[1]), sys.argv[2], 400).to_json())"
    digests = {
        hashlib.sha256(
            subprocess.run(
                [sys.executable, "-c", program, repr(TEXTS), level],
                capture_output=True,
                check=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            ).stdout
        ).hexdigest()
        for seed in ("1", "2")
    }
    assert len(digests) == 1


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
