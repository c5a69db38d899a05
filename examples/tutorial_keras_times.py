"""The clock-time model of the Keras tutorials on attention, in PyTorch with the attention of this library.

Andrew Ng's Sequence Models course and Choco31415's Attention_Network_With_Keras: a bidirectional LSTM(32), a decoder
LSTM(128) that reads nothing but its context, not even the letter it wrote, and at each step `one_step_attention`: the
state is repeated for every slot, joined to it, and goes through Dense(tanh) and Dense(1) to a softmax. That is
`AdditiveAttention`, which joins without repeating (and leaves out the relu that the tutorials put on the energies).

    python examples/tutorial_keras_times.py [picture.png]          90 % of unseen times are right
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from saccade import AdditiveAttention, masks, show_weights
from saccade.data.times import pairs

ENCODER, DECODER, LENGTH = 32, 128, 5
made = pairs(6000, seed=1)
HUMAN = {letter: i for i, letter in enumerate(["<pad>", *sorted({letter for text, _ in made for letter in text})])}
MACHINE = "0123456789:"


def batch(some: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Texts `[batch, letter]`, their lengths, and times `[batch, LENGTH]`."""
    texts = [torch.tensor([HUMAN[letter] for letter in text]) for text, _ in some]
    times = torch.tensor([[MACHINE.index(letter) for letter in time] for _, time in some])
    return pad_sequence(texts, batch_first=True), torch.tensor([len(text) for text in texts]), times


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(HUMAN), ENCODER)  # the tutorials: one-hot
        self.encode = nn.LSTM(ENCODER, ENCODER, bidirectional=True, batch_first=True)
        self.attend = AdditiveAttention(query_dim=DECODER, key_dim=2 * ENCODER, hidden_dim=32)
        self.decode, self.output = nn.LSTMCell(2 * ENCODER, DECODER), nn.Linear(DECODER, len(MACHINE))

    def forward(self, texts: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and attentions of every step. No teacher is needed: nothing that was written is read."""
        packed = pack_padded_sequence(self.embed(texts), lengths, batch_first=True, enforce_sorted=False)
        states = pad_packed_sequence(self.encode(packed)[0], batch_first=True)[0]
        memory = self.attend.remember(states, states, mask=masks.padding(lengths))
        state = cell = states.new_zeros(len(texts), DECODER)
        logits, attentions = [], []
        for _ in range(LENGTH):
            context, weights, _ = self.attend.read(state, memory)
            state, cell = self.decode(context, (state, cell))
            logits.append(self.output(state))
            attentions.append(weights)
        return torch.stack(logits, 1), torch.stack(attentions, 1)


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
test, train = made[:500], sorted(made[500:], key=lambda pair: len(pair[0]))
batches = [batch(train[i : i + 64]) for i in range(0, len(train), 64)]  # of equal lengths: little padding
for epoch in range(8):
    random.Random(epoch).shuffle(batches)
    for texts, lengths, times in batches:
        loss = cross_entropy(model(texts, lengths)[0].flatten(0, 1), times.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

texts, lengths, times = batch(test)
with torch.no_grad():
    logits, attentions = model(texts, lengths)
written = logits.argmax(-1)
text, time = test[2]
answer = "".join(MACHINE[i] for i in written[2].tolist())
print(f"{text} -> {answer}, expected {time}")
show_weights(
    text,
    answer,
    attentions[2, :, : lengths[2]],
    title=f"{text} → {answer}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
exact = (written == times).all(-1).float().mean()
print(f"exact on unseen: {exact:.1%}")
