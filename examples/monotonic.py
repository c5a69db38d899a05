"""Monotonic attention: learned in expectation, decoded by hard steps that never go back (Raffel et al. 2017).

A stream of frames, silence and digits of 1 to 3 frames, becomes the digits: `. 7 7 . . 7 2 2` is `7 7 2`. In training
the weights are the probability of stopping at each frame, noisy, so that the model learns to be decided. In evaluation
each step goes on from where the last one stopped and takes the first frame that is good enough: linear time, and the
end of the stream need not be there yet. MoChA reads a few frames before that, softly (Chiu and Raffel 2018).

    python examples/monotonic.py [picture.png]          both decode 90 % of the digits
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from saccade import MonotonicAttention, MonotonicChunkwiseAttention, masks, show_weights

COUNT, DIGITS, SILENCE, WIDTH, STEPS = 6, 10, 10, 32, 500


def streams(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frames, how many there are, and the digits in them."""
    digits = torch.randint(DIGITS, (count, COUNT))
    silent = torch.full_like(digits, SILENCE)
    parts = torch.stack([silent, digits], 2).flatten(1)  # silence, digit, silence, digit ...
    frames = [row.repeat_interleave(torch.randint(1, 4, (2 * COUNT,))) for row in parts]
    lengths = torch.tensor([len(row) for row in frames])
    return pad_sequence(frames, batch_first=True, padding_value=SILENCE), lengths, digits


class Listener(nn.Module):
    """An encoder that hears no frame before its time, and a recurrent decoder."""

    def __init__(self, attend: nn.Module):
        super().__init__()
        self.embed, self.attend = nn.Embedding(DIGITS + 1, WIDTH), attend
        self.encode = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.cell, self.say = nn.GRUCell(WIDTH, WIDTH), nn.Linear(2 * WIDTH, DIGITS)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, _ = self.encode(self.embed(frames))
        memory = self.attend.remember(states, states, mask=masks.padding(lengths))
        query = states.new_zeros(len(frames), WIDTH)
        state, logits, rows = self.attend.initial(memory), [], []
        for _ in range(COUNT):
            context, weights, state = self.attend.read(query, memory, state)  # the state: where the last step stopped
            query = self.cell(context, query)
            logits.append(self.say(torch.cat([query, context], -1)))
            rows.append(weights)
        return torch.stack(logits, 1), torch.stack(rows, 1)


torch.manual_seed(0)
heard, lengths, digits = streams(1000)
reached = []
for attend in (
    MonotonicAttention(WIDTH, WIDTH, WIDTH, noise=3.0),  # the more noise, the more decided
    MonotonicChunkwiseAttention(WIDTH, WIDTH, WIDTH, chunk=3, noise=3.0),
):
    model = Listener(attend)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        frames, known, target = streams(64)
        logits, _ = model(frames, known)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        expected = model(heard, lengths)[0]
        model.eval()  # from the expectation to hard steps
        logits, weights = model(heard, lengths)
    right = [(x.argmax(-1) == digits).float().mean().item() for x in (expected, logits)]
    print(f"{type(attend).__name__:28s} right in expectation {right[0]:.1%}, decoded {right[1]:.1%}")
    reached.append(right[1])
    show_weights(
        ["." if frame == SILENCE else str(frame) for frame in heard[0, : lengths[0]].tolist()],
        [str(digit) for digit in logits[0].argmax(-1).tolist()],
        weights[0, :, : lengths[0]],
        title=f"{type(attend).__name__} decodes: a staircase",
        png=sys.argv[1] if len(sys.argv) > 1 else None,
    )
print(f"right on unseen: {min(reached):.1%}")
