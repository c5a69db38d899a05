"""Encoded labelled texts: what a batch holds, what is cut, and which labels are refused."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.data.characters import spelled
from saccade.data.labelled import Labelled, LabelledFile, sentences_of
from saccade.data.labelledcorpus import LabelledCorpus, Limits, check_labels, read, side_by_side
from saccade.data.lexicon import Lexicon
from saccade.data.tokens import UNKNOWN, learn
from saccade.errors import DataError

LABELS = ("bad", "good", "odd")
WORDS = ["ein", "Hund", "rennt", "weit", "und", "laut", "bellt", "er"]
FLAT, NESTED = Limits(5, 0), Limits(5, 3)


def text_of(n: int) -> tuple[str, ...]:
    """A document of one to four sentences of one to six words."""
    return tuple(" ".join(WORDS[(n + i + j) % 8] for j in range((n + i) % 6 + 1)) for i in range(n % 4 + 1))


EXAMPLES = [Labelled((LABELS[n * 5 % 3],), text_of(n), f"f:{n}") for n in range(23)]
SEVERAL = [Labelled(LABELS[n % 3 : n % 3 + n % 2 + 1], text_of(n)) for n in range(23)]
VOCABULARY = learn([sentence for example in EXAMPLES[:-3] for sentence in example.sentences], "word")


def corpus(folder, examples=EXAMPLES, limits=FLAT, *, several=False, labels=LABELS, name="c") -> LabelledCorpus:
    return LabelledCorpus(folder, name, examples, VOCABULARY, labels, limits, several=several)


def encode(texts, vocabulary, limits) -> list[list[list[int]]]:
    return [text.rows for text in read(texts, vocabulary, limits)]


def ids(sentence: str) -> list[int]:
    return VOCABULARY.encode(sentence).ids[:-1][:5]


@pytest.mark.parametrize("indices", [[0], [22, 3, 3, 7, 0], list(range(23))])
def test_a_batch_of_texts_is_each_of_them_encoded_alone(tmp_path, indices):
    batch = corpus(tmp_path).batch(np.array(indices))
    assert batch.ids.shape == (len(indices), int(batch.lengths.max()))
    for row, index in enumerate(indices):
        expected = ids(EXAMPLES[index].text)
        assert batch.ids[row].tolist() == expected + [0] * (batch.ids.shape[1] - len(expected))
        assert int(batch.lengths[row]) == len(expected)
        assert LABELS[int(batch.labels[row])] == EXAMPLES[index].labels[0]


@pytest.mark.parametrize("indices", [[0], [22, 3, 3, 7, 0], list(range(23))])
def test_a_batch_of_documents_is_each_sentence_encoded_alone(tmp_path, indices):
    batch = corpus(tmp_path, limits=NESTED).batch(np.array(indices))
    for row, index in enumerate(indices):
        sentences = EXAMPLES[index].sentences
        sentences = sentences_of(sentences[0]) if len(sentences) == 1 else sentences[:3]
        for place in range(batch.ids.shape[1]):
            expected = ids(sentences[place]) if place < len(sentences) else []
            assert batch.ids[row, place].tolist() == expected + [0] * (batch.ids.shape[2] - len(expected))
            assert int(batch.lengths[row, place]) == len(expected)


@pytest.mark.parametrize("limits", [FLAT, NESTED])
def test_what_an_answer_is_made_of_is_what_training_had(tmp_path, limits):
    indices = np.array([5, 2, 11])
    batch = corpus(tmp_path, limits=limits).batch(indices)
    texts = read([EXAMPLES[i].sentences for i in indices], VOCABULARY, limits)
    for one, other in zip(side_by_side(texts, documents=limits is NESTED)[:2], batch[:2], strict=True):
        assert one.dtype == other.dtype == torch.long
        assert torch.equal(one, other)


@pytest.mark.parametrize("limits", [FLAT, NESTED])
@pytest.mark.parametrize("indices", [[0], [5, 2, 11, 2], list(range(23))])
def test_each_word_is_spelled_as_it_is_written(tmp_path, limits, indices):
    vocabulary, alphabet = learn(["ein hund"], "word", cased=False), Lexicon("einHudrtw")
    made = LabelledCorpus(
        tmp_path, "c", EXAMPLES, vocabulary, LABELS, limits, several=False, characters=alphabet
    ).batch(np.array(indices))
    texts = read([EXAMPLES[i].sentences for i in indices], vocabulary, limits, written=True)
    answered = side_by_side(texts, documents=limits is NESTED, characters=alphabet)
    for one, other in ((made.ids, answered.ids), (made.lengths, answered.lengths)):
        assert torch.equal(one, other)
    assert torch.equal(made.characters[made.forms], answered.characters[answered.forms])
    assert len(made.characters) == len(made.characters.unique(dim=0))
    for row, text in enumerate(texts):
        for place, words in enumerate(text.written):
            for column, word in enumerate(words):
                form = made.forms[row, place, column] if limits is NESTED else made.forms[row, column]
                (expected,) = spelled([word], alphabet)
                assert made.characters[form].tolist() == expected + [0] * (made.characters.shape[1] - len(expected))
            assert words == re.findall(r"\w+|\S", text.sentences[place])[:5]
    assert (made.characters[made.forms[made.ids == 0]] == 0).all()
    plain = LabelledCorpus(tmp_path, "p", EXAMPLES, vocabulary, LABELS, limits, several=False).batch(np.array(indices))
    assert torch.equal(plain.ids, made.ids)
    assert plain.forms is plain.characters is None


def test_nothing_has_no_characters():
    for limits in (FLAT, NESTED):
        found = side_by_side(
            read([[""]], VOCABULARY, limits, written=True), documents=limits is NESTED, characters=Lexicon("a")
        )
        assert found.forms.shape == found.ids.shape
        assert found.characters.tolist() == [[0]]


def test_several_labels_are_a_row_of_zeros_and_ones(tmp_path):
    batch = corpus(tmp_path, SEVERAL, several=True).batch(np.arange(23)[::-1].copy())
    for row, example in zip(batch.labels, SEVERAL[::-1], strict=True):
        assert row.tolist() == [float(label in example.labels) for label in LABELS]
    assert batch.labels.dtype == torch.float32


def test_a_document_in_one_text_is_cut_into_its_sentences():
    (document,) = encode([["Ein Hund. Er bellt! Laut"]], VOCABULARY, NESTED)
    assert document == [ids("Ein Hund."), ids("Er bellt!"), ids("Laut")]
    assert encode([["Ein Hund. Er bellt! Laut"]], VOCABULARY, FLAT) == [[ids("Ein Hund. Er bellt! Laut")]]


def test_what_has_nothing_in_it_is_no_sentence():
    found = read([[], [""], ["  ", "\t"], ["", "Hund", " ", "er"]], VOCABULARY, NESTED)
    assert [text.rows for text in found] == [[], [], [], [ids("Hund"), ids("er")]]
    rows, lengths, *_ = side_by_side(found, documents=True)
    assert lengths.tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    assert rows.shape == (4, 2, 1)
    for nothing in ([], [""]):
        rows, lengths, *_ = side_by_side(read([nothing], VOCABULARY, NESTED), documents=True)
        assert (rows.shape, lengths.shape, lengths.dtype) == ((1, 0, 0), (1, 0), torch.long)
        rows, lengths, *_ = side_by_side(read([nothing], VOCABULARY, FLAT), documents=False)
        assert (rows.shape, lengths.tolist()) == ((1, 0), [0])


@given(st.lists(st.lists(st.text(max_size=9), max_size=4), min_size=1, max_size=4))
def test_no_text_has_a_hole(texts):
    for text in encode(texts, VOCABULARY, Limits(4, 3)):
        assert all(text)
        assert len(text) <= 3
        assert max(map(len, text), default=0) <= 4


@pytest.mark.parametrize(
    ("sentences", "limits", "words", "beyond"),
    [
        (["ein ein ein ein ein"], FLAT, False, False),
        (["ein ein ein ein ein ein"], FLAT, True, False),
        (["ein", "ein", "ein", "ein", "ein", "ein"], FLAT, True, False),
        (["ein", "ein", "ein"], NESTED, False, False),
        (["ein", "ein", " ", "ein"], NESTED, False, False),
        (["ein", "ein", "ein", "ein"], NESTED, False, True),
        (["ein ein ein ein ein ein", "er"], NESTED, True, False),
        (["ein ein ein ein ein ein", "er", "er", "er"], NESTED, True, True),
    ],
)
def test_what_is_cut_is_counted_once_and_what_just_fits_is_not(tmp_path, sentences, limits, words, beyond):
    (text,) = read([sentences], VOCABULARY, limits)
    assert (text.words, text.beyond) == (words, beyond)
    encoded = corpus(tmp_path, [Labelled(("bad",), tuple(sentences))] * 2, limits)
    assert encoded.cut == 2 * (words or beyond)


def test_labels_and_unknown_tokens_are_counted(tmp_path):
    encoded = corpus(tmp_path, [Labelled(("bad",), ("ein Wal ein Reh",)), Labelled(("odd",), ("er",))])
    assert (
        encoded.unknown
        == 2
        == sum(row.count(UNKNOWN) for text in encode([["ein Wal ein Reh"]], VOCABULARY, FLAT) for row in text)
    )
    assert encoded.counts == {"bad": 1, "odd": 1}
    assert encoded.sizes.tolist() == [4, 1]


def test_the_fingerprint_sees_every_change(tmp_path):
    def fingerprint(examples, limits=NESTED, *, several=False):
        return corpus(tmp_path, examples, limits, several=several, name=str(next(names))).fingerprint

    names = iter(range(99))
    same = fingerprint(EXAMPLES)
    assert fingerprint(list(EXAMPLES)) == same
    first, *rest = EXAMPLES
    others = [
        [Labelled(("odd",), first.sentences), *rest],
        [Labelled(first.labels, (*first.sentences, "er")), *rest],
        [rest[0], first, *rest[1:]],
        EXAMPLES[:-1],
    ]
    assert len({same, *map(fingerprint, others)}) == 5
    parted = [[Labelled(("bad",), sentences)] for sentences in (("ein er", "er"), ("ein", "er er"), ("ein er er",))]
    assert len(set(map(fingerprint, parted))) == 3
    assert fingerprint(parted[0], FLAT) == fingerprint(parted[1], FLAT)  # joined they are one text


def test_the_fingerprint_sees_a_capital_where_characters_are_read(tmp_path):
    vocabulary, words = learn(["ein hund"], "word", cased=False), ["ein Hund", "ein hund", "Ein hund"]
    names, prints = iter(range(9)), []
    for characters in (None, Lexicon("einHudE")):
        for word in words:
            example = Labelled(("bad",), (word,))
            made = LabelledCorpus(
                tmp_path, str(next(names)), [example], vocabulary, LABELS, FLAT, several=False, characters=characters
            )
            prints.append(made.fingerprint)
    assert len(set(prints[:3])) == 1
    assert len(set(prints)) == 4


def test_a_label_that_was_never_seen_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("bad\tein Hund\n\nworse\ter bellt\n")
    with pytest.raises(DataError) as caught:
        corpus(tmp_path, LabelledFile((path,)))
    assert str(caught.value) == f"{path}:3: expected a label of the training (bad, good, odd); got 'worse'"
    with pytest.raises(DataError, match=r"^f:1: expected a label of the training \(0, 1, .*, 9 \.\.\.\); got 'x'$"):
        check_labels(Labelled(("3", "x"), ("a",), "f:1"), [str(n) for n in range(11)])
