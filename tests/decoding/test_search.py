"""The laws of search, on a model small enough to know every answer."""

from itertools import product
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from saccade.decoding import Hypothesis, Symbols, beam_search, greedy

START, END, BANNED = 0, 1, 2
SYMBOLS = Symbols(START, END, (BANNED, START))
VOCAB, SOURCE, ROWS = 5, 7, 3


class State(NamedTuple):
    """A sum over what was written, so that a state given to the wrong beam shows."""

    seen: Tensor


class Stepped(NamedTuple):
    logits: Tensor
    weights: Tensor | None
    state: State


class Toy:
    """Logits from a table that depends on row, previous token and everything written before."""

    def __init__(self, looks: bool = True, sharpness: float = 1.5):
        generator = torch.Generator().manual_seed(5)
        self.table = sharpness * torch.randn(VOCAB, 11, VOCAB, generator=generator, dtype=torch.float64)
        self.looks = looks

    def step(self, token: Tensor, memory: Tensor, state: State) -> Stepped:
        seen = state.seen * 3 + token[:, None] + 1
        logits = self.table[token, (seen + memory)[:, 0] % 11]
        weights = torch.nn.functional.one_hot((seen + memory)[:, 0] % SOURCE, SOURCE).float() if self.looks else None
        return Stepped(logits, weights, State(seen))


def begin(rows: int = ROWS, first: int = 0) -> tuple[Tensor, State]:
    return torch.arange(first, first + rows)[:, None] * 4, State(torch.zeros(rows, 1, dtype=torch.long))


def replay(model: Toy, row: int, tokens: list[int], ended: bool) -> tuple[float, list[Tensor]]:
    """Log-probability and weights of an answer, token by token."""
    memory, state = begin(1, row)
    previous, score, weights = START, 0.0, []
    for token in [*tokens, END] if ended else tokens:
        stepped = model.step(torch.tensor([previous]), memory, state)
        score += float(stepped.logits.float().log_softmax(-1)[0, token])
        weights.append(stepped.weights)
        previous, state = token, stepped.state
    return score, weights


def every_answer(model: Toy, row: int, limit: int) -> list[tuple[float, list[int]]]:
    """All answers that end within the limit, best first."""
    letters = [token for token in range(VOCAB) if token not in (START, END, BANNED)]
    answers = [list(tokens) for length in range(limit) for tokens in product(letters, repeat=length)]
    return sorted(((replay(model, row, tokens, True)[0], tokens) for tokens in answers), reverse=True)


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
    model, limit, beam = Toy(sharpness=sharpness), 5, 40
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


def test_no_rows():
    assert greedy(Toy(), *begin(0), SYMBOLS, []) == []
    assert beam_search(Toy(), *begin(0), SYMBOLS, [], 3) == []
