"""Hard attention reads one slot, and a choice has no gradient: three ways to learn it all the same.

Straight-through pretends that softmax was used (Bengio et al. 2013). Gumbel draws the slot, by noise that a gradient
passes (Jang et al. 2017). REINFORCE draws it too, waits how well the answer went, and makes the draw likelier or less
likely (Xu et al. 2015, §4.1): unbiased, and slow unless a moving baseline says what to expect. The task: 8 slots with a
noisy name and a digit; asked for a name, say the digit beside it.

    python examples/hard_attention.py [picture.png]          each answers 90 % of unseen questions
"""

import sys

import torch
from torch.nn.functional import cross_entropy, one_hot

from saccade import GeneralAttention, normalizers, reinforce_loss, show_weights

SLOTS, WIDTH, DIGITS = 8, 16, 10


def memories(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries (the noisy name of one slot), keys, values, and the digit to be answered."""
    key, digit, asked = torch.randn(count, SLOTS, WIDTH), torch.randint(DIGITS, (count, SLOTS)), torch.arange(count)
    slot = torch.randint(SLOTS, (count,))
    query = key[asked, slot] + 0.3 * torch.randn(count, WIDTH)
    return query, key, one_hot(digit, DIGITS).float(), digit[asked, slot]


torch.manual_seed(0)
unseen = memories(2000)
rows, reached = [], []
for normalizer in (normalizers.StraightThrough(), normalizers.Gumbel(), normalizers.Sample()):
    attend = GeneralAttention(WIDTH, WIDTH, normalizer=normalizer)
    optimizer = torch.optim.Adam(attend.parameters(), lr=0.01)
    baseline = torch.tensor(0.0)
    for _ in range(400):
        query, key, value, answer = memories(128)
        context, _, state = attend(query, key, value)
        losses = cross_entropy((context + 0.01).log(), answer, reduction="none")  # a wrong slot must not cost infinity
        loss = losses.mean()
        if isinstance(normalizer, normalizers.Sample):  # no gradient came through the draw
            reward, drawn = -losses.detach(), state.drawn
            loss = reinforce_loss(drawn.log_probability, reward, baseline) - 0.01 * drawn.entropy.mean()
            baseline = 0.9 * baseline + 0.1 * reward.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    attend.eval()  # nothing is drawn any more: the best slot is read
    query, key, value, answer = unseen
    with torch.no_grad():
        context, weights, _ = attend(query, key, value)
    reached.append(float((context.argmax(-1) == answer).float().mean()))
    rows.append(weights[0])
    print(f"{type(normalizer).__name__:16s} exact on unseen: {reached[-1]:.1%}")

show_weights(
    [f"{digit}" for digit in value[0].argmax(-1).tolist()],
    ["straight-through", "gumbel", "reinforce"],
    torch.stack(rows),
    title=f"one slot each; the answer is {answer[0]}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {min(reached):.1%}")
