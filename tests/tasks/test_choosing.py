"""The choice of layer, head and shift: with links by people, by the agreement of two directions, and how it is kept."""

import json

import pytest
import torch

from saccade.alignments import Choice
from saccade.alignments.symmetry import transposed
from saccade.alignments.weights import likeliest
from saccade.data.aligned import Gold, WordPair
from saccade.data.paircorpus import Vocabularies
from saccade.data.tokens import learn
from saccade.errors import RunError
from saccade.metrics.alignments import agreement, alignment_scores
from saccade.runs import ALIGNMENT, Run
from saccade.tasks.translate.aligning import align
from saccade.tasks.translate.choosing import by_agreement, by_gold, choices, keep, kept
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.translator import Longest, Translator, new_model

PAIRS = [WordPair(("ab", "c", "d"), ("x", "yz")), WordPair(("c",), ("yz", "x", "x")), WordPair(("d", "ab"), ("x", "w"))]


def untrained(decoder: str, seed: int = 1, **given: object) -> Translator:
    torch.manual_seed(seed)
    both = Vocabularies(*[learn([" ".join(side) for pair in PAIRS for side in pair], "char")] * 2)
    sizes = {"layers": 3, "heads": 2, "hidden": 8}
    options = TranslateOptions(level="char", encoder="transformer", decoder=decoder, **sizes, **given)
    model = new_model(options, both)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3  # so that each layer has an opinion of its own
    return Translator(model, both, Longest(9, 9))


def linked(translator: Translator, choice: Choice, pairs: list[WordPair] = PAIRS) -> list[set]:
    return [set(likeliest(one.weights)) for one in align(translator, pairs, choice=choice)]


def test_what_there_is_to_choose_from():
    assert choices(untrained("gru"), heads=True) == [Choice(), Choice(shift=True)]
    after = [Choice(), Choice(shift=True), Choice(posterior=True)]
    assert choices(untrained("gru", attend="after"), heads=True) == after
    layers, heads = (choices(untrained("transformer"), heads=heads) for heads in (False, True))
    assert layers == [Choice(layer, None, shift) for layer in range(3) for shift in (False, True)]
    assert len(set(heads)) == 3 * 3 * 2
    assert set(layers) < set(heads)
    guided = untrained("transformer")
    guided.alignment = Choice(1, 0, shift=True)
    assert choices(guided, heads=False) == [Choice(1, 0, shift=True), *layers]
    assert set(choices(guided, heads=True)) == set(heads)


def test_a_layer_is_the_mean_of_its_heads():
    translator = untrained("transformer")
    for layer in range(3):
        whole, *heads = (align(translator, PAIRS, choice=Choice(layer, head)) for head in (None, 0, 1))
        for one, first, second in zip(whole, *heads, strict=True):
            assert one.weights == pytest.approx((first.weights + second.weights) / 2, abs=1e-6)
            assert first.weights != pytest.approx(second.weights, abs=1e-3)
    (last,), (same,), (head,), (also,) = (
        align(translator, PAIRS[:1], choice=choice) for choice in (Choice(), Choice(2), Choice(-1, 1), Choice(None, -1))
    )
    assert last.weights == pytest.approx(same.weights, abs=1e-6)
    assert (head.weights == also.weights).all()


def test_with_gold_the_lowest_error_is_first():
    translator = untrained("transformer")
    best = Choice(1, 1, shift=True)
    gold = [Gold(pair, some, set(), "here") for pair, some in zip(PAIRS, linked(translator, best), strict=True)]
    found = by_gold(translator, gold, likeliest)
    assert (found[0].aer, len(found)) == (0.0, 18)
    assert best in [one.choice for one in found if one.aer == 0]
    assert [one.aer for one in found] == sorted(one.aer for one in found)
    sure, none = [true.sure for true in gold], [set()] * 3
    for one in found:
        assert one.aer == alignment_scores(linked(translator, one.choice), sure, none).aer


def test_without_gold_the_directions_that_agree_most_are_first():
    forward, backward = untrained("transformer"), untrained("transformer", seed=2)
    turned = [WordPair(pair.target, pair.source) for pair in PAIRS]
    found = by_agreement(forward, backward, PAIRS, likeliest)
    assert len({one[:2] for one in found}) == len(found) == 6 * 6
    for one in found:
        back = [transposed(links) for links in linked(backward, one.backward, turned)]
        assert one.agreement == agreement(linked(forward, one.forward), back)
    assert [one.agreement for one in found] == sorted((one.agreement for one in found), reverse=True)
    assert found[0].agreement > found[-1].agreement


def test_a_run_keeps_its_choice(tmp_path):
    run = Run(tmp_path)
    assert kept(run) is None
    for choice in (Choice(2, None, shift=True), Choice(), Choice(-1, 0), Choice(posterior=True)):
        keep(run, choice, {"aer": 0.25, "on": "a file"})
        assert kept(run) == choice
    assert json.loads((tmp_path / ALIGNMENT).read_text())["chosen"] == {"aer": 0.25, "on": "a file"}


@pytest.mark.parametrize(
    "broken",
    ["", "[]", '{"layer": 1}', '{"layer": "1", "head": null, "shift": true}', '{"layer":1,"head":2,"shift":0}'],
)
def test_a_broken_choice_is_named(tmp_path, broken):
    (tmp_path / ALIGNMENT).write_text(broken)
    with pytest.raises(RunError, match=f"^{tmp_path / ALIGNMENT}: expected "):
        kept(Run(tmp_path))


AFTER = "a recurrent decoder that attends after its cell, no copying and no shift"
MISSING = {
    ("gru", Choice(0)): "layer and head must be of a Transformer's decoder; got a decoder of the kind gru",
    ("gru", Choice(head=0)): "layer and head must be of a Transformer's decoder; got a decoder of the kind gru",
    ("transformer", Choice(3)): "layer must be from -3 to 2; got 3",
    ("transformer", Choice(0, -3)): "head must be from -2 to 1; got -3",
    ("transformer", Choice(posterior=True)): f"posterior needs {AFTER}",
    ("gru", Choice(posterior=True)): f"posterior needs {AFTER}",
}


@pytest.mark.parametrize(("decoder", "choice"), MISSING)
def test_what_a_model_has_not(decoder, choice):
    with pytest.raises(ValueError, match=r"must be|needs") as caught:
        align(untrained(decoder), PAIRS, choice=choice)
    assert str(caught.value) == MISSING[decoder, choice]
