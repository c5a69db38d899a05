"""A tagger: a tag for each word of a sentence, from what the word is, what it looks like, and what stands around it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from saccade import masks
from saccade.attention.build import build_self_attention
from saccade.attention.results import exportable
from saccade.dropout import Dropout
from saccade.layers.characters import CharacterEncoder, CharacterEncoderName
from saccade.layers.crf import ConditionalRandomField, Constraints
from saccade.layers.embedding import TokenEmbedding
from saccade.layers.pretrained import PretrainedEncoder
from saccade.layers.reader import PlacedTransformer
from saccade.layers.reading import EncoderName
from saccade.layers.recurrent import BidirectionalEncoder
from saccade.normalizers.base import precise


@dataclass(frozen=True)
class TaggerConfig:
    """The shape of a `Tagger`; vocabulary sizes include the special tokens."""

    words: int
    tags: int
    characters: int = 0
    """How many characters there are; 0 for a tagger that reads none."""
    embedding: int = 100
    character_embedding: int = 25
    character_hidden: int = 50
    """Width of what a word's characters become."""
    character_encoder: CharacterEncoderName = "cnn"
    encoder: EncoderName = "lstm"
    hidden: int = 256
    """Width of the encoder's states, of a recurrent one both directions together."""
    layers: int = 1
    attention: str = "none"
    """How states read each other: a name of `saccade.attention.poolings.SELF_ATTENTIONS`."""
    heads: int = 4
    """Of `multi-head` attention, and of a Transformer."""
    output: Literal["softmax", "crf"] = "crf"
    dropout: float = 0.3
    word_dropout: float = 0.25
    """The chance that a word is read as unknown in training."""
    unknown: int = 1
    """The token that stands for words never seen."""


@exportable
class Emitted(NamedTuple):
    """What a tagger gives before its tags are chosen.

    logits:  a score for each tag, `[batch, time, tag]`, zero at padding.
    weights: of the attention over the states, `[batch, time, time]`, with heads after the batch where it has some; of
             a Transformer without such an attention, those of its last layer; None where none were asked for or are.
    """

    logits: Tensor
    weights: Tensor | None


@exportable
class Chosen(NamedTuple):
    """The tags that a tagger chose.

    tags:        int64 `[batch, time]`, 0 at padding.
    probability: of each, `[batch, time]`, float32 or better, 0 at padding.
    """

    tags: Tensor
    probability: Tensor


