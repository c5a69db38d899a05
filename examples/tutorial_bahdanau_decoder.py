"""The attention decoder of PyTorch's tutorial "NLP From Scratch: Translation with a Sequence to Sequence Network and
Attention", with the module of this library in the place of its BahdanauAttention.

It reads clock times as people write them and writes HH:MM. What differs from the tutorial: the keys are projected once
per sentence, padding is masked, and a batch may hold any lengths.

    python examples/tutorial_bahdanau_decoder.py [picture.png]          95 % of unseen times are right
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import AdditiveAttention, masks, show_weights
from saccade.data.times import pairs

HIDDEN, LENGTH = 96, 6

START, END, PAD = "<", ">", "_"
made = pairs(6000, seed=1)
LETTERS = [PAD, START, END, *sorted({letter for pair in made for text in pair for letter in text})]
IDS = {letter: i for i, letter in enumerate(LETTERS)}


def batch(some: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sources, their lengths, and targets with the end mark; zero is padding."""
    sources = [torch.tensor([IDS[letter] for letter in text + END]) for text, _ in some]
    targets = [torch.tensor([IDS[letter] for letter in text + END]) for _, text in some]
    lengths = torch.tensor([len(row) for row in sources])
    return nn.utils.rnn.pad_sequence(sources, batch_first=True), lengths, torch.stack(targets)


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), HIDDEN)
        self.gru = nn.GRU(HIDDEN, HIDDEN // 2, batch_first=True, bidirectional=True)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        outputs, hidden = self.gru(self.embedding(source))
        return outputs, torch.cat([hidden[0], hidden[1]], -1)[None], masks.padding(lengths, source.shape[1])


class AttnDecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), HIDDEN)
        self.attention = AdditiveAttention(query_dim=HIDDEN, key_dim=HIDDEN, hidden_dim=HIDDEN)
        self.gru = nn.GRU(2 * HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, len(LETTERS))

    def forward(
        self, outputs: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor, target: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and weights of every step; without a target each step reads what the one before wrote."""
        memory = self.attention.remember(outputs, outputs, mask=mask)  # the tutorial projects the keys at every step
        letter = torch.full((len(outputs),), IDS[START])
        logits, alignment = [], []
        for i in range(LENGTH):
            context, weights, _ = self.attention.read(hidden[0], memory)
            x = torch.cat([self.embedding(letter), context], -1)
            output, hidden = self.gru(x[:, None], hidden)
            logits.append(self.out(output[:, 0]))
            alignment.append(weights)
            letter = logits[-1].argmax(-1) if target is None else target[:, i]
        return torch.stack(logits, 1), torch.stack(alignment, 1)


torch.manual_seed(0)
encoder, decoder = EncoderRNN(), AttnDecoderRNN()
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.005)
train, test = made[500:], made[:500]
for epoch in range(8):
    random.Random(epoch).shuffle(train)
    for begin in range(0, len(train), 64):
        source, lengths, target = batch(train[begin : begin + 64])
        logits, _ = decoder(*encoder(source, lengths), target)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*encoder.parameters(), *decoder.parameters()], 1.0)
        optimizer.step()

source, lengths, target = batch(test)
with torch.no_grad():
    logits, weights = decoder(*encoder(source, lengths))
written = logits.argmax(-1)
exact = float((written == target).all(-1).float().mean())
text, time = test[2]
answer = "".join(LETTERS[i] for i in written[2].tolist())
print(f"{text} -> {answer.rstrip(END)}")
show_weights(
    text + END,
    answer,
    weights[2, :, : lengths[2]],
    title=f"{text}, {time}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"exact on unseen: {exact:.1%}")
