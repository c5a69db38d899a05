"""Linear attention is a recurrent network: trained whole, asked step by step, the same numbers (Katharopoulos 2020).

A stream tells pairs of a key and a digit, then asks for one of the keys: `k3 7 k1 4 k5 2 ? k1` is 4. What was read fits
in one matrix for each head, however long the stream is, and a step costs the same at the end as at the beginning. For
comparison the weights that this stands for are written out, which takes quadratic time and is only there to be seen.

    python examples/linear_attention.py [picture.png]          recalls 95 % of the digits
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import LinearAttention, show_weights

PAIRS, KEYS, DIGITS, WIDTH = 4, 6, 10, 64


def streams(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs as one token each, the question last, and the digit that is asked for."""
    keys = torch.rand(count, KEYS).argsort(1)[:, :PAIRS]
    digits = torch.randint(DIGITS, (count, PAIRS))
    asked = torch.randint(PAIRS, (count, 1))
    pairs = keys * DIGITS + digits
    question = KEYS * DIGITS + keys.gather(1, asked)
    return torch.cat([pairs, question], 1), digits.gather(1, asked)[:, 0]


class Memory(nn.Module):
    """Two layers of linear attention over the tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(KEYS * DIGITS + KEYS, WIDTH)
        self.layers = nn.ModuleList(LinearAttention(WIDTH, heads=4, causal=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.say = nn.Sequential(nn.Linear(WIDTH, 128), nn.ReLU(), nn.Linear(128, DIGITS))

    def forward(
        self, tokens: torch.Tensor, states: list | None = None
    ) -> tuple[torch.Tensor, list, torch.Tensor | None]:
        """Whole `[batch, steps]`, or one step `[batch]` with the states of the step before."""
        x, kept, weights = self.embed(tokens), [], None
        for index, (attend, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            read, weights, state = attend(norm(x), state=None if states is None else states[index])
            x = x + read
            kept.append(state)
        return self.say(x), kept, weights


torch.manual_seed(0)
model = Memory()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
for _ in range(1500):
    tokens, digit = streams(128)
    loss = cross_entropy(model(tokens)[0][:, -1], digit)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

tokens, digit = streams(1000)
with torch.no_grad():
    whole, _, weights = model(tokens)
    states = [layer.initial(len(tokens)) for layer in model.layers]
    for step in tokens.unbind(1):
        answer, states, _ = model(step, states)
print(f"step by step is whole: largest difference {(answer - whole[:, -1]).abs().max():.1e}")
right = float((answer.argmax(-1) == digit).float().mean())
names = [f"k{t // DIGITS} {t % DIGITS}" for t in tokens[0, :-1].tolist()]
names.append(f"? k{tokens[0, -1].item() - KEYS * DIGITS}")
show_weights(
    names,
    names,
    weights[0].mean(0),
    title=f"what the last layer looked at; the answer is {digit[0].item()}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"recalled on unseen: {right:.1%}")
