"""Coverage knows how much of each slot was read so far: sort digits that come again, `4 1 4 7` is `1 4 4 7`.

Additive attention looks at both 4s at once, twice: it says the right digits and cannot tell which it has dealt with.
Coverage (See et al. 2017, §2.3) adds the sum of all weights so far to the score; the sum goes round as a state, into
`read` and out of it. As in the paper `coverage_loss`, the cost of reading again, comes in after a first phase.

    python examples/coverage_attention.py [picture.png]          reads each slot once, 90 % of the time
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import AdditiveAttention, CoverageAttention, coverage_loss, show_weights

COUNT, DIGITS, WIDTH, STEPS = 8, 10, 32, 1000


class Sorter(nn.Module):
    """Digits as memory, and a recurrent decoder that says the digit it reads."""

    def __init__(self, attend: nn.Module):
        super().__init__()
        self.embed, self.attend = nn.Embedding(DIGITS, WIDTH), attend
        self.place = nn.Embedding(COUNT, WIDTH)  # or two equal digits would be the same slot twice
        self.cell, self.say = nn.GRUCell(WIDTH, WIDTH), nn.Linear(WIDTH, DIGITS)

    def forward(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slots = self.embed(source) + self.place.weight
        memory = self.attend.remember(slots, slots)
        query = context = slots.mean(1)
        state, logits, rows = self.attend.initial(memory), [], []
        for _ in range(COUNT):
            query = self.cell(context, query)
            context, weights, state = self.attend.read(query, memory, state)
            logits.append(self.say(context))
            rows.append(weights)
        return torch.stack(logits, 1), torch.stack(rows, 1)


def train(attend: nn.Module) -> Sorter:
    model = Sorter(attend)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        source = torch.randint(DIGITS, (64, COUNT))
        logits, weights = model(source)
        loss = cross_entropy(logits.flatten(0, 1), source.sort().values.flatten())
        if isinstance(attend, CoverageAttention) and step >= 400:
            loss = loss + coverage_loss(weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


torch.manual_seed(0)
source = torch.randint(DIGITS, (1000, COUNT))
source[0] = torch.tensor([4, 1, 9, 4, 0, 7, 4, 1])
for attend in (AdditiveAttention(WIDTH, WIDTH, WIDTH), CoverageAttention(WIDTH, WIDTH, WIDTH)):
    model = train(attend)
    with torch.no_grad():
        logits, weights = model(source)
    right = (logits.argmax(-1) == source.sort().values).float().mean()
    once = (weights.argmax(-1).sort().values == torch.arange(COUNT)).all(-1).float().mean()
    again = coverage_loss(weights).mean()
    print(f"{type(attend).__name__:18s} right digits {right:.1%}, coverage loss {again:.2f}, each slot once {once:.1%}")

show_weights(
    [str(digit) for digit in source[0].tolist()],
    [str(digit) for digit in logits[0].argmax(-1).tolist()],
    weights[0],
    title="each digit is read once, the smallest first",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"each slot once on unseen: {once:.1%}")
