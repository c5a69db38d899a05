"""Drawn answers: decided by seed and row alone, and as often as the model says."""

from collections import Counter

import pytest
import torch
from toys import BANNED, END, START, SYMBOLS, VOCAB, Toy, begin, replay

from saccade.decoding import Manner, Sampling, decode, generator, greedy, narrowed, sample


def drawn(rows, limits, sampling=None, *, seed=1, first=0):
    generators = [generator(seed, bytes([first + row])) for row in range(rows)]
    return sample(Toy(), *begin(rows, first), SYMBOLS, limits, generators, sampling)


def test_a_draw_is_decided_by_the_seed_and_the_row():
    limits = [4, 9, 6, 2, 9, 7]
    together = drawn(6, limits)
    assert [h.tokens for h in together] == [h.tokens for h in drawn(6, limits)]
    assert [h.tokens for h in together] != [h.tokens for h in drawn(6, limits, seed=2)]
    for row, limit in enumerate(limits):
        (alone,) = drawn(1, [limit], first=row)
        assert alone.tokens == together[row].tokens
        assert alone.score == pytest.approx(together[row].score, abs=1e-6)


def test_scores_and_weights_are_those_of_the_model():
    for row, found in enumerate(drawn(6, [9] * 6, Sampling(temperature=3.0, top_k=2))):
        assert not {START, END, BANNED} & set(found.tokens)
        score, weights = replay(Toy(), row, found.tokens, len(found.weights) > len(found.tokens))
        assert found.score == pytest.approx(score, abs=1e-5)
        torch.testing.assert_close(found.weights, torch.cat(weights))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_likely(temperature):
    count = 4000
    memory, state = (part.expand(count, 1) for part in (begin(1)[0], begin(1)[1].seen))
    generators = [generator(5, b"", number) for number in range(count)]
    found = sample(
        Toy(), memory, begin(1)[1]._replace(seen=state), SYMBOLS, [1] * count, generators, Sampling(temperature)
    )
    logits = Toy().step(torch.tensor([START]), *begin(1)).logits[0]
    logits[[START, BANNED]] = -torch.inf
    expected = (logits / temperature).softmax(-1)
    came = Counter(tuple(h.tokens) or (END,) for h in found)
    for token in range(VOCAB):
        # Five standard deviations of a share of 4,000 draws.
        assert came[(token,)] / count == pytest.approx(float(expected[token]), abs=5 * 0.5 / count**0.5)


def test_the_likeliest_alone_is_greedy():
    limits = [9] * 6
    expected = [h.tokens for h in greedy(Toy(), *begin(6), SYMBOLS, limits)]
    for sampling in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-4)):
        assert [h.tokens for h in drawn(6, limits, sampling)] == expected


def test_a_nucleus_is_the_fewest_that_have_so_much_together():
    scores = torch.randn(5, 17) * 2
    for top_p in (0.1, 0.5, 0.9, 0.999):
        kept = narrowed(scores, Sampling(top_p=top_p))
        for row, chances in zip(kept, scores.softmax(-1), strict=True):
            inside = sorted(chances[row > -torch.inf].tolist())
            assert sum(inside) >= top_p - 1e-6
            assert sum(inside[1:]) < top_p + 1e-6
            assert inside[0] >= max(chances[row == -torch.inf].tolist(), default=0.0)
    assert ((narrowed(scores, Sampling(top_k=3)) > -torch.inf).sum(-1) == 3).all()
    torch.testing.assert_close(narrowed(scores, Sampling(top_k=99)), scores)


def test_several_are_drawn_of_each_row():
    manner = Manner(sampling=Sampling(), seed=4)
    keys = [b"a", b"b", b"c"]
    found = decode(Toy(), *begin(3), SYMBOLS, [9] * 3, nbest=5, manner=manner, keys=keys)
    assert [len(row) for row in found] == [5] * 3
    assert len({tuple(h.tokens) for h in found[0]}) > 1
    first = decode(Toy(), *begin(3), SYMBOLS, [9] * 3, manner=manner, keys=keys)
    assert [row[0].tokens for row in found] == [row[0].tokens for row in first]
    with pytest.raises(ValueError, match="beam must be 1 where answers are drawn; got 2"):
        decode(Toy(), *begin(3), SYMBOLS, [9] * 3, beam=2, manner=manner, keys=keys)
    assert decode(Toy(), *begin(0), SYMBOLS, [], manner=manner) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0; got 0.0"),
        ({"top_k": -1}, "top_k must be at least 0; got -1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1; got 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1; got 1.5"),
    ],
)
def test_what_cannot_be_drawn_from(given, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**given)
