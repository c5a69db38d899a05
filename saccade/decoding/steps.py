"""What a search asks: anything that can take a step, which tokens are its best, and rows chosen from its tensors."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PIECE = 64
"""Of how many tokens only the largest is looked at first, on the CPU, whose `topk` looks at each for long."""
_AT_ONCE = 500_000
"""Of how many scores the best are found at once, on the CPU: what is made of more on the way, of a large vocabulary,
leaves the caches, and the memory is fetched from the system anew at each step.
"""
LEAST = 4
"""Rows of a step. Matrix products of fewer take other paths on the CPU (measured: MKL below 4), whose sums differ in
the last bit; from here on a row's numbers are the same to the bit, however many rows stand beside it."""


class Stepped(Protocol):
    """What a step gives: logits `[batch, vocab]`, weights `[batch, source]` or None, and the next state."""

    @property
    def logits(self) -> Tensor: ...
    @property
    def weights(self) -> Tensor | None: ...
    @property
    def state(self) -> Any: ...


class Said(NamedTuple):
    """A step as a tuple, see `Stepped`."""

    logits: Tensor
    weights: Tensor | None
    state: Any


class Scored(NamedTuple):
    """What a step gives in place of logits where its own scores are summed as they are: `[batch, vocab]`, none above 0,
    -inf where a token is impossible.
    """

    scores: Tensor
    weights: Tensor | None
    state: Any


class Steps(Protocol):
    """A decoder: reads the previous tokens `[batch]`, a memory and a state. Memory and state are nested tuples of
    tensors whose first axis is the batch (one row may stand for all). A search leaves rows out once they have ended.
    """

    def step(self, token: Tensor, memory: Any, state: Any) -> Stepped | Scored: ...


@runtime_checkable
class Sharing(Steps, Protocol):
    """A decoder that may let several beginnings of an answer read one memory, which is then not copied for each."""

    def shares(self, memory: Any) -> bool:
        """Whether a step may be given `rows * n` tokens and states with a memory of `rows`: n neighbours read one."""


def shares(model: Steps, memory: Any) -> bool:
    """Whether the beginnings of a row can read one memory."""
    return isinstance(model, Sharing) and model.shares(memory)


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


def log_probabilities(stepped: Stepped | Scored) -> Tensor:
    """What each token adds to the score of an answer, `[batch, vocab]`."""
    return stepped.scores if isinstance(stepped, Scored) else stepped.logits.float().log_softmax(-1)


def best_tokens(stepped: Stepped | Scored, symbols: Symbols, count: int) -> tuple[Tensor, Tensor]:
    """What the `count` best tokens of each row add to the score of an answer, and which they are, best first."""
    return largest(allowed(stepped, symbols), count)


