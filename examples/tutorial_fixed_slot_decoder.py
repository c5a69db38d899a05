"""The older attention decoder of PyTorch's translation tutorial (AttnDecoderRNN): weights from the embedded letter and
the decoder's state alone, over a fixed number of slots, and then a combination of letter and context.

    attn_weights = softmax(attn([embedded; hidden]));  output = relu(attn_combine([embedded; attn_weights @ outputs]))

Both steps are `FixedSlotAttention`, whose query is `[embedded; hidden]`. Unlike the tutorial it masks the padding.

    python examples/tutorial_fixed_slot_decoder.py [picture.png]          80 % of unseen times are right
"""

import random
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import FixedSlotAttention, masks, show_weights
from saccade.data.times import pairs

HIDDEN, LENGTH, MAX_LENGTH = 96, 6, 60

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
        self.attention = FixedSlotAttention(
            query_dim=2 * HIDDEN,  # [embedded; hidden]
            key_dim=HIDDEN,
            slots=MAX_LENGTH,
            token_dim=HIDDEN,  # the embedded letter, first in the query, is what the context is combined with
            value_dim=HIDDEN,
            output_dim=HIDDEN,
        )
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, len(LETTERS))

    def forward(
        self, outputs: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor, target: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and weights of every step; without a target each step reads what the one before wrote."""
        memory = self.attention.remember(outputs, outputs, mask=mask)
        letter = torch.full((len(outputs),), IDS[START])
        logits, alignment = [], []
        for i in range(LENGTH):
            query = torch.cat([self.embedding(letter), hidden[0]], -1)
            combined, weights, _ = self.attention.read(query, memory)
            output, hidden = self.gru(torch.relu(combined)[:, None], hidden)
            logits.append(self.out(output[:, 0]))
            alignment.append(weights)
            letter = logits[-1].argmax(-1) if target is None else target[:, i]
        return torch.stack(logits, 1), torch.stack(alignment, 1)


torch.manual_seed(0)
encoder, decoder = EncoderRNN(), AttnDecoderRNN()
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.005)
train, test = made[500:], made[:500]
for epoch in range(12):
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
