"""The laws of search, on a model small enough to know every answer."""

from math import inf
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from toys import BANNED, END, ROWS, START, SYMBOLS, Toy, begin, every_answer, replay

from saccade.decoding import Hypothesis, Penalty, Scored, Steps, Symbols, beam_search, greedy, power, wu
from saccade.decoding.steps import largest, largest_sums


def same(one: Hypothesis, other: Hypothesis) -> None:
    assert one.tokens == other.tokens
    assert one.score == pytest.approx(other.score, abs=1e-5)
    if one.weights is not None:
        torch.testing.assert_close(one.weights, other.weights)


@pytest.mark.parametrize("limits", [[6, 6, 6], [1, 4, 9]])
def test_a_beam_of_one_is_greedy(limits):
    model = Toy()
    best = beam_search(model, *begin(), SYMBOLS, limits, 1)
    for one, (other,) in zip(greedy(model, *begin(), SYMBOLS, limits), best, strict=True):
        same(one, other)


@pytest.mark.parametrize("sharpness", [0.3, 1.5, 4.0])
def test_a_beam_as_wide_as_the_language_finds_the_best_answers(sharpness):
    model, limit, beam = Toy(sharpness=sharpness), 5, 48
    found = beam_search(model, *begin(), SYMBOLS, [limit] * ROWS, beam)
    for row in range(ROWS):
        ended = [h for h in found[row] if h.weights is not None and len(h.weights) > len(h.tokens)]
        expected = every_answer(model, row, limit)[: len(ended)]
        assert len(ended) >= 20
        assert [h.tokens for h in ended] == [tokens for _, tokens in expected]
        assert [h.score for h in ended] == pytest.approx([score for score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("beam", [1, 2, 3, 7])
def test_a_batch_equals_its_rows_alone(beam):
    model, limits = Toy(), [3, 8, 5]
    together = beam_search(model, *begin(), SYMBOLS, limits, beam)
    for row, limit in enumerate(limits):
        (alone,) = beam_search(model, *begin(1, row), SYMBOLS, [limit], beam)
        assert len(alone) == len(together[row])
        for one, other in zip(alone, together[row], strict=True):
            same(one, other)
    for row, limit in enumerate(limits):
        same(greedy(model, *begin(), SYMBOLS, limits)[row], greedy(model, *begin(1, row), SYMBOLS, [limit])[0])


@pytest.mark.parametrize("beam", [1, 2, 5, 12])
def test_each_hypothesis_equals_its_replay(beam):
    model, limits = Toy(), [6, 2, 9]
    for row, found in enumerate(beam_search(model, *begin(), SYMBOLS, limits, beam)):
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        exist = 7 if limits[row] == 2 else beam  # of two letters: none, one (twice), two (four times, cut at the limit)
        assert len({tuple(h.tokens) for h in found}) == len(found) == min(beam, exist)
        for hypothesis in found:
            assert len(hypothesis.tokens) <= limits[row]
            assert not {START, END, BANNED} & set(hypothesis.tokens)
            score, weights = replay(model, row, hypothesis.tokens, len(hypothesis.weights) > len(hypothesis.tokens))
            assert hypothesis.score == pytest.approx(score, abs=1e-5)
            torch.testing.assert_close(hypothesis.weights, torch.cat(weights))


def test_a_model_that_shows_nothing():
    model = Toy(looks=False)
    assert all(h.weights is None for h in greedy(model, *begin(), SYMBOLS, [4] * ROWS))
    for found, seen in zip(
        beam_search(model, *begin(), SYMBOLS, [4] * ROWS, 3),
        beam_search(Toy(), *begin(), SYMBOLS, [4] * ROWS, 3),
        strict=True,
    ):
        assert [(h.tokens, h.weights) for h in found] == [(h.tokens, None) for h in seen]


def test_a_search_of_a_model_that_is_being_trained():
    model, limits = Toy(), [4] * ROWS
    expected = beam_search(model, *begin(), SYMBOLS, limits, 2), greedy(model, *begin(), SYMBOLS, limits)
    model.table.requires_grad_()
    assert [h.tokens for h in greedy(model, *begin(), SYMBOLS, limits)] == [h.tokens for h in expected[1]]
    for row, other in zip(beam_search(model, *begin(), SYMBOLS, limits, 2), expected[0], strict=True):
        assert [h.tokens for h in row] == [h.tokens for h in other]


def test_no_rows():
    assert greedy(Toy(), *begin(0), SYMBOLS, []) == []
    assert beam_search(Toy(), *begin(0), SYMBOLS, [], 3) == []


@pytest.mark.parametrize("penalty", [power(0.5), power(1), power(2), wu(0.7), wu(3)])
@pytest.mark.parametrize("sharpness", [0.3, 1.5, 4.0])
def test_a_beam_as_wide_as_the_language_finds_the_best_under_a_penalty(penalty, sharpness):
    model, limit, beam = Toy(sharpness=sharpness), 5, 48
    for best in (1, 3):
        found = beam_search(model, *begin(), SYMBOLS, [limit] * ROWS, beam, best=best, penalty=penalty)
        for row in range(ROWS):
            every = every_answer(model, row, limit)
            ranks = sorted((score / penalty(len(tokens) + 1) for score, tokens in every), reverse=True)[:best]
            assert [h.score / penalty(len(h.weights)) for h in found[row]] == pytest.approx(ranks, abs=1e-5)
            for hypothesis in found[row]:
                score, weights = replay(model, row, hypothesis.tokens, True)
                assert hypothesis.score == pytest.approx(score, abs=1e-5)
                torch.testing.assert_close(hypothesis.weights, torch.cat(weights))


class Late:
    """Ends at once with this probability; else writes eight letters for nothing more and then ends."""

    def __init__(self, at_once: float = 0.6):
        self.at_once = torch.tensor([at_once, 1 - at_once]).log()

    def step(self, token: Tensor, memory: Tensor, state: Tensor) -> Scored:
        scores = torch.full((len(token), 4), -inf)
        ends, first = state[:, 0] == 8, state[:, 0] == 0
        scores[:, END], scores[:, 3] = torch.where(ends, 0.0, -inf), torch.where(ends, -inf, 0.0)
        scores[first, END], scores[first, 3] = self.at_once
        return Scored(scores, None, state + 1)


def test_a_late_answer_wins_under_a_penalty_and_only_there():
    memory, state = torch.zeros(1, 1), torch.zeros(1, 1)
    long, none = [3] * 8, []
    for penalty, limit, expected in (
        (power(1), 20, long),  # log 0.4 / 9 is more than log 0.6
        (power(0.2), 20, none),  # log 0.4 / 1.6 is less
        (power(1), 5, none),  # there is no room for it
        (wu(1), 20, long),
        (None, 20, none),
    ):
        ((best,),) = beam_search(Late(), memory, state, SYMBOLS, [limit], 2, best=1, penalty=penalty)
        assert best.tokens == expected
    with pytest.raises(ValueError, match="alpha must be a number of at least 0; got -1"):
        power(-1)


def test_an_early_end_asks_what_a_beginning_would_rank_after_one_more_token():
    memory, state = torch.zeros(1, 1), torch.zeros(1, 1)
    for at_once, early, expected in (
        (0.65, True, [3] * 8),  # log 0.35 / 3 is more than log 0.65
        (0.70, True, []),  # log 0.3 / 3 is less than log 0.7
        (0.70, False, [3] * 8),  # log 0.3 / 9 is more
    ):
        ((best,),) = beam_search(Late(at_once), memory, state, SYMBOLS, [20], 2, best=1, penalty=power(1), early=early)
        assert best.tokens == expected


@pytest.mark.parametrize("penalty", [None, power(1), wu(0.6)])
@pytest.mark.parametrize("sharpness", [0.5, 2.0])
def test_who_wants_fewer_answers_gets_the_first_of_them(penalty, sharpness):
    model, limits, beam = Toy(sharpness=sharpness), [7, 3, 12], 4
    everything = beam_search(model, *begin(), SYMBOLS, limits, beam, penalty=penalty)
    for best in (1, 2, 3):
        fewer = beam_search(model, *begin(), SYMBOLS, limits, beam, best=best, penalty=penalty)
        for some, row in zip(fewer, everything, strict=True):
            assert len(some) == best
            for one, other in zip(some, row, strict=False):
                same(one, other)


class Wide:
    """A larger vocabulary, in which what comes next depends on row, time and the token before."""

    def __init__(self, vocab: int, ends: float = 4.0):
        self.ends = ends
        generator = torch.Generator().manual_seed(3)
        self.table = 3 * torch.randn(11, vocab, generator=generator)
        self.batches: list[int] = []

    def step(self, token: Tensor, memory: Tensor, state: Tensor) -> "Logits":
        self.batches.append(len(token))
        seen = state * 5 + token[:, None] + memory
        logits = self.table[seen[:, 0] % 11] + self.table[(seen[:, 0] // 11) % 11].roll(3, -1)
        logits[:, END] += self.ends
        return Logits(logits, torch.stack([seen[:, 0] % 7, token], -1).float(), seen)


class Logits(NamedTuple):
    logits: Tensor
    weights: Tensor | None
    state: Any


def plain(
    model: Steps, row: int, limit: int, beam: int, symbols: Symbols, penalty: Penalty | None, early: bool = False
) -> list[Hypothesis]:
    """The search of one row as a textbook writes it, which goes on to the limit, or until what has ended ranks before
    what would end after one more token.
    """
    memory, state = begin(1, row)
    alive: list[tuple[float, list[int], Tensor, list[Tensor]]] = [(0.0, [], state.seen, [])]
    ended: list[Hypothesis] = []
    divide = power(0) if penalty is None else penalty
    for _ in range(limit):
        gains = []
        for score, tokens, seen, weights in alive:
            step = model.step(torch.tensor([tokens[-1] if tokens else START]), memory, seen)
            begun = tokens, step.state, [*weights, step.weights]
            for token, gain in enumerate(step.logits[0].log_softmax(-1).tolist()):
                if token not in symbols.banned:
                    gains.append((score + gain, token, begun))
        gains = sorted(gains, key=lambda one: -one[0])[: 2 * beam]
        longer = [(score, [*tokens, token], state, weights) for score, token, (tokens, state, weights) in gains]
        best = [one for one in longer[:beam] if one[1][-1] == END]
        ended += [Hypothesis(tokens[:-1], score, torch.cat(w)) for score, tokens, _, w in best]
        alive = [one for one in longer if one[1][-1] != END][:beam]
        ranks = sorted((one.score / divide(len(one.weights)) for one in ended), reverse=True)
        if early and len(ended) >= beam and ranks[beam - 1] >= alive[0][0] / divide(len(alive[0][1]) + 2):
            break
    ended = sorted(ended, key=lambda one: one.score / divide(len(one.weights)), reverse=True)[:beam]
    cut = [Hypothesis(tokens, score, torch.cat(w)) for score, tokens, _, w in alive][: beam - len(ended)]
    return ended + cut if penalty else sorted(ended + cut, key=lambda one: one.score, reverse=True)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("penalty", [None, power(0.8), wu(0.6)])
@pytest.mark.parametrize("vocab", [9, 3001])
def test_it_finds_what_a_textbook_search_finds(vocab, penalty, early):
    limits, beam = [9, 4, 12, 7, 12], 3
    model = Wide(vocab, ends=7.0 if early else 4.0)
    memory, state = begin(5)
    together = beam_search(model, memory, state.seen, SYMBOLS, limits, beam, penalty=penalty, early=early)
    for row, (limit, found) in enumerate(zip(limits, together, strict=True)):
        for one, other in zip(found, plain(model, row, limit, beam, SYMBOLS, penalty, early), strict=True):
            assert one.tokens == other.tokens
            assert one.score == pytest.approx(other.score, abs=1e-4)
            torch.testing.assert_close(one.weights, other.weights)


def test_rows_that_have_ended_leave_the_batch():
    memory, state = begin(9)
    limits = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    for search in (greedy, lambda *given: beam_search(*given, 2)):
        model = Wide(50, ends=-9.0)
        search(model, memory, state.seen, SYMBOLS, limits)
        wide = model.batches[1:]
        assert wide == sorted(wide, reverse=True)
        assert wide[0] > wide[-1] == 4  # no fewer: see decoding.LEAST


def test_an_early_end_spares_steps_under_a_penalty():
    memory, state = begin(5)
    steps = []
    for early in (False, True):
        model = Wide(50, ends=7.0)
        beam_search(model, memory, state.seen, SYMBOLS, [30] * 5, 3, best=1, penalty=wu(1), early=early)
        steps.append(len(model.batches))
    assert steps[1] < steps[0]


@pytest.mark.parametrize("beam", [2, 300])
def test_large_vocabularies_are_searched_a_few_rows_at_a_time(monkeypatch, beam):
    memory, state = begin(9)
    given = Wide(300), memory, state.seen, SYMBOLS, [5] * 9, beam
    expected = beam_search(*given)
    monkeypatch.setattr("saccade.decoding.steps._AT_ONCE", 1500)
    assert [[h.tokens for h in row] for row in beam_search(*given)] == [[h.tokens for h in row] for row in expected]


@pytest.mark.parametrize(("vocab", "count"), [(5, 9), (300, 3), (1000, 2), (4099, 10), (4096, 16)])
def test_the_largest_are_those_of_topk(vocab, count):
    x = torch.randn(7, vocab)
    x[0] = -inf
    x[1, 5:] = -inf
    values, place = largest(x, count)
    torch.testing.assert_close(values, x.topk(min(count, vocab), -1).values, rtol=0, atol=0)
    torch.testing.assert_close(x.gather(1, place), values, rtol=0, atol=0)


@pytest.mark.parametrize(("beam", "vocab", "count"), [(3, 5, 9), (5, 300, 10), (2, 4099, 4), (5, 4096, 10), (2, 3, 9)])
def test_the_largest_sums_are_those_of_topk(beam, vocab, count):
    x, added = torch.randn(7, beam, vocab), torch.randn(7, beam)
    x[0], x[1, :, 5:], added[2, 1:] = -inf, -inf, -inf
    sums = (x + added[..., None]).flatten(1)
    values, place = largest_sums(x, added, count)
    torch.testing.assert_close(values, sums.topk(min(count, beam * vocab), -1).values, rtol=0, atol=0)
    torch.testing.assert_close(sums.gather(1, place), values, rtol=0, atol=0)
