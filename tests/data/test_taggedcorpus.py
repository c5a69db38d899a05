"""Encoded tagged sentences: what a batch holds, what is left out, which tags are refused."""

import numpy as np
import pytest
import torch

from saccade.data.characters import LONGEST_WORD, count
from saccade.data.lexicon import UNKNOWN
from saccade.data.tagged import Tagged, TaggedFile
from saccade.data.taggedcorpus import TagCodec, TaggedCorpus, learn_codec, side_by_side
from saccade.errors import DataError

WORDS = ["Ann", "sees", "Bo", "in", "Ulm", ",", "Rothenburg-ob-der-Tauber", "or", "下午"]
TAGS = ("NOUN", "VERB", "PUNCT")
SENTENCES = [
    Tagged(tuple(WORDS[(n + i) % 9] for i in range(n % 7 + 1)), tuple(TAGS[(n * i) % 3] for i in range(n % 7 + 1)))
    for n in range(29)
]
CODEC = learn_codec(SENTENCES[:11], SENTENCES, cased=False, least=1, most=7)
SPANS = [Tagged(("Ann", "Lee", "sees"), ("B-p", "I-p", "O")), Tagged(("Ulm",), ("B-q",))]


def corpus(folder, sentences=SENTENCES, codec: TagCodec = CODEC, max_length=99, name="c") -> TaggedCorpus:
    return TaggedCorpus(folder, name, sentences, codec, max_length)


def between_marks(word: str) -> list[int]:
    known = CODEC.characters
    return [known.size, *known.ids(word), known.size + 1]


@pytest.mark.parametrize("indices", [[0], [28, 3, 3, 7, 0], list(range(29))])
def test_a_batch_is_each_sentence_encoded_alone(tmp_path, indices):
    batch = corpus(tmp_path).batch(np.array(indices))
    longest = max(len(SENTENCES[i].words) for i in indices)
    assert batch.words.shape == batch.tags.shape == batch.characters.shape[:2] == (len(indices), longest)
    for row, index in enumerate(indices):
        words, tags, _ = SENTENCES[index]
        rest = [0] * (longest - len(words))
        assert int(batch.lengths[row]) == len(words)
        assert batch.words[row].tolist() == CODEC.words.ids([word.lower() for word in words]) + rest
        assert batch.tags[row].tolist() == [CODEC.tags.index(tag) for tag in tags] + rest
        for place, read in enumerate(batch.characters[row].tolist()):
            expected = between_marks(words[place]) if place < len(words) else []
            assert read == expected + [0] * (len(read) - len(expected))


def test_what_an_answer_is_made_of_is_what_training_had(tmp_path):
    indices = np.array([5, 2, 11])
    batch = corpus(tmp_path).batch(indices)
    words, lengths, characters, _ = side_by_side([SENTENCES[i].words for i in indices], CODEC)
    for one, other in ((words, batch.words), (lengths, batch.lengths), (characters, batch.characters)):
        assert torch.equal(one, other)


def test_the_codec_knows_the_words_of_the_training_and_the_tags_of_all():
    training = [Tagged(("Ann", "ann", "sees"), ("N", "N", "V")), Tagged(("sees", "ANN"), ("V", "N"))]
    codec = learn_codec(training, [*training, Tagged(("Zoë",), ("X",))], cased=False, least=1, most=9)
    assert codec.words.words == ["ann", "sees"]
    assert sorted(codec.characters.words) == sorted(set("AnnannseesANN"))
    assert codec.tags == ("N", "V", "X")
    cased = learn_codec(training, training, cased=True, least=2, most=9)
    assert cased.words.words == ["sees"]
    assert cased.word_ids(["Sees", "sees"]) == [UNKNOWN, 2]
    assert learn_codec(training, training, cased=False, least=1, most=1).words.words == ["ann"]


def test_the_rest_of_a_long_word_is_not_read(tmp_path):
    long = [Tagged(("a" * LONGEST_WORD + "b",), ("N",))]
    codec = learn_codec(long, long, cased=True, least=1, most=9)
    assert codec.characters.words == ["a"]
    assert count(codec.characters) == codec.characters.size + 2
    assert corpus(tmp_path, long, codec).batch(np.array([0])).characters.shape == (1, 1, LONGEST_WORD + 2)


def test_long_sentences_are_left_out_and_what_is_there_is_counted(tmp_path):
    encoded = corpus(tmp_path, max_length=5)
    kept = [sentence for sentence in SENTENCES if len(sentence.words) <= 5]
    assert (len(encoded), encoded.too_long) == (len(kept), len(SENTENCES) - len(kept))
    assert encoded.words == sum(len(sentence.words) for sentence in kept) == encoded.sizes.sum()
    known = set(CODEC.words.words)
    assert encoded.unknown == sum(word.lower() not in known for sentence in kept for word in sentence.words) > 0
    assert encoded.counts == {tag: sum(sentence.tags.count(tag) for sentence in kept) for tag in TAGS}


def test_the_fingerprint_sees_every_change(tmp_path):
    names = iter(range(99))

    def fingerprint(sentences, **options):
        return corpus(tmp_path, sentences, name=str(next(names)), **options).fingerprint

    same = fingerprint(SENTENCES)
    assert fingerprint(list(SENTENCES)) == same
    first, second, *rest = SENTENCES
    others = [
        [first._replace(tags=("VERB",)), second, *rest],
        [first._replace(words=("Bo",)), second, *rest],
        [first._replace(words=("bo",)), second, *rest],  # the same word in other letters
        [second, first, *rest],
        SENTENCES[:-1],
    ]
    assert len({same, *map(fingerprint, others), fingerprint(SENTENCES, max_length=5)}) == 7
    joined = Tagged(first.words + second.words, first.tags + second.tags)
    assert fingerprint([first, second]) != fingerprint([joined])


def test_a_tag_that_was_never_seen_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ann NOUN\n\nsees VERB\nBo NAME\n")
    with pytest.raises(DataError) as caught:
        corpus(tmp_path, TaggedFile((path,)))
    assert str(caught.value) == f"{path}:3: expected tags of the training (NOUN, PUNCT, VERB); got 'NAME'"


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (("B-p", "I-p", "O"), True),
        (("B-p", "O", "I-p"), False),  # goes on with nothing before it
        (("B-p", "I-q", "B-q"), False),  # goes on as another kind
        (("B-p", "L-p", "U-p"), True),
        (("B-p", "O", "L-p"), False),
        (("L-p", "O", "B-p"), False),
        (("A", "B", "A"), False),
    ],
)
def test_spans_are_known_where_all_of_them_are_whole(tags, spans):
    sentences = [Tagged(("a", "b", "c"), tags)]
    assert learn_codec(sentences, sentences, cased=True, least=1, most=9).spans == spans
    assert not learn_codec(sentences, [*sentences, Tagged(("a",), ("I-p",))], cased=True, least=1, most=9).spans


def test_broken_spans_are_refused_where_the_training_had_none(tmp_path):
    codec = learn_codec(SPANS, SPANS, cased=False, least=1, most=9)
    assert len(corpus(tmp_path, SPANS, codec)) == 2
    broken = [Tagged(("Ann", "Lee"), ("O", "I-p"), "f:7")]
    with pytest.raises(DataError, match=r"^f:7: expected spans as in the training; got I-p after O$"):
        corpus(tmp_path, broken, codec)
    loose = learn_codec(SPANS, [*SPANS, *broken], cased=False, least=1, most=9)
    assert len(corpus(tmp_path, broken, loose)) == 1
