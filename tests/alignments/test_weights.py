"""Weights of tokens to those of words, and these to links."""

from itertools import pairwise

import numpy as np
import pytest

from saccade.alignments.weights import above, likeliest, word_weights, words_at


def numbered(rng: np.random.Generator, tokens: int, words: int) -> list[int]:
    """Word numbers that count up, some tokens of no word, some words without a token."""
    numbers = np.sort(rng.integers(0, words, tokens))
    return np.where(rng.random(tokens) < 0.2, -1, numbers).tolist()


def test_word_weights_equal_plain_loops():
    rng = np.random.default_rng(1)
    for _ in range(50):
        rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 7))
        target, source = (numbered(rng, int(rng.integers(0, 11)), words) for words in (rows, columns))
        weights = rng.random((len(target), len(source)))
        found = word_weights(weights, source, target, shape=(rows, columns))
        assert found.dtype == np.float32
        for t in range(rows):
            pieces = [i for i, word in enumerate(target) if word == t]
            for s in range(columns):
                total = sum(weights[i, j] for i in pieces for j, word in enumerate(source) if word == s)
                assert found[t, s] == pytest.approx(total / len(pieces) if pieces else 0.0, abs=1e-6)


def test_rows_keep_their_sum_and_other_axes_stay():
    weights = np.random.default_rng(2).dirichlet(np.ones(5), (2, 3, 4))
    found = word_weights(weights, [0, 0, 1, 2, 2], [0, 1, 1, 1], shape=(2, 3))
    assert found.shape == (2, 3, 2, 3)
    assert found.sum(-1) == pytest.approx(1, abs=1e-6)
    alone = word_weights(weights[1, 2], [0, 0, 1, 2, 2], [0, 1, 1, 1], shape=(2, 3))
    assert (found[1, 2] == alone).all()


def test_words_of_one_piece_keep_their_weights():
    weights = np.random.default_rng(3).random((3, 5)).astype(np.float32)
    assert (word_weights(weights, range(5), range(3), shape=(3, 5)) == weights).all()


def test_a_token_belongs_to_the_word_of_its_last_character():
    # "ab c d": "ab", " c", the space, "d", and a token of nothing
    assert words_at([(0, 2), (2, 4), (4, 5), (5, 6), (6, 6)], ["ab", "c", "d"]) == [0, 1, 2, 2, -1]
    assert words_at([(0, 4)], ["ab", "c", "d"]) == [1]
    # A word may hold a space of its own.
    assert words_at([(n, n + 1) for n in range(7)], ["New Y", "x"]) == [0, 0, 0, 0, 0, 1, 1]


def test_likeliest_gives_each_target_word_one_link():
    weights = np.random.default_rng(4).random((5, 7))
    links = likeliest(weights)
    assert sorted(target for _, target in links) == list(range(5))
    for source, target in links:
        assert weights[target, source] == weights[target].max()
    assert likeliest([[0.5, 0.5], [0.0, 0.0]]) == {(0, 0)}
    assert likeliest(np.zeros((0, 3))) == likeliest(np.zeros((3, 0))) == set()


def test_above_takes_fewer_the_higher_and_contains_the_likeliest():
    weights = np.random.default_rng(5).random((5, 7))
    steps = [above(weights, least) for least in (1e-9, 0.3, 0.6, 0.9, 1.1)]
    assert [len(links) for links in steps] == [(weights >= least).sum() for least in (1e-9, 0.3, 0.6, 0.9, 1.1)]
    assert all(more > less for more, less in pairwise(steps))
    assert likeliest(weights) <= above(weights, weights.max(1).min())
    assert all(weights[target, source] >= 0.6 for source, target in steps[2])
    for least in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="least must be above 0; got "):
            above(weights, least)
