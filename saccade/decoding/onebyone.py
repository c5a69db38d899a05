"""One answer, token by token: the likeliest token at each step, or one that is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.decoding.steps import (
    Hypothesis,
    Looked,
    Scored,
    Stepped,
    Steps,
    Symbols,
    allowed,
    ballasted,
    begun,
    best_tokens,
    rows_of,
    select,
)

Choose = Callable[[Stepped | Scored, list[int]], tuple[Tensor, Tensor]]
"""What is written next, given a step and which rows it is of: what that adds to the score, and the token, `[batch]`."""
INF = float("inf")


@dataclass(frozen=True)
class Sampling:
    """From what a token is drawn.

    temperature: logits are divided by it; below 1 likely tokens become likelier.
    top_k: of each step only so many of the likeliest tokens; 0: all.
    top_p: of these only the nucleus, the fewest likeliest tokens that have this probability together (Holtzman et al.
        2020, eq. 2); 1: all.

    Raises:
        ValueError: a temperature that is not above 0, a negative top_k, a top_p that is not above 0 and at most 1.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < INF:
            raise ValueError(f"temperature must be above 0; got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be at least 0; got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1; got {self.top_p}")


def greedy(model: Steps, memory: Any, state: Any, symbols: Symbols, limits: Sequence[int]) -> list[Hypothesis]:
    """Take the likeliest token at each step, until the end token or `limits[b]` tokens.

    Each row has a limit of its own, so that no row's answer depends on the others in its batch.
    """

    def choose(stepped: Stepped | Scored, rows: list[int]) -> tuple[Tensor, Tensor]:
        gain, token = best_tokens(stepped, symbols, 1)
        return gain[:, 0], token[:, 0]

    return _written(model, memory, state, symbols, limits, choose)


def sample(
    model: Steps,
    memory: Any,
    state: Any,
    symbols: Symbols,
    limits: Sequence[int],
    generators: Sequence[torch.Generator],
    sampling: Sampling | None = None,
) -> list[Hypothesis]:
    """Draw a token at each step, until the end token or `limits[b]` tokens.

    The token is `argmax_v log p_v / temperature + G_v`, G_v being Gumbel noise (Maddison et al. 2014, §2), over the
    tokens that `sampling` leaves. Scores are log-probabilities of the model itself, whatever it is drawn from.

    Args:
        generators: of each row its own, on the CPU, so that no draw depends on the other rows or on the device; see
            `generator`.
    """
    sampling = Sampling() if sampling is None else sampling

    def choose(stepped: Stepped | Scored, rows: list[int]) -> tuple[Tensor, Tensor]:
        gains = allowed(stepped, symbols)
        noise = torch.zeros(gains.shape)
        for place, row in enumerate(rows):
            noise[place] = _gumbel(gains.shape[-1], generators[row])
        token = (narrowed(gains / sampling.temperature, sampling) + noise.to(gains.device)).argmax(-1)
        return gains.gather(1, token[:, None])[:, 0], token

    return _written(model, memory, state, symbols, limits, choose)


def narrowed(scores: Tensor, sampling: Sampling) -> Tensor:
    """Scores `[batch, vocab]` of the tokens that may be drawn, -inf for all others; see `Sampling`.

    >>> narrowed(torch.tensor([[0.5, 0.3, 0.2]]).log(), Sampling(top_p=0.6)).isfinite()
    tensor([[ True,  True, False]])
    """
    if 0 < sampling.top_k < scores.shape[-1]:
        best = scores.topk(sampling.top_k, -1)
        scores = torch.full_like(scores, -INF).scatter(-1, best.indices, best.values)
    if sampling.top_p < 1:
        ordered, order = scores.sort(-1, descending=True)
        chances = ordered.softmax(-1)
        # Out are those before which there is enough already, so the likeliest is always in.
        ordered = ordered.masked_fill(chances.cumsum(-1) - chances >= sampling.top_p, -INF)
        scores = torch.empty_like(scores).scatter(-1, order, ordered)
    return scores


def generator(seed: int, key: bytes, number: int = 0) -> torch.Generator:
    """What draws for one row: decided by the seed, what the row is of, and which of its answers it is.

    >>> torch.equal(*(torch.rand(3, generator=generator(7, b"the input")) for _ in range(2)))
    True
    """
    digest = blake2b(key, digest_size=8, key=f"{seed} {number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def _gumbel(size: int, generator: torch.Generator) -> Tensor:
    """Gumbel noise: minus the logarithm of exponential noise, which is never 0."""
    return -torch.empty(size).exponential_(generator=generator).log()


def _written(
    model: Steps, memory: Any, state: Any, symbols: Symbols, limits: Sequence[int], choose: Choose
) -> list[Hypothesis]:
    """Ask for one token after the other; rows that have ended are left out of the batch."""
    rows, most, looked = np.arange(len(limits)), np.array(limits, np.int64), Looked()
    tokens: list[list[int]] = [[] for _ in limits]
    places: list[list[int]] = [[] for _ in limits]
    scores = np.zeros(len(limits))
    if limits:
        memory, state, token = begun(memory, state, len(limits), symbols.start)
    while len(rows):
        stepped, batch, running = model.step(token, memory, state), len(token), rows.tolist()
        gain, token = choose(stepped, running)
        scores[rows] += gain[: len(rows)].detach().double().cpu().numpy()
        written = token[: len(rows)].cpu().numpy()
        for place, (row, identity) in enumerate(zip(running, written.tolist(), strict=True)):
            places[row].append(looked.offset + place)
            if identity != symbols.end:
                tokens[row].append(identity)
        looked.add(stepped.weights, batch)
        going = (written != symbols.end) & (len(places[running[0]]) < most[rows])
        rows, state = rows[going], stepped.state
        if 0 < len(rows) < len(running):
            index = torch.from_numpy(ballasted(np.flatnonzero(going))).to(token.device)
            memory, state, token = (select(tree, index, batch) for tree in (memory, state, token))
    weights = looked.rows()
    found = zip(tokens, scores.tolist(), places, strict=True)
    return [Hypothesis(ids, score, rows_of(weights, place)) for ids, score, place in found]
