"""Measures of texts: numbers that were reckoned by hand, and twins of plain loops."""

import pytest

from saccade.metrics import text_scores


def f1_of(hits: int, said: int, true: int) -> float:
    return 2 * hits / (said + true) if said + true else 0.0


def words_of(text: str) -> list[str]:
    return "".join(one if one.isalnum() else " " for one in text.lower()).split()


def longest_common(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return longest_common(one[:-1], other[:-1]) + 1
    return max(longest_common(one[:-1], other), longest_common(one, other[:-1]))


def rouge(answer: str, reference: str, n: int) -> float:
    """F1 of runs of n words, each counted as often as it is in both; n = 0: of the longest common subsequence."""
    one, other = words_of(answer), words_of(reference)
    if n == 0:
        return f1_of(longest_common(one, other), len(one), len(other))
    grams = [[tuple(side[i : i + n]) for i in range(len(side) - n + 1)] for side in (one, other)]
    hits = sum(min(grams[0].count(gram), grams[1].count(gram)) for gram in set(grams[0]))
    return f1_of(hits, len(grams[0]), len(grams[1]))


def test_rouge_equals_plain_loops_in_any_script():
    answers = ["The cat sat on the mat.", "a b", "ÜBER Größe 3", "", "Кот сидел тут", "x y z", "the the the"]
    references = ["the Cat, the mat", "c d", "über die größe 3", "a", "кот тут сидел", "x y z", "the cat"]
    found = text_scores(answers, references)
    for n, value in ((1, found.rouge1), (2, found.rouge2), (0, found.rougeL)):
        assert value == pytest.approx(100 * sum(map(rouge, answers, references, [n] * 7)) / 7)
    assert 0 < found.rouge2 < found.rougeL < found.rouge1 < 100


def test_rouge_by_hand():
    # Words 3 of 3 and 4; pairs of words 1 of 2 and 3; in order 2 of 3 and 4.
    found = text_scores(["b c a"], ["a b c d"])
    assert found.rouge1 == pytest.approx(100 * 6 / 7)
    assert found.rouge2 == pytest.approx(100 * 2 / 5)
    assert found.rougeL == pytest.approx(100 * 4 / 7)


def test_the_same_texts_are_100_and_exact():
    texts = ["a longer text of words", "and another one of them", "下午三点半左右"]
    found = text_scores(texts, texts)
    assert found.exact_match == 1
    assert (found.rouge1, found.rougeL) == pytest.approx((100, 100))
    assert (found.bleu, found.chrf) == pytest.approx((100, 100))
    assert text_scores([*texts[:2], "no"], texts).exact_match == pytest.approx(2 / 3)
