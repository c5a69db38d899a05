"""Error rates and edits: reckoned by hand, and twins of plain loops."""

import random
from functools import cache

import pytest

from saccade.metrics import edit_distance, error_rates


def fewest(one: str | list[str], other: str | list[str]) -> int:
    """Levenshtein's recursion as it is written."""

    @cache
    def to(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = one[i - 1] == other[j - 1]
        return min(to(i - 1, j) + 1, to(i, j - 1) + 1, to(i - 1, j - 1) + (not same))

    return to(len(one), len(other))


def test_rates_by_hand():
    said = ["the cat sat", "", "one more", "same"]
    true = ["the dog", "two words", "", "same"]
    found = error_rates(said, true)
    # one word for another, one too much; two left out; two where none was.
    assert (found.substitutions, found.deletions, found.insertions) == (1, 2, 3)
    assert (found.words, found.characters) == (5, 7 + 9 + 4)
    assert found.wer == pytest.approx(6 / 5)
    # cat for dog, " sat"; nine left out, of them a space; eight where none was.
    assert found.cer == pytest.approx((3 + 4 + 9 + 8) / 20)


def test_rates_equal_plain_loops():
    rng = random.Random(3)
    said, true = (
        [
            " ".join("".join(rng.choices("abc", k=rng.randint(1, 3))) for _ in range(rng.randint(0, 6)))
            for _ in range(67)
        ]
        for _ in range(2)
    )
    found = error_rates(said, true)
    pairs = list(zip(said, true, strict=True))
    assert found.words == sum(len(text.split()) for text in true)
    assert found.characters == sum(map(len, true))
    edits = sum(fewest(one.split(), other.split()) for one, other in pairs)
    assert found.substitutions + found.deletions + found.insertions == edits
    assert found.insertions - found.deletions == sum(len(one.split()) - len(other.split()) for one, other in pairs)
    assert found.wer == pytest.approx(edits / found.words)
    assert found.cer == pytest.approx(sum(fewest(one, other) for one, other in pairs) / found.characters)
    assert error_rates(true, true)[:5] == (0, 0, 0, 0, 0)


def test_white_space_is_one_space_and_everything_else_counts():
    assert error_rates(["  a\tb\n c "], ["a b c"]).cer == 0
    found = error_rates(["A, ü 三点"], ["a, u 三点"])
    assert (found.wer, found.cer) == (pytest.approx(2 / 3), pytest.approx(2 / 7))


def test_rates_that_are_refused():
    with pytest.raises(ValueError, match="true must hold at least one word; got 2 texts without"):
        error_rates(["a", "b"], ["", " "])
    with pytest.raises(ValueError, match="said must be one text for each of the 2 true ones; got 1"):
        error_rates(["a"], ["b", "c"])


def test_edits_equal_plain_loops():
    rng = random.Random(4)
    for _ in range(50):
        one, other = (rng.choices(range(4), k=rng.randint(0, 9)) for _ in range(2))
        assert edit_distance(one, other) == fewest(one, other) == edit_distance(other, one)
    assert edit_distance(["a", "b"], ["a", "c", "b"]) == 1
