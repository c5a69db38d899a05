"""Gates over channels and places: which of eight channels holds the picture, and where (Hu 2018, Wang 2020, Woo 2018)?

An image of eight channels of noise. One of them holds a bar, lying or standing, and is twice as loud as the others; the
same filters look at all channels, so that what they find must be weighed by channel before it is summed up. A gate
opens the loud channel and closes the rest, and CBAM also closes the places beside the bar.

    python examples/gates.py [picture.png]          each gate tells lying from standing 90 % of the time
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import ConvolutionalBlockAttention, EfficientChannelGate, SqueezeExcitation, show_weights

CHANNELS, SIZE = 8, 8


def images(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, the channel of the bar, and whether it stands."""
    x = torch.randn(count, CHANNELS, SIZE, SIZE)
    channel, stands, at = (
        torch.randint(CHANNELS, (count,)),
        torch.rand(count) < 0.5,
        torch.randint(1, SIZE - 1, (count,)),
    )
    for row in range(count):
        bar = torch.zeros(SIZE, SIZE)
        bar[at[row]] = 3.0
        x[row, channel[row]] = 1.5 * x[row, channel[row]] + 1 + (bar.T if stands[row] else bar)
    return x, channel, stands.long()


class Watcher(nn.Module):
    """A gate on the image, the same small filters on every channel, and what they find summed up."""

    def __init__(self, gate: nn.Module):
        super().__init__()
        self.gate = gate
        self.filters = nn.Conv2d(1, 16, 3, padding=1)
        self.say = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.gate(x)
        features = torch.relu(self.filters(found.output.flatten(0, 1)[:, None])).amax((2, 3))
        return self.say(features.view(len(x), CHANNELS, -1).sum(1)), found[1][:, :, 0, 0]


torch.manual_seed(0)
x, channel, stands = images(1000)
rows, reached = [], []
for gate in (
    SqueezeExcitation(CHANNELS, reduction=1),
    EfficientChannelGate(CHANNELS, kernel_size=15),
    ConvolutionalBlockAttention(CHANNELS, reduction=1, kernel_size=3),
):
    model = Watcher(gate)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        some, _, label = images(64)
        loss = cross_entropy(model(some)[0], label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        logits, opened = model(x)
    reached.append(float((logits.argmax(-1) == stands).float().mean()))
    widest = float((opened.argmax(-1) == channel).float().mean())
    print(f"{type(gate).__name__:28s} right {reached[-1]:.1%}, widest open where the bar is {widest:.1%}")
    rows.append(opened[0])

show_weights(
    [f"channel {c}" for c in range(CHANNELS)],
    ["SE", "ECA", "CBAM"],
    torch.stack(rows),
    title=f"how wide each gate is open; the bar is in channel {channel[0].item()}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"the worst of the three on unseen: {min(reached):.1%}")
