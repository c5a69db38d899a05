"""Forced weights: those of the answers themselves, step by step; and of words."""

import numpy as np
import pytest
import torch

from saccade.alignments import Choice
from saccade.alignments.weights import word_weights
from saccade.data.paircorpus import Vocabularies
from saccade.data.pairs import Pair
from saccade.data.tokens import learn
from saccade.errors import RunError
from saccade.tasks.load import load
from saccade.tasks.translate.aligning import align, forced_weights
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Longest, Translator, new_model

TEXTS = ["one two three, four.", "two  two", "three é four twofold", "x"]
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))


def untrained(level: str, **options: object) -> Translator:
    torch.manual_seed(1)
    both = Vocabularies(*[learn(TEXTS[:2], level, 300)] * 2)
    model = new_model(TranslateOptions(level=level, hidden=8, embedding=5, **options), both)
    return Translator(model, both, Longest(4, 6))


def test_they_are_what_an_answer_looked_at(run_folder):
    translate = load(run_folder)
    answers = [translate(f"{n:03d}") for n in range(0, 400, 41)]
    pairs = [Pair("".join(answer.source[:-1]), answer.text) for answer in answers]
    before, after = (forced_weights(translate, pairs, choice=Choice(shift=shift)) for shift in (False, True))
    for answer, predicted, read in zip(answers, before, after, strict=True):
        assert answer.target[-1] == "</s>"
        assert predicted == pytest.approx(answer.weights[:-1], abs=1e-5)
        assert read == pytest.approx(answer.weights[1:], abs=1e-5)


@pytest.mark.parametrize("attend", ["before", "after"])
def test_they_are_those_of_single_steps(attend):
    translate = untrained("char", attend=attend, copy=True, decoder="gru")
    source, target = "two one", "one x"
    ids = [
        vocabulary.encode(text).ids for vocabulary, text in zip(translate.vocabularies, (source, target), strict=True)
    ]
    model, given = translate.model, torch.tensor([ids[0]])
    memory, state = model.remember(given, torch.tensor([len(ids[0])]), given)
    rows = []
    for token in [1, *ids[1][:-1]]:
        _, weights, state = model.step(torch.tensor([token]), memory, state)
        rows.append(weights[0].detach().numpy())
    (before,), (after,) = (
        forced_weights(translate, [Pair(source, target)], choice=Choice(shift=shift)) for shift in (False, True)
    )
    assert before.shape == (len(target), len(source) + 1)
    assert before.dtype == np.float32
    assert before == pytest.approx(np.array(rows[:-1]), abs=1e-6)
    assert after == pytest.approx(np.array(rows[1:]), abs=1e-6)


@pytest.mark.parametrize("attention", ["additive", "general+sparsemax+local-p", "location-sensitive", "monotonic"])
def test_a_pair_does_not_depend_on_its_company(attention):
    translate = untrained("bpe", attention=attention)
    many = PAIRS * 20
    for shift in (False, True):
        together = align(translate, many, choice=Choice(shift=shift))
        alone = [align(translate, [pair], choice=Choice(shift=shift))[0] for pair in PAIRS] * 20
        for one, other in zip(together, alone, strict=True):
            assert one[:2] == other[:2]
            assert one.weights == pytest.approx(other.weights, abs=1e-5)


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
def test_words_gather_their_pieces(level):
    translate = untrained(level)
    for (source, target), found in zip(PAIRS, align(translate, PAIRS), strict=True):
        assert (found.source, found.target) == (tuple(source.split()), tuple(target.split()))
        assert found.weights.shape == (len(found.target), len(found.source))
        words = [_words(translate, text, level) for text in (found.source, found.target)]
        (weights,) = forced_weights(translate, [Pair(" ".join(found.source), " ".join(found.target))])
        expected = word_weights(weights, [*words[0], -1], words[1], shape=found.weights.shape)
        assert found.weights == pytest.approx(expected, abs=1e-6)
        assert (found.weights.sum(1) < 1).all()  # the end token has the rest
        assert (found.weights > 0).all()


def _words(translate: Translator, words: tuple[str, ...], level: str) -> list[int]:
    """The word of each token, from how the tokens read: whatever a word's tokens say together is that word."""
    labels = translate.vocabularies.source.encode(" ".join(words)).labels[:-1]
    found, number, said = [], 0, b""
    for label in labels:
        found.append(number)
        said += bytes([int(label[3:-1], 16)]) if label.startswith("<0x") else label.strip().encode()
        if said == words[number].encode():
            number, said = number + 1, b""
    assert number == len(words), level
    return found


def test_lists_of_words_are_taken_as_they_are():
    translate = untrained("char")
    (text,), (words,) = (align(translate, [pair]) for pair in (PAIRS[0], tuple(side.split() for side in PAIRS[0])))
    assert text[:2] == words[:2]
    assert (text.weights == words.weights).all()
    # A word may hold a space: it is looked at as much as its two parts are.
    joined, apart = (align(translate, [(source, ["x"])])[0].weights[0] for source in (["a b", "c"], ["a", "b", "c"]))
    assert joined == pytest.approx([apart[0] + apart[1], apart[2]], abs=1e-6)


def test_what_cannot_be_aligned():
    translate = untrained("char")
    assert align(translate, []) == []
    for pair in (("a", " "), ([], "b")):
        with pytest.raises(ValueError, match=r"pairs must have a word on each side; got .* in pair 1"):
            align(translate, [("a", "b"), pair])
    with pytest.raises(RunError, match="expected a translator that looks at its source; it looks at nothing"):
        align(untrained("char", attention="none"), [("a", "b")])


def test_the_posterior_of_words_does_not_depend_on_company():
    translate = untrained("bpe", attend="after")
    together = align(translate, PAIRS * 20, choice=Choice(posterior=True))
    alone = [align(translate, [pair], choice=Choice(posterior=True))[0] for pair in PAIRS] * 20
    for one, other, prior in zip(together, alone, align(translate, PAIRS * 20), strict=True):
        assert one.weights == pytest.approx(other.weights, abs=1e-5)
        assert one.weights.shape == prior.weights.shape
        assert one.weights != pytest.approx(prior.weights, abs=1e-4)
    with pytest.raises(RunError, match="it looks at nothing"):
        align(untrained("char", attention="none", attend="after"), PAIRS, choice=Choice(posterior=True))
