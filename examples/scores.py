"""Content scores side by side: which slot of a memory answers a query?

A memory of 8 facts: each slot holds a noisy name (its key) and a digit (its value). The query is a name seen through
another matrix than the keys, so a model must learn how the two belong together: dot and cosine in the projection before
them, general and additive in themselves (Bahdanau et al. 2015; Luong et al. 2015; Graves et al. 2014).

    python examples/scores.py [picture.png]          reaches 95 % on unseen memories
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from saccade import (
    AdditiveAttention,
    CosineAttention,
    DotAttention,
    GeneralAttention,
    ScaledDotAttention,
    show_weights,
)

SLOTS, WIDTH, DIGITS = 8, 16, 10


def memories(count: int, through: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, values, queries (the name of one slot, seen through a matrix) and the digit to be answered."""
    key = torch.randn(count, SLOTS, WIDTH)
    digit, asked = torch.randint(DIGITS, (count, SLOTS)), torch.randint(SLOTS, (count,))
    query = key[torch.arange(count), asked] @ through + 0.3 * torch.randn(count, WIDTH)
    return key, one_hot(digit, DIGITS).float(), query, digit[torch.arange(count), asked]


class Asker(nn.Module):
    """A projection of the query, a mechanism, and its context as the answer."""

    def __init__(self, attend: nn.Module):
        super().__init__()
        self.project, self.attend = nn.Linear(WIDTH, WIDTH), attend

    def forward(self, key: torch.Tensor, value: torch.Tensor, query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        context, weights, _ = self.attend(self.project(query), key, value)
        return context, weights


def train(attend: nn.Module, through: torch.Tensor) -> tuple[Asker, float]:
    model = Asker(attend)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(400):
        key, value, query, answer = memories(128, through)
        context, _ = model(key, value, query)
        loss = cross_entropy((context + 1e-6).log(), answer)  # the context is a distribution over digits
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    key, value, query, answer = memories(2000, through)
    with torch.no_grad():
        return model, float((model(key, value, query)[0].argmax(-1) == answer).float().mean())


torch.manual_seed(0)
through = torch.randn(WIDTH, WIDTH) / WIDTH**0.5
found = {}
for attend in (
    DotAttention(WIDTH),
    ScaledDotAttention(WIDTH),
    GeneralAttention(WIDTH, WIDTH),
    CosineAttention(WIDTH),
    AdditiveAttention(WIDTH, WIDTH, hidden_dim=64),
):
    name = type(attend).__name__
    found[name] = train(attend, through)
    print(f"{name:22s} exact on unseen: {found[name][1]:.1%}")

model, _ = found["GeneralAttention"]
key, value, query, answer = memories(6, through)
with torch.no_grad():  # the same memory for all six queries, so that they fill one map
    weights = torch.cat([model(key[:1], value[:1], (key[:1, slot] @ through))[1] for slot in range(6)])
show_weights(
    [str(slot) for slot in range(SLOTS)],
    [f"which is {slot}?" for slot in range(6)],
    weights,
    title="who asks for slot i reads slot i",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {min(score for _, score in found.values()):.1%}")
