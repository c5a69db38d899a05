"""Local windows over a long memory: read 21 slots of 2,000, and know where (Luong et al. 2015, §3.2).

A tape of 2,000 slots holds a digit in every slot. local-m walks along it and copies; local-p is told a place between 0
and 1 and reads the mean of what stands around it. Weights come as (start, values): what is outside costs nothing.

    python examples/windows.py [picture.png]          local-m copies 99 % of unseen tapes
"""

import sys

import torch
from torch.nn.functional import cross_entropy, one_hot

from saccade import GeneralAttention, LocalMonotonic, LocalPredictive, show_weights

SLOTS, DIGITS, STEPS, HALF_WIDTH = 2000, 10, 12, 10


def tape(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits, and a memory in which each slot also tells how far from its window's centre it may be: place mod 21."""
    digits = torch.randint(DIGITS, (count, SLOTS))
    place = one_hot(torch.arange(SLOTS) % (2 * HALF_WIDTH + 1)).float().expand(count, -1, -1)
    return digits, torch.cat([one_hot(digits, DIGITS).float(), place], -1)


torch.manual_seed(0)
width = DIGITS + 2 * HALF_WIDTH + 1
step = one_hot(torch.arange(STEPS) % (2 * HALF_WIDTH + 1), width).float()  # which step it is
attend = GeneralAttention(width, width, window=LocalMonotonic(HALF_WIDTH))
optimizer = torch.optim.Adam(attend.parameters(), lr=0.05)
for _ in range(150):
    digits, memory = tape(4)
    context = attend(step.expand(4, -1, -1), memory, memory).context
    loss = cross_entropy((context[..., :DIGITS] + 1e-4).log().flatten(0, 1), digits[:, :STEPS].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
digits, memory = tape(20)
with torch.no_grad():
    context, weights, _ = attend(step.expand(20, -1, -1), memory, memory)
copied = float((context[..., :DIGITS].argmax(-1) == digits[:, :STEPS]).float().mean())
print(f"local-m: starts {weights.start[0].tolist()}, {weights.values.shape[-1]} of {weights.slots} slots each")

# local-p: the query is a place; what is learned is how to turn it into the centre of the window.
asked = torch.rand(256, 1)
window = LocalPredictive(query_dim=2, hidden_dim=16, half_width=HALF_WIDTH)
query = torch.cat([asked, torch.ones(256, 1)], -1)[:, None]
optimizer = torch.optim.Adam(window.parameters(), lr=0.02)
for _ in range(800):
    centre, _ = window(query, torch.tensor([[SLOTS]]), window.initial(256, query))
    loss = ((centre - SLOTS * asked) / SLOTS).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
local = GeneralAttention(2, width, window=window)
places = torch.tensor([[[0.25, 1.0], [0.5, 1.0], [0.75, 1.0]]])
with torch.no_grad():
    found = local(places, memory[:1], memory[:1])
starts = ", ".join(str(start + HALF_WIDTH) for start in found.weights.start[0].tolist())
centre = float(found.state.window.centre[0])
print(f"local-p: asked for 500, 1000, 1500; looked around {starts}; the last centre was {centre:.1f}")

show_weights(
    [str(digit) for digit in digits[0, : STEPS + HALF_WIDTH].tolist()],
    [str(digit) for digit in digits[0, :STEPS].tolist()],
    weights.dense()[0, :, : STEPS + HALF_WIDTH],
    title="local-m copies the beginning of a tape",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {copied:.1%}")
