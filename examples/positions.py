"""What heads know of places: trained on 12 steps, asked on 40 (Press et al. 2022; Su et al. 2021; Shaw et al. 2018).

A stream of letters; at each step, say the letter three steps before. A vector for each absolute place knows nothing of
places that it has not seen. A vector for each distance, clipped beyond 8, is right at any length; a number for each
distance and turned queries and keys (rotary) are so in part, as more and more slots compete. A bias that falls with the
distance (ALiBi) knows near from far and cannot count to three.

    python examples/positions.py [picture.png]          95 % at 40 steps with a vector for each distance
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import Alibi, BucketedBias, MultiHeadAttention, RelativeVectors, Rotary, SelfAttention, show_weights

LETTERS, BACK, TRAINED, ASKED, WIDTH, HEADS = 8, 3, 12, 40, 64, 4


class Echo(nn.Module):
    """One causal layer of self-attention over letters."""

    def __init__(self, positions: nn.Module | None):
        super().__init__()
        self.embed = nn.Embedding(LETTERS, WIDTH)
        self.place = nn.Embedding(ASKED, WIDTH) if positions is None else None
        self.attend = SelfAttention(MultiHeadAttention(WIDTH, WIDTH, heads=HEADS, positions=positions), after=0)
        self.say = nn.Linear(WIDTH, LETTERS)

    def forward(self, letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embed(letters)
        if self.place is not None:
            x = x + self.place.weight[: letters.shape[1]]
        read, weights, _ = self.attend(x)
        return self.say(read), weights


def right(model: Echo, letters: torch.Tensor) -> float:
    with torch.no_grad():
        answer = model(letters)[0][:, BACK:].argmax(-1)
    return float((answer == letters[:, :-BACK]).float().mean())


torch.manual_seed(0)
short, long = (torch.randint(LETTERS, (500, length)) for length in (TRAINED, ASKED))
width, reached = WIDTH // HEADS, {}
for name, positions in {
    "none but the place": None,
    "alibi": Alibi(),
    "rotary": Rotary(width),
    "a number for each distance": BucketedBias(HEADS, buckets=16, furthest=20, bidirectional=False),
    "a vector for each distance": RelativeVectors(width, furthest=8),
}.items():
    model = Echo(positions)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(400):
        letters = torch.randint(LETTERS, (64, TRAINED))
        loss = cross_entropy(model(letters)[0][:, BACK:].flatten(0, 1), letters[:, :-BACK].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reached[name] = right(model, long)
    print(f"{name:28s} right at {TRAINED} steps {right(model, short):.1%}, at {ASKED} steps {reached[name]:.1%}")

names = ["abcdefgh"[letter] for letter in long[0, -TRAINED:].tolist()]
with torch.no_grad():
    weights = model(long[:1])[1][0].mean(0)[-TRAINED:, -TRAINED:]
show_weights(
    names,
    names,
    weights,
    title="a vector for each distance, the last steps of 40: three back",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"a vector for each distance on unseen: {reached['a vector for each distance']:.1%}")
