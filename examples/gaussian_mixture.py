"""Gaussian mixtures: bells that only move on, for output that follows its input at a pace of its own.

A toy of speech made from text: each letter sounds for 1 to 4 frames, always as long for the same letter. The bells look
at no key: the decoder's state alone says how far they step. So nothing ties them to the lengths seen in training, and
what was learned from 6 letters reads 12 (Graves 2013, §5.1). GMMv2b (Battenberg et al. 2020, §2.2) begins with bells 10
slots wide, which is for real texts: on so short ones it learns later.

    python examples/gaussian_mixture.py [picture.png]          Graves's says 90 % of the frames of longer texts right
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from saccade import GaussianMixtureAttention, GaussianMixtureV2bAttention, masks, show_weights

LETTERS, WIDTH, SILENCE = "abcdefgh", 32, 8


def spoken(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Texts, the letter that sounds in each frame (padded with 8), and which frames there are."""
    text = torch.randint(len(LETTERS), (count, length))
    frames = [row.repeat_interleave(row % 4 + 1) for row in text]
    real = masks.padding(torch.tensor([len(row) for row in frames]))
    return text, pad_sequence(frames, batch_first=True, padding_value=SILENCE), real


class Speaker(nn.Module):
    """Letters as memory, and a recurrent decoder that hears its last frame and says the next."""

    def __init__(self, attend: nn.Module):
        super().__init__()
        self.embed, self.attend = nn.Embedding(len(LETTERS) + 1, WIDTH), attend
        self.cell, self.say = nn.GRUCell(2 * WIDTH, WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(
        self, text: torch.Tensor, steps: int, frames: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and weights of every step; without true frames it hears its own."""
        letters = self.embed(text)
        memory = self.attend.remember(letters, letters)
        query = context = letters.new_zeros(len(text), WIDTH)
        state, heard, logits, rows = self.attend.initial(memory), torch.full((len(text),), SILENCE), [], []
        for i in range(steps):
            query = self.cell(torch.cat([self.embed(heard), context], -1), query)
            context, weights, state = self.attend.read(query, memory, state)  # the state: where the bells stand
            logits.append(self.say(context))
            rows.append(weights)
            heard = logits[-1].argmax(-1) if frames is None else frames[:, i]
        return torch.stack(logits, 1), torch.stack(rows, 1)


def train(attend: nn.Module) -> Speaker:
    model = Speaker(attend)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        text, frames, _ = spoken(64, length=6)
        logits, _ = model(text, frames.shape[1], frames)
        loss = cross_entropy(logits.flatten(0, 1), frames.flatten(), ignore_index=SILENCE)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


torch.manual_seed(0)
text, frames, real = spoken(500, length=12)
for attend in (
    GaussianMixtureV2bAttention(WIDTH, WIDTH, hidden_dim=WIDTH, components=3),
    GaussianMixtureAttention(WIDTH, WIDTH, components=3),
):
    model = train(attend)
    with torch.no_grad():
        logits, weights = model(text, frames.shape[1])
    right = float((logits.argmax(-1) == frames)[real].float().mean())
    print(f"{type(attend).__name__:28s} {right:6.1%} of the frames of texts of 12 letters, having learned from 6")

shown = text[0, :8]
count = int((shown % 4 + 1).sum())
show_weights(
    [LETTERS[letter] for letter in shown.tolist()],
    [LETTERS[letter] for letter in logits[0, :count].argmax(-1).tolist()],
    weights[0, :count, :8],
    title="each letter is read for as long as it sounds",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"right on unseen: {right:.1%}")
