"""Normalisers: how many slots get a weight, and what that costs.

The task of scores.py, with general scores and every normaliser: soft (softmax, sigmoid), sparse (sparsemax, Martins
and Astudillo 2016; entmax, Peters et al. 2019, with a learned alpha) and hard (straight-through, Bengio et al. 2013;
Gumbel, Jang et al. 2017; REINFORCE, Xu et al. 2015, which needs a loss of its own).

    python examples/normalizers.py [picture.png]          each reaches 90 % on unseen memories
"""

import sys

import torch
from torch.nn.functional import cross_entropy, one_hot

from saccade import GeneralAttention, normalizers, reinforce_loss, show_weights

SLOTS, WIDTH, DIGITS = 8, 16, 10
NORMALIZERS = {
    "softmax": normalizers.Softmax,
    "sigmoid": normalizers.Sigmoid,
    "sparsemax": normalizers.Sparsemax,
    "entmax15": normalizers.Entmax15,
    "entmax": normalizers.Entmax,
    "straight-through": normalizers.StraightThrough,
    "gumbel": normalizers.Gumbel,
    "reinforce": normalizers.Sample,
}


def memories(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, values, queries (the noisy name of one slot) and the digit to be answered."""
    key = torch.randn(count, SLOTS, WIDTH)
    digit, asked = torch.randint(DIGITS, (count, SLOTS)), torch.randint(SLOTS, (count,))
    query = key[torch.arange(count), asked] + 0.3 * torch.randn(count, WIDTH)
    return key, one_hot(digit, DIGITS).float(), query, digit[torch.arange(count), asked]


def train(attend: GeneralAttention, bias: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(attend.parameters(), lr=0.01)
    baseline = torch.tensor(0.0)
    for _ in range(500):
        key, value, query, answer = memories(128)
        context, _, state = attend(query, key, value, bias=bias)
        logits = (context + 1e-2).log()  # a hard reading may be wrong, and must not cost infinity
        losses = cross_entropy(logits, answer, reduction="none")
        loss = losses.mean()
        if state is not None:  # slots were drawn, and no gradient reached the scores
            drawn, reward = state.drawn, -losses.detach()
            loss = loss + reinforce_loss(drawn.log_probability, reward, baseline) - 0.01 * drawn.entropy.mean()
            baseline = 0.9 * baseline + 0.1 * reward.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    attend.eval()  # nothing is drawn any more


torch.manual_seed(0)
shown, scores = [], []
for name, kind in NORMALIZERS.items():
    attend = GeneralAttention(WIDTH, WIDTH, normalizer=kind())
    # Every slot decides for itself under a sigmoid: closed at first, or all of them would be read.
    bias = torch.full((1, 1, 1), -4.0 if name == "sigmoid" else 0.0)
    train(attend, bias)
    torch.manual_seed(1)  # the same unseen memories for all
    key, value, query, answer = memories(2000)
    with torch.no_grad():
        context, weights, _ = attend(query, key, value, bias=bias)
    scores.append(float((context.argmax(-1) == answer).float().mean()))
    shown.append(weights[0])
    learned = f", alpha {attend.normalizer.alpha:.2f}" if name == "entmax" else ""
    print(f"{name:17s} {scores[-1]:6.1%}, {float((weights > 0).sum(-1).float().mean()):.1f} slots read{learned}")

show_weights(
    [str(slot) for slot in range(SLOTS)],
    list(NORMALIZERS),
    torch.stack(shown),
    title="the same question to the same memory",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {min(scores):.1%}")
