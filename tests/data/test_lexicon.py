"""A lexicon: the most frequent words first, in an order that only the counts decide; loaded as it was saved."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.lexicon import PAD, UNKNOWN, Lexicon, learn, load
from saccade.errors import RunError

COUNTS = Counter({"the": 7, "Zoo": 3, "ape": 3, "名": 3, "once": 1, "again": 1})


def test_the_most_frequent_first_and_equal_ones_in_alphabetical_order():
    order = ["the", "Zoo", "ape", "名", "again", "once"]
    for seed in range(5):
        shuffled = list(COUNTS.items())
        random.Random(seed).shuffle(shuffled)
        assert learn(dict(shuffled)).words == order
    assert learn(COUNTS, least=3).words == learn(COUNTS, most=4).words == order[:4]
    assert learn(COUNTS, least=2, most=1).words == ["the"]
    assert learn(COUNTS, most=0).words == learn({}).words == []


def test_ids():
    lexicon = learn(COUNTS, least=3)
    assert (PAD, UNKNOWN) == (0, 1)
    assert lexicon.size == 6
    assert lexicon.ids(["名", "once", "the", "The", ""]) == [5, 1, 2, 1, 1]
    assert lexicon.ids([]) == []
    assert lexicon.ids(lexicon.words) == list(range(2, lexicon.size))
    assert Lexicon([]).size == 2


def test_a_word_is_there_once():
    with pytest.raises(ValueError, match=r"^expected different words; got 2 more than once$"):
        Lexicon(["a", "b", "a", "c", "b"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters()), unique=True))
def test_what_is_saved_is_loaded(tmp_path_factory, words):
    path = tmp_path_factory.getbasetemp() / "words.json"
    path.write_text(Lexicon(words).to_json(), "utf-8")
    assert load(path).words == words
    assert load(path).to_json() == Lexicon(words).to_json()


BROKEN = {
    b"{": "Expecting property name enclosed in double quotes",
    b'{"a": 1}': "something else than a JSON list of words",
    b'["a", 1]': "something else than a JSON list of words",
    b'["a", "a"]': "expected different words; got 1 more than once",
    b'["\xff"]': "'utf-8' codec can't decode byte 0xff",
}


@pytest.mark.parametrize("data", BROKEN)
def test_a_broken_lexicon(tmp_path, data):
    path = tmp_path / "words.json"
    path.write_bytes(data)
    with pytest.raises(RunError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: expected a lexicon; got {BROKEN[data]}")


def test_no_lexicon(tmp_path):
    with pytest.raises(RunError, match=r"no: expected a lexicon; got No such file or directory$"):
        load(tmp_path / "no")