def best_continuations(
    stepped: Stepped | Scored, symbols: Symbols, scores: NDArray[Any], count: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Of each row the `count` best that its beginnings can go on with: the score, which beginning, and the token.

    Args:
        scores: of the beginnings, `[rows, beam]`; the step may hold more beginnings, which are left out.
    """
    said = (stepped.scores if isinstance(stepped, Scored) else stepped.logits).detach()
    (rows, beam), vocab = scores.shape, said.shape[-1]
    each = max(1, _AT_ONCE // (beam * vocab)) if said.device.type == "cpu" else rows
    found = []
    for begin in range(0, rows, each):
        added = torch.from_numpy(scores[begin : begin + each]).to(said.device)
        part = said[begin * beam :][: added.numel()]
        gains = allowed(Scored(part, None, None) if isinstance(stepped, Scored) else Said(part, None, None), symbols)
        found.append(largest_sums(gains.view(*added.shape, vocab), added, count))
    total, place = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return total, *np.divmod(place, vocab)


def allowed(stepped: Stepped | Scored, symbols: Symbols) -> Tensor:
    """What each token adds to the score of an answer, -inf for those that are never written."""
    scores = log_probabilities(stepped)
    scores = scores.clone() if isinstance(stepped, Scored) else scores
    scores[:, list(symbols.banned)] = -float("inf")
    return scores


def largest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`x.topk(count)` of `[batch, vocab]`, or of all where there are fewer: the largest numbers of each row, and where
    they stand.

    >>> values, place = largest(torch.arange(5000.0)[None] % 4999, 2)
    >>> values.tolist(), place.tolist()
    ([[4998.0, 4997.0]], [[4998, 4997]])
    """
    return largest_sums(x[:, None], x.new_zeros(len(x), 1), count)


def largest_sums(x: Tensor, added: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`(x + added[..., None]).flatten(1).topk(count)` of `[batch, beam, vocab]` and `[batch, beam]`, or of all where
    there are fewer.

    On the CPU of a large vocabulary only the pieces with the `count` largest maxima are searched, which hold them all.
    """
    beam, vocab = x.shape[1:]
    count, pieces = min(count, beam * vocab), vocab // _PIECE
    if x.device.type != "cpu" or beam * pieces < 4 * count:
        values, place = (x + added[..., None]).flatten(1).topk(count, -1)
        return values, place
    whole = pieces * _PIECE
    maxima = x[..., :whole].reshape(len(x), beam, pieces, _PIECE).amax(-1) + added[..., None]
    best = maxima.flatten(1).topk(count, -1, sorted=False).indices
    first = best // pieces * vocab + best % pieces * _PIECE
    place = (first[..., None] + torch.arange(_PIECE)).flatten(1)
    if whole < vocab:
        rest = torch.arange(beam)[:, None] * vocab + torch.arange(whole, vocab)
        place = torch.cat([place, rest.flatten().expand(len(x), -1)], 1)
    sums = x.flatten(1).gather(1, place) + added.gather(1, place // vocab)
    values, order = sums.topk(count, -1)
    return values, place.gather(1, order)


def ballasted(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """An index with its last repeated until there are `LEAST`.

    >>> ballasted(np.array([7, 5])).tolist()
    [7, 5, 5, 5]
    """
    return np.pad(index, (0, max(0, LEAST - len(index))), mode="edge")


def begun(memory: Any, state: Any, rows: int, start: int) -> tuple[Any, Any, Tensor]:
    """Memory, state and tokens of the first step, of at least `LEAST` rows."""
    like, index = some_tensor(state), ballasted(np.arange(rows))
    if len(index) > rows:
        place = torch.from_numpy(index).to(like.device)
        memory, state = select(memory, place, rows), select(state, place, rows)
    return memory, state, like.new_full((len(index),), start, dtype=torch.long)


def select(tree: Any, index: Tensor, batch: int) -> Any:
    """One `index_select` on every tensor of nested tuples whose first axis is the batch."""
    if isinstance(tree, Tensor):
        return tree.index_select(0, index) if tree.shape[0] == batch else tree
    if not isinstance(tree, tuple):
        return tree
    parts = (select(part, index, batch) for part in tree)
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def some_tensor(tree: Any) -> Tensor:
    """Some tensor of nested tuples, for its device."""
    while not isinstance(tree, Tensor):
        tree = tree[0]
    return tree


class Looked:
    """The weights of all steps, `[batch, source]` each, of which an answer has one row a step."""

    def __init__(self) -> None:
        self._steps: list[Tensor] = []
        self.offset = 0
        """Where the rows of the next step begin among those of all."""

    def add(self, weights: Tensor | None, batch: int) -> None:
        """Those of one more step."""
        if weights is not None:
            self._steps.append(weights)
        self.offset += batch

    def rows(self) -> Tensor | None:
        """Of all steps, `[steps * batch, source]`; None where nothing was shown."""
        return torch.cat(self._steps) if self._steps else None


def rows_of(weights: Tensor | None, index: list[int]) -> Tensor | None:
    """Some rows, or None of None."""
    return None if weights is None else weights[torch.tensor(index, dtype=torch.long, device=weights.device)]
