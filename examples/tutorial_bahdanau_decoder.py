"""The decoder of PyTorch's tutorial "NLP From Scratch: Translation with a Sequence to Sequence Network and Attention".

Its BahdanauAttention, `Va(tanh(Wa(query) + Ua(keys)))`, is `AdditiveAttention` here (Bahdanau et al. 2015, A.1.2).
What differs: the keys are projected once per sentence, not at every step; a mask hides the padding, so sentences of
any lengths share a batch; and the words are letters, of clock times that become HH:MM.

    python examples/tutorial_bahdanau_decoder.py [picture.png]          95 % of unseen times are right
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from saccade import AdditiveAttention, masks, show_weights
from saccade.data.times import pairs

HIDDEN, LENGTH, START, END = 96, 6, "<", ">"
made = pairs(6000, seed=1)
LETTERS = ["_", START, END, *sorted({letter for pair in made for text in pair for letter in text})]  # _ is padding
IDS = {letter: i for i, letter in enumerate(LETTERS)}


def batch(some: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Texts `[batch, letter]`, their lengths, and times `[batch, LENGTH]`, each closed by the end mark."""
    texts, times = (
        [torch.tensor([IDS[letter] for letter in row + END]) for row in side] for side in zip(*some, strict=True)
    )
    return pad_sequence(texts, batch_first=True), torch.tensor([len(text) for text in texts]), torch.stack(times)


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), HIDDEN)
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Packed, or the last state would be that of the padding.
        packed = pack_padded_sequence(self.embedding(source), lengths, batch_first=True, enforce_sorted=False)
        outputs, hidden = self.gru(packed)
        return pad_packed_sequence(outputs, batch_first=True)[0], hidden


class AttnDecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), HIDDEN)
        self.attention = AdditiveAttention(query_dim=HIDDEN, key_dim=HIDDEN, hidden_dim=HIDDEN)
        self.gru = nn.GRU(2 * HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, len(LETTERS))

    def forward(
        self, outputs: torch.Tensor, hidden: torch.Tensor, lengths: torch.Tensor, target: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and attentions of every step. With a target it is the teacher; else each step reads its own letter."""
        memory = self.attention.remember(outputs, outputs, mask=masks.padding(lengths))
        letter = torch.full((len(outputs),), IDS[START])
        logits, attentions = [], []
        for i in range(LENGTH):
            context, weights, _ = self.attention.read(hidden[0], memory)
            output, hidden = self.gru(torch.cat([self.embedding(letter), context], -1)[:, None], hidden)
            logits.append(self.out(output[:, 0]))
            attentions.append(weights)
            letter = logits[-1].argmax(-1) if target is None else target[:, i]
        return torch.stack(logits, 1), torch.stack(attentions, 1)


torch.manual_seed(0)
encoder, decoder = EncoderRNN(), AttnDecoderRNN()
weights = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(weights, lr=0.004)
test, train = made[:500], sorted(made[500:], key=lambda pair: len(pair[0]))
batches = [batch(train[i : i + 64]) for i in range(0, len(train), 64)]  # of equal lengths: little padding
for epoch in range(8):
    random.Random(epoch).shuffle(batches)
    for source, lengths, target in batches:
        logits, _ = decoder(*encoder(source, lengths), lengths, target)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

source, lengths, target = batch(test)
with torch.no_grad():
    logits, attentions = decoder(*encoder(source, lengths), lengths)
written = logits.argmax(-1)
text, time = test[2]
answer = "".join(LETTERS[i] for i in written[2].tolist())
print(f"{text} -> {answer.rstrip(END)}, expected {time}")
show_weights(
    text + END,
    answer,
    attentions[2, :, : lengths[2]],
    title=f"{text} → {answer.rstrip(END)}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
exact = (written == target).all(-1).float().mean()
print(f"exact on unseen: {exact:.1%}")
