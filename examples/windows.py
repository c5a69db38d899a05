"""Local windows: read 21 slots of 2,000 and pay for 21 (Luong et al. 2015, §3.2).

A tape of 2,000 slots. local-m, "monotonic": query i looks around slot i; within that window the score learns to copy
the digit 3 slots ahead. local-p, "predictive": the query itself says where to look; asked for a chapter it learns where
that begins, from nothing but what it has read. The weights are `Windowed(start, values, slots)`: what lies outside is
not even stored.

    python examples/windows.py [picture.png]          local-m copies 95 % of the digits of unseen tapes
"""

import sys

import torch
from torch.nn.functional import cross_entropy, one_hot

from saccade import GeneralAttention, LocalMonotonic, LocalPredictive, show_weights

SLOTS, DIGITS, STEPS, AHEAD, HALF_WIDTH = 2000, 10, 40, 3, 10
CYCLE = 2 * HALF_WIDTH + 1  # slots of a window


def cycle(count: int) -> torch.Tensor:
    """Where each slot stands among 21: enough to tell the slots of a window apart, `[1, count, CYCLE]`."""
    return one_hot(torch.arange(count) % CYCLE).float()[None]


torch.manual_seed(0)
monotonic = GeneralAttention(CYCLE, CYCLE, window=LocalMonotonic(HALF_WIDTH))
optimizer = torch.optim.Adam(monotonic.parameters(), lr=0.05)
for _ in range(100):
    digits = torch.randint(DIGITS, (4, SLOTS))
    tape = one_hot(digits, DIGITS).float()
    copied = monotonic(cycle(STEPS).expand(4, -1, -1), cycle(SLOTS).expand(4, -1, -1), tape).context
    loss = cross_entropy((copied + 1e-4).log().flatten(0, 1), digits[:, AHEAD : AHEAD + STEPS].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
digits = torch.randint(DIGITS, (1, SLOTS))
with torch.no_grad():
    copied, weights, _ = monotonic(cycle(SLOTS - AHEAD), cycle(SLOTS), one_hot(digits, DIGITS).float())
exact = (copied.argmax(-1) == digits[:, AHEAD:]).float().mean()
stored, all_ = weights.values.numel(), weights.values.shape[1] * weights.slots
print(f"local-m: {exact:.1%} of {SLOTS - AHEAD} digits copied; {stored:,} weights, not {all_:,}")

# Chapters begin somewhere on the tape, and the query names one. What is read of a slot is its place, and a one to
# divide by, since local-p's weights sum to less than one.
begins = torch.randint(SLOTS, (8,)).sort().values
places = torch.stack([torch.linspace(0, 1, SLOTS), torch.ones(SLOTS)], -1)[None]
chapters = torch.eye(8)[None]
predictive = GeneralAttention(8, 2, window=LocalPredictive(query_dim=8, hidden_dim=32, half_width=HALF_WIDTH))
optimizer = torch.optim.Adam(predictive.parameters(), lr=0.02)
for _ in range(400):
    read = predictive(chapters, places, places).context[0]
    loss = (read[:, 0] / read[:, 1] - begins / SLOTS).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    found = predictive(chapters, places, places).weights
for begin, start in zip(begins.tolist(), found.start[0].tolist(), strict=True):
    print(f"local-p: the chapter begins at slot {begin:4d}; read slots {max(start, 0)} to {start + CYCLE - 1}")

show_weights(
    [str(digit) for digit in digits[0, :20].tolist()],
    [str(digit) for digit in copied[0, :12].argmax(-1).tolist()],
    weights.dense()[0, :12, :20],
    title="local-m copies the digit 3 slots ahead",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {exact:.1%}")
