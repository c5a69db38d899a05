"""A model small enough to know every answer of, for the laws of searches."""

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.decoding import Symbols

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
