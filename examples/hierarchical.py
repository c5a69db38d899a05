"""A hierarchical attention network reads documents: which sentence decides, and which word in it (Yang et al. 2016)?

A document has some sentences of some words. One sentence says `but`, and whether the document is for or against is
said by the one good or bad word of that sentence; good and bad words of the others mean nothing. Nobody tells the
network where to look: words are weighed into sentences, sentences into a document, and both weights come out.

    python examples/hierarchical.py [picture.png]          finds the verdict 95 % of the time
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from saccade import HierarchicalEncoder, show_weights

SENTENCES, WORDS = 5, 6
VOCABULARY = ["-", "but", "good", "bad", "the", "a", "film", "plot", "cast", "is", "was", "and"]
BUT, GOOD, BAD, PLAIN = 1, 2, 3, 4


def documents(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Words `[count, sentence, word]`, which of them there are, and the verdict."""
    words = torch.randint(PLAIN, len(VOCABULARY), (count, SENTENCES, WORDS))
    lengths = torch.randint(3, WORDS + 1, (count, SENTENCES))
    lengths[torch.arange(SENTENCES) >= torch.randint(2, SENTENCES + 1, (count, 1))] = 0  # fewer sentences
    there = torch.arange(WORDS) < lengths[..., None]
    verdicts = torch.randint(GOOD, BAD + 1, (count, SENTENCES))
    words[..., 1] = verdicts  # every sentence praises or blames
    deciding = (torch.rand(count) * (lengths > 0).sum(1)).long()
    rows = torch.arange(count)
    words[rows, deciding, 0] = BUT
    order = torch.where(there, torch.rand(words.shape), 2.0).argsort(-1)
    return words.gather(-1, order).masked_fill(~there, 0), there, verdicts[rows, deciding] - GOOD


class Critic(nn.Module):
    """Embedded words, the network, and a verdict."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), 16)
        self.encode = HierarchicalEncoder(16, word_dim=32, sentence_dim=32)
        self.say = nn.Linear(32, 2)

    def forward(self, words: torch.Tensor, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        vector, of_words, of_sentences = self.encode(self.embed(words), mask=there)
        return self.say(vector), of_words, of_sentences


torch.manual_seed(0)
model = Critic()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for _ in range(300):
    words, there, verdict = documents(64)
    loss = cross_entropy(model(words, there)[0], verdict)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

words, there, verdict = documents(1000)
with torch.no_grad():
    logits, of_words, of_sentences = model(words, there)
right = float((logits.argmax(-1) == verdict).float().mean())
deciding = (words == BUT).any(-1)
print(f"weight on the sentence that says `but`: {of_sentences[deciding].mean():.0%}")
shown = there[0].any(-1)
show_weights(
    [str(place + 1) for place in range(WORDS)],
    [" ".join(VOCABULARY[word] for word in row if word) for row in words[0, shown].tolist()],
    of_words[0, shown] * of_sentences[0, shown, None],
    title=f"weight of each word in its document, which is {VOCABULARY[GOOD + verdict[0]]}",
    png=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(f"right on unseen: {right:.1%}")
