"""Kernel regression is attention: a value is the mean of the values nearby (Nadaraya 1964; Watson 1964).

As "Dive into Deep Learning" (d2l.ai, Attention Pooling) teaches it: fit `y = 2 sin x + x^0.8 + noise` from 50 points.
The query is where to guess, the keys are the places of the points, the values what was measured there, and the weights
are `softmax(-|x - x_j|^2 / (2 width^2))`. The one weight is the width: too wide blurs, too narrow repeats the noise.
While it learns, a mask keeps each point from looking at itself, or the best width would be zero.

    python examples/kernel_regression.py [picture.png]          explains 90 % of the variance of the true curve
"""

import sys

import torch

from saccade import GaussianKernelAttention, show_weights

POINTS = 50


def curve(x: torch.Tensor) -> torch.Tensor:
    return 2 * x.sin() + x**0.8


def spread(x: torch.Tensor, width: int) -> torch.Tensor:
    """Places or values as a batch of one: `[1, count, 1]`."""
    return x.view(1, width, 1)


torch.manual_seed(0)
x = (5 * torch.rand(POINTS)).sort().values
key, value = spread(x, POINTS), spread(curve(x) + 0.5 * torch.randn(POINTS), POINTS)
unseen = torch.linspace(0, 5, 51)
truth = curve(unseen)


def explained(attend: GaussianKernelAttention) -> float:
    """How much of the variance of the true curve, of which only noisy points were seen."""
    with torch.no_grad():
        guess = attend(spread(unseen, 51), key, value).context.flatten()
    return 1 - float((guess - truth).square().mean() / truth.var(correction=0))


attend = GaussianKernelAttention(query_dim=1, width=3.0)
others = ~torch.eye(POINTS, dtype=torch.bool)[None]  # [batch, query, key], True = may attend
optimizer = torch.optim.Adam(attend.parameters(), lr=0.1)
print(f"width {attend.log_width.exp().item():.2f} explains {explained(attend):.1%}")
for _ in range(100):
    loss = (attend(key, key, value, mask=others).context - value).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"width {attend.log_width.exp().item():.2f} explains {explained(attend):.1%}, learned")
for width in (0.03, 10.0):
    print(f"width {width:.2f} explains {explained(GaussianKernelAttention(query_dim=1, width=width)):.1%}")

with torch.no_grad():
    guess, weights, _ = attend(spread(unseen[::3], 17), key, value)
show_weights(
    [str(int(place)) for place in x[::2].tolist()],
    [f"y({place:.1f})={y:.1f}" for place, y in zip(unseen[::3].tolist(), guess.flatten().tolist(), strict=True)],
    weights[0].unflatten(-1, (POINTS // 2, 2)).sum(-1),  # two points a column, so that the map fits a terminal
    title="each guess is a mean of the points nearby",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"variance explained on unseen: {explained(attend):.1%}")
