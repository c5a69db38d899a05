"""The decoder of PyTorch's chatbot tutorial, LuongAttnDecoderRNN: attention after the recurrence (Luong et al. 2015).

The cell's new state is the query, and what is said comes from `tanh(concat([state; context]))`, eq. 5. The tutorial's
Attn has three scores, dot, general and concat, eq. 8: here three mechanisms by name. Since the recurrence does not
wait for the context, a known target is read in one call; the tutorial, too, could have.

    python examples/tutorial_luong_decoder.py [picture.png]          90 % of unseen times are right
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from saccade import Memory, build, masks, show_weights
from saccade.data.times import pairs

HIDDEN, LENGTH, START, END = 96, 6, "<", ">"
METHOD = "dot"  # or general, or concat: any content score of the catalogue
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
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True, bidirectional=True)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        packed = pack_padded_sequence(self.embedding(source), lengths, batch_first=True, enforce_sorted=False)
        outputs, hidden = self.gru(packed)
        forwards, backwards = pad_packed_sequence(outputs, batch_first=True)[0].chunk(2, -1)
        return forwards + backwards, hidden[1:]  # the tutorial begins with the forward state, hidden[:1]


class LuongAttnDecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), HIDDEN)
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.attention = build(METHOD, query_dim=HIDDEN, key_dim=HIDDEN, hidden_dim=HIDDEN)
        self.concat, self.out = nn.Linear(2 * HIDDEN, HIDDEN), nn.Linear(HIDDEN, len(LETTERS))

    def step(self, letters: torch.Tensor, hidden: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, ...]:
        """Logits, attentions and the new hidden state for one letter, or all that are known, `[batch, letters]`."""
        states, hidden = self.gru(self.embedding(letters), hidden)
        context, weights, _ = self.attention.read(states, memory)
        return self.out(torch.tanh(self.concat(torch.cat([states, context], -1)))), weights, hidden

    def forward(
        self, outputs: torch.Tensor, hidden: torch.Tensor, lengths: torch.Tensor, target: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and attentions of every step. With a target it is the teacher; else each step reads its own letter."""
        memory = self.attention.remember(outputs, outputs, mask=masks.padding(lengths))
        letters = torch.full((len(outputs), 1), IDS[START])
        if target is not None:
            return self.step(torch.cat([letters, target[:, :-1]], 1), hidden, memory)[:2]
        logits, attentions = [], []
        for _ in range(LENGTH):
            said, weights, hidden = self.step(letters, hidden, memory)
            letters = said.argmax(-1)
            logits.append(said)
            attentions.append(weights)
        return torch.cat(logits, 1), torch.cat(attentions, 1)


torch.manual_seed(0)
encoder, decoder = EncoderRNN(), LuongAttnDecoderRNN()
weights = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(weights, lr=0.004)
test, train = made[:500], sorted(made[500:], key=lambda pair: len(pair[0]))
batches = [batch(train[i : i + 64]) for i in range(0, len(train), 64)]  # of equal lengths: little padding
for epoch in range(9):
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
