"""A pointer network sorts numbers: each step points at the place of the next larger one (Vinyals et al. 2015).

The weights are the answer, so what is learned from is the logarithm of them, `log_probabilities`.

    python examples/pointer.py [picture.png]          points right 95 % of the time on unseen numbers
"""

import sys

import torch
from torch import nn
from torch.nn.functional import nll_loss

from saccade import PointerAttention, show_weights

NUMBERS, WIDTH = 6, 48


class Sorter(nn.Module):
    """An encoder over the numbers as a set, and a decoder that reads what it pointed at last."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(1, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.point = PointerAttention(WIDTH, WIDTH, WIDTH)

    def forward(self, numbers: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities `[batch, step, place]`; without a target it follows its own pointing."""
        states = self.embed(numbers[..., None])
        open_ = torch.ones(numbers.shape, dtype=torch.bool)  # a number that was pointed at is closed
        x = state = cell = states.mean(1)
        steps = []
        for i in range(NUMBERS):
            state, cell = self.cell(x, (state, cell))
            memory = self.point.remember(states, states, mask=open_)
            steps.append(self.point.log_probabilities(state, memory))
            place = steps[-1].argmax(-1) if target is None else target[:, i]
            x = states[torch.arange(len(x)), place]
            open_ = open_.scatter(1, place[:, None], False)
        return torch.stack(steps, 1)


torch.manual_seed(0)
model = Sorter()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for _ in range(600):
    numbers = torch.rand(128, NUMBERS)
    order = numbers.argsort(-1)
    loss = nll_loss(model(numbers, order).flatten(0, 1), order.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

numbers = torch.rand(1000, NUMBERS)
with torch.no_grad():
    chances = model(numbers)
right = float((chances.argmax(-1) == numbers.argsort(-1)).float().mean())
show_weights(
    [f"{x:.2f}" for x in numbers[0].tolist()],
    [f"{x:.2f}" for x in numbers[0].sort().values.tolist()],
    chances[0].exp(),
    title="from smallest to largest",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {right:.1%}")
