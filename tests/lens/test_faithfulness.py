"""Curves of taking away and putting back, for answers whose importance is known."""

from itertools import permutations

import numpy as np
import pytest

from saccade.lens.faithfulness import BINS, faithfulness

WORTH = np.array([0.05, 0.5, 0.1, 0.3, 0.05])


def additive(kept):
    return kept @ WORTH


def test_the_true_importance_falls_fastest_and_comes_back_fastest_of_all_orders():
    orders = {str(order): np.argsort(order) for order in permutations(range(5))}
    found = faithfulness(additive, {"truth": WORTH, **orders}, steps=5, random=0)
    for name in orders:
        assert (found.deletion["truth"] <= found.deletion[name] + 1e-12).all()
        assert (found.insertion["truth"] >= found.insertion[name] - 1e-12).all()
        assert found.comprehensiveness["truth"] >= found.comprehensiveness[name] - 1e-12
        assert found.sufficiency["truth"] <= found.sufficiency[name] + 1e-12


def test_the_figures_are_those_of_the_definition():
    found = faithfulness(additive, {"truth": WORTH}, steps=5, random=0)
    falling = 1 - np.cumsum([0, 0.5, 0.3, 0.1, 0.05, 0.05])
    np.testing.assert_allclose(found.deletion["truth"], falling, atol=1e-12)
    np.testing.assert_allclose(found.insertion["truth"], 1 - falling, atol=1e-12)
    np.testing.assert_allclose(found.shares, np.arange(6) / 5)
    first = {max(round(share * 5), 1) for share in BINS}
    assert first == {1, 2}  # 1, 5, 10 and 20 per cent of five tokens are one, 50 per cent two
    np.testing.assert_allclose(found.comprehensiveness["truth"], (4 * 0.5 + 0.8) / 5)
    np.testing.assert_allclose(found.sufficiency["truth"], (4 * 0.5 + 0.2) / 5)
    assert found.table() == [("truth", found.comprehensiveness["truth"], found.sufficiency["truth"])]


def test_random_orders_are_the_mean_of_many_and_of_the_seed():
    found, again = (faithfulness(additive, {"truth": WORTH}, steps=5, random=400, seed=1) for _ in range(2))
    np.testing.assert_allclose(found.deletion["random"], 1 - np.arange(6) / 5, atol=0.05)
    np.testing.assert_allclose(found.insertion["random"], np.arange(6) / 5, atol=0.05)
    assert found.comprehensiveness == again.comprehensiveness
    other = faithfulness(additive, {"truth": WORTH}, steps=5, random=3, seed=2)
    assert other.comprehensiveness["random"] != found.comprehensiveness["random"]
    assert [row[0] for row in found.table()] == ["truth", "random"]


def test_what_may_not_be_removed_always_stays():
    seen = []

    def score(kept):
        seen.append(kept)
        return kept @ WORTH

    may = [False, True, True, True, False]
    found = faithfulness(score, {"truth": WORTH}, removable=may, steps=3)
    assert seen[0][:, [0, 4]].all()
    np.testing.assert_allclose(found.deletion["truth"], [1.0, 0.5, 0.2, 0.1], atol=1e-12)
    np.testing.assert_allclose(found.insertion["truth"], [0.1, 0.6, 0.9, 1.0], atol=1e-12)


def test_the_model_is_asked_once_and_never_twice_about_the_same():
    asked = []

    def score(kept):
        asked.append(kept)
        return kept @ WORTH

    faithfulness(score, {"one": WORTH, "same": 2 * WORTH}, random=50)
    (variants,) = asked
    assert len(np.unique(variants, axis=0)) == len(variants) <= 2**5


@pytest.mark.parametrize(
    ("explanations", "words", "line"),
    [
        ({}, {}, "explanations must name at least one; got none"),
        ({"random": WORTH}, {}, "explanations must not be called random"),
        ({"a": [1.0, np.nan]}, {}, r"explanation a must be numbers \[token\] = \[2\]"),
        ({"a": [1.0, 2.0], "b": [1.0]}, {}, r"explanation b must be numbers \[token\] = \[2\]; got \[1\]"),
        ({"a": WORTH}, {"removable": [False] * 5}, r"removable must be boolean \[token\] = \[5\] with one true"),
        ({"a": WORTH}, {"removable": [True]}, r"removable must be boolean \[token\] = \[5\]"),
    ],
)
def test_what_cannot_be_measured_is_named(explanations, words, line):
    with pytest.raises(ValueError, match=line):
        faithfulness(lambda kept: kept.sum(1), explanations, **words)


def test_a_score_of_another_shape_is_named():
    with pytest.raises(ValueError, match="score must give one number for each of"):
        faithfulness(lambda kept: kept, {"a": WORTH})