class Tagger(nn.Module):
    """Words, encoded with their neighbours, and a tag for each (Lample et al. 2016, §2 and §4; Ma and Hovy 2016, §2).

    `x_t = [E w_t; characters(w_t)]`, `h = encoder(x)`, a bidirectional LSTM or GRU, or a Transformer. With attention
    each state reads the others, `c_t = sum_j alpha_tj h_j`, and both are seen, `logits_t = W [h_t; c_t] + b` (Zheng et
    al. 2018, who have additive attention there and see c_t alone). The tags are then chosen one by one ("softmax") or
    together ("crf").

    Word 0 and character 0 are padding. Under `torch.compile` PyTorch wants `torch._dynamo.config.allow_rnn = True` for
    the recurrent parts.

    Args:
        config: the shape.
        constraints: for a "crf", which tags may follow each other: see `ConditionalRandomField`.
        pretrained: an encoder that others have trained; the state of a word's first piece takes the place of its
            embedding (Devlin et al. 2019, §5.3).

    >>> tagger = Tagger(TaggerConfig(words=11, tags=5, characters=7, attention="additive"))
    >>> words, lengths = torch.tensor([[4, 5, 6], [4, 0, 0]]), torch.tensor([3, 1])
    >>> emitted = tagger(words, lengths, torch.randint(7, (2, 3, 4)).sort(descending=True).values)
    >>> emitted.logits.shape, emitted.weights.shape, tagger.best(emitted, lengths).tags.shape
    (torch.Size([2, 3, 5]), torch.Size([2, 3, 3]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        config: TaggerConfig,
        *,
        constraints: Constraints | None = None,
        pretrained: PretrainedEncoder | None = None,
    ):
        super().__init__()
        self.config = config
        if constraints is not None and config.output != "crf":
            raise ValueError(f"constraints are those of a crf; got output {config.output!r}")
        self.pretrained, self.embedding, width = pretrained, None, config.embedding
        if pretrained is None:
            self.embedding = TokenEmbedding(
                config.words, config.embedding, unknown=config.unknown, drop=config.word_dropout
            )
            with torch.no_grad():
                self.embedding.table.weight.mul_(0.1)  # words seen once stay near where they began: better near nothing
        self.characters = None
        if config.characters:
            self.characters = CharacterEncoder(
                config.characters,
                config.character_embedding,
                config.character_hidden,
                kind=config.character_encoder,
            )
            width += config.character_hidden
        layers, heads, dropout = config.layers, config.heads, config.dropout
        self.encoder: PlacedTransformer | BidirectionalEncoder | None = None
        size = width if config.encoder == "none" else config.hidden
        if config.encoder == "transformer":
            self.encoder = PlacedTransformer(width, size, layers=layers, heads=heads, dropout=dropout)
        elif config.encoder != "none":
            self.encoder = BidirectionalEncoder(config.encoder, width, size, layers=layers, dropout=dropout)
        self.attention = None
        if config.attention != "none":
            self.attention = build_self_attention(config.attention, size, heads=heads, hidden_dim=size // 2)
        self.output = nn.Linear(size * (1 if self.attention is None else 2), config.tags)
        self.crf = ConditionalRandomField(config.tags, constraints=constraints) if config.output == "crf" else None
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        words: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        characters: Int[Tensor, "batch time character"] | None = None,
        pieces: Int[Tensor, "batch piece"] | None = None,
        *,
        need_weights: bool = True,
    ) -> Emitted:
        """Read sentences.

        Args:
            words: word ids, `[batch, time]`; for a tagger on a pretrained encoder, where the first piece of each word
                stands, from 1 on, 0 for a word that has none.
            lengths: how many of each row are real, `[batch]`.
            characters: of each word, 0 behind its last one; for a tagger that reads them.
            pieces: for a tagger on a pretrained encoder, what that reads, 0 behind the last one of each row.
            need_weights: whether to give the weights.

        Raises:
            ValueError: characters or pieces for a tagger that reads none, none for one that does, or other shapes.
        """
        if words.dim() != 2 or len(words) != len(lengths):
            raise ValueError(f"words must be [batch, time], as {len(lengths)} lengths; got {list(words.shape)}")
        mask = masks.padding(lengths, words.shape[1])
        states, weights = self._encode(self._embed(words, characters, pieces), mask, need_weights)
        states = self.dropout(states)
        if self.attention is not None:
            context, found, _ = self.attention(states, mask=mask, need_weights=need_weights)
            states, weights = torch.cat([states, context], -1), found
        if weights is not None:  # what padding would look at
            weights = weights.masked_fill(~(mask[:, None] if weights.dim() == 4 else mask)[..., None], 0.0)
        return Emitted(self.output(states).masked_fill(~mask[..., None], 0.0), weights)

    def _embed(self, words: Tensor, characters: Tensor | None, pieces: Tensor | None) -> Tensor:
        if (characters is None) != (self.characters is None):
            came = "none" if characters is None else list(characters.shape)
            raise ValueError(f"characters must be given to a tagger that reads them, and to no other; got {came}")
        if characters is not None and (characters.dim() != 3 or characters.shape[:2] != words.shape):
            expected = f"[batch, time, character] = [{len(words)}, {words.shape[1]}, characters]"
            raise ValueError(f"characters must be {expected}; got {list(characters.shape)}")
        embedded = self._words(words, pieces)
        if self.characters is not None and characters is not None:
            embedded = torch.cat([embedded, self.characters(characters)], -1)
        dropped: Tensor = self.dropout(embedded)
        return dropped

    def _words(self, words: Tensor, pieces: Tensor | None) -> Tensor:
        """A vector for each word."""
        if (pieces is None) != (self.pretrained is None):
            came = "none" if pieces is None else list(pieces.shape)
            raise ValueError(f"pieces must be given to a tagger on a pretrained encoder, and to no other; got {came}")
        if self.embedding is not None:
            embedded: Tensor = self.embedding(words)
            return embedded
        assert self.pretrained is not None
        states = pad(self.pretrained(pieces), (0, 0, 1, 0))  # zeros in front, for words without pieces
        return states.gather(1, words[..., None].expand(-1, -1, states.shape[2]))

    def _encode(self, x: Tensor, mask: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.encoder, BidirectionalEncoder):
            # It needs a step to read, in a sentence without words too.
            return self.encoder(x, mask.sum(1).clamp(min=1)).states, None
        if self.encoder is None:
            return x, None
        shown = need_weights and self.attention is None
        states, weights = self.encoder.stack(
            self.encoder.positions(self.encoder.enter(x)), mask=mask, need_weights=shown
        )
        return states, weights[-1] if shown else None

    def loss(
        self, emitted: Emitted, tags: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """`-log p(tags | words)` of each sentence, in nats, `[batch]`; what stands at padding is not read."""
        mask = masks.padding(lengths, tags.shape[1])
        if self.crf is not None:
            found: Tensor = -self.crf(emitted.logits, tags, mask)
            return found
        each = cross_entropy(precise(emitted.logits).transpose(1, 2), tags.masked_fill(~mask, 0), reduction="none")
        return each.masked_fill(~mask, 0.0).sum(1)

    def best(self, emitted: Emitted, lengths: Int[Tensor, " batch"]) -> Chosen:
        """The most probable tags, one by one or all together, and how probable each of them is."""
        mask = masks.padding(lengths, emitted.logits.shape[1])
        if self.crf is None:
            probability, tags = precise(emitted.logits).softmax(-1).max(-1)
            return Chosen(tags.masked_fill(~mask, 0), probability.masked_fill(~mask, 0.0))
        tags, _ = self.crf.viterbi(emitted.logits, mask)
        return Chosen(tags, self.crf.marginals(emitted.logits, mask).gather(2, tags[..., None])[..., 0])
