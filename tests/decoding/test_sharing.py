"""Beginnings of one row read one memory: the same answers, and nothing is copied for each."""

import pytest
import torch
from toys import SYMBOLS, Toy, begin

from saccade.decoding import Ensemble, Hypothesis, beam_search
from saccade.decoding.steps import Sharing, shares
from saccade.models.decoder import RecurrentDecoder
from saccade.models.seq2seq import Seq2Seq, Seq2SeqConfig

BEAM, LIMITS, LENGTHS = 4, [7, 3, 9, 5, 7], [11, 2, 7, 1, 5]
SHARED = [
    ("additive", "before", False),
    ("additive", "after", False),
    ("general+sparsemax", "after", True),
    ("dot", "before", False),
    ("none", "before", False),
]
CARRIES = ["location-sensitive", "coverage", "additive+local-p", "general+local-m", "monotonic", "gaussian-mixture"]


def untrained(attention: str, attend: str = "before", feed: bool = False, copy: bool = False) -> Seq2Seq:
    torch.manual_seed(2)
    sizes = {"embedding": 6, "hidden": 10, "layers": 1, "dropout": 0.0}
    config = Seq2SeqConfig(19, 23, attention, "lstm", "gru", **sizes, attend=attend, feed=feed, copy=copy)
    return Seq2Seq(config).eval()


def read(model: Seq2Seq, rows: int = 5):
    torch.manual_seed(3)
    source, lengths = torch.randint(4, 19, (5, 11)), torch.tensor(LENGTHS)
    source = source * (torch.arange(11) < lengths[:, None])
    copy = source if model.config.copy else None
    return model.remember(source[:rows], lengths[:rows], copy if copy is None else copy[:rows])


def searched(model: Seq2Seq, rows: int = 5) -> list[list[Hypothesis]]:
    with torch.no_grad():
        return beam_search(model, *read(model, rows), SYMBOLS, LIMITS[:rows], BEAM)


def alike(found: list[list[Hypothesis]], others: list[list[Hypothesis]]) -> None:
    for row, other_row in zip(found, others, strict=True):
        for one, other in zip(row, other_row, strict=True):
            assert one.tokens == other.tokens
            assert one.score == pytest.approx(other.score, abs=1e-5)
            if one.weights is not None or other.weights is not None:
                torch.testing.assert_close(one.weights, other.weights)


@pytest.mark.parametrize(("attention", "attend", "feed"), SHARED)
@pytest.mark.parametrize("rows", [1, 5])
def test_answers_are_those_of_a_search_that_copies(monkeypatch, attention, attend, feed, rows):
    model = untrained(attention, attend, feed)
    found = searched(model, rows)
    monkeypatch.setattr(RecurrentDecoder, "shares", lambda self, source: False)
    alike(found, searched(model, rows))


@pytest.mark.parametrize("several", [False, True])
def test_a_memory_has_a_row_for_each_that_is_running(monkeypatch, several):
    model, seen, step = untrained("additive"), [], RecurrentDecoder.step

    def watched(self, token, source, state):
        seen.append((len(token), len(source.memory.value), len(source.memory.prepared[0])))
        return step(self, token, source, state)

    monkeypatch.setattr(RecurrentDecoder, "step", watched)
    if several:
        memory, state = zip(*(read(model) for _ in range(2)), strict=True)
        beam_search(Ensemble([model, model]), memory, state, SYMBOLS, LIMITS, BEAM)
    else:
        searched(model)
    assert seen[0] == (5, 5, 5)
    assert all(tokens == BEAM * rows == BEAM * prepared for tokens, rows, prepared in seen[1 + several :])
    assert seen[-1][0] < seen[2][0]


@pytest.mark.parametrize("attention", CARRIES)
def test_what_a_mechanism_carries_is_of_one_beginning(attention):
    model = untrained(attention)
    assert not shares(model, read(model)[0])
    assert len(searched(model)) == 5


def test_who_shares():
    plain, copies, carries = untrained("additive"), untrained("additive", copy=True), untrained("coverage")
    assert shares(plain, read(plain)[0])
    assert not shares(copies, read(copies)[0])
    both = read(plain)[0], read(carries)[0]
    assert shares(Ensemble([plain, plain]), (both[0], both[0]))
    assert not shares(Ensemble([plain, carries]), both)
    assert not isinstance(Toy(), Sharing)
    assert not shares(Ensemble([Toy(), plain]), (begin()[0], both[0]))
