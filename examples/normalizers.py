"""From scores to weights: softmax gives every slot something, sparse normalisers give most of them exactly nothing.

A memory of 10 slots, each with a noisy name and a digit. Asked for a name, say which digits stand beside it: one slot
has the name, or several have. All learn it; what differs is how many slots one has to look at to see why. Sparsemax is
of Martins and Astudillo 2016; entmax, which learns its alpha between softmax (1) and sparsemax (2), of Peters et al.
2019 and Correia et al. 2019. Under a sigmoid every slot decides for itself; the sum is how many said yes.

    python examples/normalizers.py [picture.png]          each finds 85 % of the sets of digits
"""

import sys

import torch
from torch.nn.functional import one_hot

from saccade import AdditiveAttention, normalizers, show_weights

SLOTS, NAMES, WIDTH, DIGITS = 10, 4, 16, 10


def memories(count: int, names: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries (names), keys (noisy names), values (digits) and which slots have the name, `[count, SLOTS]`."""
    asked, has = torch.randint(NAMES, (count, 1)), torch.randint(NAMES, (count, SLOTS))
    has[:, 0] = asked[:, 0]  # one at least
    has = has[:, torch.randperm(SLOTS)]
    key = names[has] + 0.3 * torch.randn(count, SLOTS, WIDTH)
    return names[asked[:, 0]], key, one_hot(torch.randint(DIGITS, (count, SLOTS)), DIGITS).float(), has == asked


def shares(values: torch.Tensor) -> torch.Tensor:
    """Parts of the whole: a sigmoid's weights sum to more or less than one."""
    return values / values.sum(-1, keepdim=True).clamp_min(1e-6)


torch.manual_seed(0)
names = torch.randn(NAMES, WIDTH)
test = memories(2000, names)
rows, reached = [], []
for normalizer in (
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Entmax(),
    normalizers.Sigmoid(),
):
    attend = AdditiveAttention(WIDTH, WIDTH, hidden_dim=32, normalizer=normalizer)
    optimizer = torch.optim.Adam(attend.parameters(), lr=0.01)
    for _ in range(300):
        query, key, value, there = memories(128, names)
        truth = shares((value * there[..., None]).sum(1))
        loss = (shares(attend(query, key, value).context) - truth).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    query, key, value, there = test
    with torch.no_grad():
        context, weights, _ = attend(query, key, value)
    found, truth = shares(context) > 0.05, (value * there[..., None]).sum(1) > 0
    rows.append(weights[0])
    reached.append(float((found == truth).all(-1).float().mean()))
    read = (weights > 0).float().sum(-1).mean()
    learned = f", alpha {normalizer.alpha.item():.2f}" if isinstance(normalizer, normalizers.Entmax) else ""
    print(f"{type(normalizer).__name__:10s} {reached[-1]:6.1%} right, {read:4.1f} slots with a weight{learned}")
print(f"slots with the name: {there.float().sum(-1).mean():.1f}")

show_weights(
    ["yes" if has else "no" for has in there[0].tolist()],
    ["softmax", "sparsemax", "entmax15", "entmax", "sigmoid"],
    torch.stack(rows),
    title="which slots have the name",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {min(reached):.1%}")
