"""A bag has a label, its instances have none: which of them was it (Ilse et al. 2018)?

A bag of 8 to 16 noisy pictures of digits, here random prototypes; it is positive if there is a 9 in it. From bags and
their labels alone, attention learns to weigh the 9 above all others, gated or not, so that who asks why is shown it.

    python examples/bags.py [picture.png]          95 % of the bags, and the 9 weighs most
"""

import sys

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from saccade import BagPooling, GatedBagPooling, masks, show_weights

LARGEST, WIDTH, NINE = 16, 24, 9


def bags(count: int, prototypes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Instances `[count, LARGEST, WIDTH]`, their digits (-1 where there is none), and the labels of the bags."""
    digits = torch.randint(NINE, (count, LARGEST))
    sizes = torch.randint(8, LARGEST + 1, (count,))
    positive = torch.rand(count) < 0.5
    place = (torch.rand(count) * sizes).long()
    digits[positive, place[positive]] = NINE
    pictures = prototypes[digits] + 0.6 * torch.randn(count, LARGEST, WIDTH)
    return pictures, digits.masked_fill(~masks.padding(sizes, LARGEST), -1), positive.float()


class Judge(nn.Module):
    """Instances one by one, a weighted sum of them, and a verdict on the bag."""

    def __init__(self, pool: nn.Module):
        super().__init__()
        self.look = nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU())
        self.pool, self.say = pool, nn.Linear(32, 1)

    def forward(self, pictures: torch.Tensor, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vector, weights, _ = self.pool(self.look(pictures), mask=there)
        return self.say(vector)[:, 0], weights


torch.manual_seed(0)
prototypes = torch.randn(NINE + 1, WIDTH)
pictures, digits, positive = bags(1000, prototypes)
reached, rows = [], []
for pool in (BagPooling(32, 16), GatedBagPooling(32, 16)):
    model = Judge(pool)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(500):
        some, which, label = bags(64, prototypes)
        loss = binary_cross_entropy_with_logits(model(some, which >= 0)[0], label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits, weights = model(pictures, digits >= 0)
    right = float(((logits > 0) == (positive > 0)).float().mean())
    nines = weights.argmax(-1) == (digits == NINE).long().argmax(-1)
    found = float(nines[positive > 0].float().mean())
    print(f"{type(pool).__name__:16s} bags right {right:.1%}, and the 9 weighs most in {found:.1%} of those with one")
    reached += [right, found]
    rows.append(weights[positive > 0][0])

first = digits[positive > 0][0]
show_weights(
    [str(digit) for digit in first[first >= 0].tolist()],
    ["plain", "gated"],
    torch.stack(rows)[:, first >= 0],
    title="what weighs in a bag with a 9",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"the worst of all figures on unseen: {min(reached):.1%}")
