"""What can be copied: extended ids, and back to text."""

import numpy as np
import pytest

from saccade.data.copying import Copyable, copyable, with_copies
from saccade.data.paircorpus import Vocabularies, encode, encode_pairs
from saccade.data.pairs import Pair
from saccade.data.tokens import END, PAD, UNKNOWN, learn

SOURCE = learn(["call Ann at home , now"], "word")
TARGET = learn(["home : Ann"], "word")


def test_words_that_the_target_vocabulary_lacks_get_ids_of_their_own():
    found = copyable("call Zoë at home , Zoë now", SOURCE, TARGET)
    size = TARGET.size
    assert found.extra == ["▁call", "▁Zoë", "▁at", "▁,", "▁now"]
    assert found.ids == [size, size + 1, size + 2, TARGET.identity("▁home"), size + 3, size + 1, size + 4, PAD]


def test_a_target_takes_the_ids_of_its_source():
    text, extra = "home : Zoë Bob", ["▁call", "▁Zoë"]
    ids = TARGET.encode(text).ids
    assert ids.count(UNKNOWN) == 2
    assert with_copies(text, ids, TARGET, extra) == [*ids[:2], TARGET.size + 1, UNKNOWN, END]
    assert with_copies(text, ids, TARGET, []) == ids


@pytest.mark.parametrize("text", ["home : Zoë Ann", "Zoë", "home:Zoë", " Zoë  home"])
def test_extended_ids_become_the_text_again(text):
    extra = list(dict.fromkeys(token for token in TARGET.tokens(text) if TARGET.identity(token) is None))
    ids = with_copies(text, TARGET.encode(text).ids, TARGET, extra)
    assert TARGET.decode(ids, extra) == text
    assert "".join(TARGET.label(i, extra) for i in ids[:-1]).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
def test_every_level_copies(level):
    texts = ["one two", "two three!", "o <s> t"]
    vocabulary = learn(texts, level, 300)
    for text in [*texts, "zone <unk> two"]:
        found = copyable(text, vocabulary, vocabulary)
        assert len(found.ids) == len(vocabulary.encode(text).ids)
        assert found.ids[-1] == PAD
        assert vocabulary.decode(found.ids, found.extra) == text


def test_the_empty_text():
    assert copyable("", SOURCE, TARGET) == Copyable([PAD], [])


def test_a_corpus_holds_what_was_encoded(tmp_path):
    pairs = [Pair("call Zoë at home", "home : Zoë"), Pair("call Ann now", "Bob : Ann")]
    vocabularies = Vocabularies(SOURCE, TARGET)
    corpus, encoded = (
        encode_pairs(tmp_path, "t", pairs, vocabularies, 99, copy=True),
        encode(pairs, vocabularies, copy=True),
    )
    for one, other in zip(corpus.batch(np.array([0, 1])), encoded.batch([0, 1]), strict=True):
        assert one is other or (one == other).all()
    assert encoded.targets[0][2] == TARGET.size + encoded.extra[0].index("▁Zoë")
    assert encoded.targets[1][0] == UNKNOWN
    plain = encode_pairs(tmp_path, "p", pairs, vocabularies, 99)
    assert plain.batch(np.array([0])).copy is None
    assert plain.fingerprint != corpus.fingerprint
