"""Real files of labelled documents and tagged words, where they are."""

from collections import Counter

import pytest

from saccade.data.labelled import LabelledFile
from saccade.data.lexicon import UNKNOWN, learn
from saccade.data.tagged import TaggedFile, is_span_scheme


def test_whole_film_reviews(shared_data):
    reviews = list(LabelledFile((shared_data / "movie_reviews" / "movie_reviews.jsonl.gz",)))
    assert Counter(review.labels for review in reviews) == {("neg",): 1000, ("pos",): 1000}
    assert round(sum(len(review.sentences) for review in reviews) / 2000, 1) == 32.4
    assert round(sum(len(review.text.split()) for review in reviews) / 2000) == 746


@pytest.mark.parametrize(("part", "sentences", "words"), [("dev", 2001, 25147), ("test", 2077, 25094)])
def test_a_treebank_in_both_its_formats(shared_data, part, sentences, words):
    folder = shared_data / "ud_english_ewt"
    tree, table = folder / f"en_ewt-ud-{part}.conllu.gz", folder / f"{part}.tok.upos.xpos.tsv.gz"
    found = list(TaggedFile((tree,)))
    assert len(found) == sentences
    assert sum(len(sentence.words) for sentence in found) == words
    assert len({tag for sentence in found for tag in sentence.tags}) == 17
    assert not is_span_scheme(tag for sentence in found for tag in sentence.tags)
    for names, numbers in ((("form", "upos"), ("1", "2")), (("form", "xpos"), None)):
        sides = (TaggedFile((tree,), names), TaggedFile((table,), numbers))
        assert all(one[:2] == other[:2] for one, other in zip(*sides, strict=True))


def test_words_of_a_whole_treebank(shared_data):
    counts: Counter[str] = Counter()
    sentences = 0
    for sentence in TaggedFile((shared_data / "ud_english_ewt" / "en_ewt-ud-train.conllu.gz",), unlabelled=True):
        counts.update(sentence.words)
        sentences += 1
    assert (sentences, counts.total()) == (12_544, 204_577)
    lexicon = learn(counts, least=2)
    assert lexicon.ids(["the", "The", "zzzz"])[2] == UNKNOWN
    assert lexicon.words[0] == counts.most_common(1)[0][0]


@pytest.mark.parametrize(
    ("name", "sentences", "words", "entities"),
    [
        ("wnut17train.conll", 3394, 62_730, 1975),
        ("emerging.dev.conll", 1009, 15_733, 836),
        ("emerging.test.annotated", 1287, 23_394, 1079),
    ],
)
def test_entities_with_lines_of_a_tab_between_sentences(shared_data, name, sentences, words, entities):
    found = list(TaggedFile((shared_data / "wnut17" / name,)))
    tags = [tag for sentence in found for tag in sentence.tags]
    assert (len(found), len(tags)) == (sentences, words)
    assert sum(tag.startswith("B-") for tag in tags) == entities
    assert is_span_scheme(tags)
