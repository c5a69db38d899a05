"""Greedy and beam search over anything that can take a step."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Stepped(Protocol):
    """What a step gives: logits `[batch, vocab]`, weights `[batch, source]` or None, and the next state."""

    @property
    def logits(self) -> Tensor: ...
    @property
    def weights(self) -> Tensor | None: ...
    @property
    def state(self) -> Any: ...


class Scored(NamedTuple):
    """What a step gives in place of logits where its own scores are summed as they are: `[batch, vocab]`, none above 0,
    -inf where a token is impossible.
    """

    scores: Tensor
    weights: Tensor | None
    state: Any


class Steps(Protocol):
    """A decoder: reads the previous tokens `[batch]`, a memory and a state. Memory and state are nested NamedTuples
    of tensors whose first axis is the batch (one row may stand for all).
    """

    def step(self, token: Tensor, memory: Any, state: Any) -> Stepped | Scored: ...


class Hypothesis(NamedTuple):
    """One answer of a search.

    tokens:  ids, without the end token.
    score:   log-probability in nats, of the end token too where the answer ended by itself; where the steps were
             `Scored`, the sum of their scores.
    weights: `[steps, source]`, a row for each token and one for the end token if there is one; or None.
    """

    tokens: list[int]
    score: float
    weights: Tensor | None


class Symbols(NamedTuple):
    """The token that starts an answer, the one that ends it, and those that are never written."""

    start: int
    end: int
    banned: tuple[int, ...] = ()


def greedy(model: Steps, memory: Any, state: Any, symbols: Symbols, limits: Sequence[int]) -> list[Hypothesis]:
    """Take the likeliest token at each step, until the end token or `limits[b]` tokens.

    Each row has a limit of its own, so that no row's answer depends on the others in its batch.
    """
    rows = len(limits)
    tokens: list[list[int]] = [[] for _ in range(rows)]
    scores, lengths, running = [0.0] * rows, [0] * rows, set(range(rows))
    alignment: list[Tensor] = []
    token: Tensor | None = None
    while running:
        if token is None:
            token = _device_of(state).new_full((rows,), symbols.start, dtype=torch.long)
        stepped = model.step(token, memory, state)
        best, token = _gains(stepped, symbols).max(-1)
        state = stepped.state
        if stepped.weights is not None:
            alignment.append(stepped.weights)
        for row, (identity, gain) in enumerate(zip(token.tolist(), best.tolist(), strict=True)):
            if row in running:
                scores[row] += gain
                lengths[row] += 1
                if identity != symbols.end:
                    tokens[row].append(identity)
                if identity == symbols.end or len(tokens[row]) >= limits[row]:
                    running.remove(row)
    weights = torch.stack(alignment, 1) if alignment else None
    return [
        Hypothesis(tokens[row], scores[row], None if weights is None else weights[row, : lengths[row]])
        for row in range(rows)
    ]


def beam_search(
    model: Steps, memory: Any, state: Any, symbols: Symbols, limits: Sequence[int], beam: int
) -> list[list[Hypothesis]]:
    """Keep the `beam` likeliest beginnings at each step (Sutskever et al. 2014, §3.2); the answers, best first.

    Answers are ranked by log-probability. A row is done when no beginning can still beat its `beam` ended answers
    (going on never raises a log-probability), or at `limits[b]` tokens. The beams of a row share its memory; only
    their state is reordered.

    Returns:
        For each row up to `beam` answers; those cut at the limit come only where too few ended.
    """
    rows = len(limits)
    search = _Beams(rows, beam, _device_of(state))
    memory, state = (_select(tree, search.row_of.flatten(), rows) for tree in (memory, state))
    token = search.row_of.new_full((rows * beam,), symbols.start)
    for length in range(1, max(limits, default=0) + 1):
        stepped = model.step(token, memory, state)
        chosen = search.advance(_gains(stepped, symbols), stepped.weights, symbols.end)
        state = _select(stepped.state, chosen, rows * beam)
        token = search.tokens[:, :, -1].flatten()
        search.close_rows(length, limits)
        if not search.running:
            break
    return search.ended


class _Beams:
    """The beginnings alive in each row: `tokens [rows, beam, steps]`, `scores [rows, beam]`, -inf where is none."""

    def __init__(self, rows: int, beam: int, like: Tensor):
        self.beam, self.running = beam, set(range(rows))
        self.row_of = torch.arange(rows, device=like.device)[:, None].expand(rows, beam)
        self.tokens = self.row_of.new_empty(rows, beam, 0)
        self.scores = torch.full((rows, beam), -float("inf"), device=like.device)
        self.scores[:, 0] = 0.0
        self.weights: Tensor | None = None
        self.ended: list[list[Hypothesis]] = [[] for _ in range(rows)]

    def advance(self, gains: Tensor, weights: Tensor | None, end: int) -> Tensor:
        """Extend every beginning by every token; end some answers, keep the best others. Returns where each beam
        came from, as an index into the flattened `[rows * beam]`.
        """
        rows, beam, vocab = len(self.scores), self.beam, gains.shape[-1]
        totals = (self.scores[..., None] + gains.view(rows, beam, vocab)).flatten(1)
        # Of the best 2 * beam candidates at most `beam` end, so `beam` remain to go on.
        best, index = totals.topk(min(2 * beam, totals.shape[1]), -1)
        origin, token = index // vocab, index % vocab
        if weights is not None:
            past = () if self.weights is None else (self.weights,)
            self.weights = torch.cat([*past, weights.view(rows, beam, 1, -1)], 2)
        self._end(best, origin, token, end)
        best = best.masked_fill(token == end, -float("inf"))
        keep = best.topk(min(beam, best.shape[1]), -1).indices
        keep = torch.nn.functional.pad(keep, (0, beam - keep.shape[1]))
        self.scores, token, origin = best.gather(1, keep), token.gather(1, keep), origin.gather(1, keep)
        if keep.shape[1] > best.shape[1]:
            self.scores[:, best.shape[1] :] = -float("inf")
        self.tokens = torch.cat([_rows(self.tokens, origin), token[..., None]], -1)
        self.weights = None if self.weights is None else _rows(self.weights, origin)
        return (self.row_of * beam + origin).flatten()

    def _end(self, best: Tensor, origin: Tensor, token: Tensor, end: int) -> None:
        for row, rank in ((token == end) & (best > -float("inf"))).nonzero().tolist():
            if row in self.running:
                self._record(row, int(origin[row, rank]), float(best[row, rank]))

    def _record(self, row: int, beam: int, score: float) -> None:
        weights = None if self.weights is None else self.weights[row, beam]
        self.ended[row].append(Hypothesis(self.tokens[row, beam].tolist(), score, weights))
        self.ended[row].sort(key=lambda hypothesis: -hypothesis.score)
        del self.ended[row][self.beam :]

    def close_rows(self, length: int, limits: Sequence[int]) -> None:
        """Stop the rows that are done; at its limit a row falls back on what is alive."""
        alive = self.scores.tolist()
        for row in sorted(self.running):
            ended = self.ended[row]
            if length >= limits[row]:
                for beam, score in enumerate(alive[row]):
                    if len(ended) < self.beam and score > -float("inf"):
                        self._record(row, beam, score)
                self.running.remove(row)
            elif (ended[-1].score if len(ended) == self.beam else -float("inf")) >= max(alive[row]):
                self.running.remove(row)


def _gains(stepped: Stepped | Scored, symbols: Symbols) -> Tensor:
    """What each token adds to the score of an answer."""
    scores = stepped.scores.clone() if isinstance(stepped, Scored) else stepped.logits.float().log_softmax(-1)
    scores[:, list(symbols.banned)] = -float("inf")
    return scores


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """`x[row, index[row, k]]` for every row and k."""
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def _select(tree: Any, index: Tensor, batch: int) -> Any:
    """One `index_select` on every tensor of nested tuples whose first axis is the batch."""
    if isinstance(tree, Tensor):
        return tree.index_select(0, index) if tree.shape[0] == batch else tree
    if not isinstance(tree, tuple):
        return tree
    parts = (_select(part, index, batch) for part in tree)
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def _device_of(tree: Any) -> Tensor:
    """Some tensor of the tree, for its device."""
    while not isinstance(tree, Tensor):
        tree = tree[0]
    return tree
