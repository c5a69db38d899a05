"""Beam search over anything that can take a step."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saccade.decoding.penalty import Penalty, power
from saccade.decoding.steps import (
    LEAST,
    Hypothesis,
    Looked,
    Steps,
    Symbols,
    begun,
    best_continuations,
    rows_of,
    select,
    shares,
)

Integers = NDArray[np.int64]
INF = float("inf")


def beam_search(
    model: Steps,
    memory: Any,
    state: Any,
    symbols: Symbols,
    limits: Sequence[int],
    beam: int,
    *,
    best: int | None = None,
    penalty: Penalty | None = None,
    early: bool = False,
) -> list[list[Hypothesis]]:
    """Keep the `beam` likeliest beginnings at each step (Sutskever et al. 2014, §3.2); the answers, best first.

    Answers are ranked by `log P(Y | X) / penalty(|Y|)` (Wu et al. 2016, eq. 14), |Y| with the end token; without a
    penalty by log-probability. Beginnings at one step are of one length, so they are ranked by log-probability; an
    answer ends where its end token is among the `beam` best of a step, and then others go on in its place. A row is
    done when no beginning can still be among its `best` answers, or at `limits[b]` tokens; then it is left out of
    the batch.

    Args:
        best: how many answers of each row are wanted, `beam` where None: fewer are found sooner, and are the same.
        penalty: of length, see `saccade.decoding.penalty`.
        early: a beginning is given up once its rank, were it to end after one more token at no cost, is no better than
            what has ended, though a longer answer would have a larger penalty. Without a penalty nothing changes.

    Returns:
        For each row up to `best` answers; those cut at the limit come only where fewer than `beam` ended, and under a
        penalty behind them, since it would make up for all that they still lack.
    """
    best = beam if best is None else min(best, beam)
    search = _Beams(limits, beam, best, penalty, early=early)
    if not limits:
        return []
    memory, state, token = begun(memory, state, len(limits), symbols.start)
    shared, held = shares(model, memory), len(token)
    while True:
        stepped, batch, rows = model.step(token, memory, state), len(token), search.scores.shape
        # Of the best 2 * beam at most `beam` end, each beginning once, so `beam` remain to go on.
        going = search.advance(*best_continuations(stepped, symbols, search.scores, 2 * beam), symbols.end)
        search.looked.add(stepped.weights, batch)
        if not len(search.rows):
            return search.answers()
        place, index, token = (torch.from_numpy(part.ravel()).to(token.device) for part in going.at_least(LEAST))
        state = select(stepped.state, index, batch)
        if search.scores.shape != rows:  # else each row, or each beam, has its memory already
            memory = select(memory, place if shared else index, held)
            held = len(place if shared else index)


class _Going(NamedTuple):
    """The beginnings that go on.

    place:  where the row of each stood in the batch before, `[rows]`.
    origin: which of the batch's beginnings it goes on with, `[rows, beam]`.
    token:  what it wrote.
    """

    place: Integers
    origin: Integers
    token: Integers

    def at_least(self, count: int) -> "_Going":
        """The same with the last row repeated until there are so many beginnings."""
        more = max(0, -(-count // self.token.shape[1]) - len(self.token))
        return _Going(*(np.concatenate([part, np.repeat(part[-1:], more, 0)]) for part in self))


class _Step(NamedTuple):
    """What a step left, to go back by; `[row, beam]` of the rows that were running.

    place:  where each row of the whole batch stood, -1 for those that had ended.
    origin: which beginning of the step before it went on with.
    token:  what it wrote.
    offset, width: where the weights of the beginnings stand among those of all steps, and how many a row has.
    """

    place: Integers
    origin: Integers
    token: Integers
    offset: int
    width: int


class _Ended(NamedTuple):
    """An answer: its rank and score, its last step, the beginning it went on with, and whether it ended by itself."""

    rank: float
    score: float
    step: int
    origin: int
    last: int | None


class _Beams:
    """The beginnings alive in each row that is running: `scores [rows, beam]`, -inf where is none."""

    def __init__(self, limits: Sequence[int], beam: int, best: int, penalty: Penalty | None, *, early: bool):
        self.beam, self.best, self.penalized, self.early, self.looked = beam, best, penalty is not None, early, Looked()
        self.penalty = power(0) if penalty is None else penalty
        self.limits, self.rows = np.array(limits, np.int64), np.arange(len(limits))
        self.scores: NDArray[Any] = np.zeros((len(limits), 1), np.float32)
        self.ended: list[list[_Ended]] = [[] for _ in limits]
        self.steps: list[_Step] = []
        # The rank that a beginning has to beat, and the largest penalty that it may ever have.
        self.beaten, self.most = np.full(len(limits), -INF), np.array([self.penalty(max(limit, 1)) for limit in limits])

    def advance(self, score: NDArray[Any], origin: Integers, token: Integers, end: int) -> _Going:
        """Extend the beginnings by what they best go on with, `[rows, candidates]`, best first; end some answers, keep
        the best others, stop the rows that are done.
        """
        (rows, width), ends = self.scores.shape, token == end
        for row, rank in np.argwhere((ends & (score > -INF))[:, : self.beam]).tolist():
            self._record(row, float(score[row, rank]), int(origin[row, rank]), None)
        self._keep(np.where(ends, -INF, score), origin, token, ends)
        step, running = self.steps[-1], self._running()
        self.rows, self.scores = self.rows[running], self.scores[running]
        origin = np.arange(rows)[:, None] * width + step.origin
        return _Going(np.flatnonzero(running), origin[running], step.token[running])

    def _keep(self, score: NDArray[Any], origin: Integers, token: Integers, ends: NDArray[np.bool_]) -> None:
        """Go on with the best that do not end; where there are too few, dead ones make up the number."""
        keep = np.argsort(ends, 1, kind="stable")[:, : self.beam]
        alive = keep.shape[1]
        keep = np.pad(keep, ((0, 0), (0, self.beam - alive)))
        width = self.scores.shape[1]
        self.scores, token, origin = (np.take_along_axis(table, keep, 1) for table in (score, token, origin))
        self.scores[:, alive:] = -INF
        place = np.full(len(self.limits), -1)
        place[self.rows] = np.arange(len(self.rows))
        self.steps.append(_Step(place, origin, token, self.looked.offset, width))

    def _record(self, row: int, score: float, origin: int, last: int | None) -> None:
        """An answer of the step that is being taken, or where `last` is given of the one that was just taken."""
        step = len(self.steps) - (last is not None)
        ended = self.ended[self.rows[row]]
        ended.append(_Ended(score / self.penalty(step + 1), score, step, origin, last))
        ended.sort(key=lambda answer: (self.penalized and answer.last is not None, -answer.rank))
        del ended[self.beam :]
        if len(ended) >= self.best:
            self.beaten[self.rows[row]] = ended[self.best - 1].rank

    def _running(self) -> NDArray[np.bool_]:
        """Which rows are not done; at its limit a row falls back on what is alive.

        A beginning of score s <= 0 ends with a score S <= s, as no token adds more than 0, and with a length of at most
        the limit L, whose penalty P(L) is the largest. So its rank `S / P(|Y|)` is at most `s / P(L)`: a row is done
        once that of its best beginning is no more than the rank of the last answer that is wanted. Without a penalty
        it is s itself. An early end asks for `s / P(length + 2)`: with one more token, and the end.
        """
        full, step = self.limits[self.rows] <= len(self.steps), self.steps[-1]
        for row in np.flatnonzero(full).tolist():
            for beam, score in enumerate(self.scores[row].tolist()):
                if len(self.ended[self.rows[row]]) < self.beam and score > -INF:
                    self._record(row, score, int(step.origin[row, beam]), int(step.token[row, beam]))
        most = self.penalty(len(self.steps) + 2) if self.early else self.most[self.rows]
        running: NDArray[np.bool_] = ~full & (self.beaten[self.rows] < self.scores.max(1) / most)
        return running

    def answers(self) -> list[list[Hypothesis]]:
        """The best of each row."""
        weights = self.looked.rows()
        return [
            [self._hypothesis(row, answer, weights) for answer in ended[: self.best]]
            for row, ended in enumerate(self.ended)
        ]

    def _hypothesis(self, row: int, answer: _Ended, weights: Tensor | None) -> Hypothesis:
        """Go back from the last step to the first."""
        tokens = [] if answer.last is None else [answer.last]
        origin, looked = answer.origin, []
        for number in range(answer.step, -1, -1):
            step = self.steps[number]
            place = step.place[row]
            looked.append(step.offset + int(place) * step.width + origin)
            if number:
                before = self.steps[number - 1]
                place = before.place[row]
                tokens.append(int(before.token[place, origin]))
                origin = int(before.origin[place, origin])
        return Hypothesis(tokens[::-1], answer.score, rows_of(weights, looked[::-1]))
