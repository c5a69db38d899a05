"""A pointer-generator copies words that it has never seen (See et al. 2017, §2.2).

`call NAME at PLACE` becomes `PLACE : NAME`. Every name is new, so the vocabulary holds none of them; they get ids of
their own in each sentence, after the vocabulary, and only copying can say them.

    python examples/copying.py [picture.png]          writes 95 % of unseen messages exactly
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import nll_loss

from saccade import AdditiveAttention, PointerGenerator, show_weights

WORDS = ["<s>", "<unknown>", "call", "at", ":", "home", "work", "school", "sea"]
IDS, PLACES, WIDTH = {word: i for i, word in enumerate(WORDS)}, WORDS[5:], 32


def messages(count: int) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names, what each source token is in the extended vocabulary, and the targets."""
    names = ["".join(random.choice("bdfgklmnprst") + random.choice("aeiou") for _ in range(3)) for _ in range(count)]
    places = torch.tensor([IDS[random.choice(PLACES)] for _ in names])
    name = torch.full((count,), len(WORDS))  # the first id after the vocabulary
    source = torch.stack([torch.full((count,), IDS["call"]), name, torch.full((count,), IDS["at"]), places], 1)
    return names, source, torch.stack([places, torch.full((count,), IDS[":"]), name], 1)


class Writer(nn.Module):
    """A bidirectional encoder, additive attention, and a decoder that writes or copies."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(WORDS), WIDTH)
        self.encode = nn.GRU(WIDTH, WIDTH // 2, bidirectional=True, batch_first=True)
        self.attend = AdditiveAttention(WIDTH, WIDTH, WIDTH)
        self.cell, self.output = nn.GRUCell(2 * WIDTH, WIDTH), nn.Linear(2 * WIDTH, len(WORDS))
        self.copy = PointerGenerator(context_dim=WIDTH, state_dim=WIDTH, token_dim=WIDTH)

    def read(self, ids: torch.Tensor) -> torch.Tensor:
        """Words outside the vocabulary are read as unknown: their letters are never looked at."""
        return self.embed(torch.where(ids < len(WORDS), ids, IDS["<unknown>"]))

    def forward(self, source: torch.Tensor, target: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        states, _ = self.encode(self.read(source))
        memory, state = self.attend.remember(states, states), states.mean(1)
        token, steps, rows = torch.zeros(len(source), dtype=torch.long), [], []
        for i in range(3):
            x = self.read(token)
            context, weights, _ = self.attend.read(state, memory)
            state = self.cell(torch.cat([x, context], -1), state)
            logits = self.output(torch.cat([state, context], -1))
            steps.append(self.copy(logits, weights, source, context, state, x))  # log P over the extended vocabulary
            rows.append(weights)
            token = steps[-1].argmax(-1) if target is None else target[:, i]
        return torch.stack(steps, 1), torch.stack(rows, 1)


torch.manual_seed(0)
random.seed(0)
model = Writer()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(250):
    _, source, target = messages(64)
    loss = nll_loss(model(source, target)[0].flatten(0, 1), target.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

names, source, target = messages(500)
with torch.no_grad():
    chances, weights = model(source)
written = chances.argmax(-1)
exact = float((written == target).all(-1).float().mean())


def words(ids: torch.Tensor, name: str) -> list[str]:
    return [WORDS[i] if i < len(WORDS) else name for i in ids.tolist()]


print(" ".join(words(source[0], names[0])), "->", " ".join(words(written[0], names[0])))
show_weights(
    words(source[0], names[0]),
    words(written[0], names[0]),
    weights[0],
    title="the name is copied",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {exact:.1%}")
