"""A classifier of texts and of documents: it reads, pools by attention, and says how likely each label is."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding

from saccade import masks
from saccade.attention.losses import redundancy_penalty
from saccade.attention.results import exportable
from saccade.dropout import Dropout
from saccade.layers.characters import CharacterEncoder, CharacterEncoderName
from saccade.layers.embedding import TokenEmbedding
from saccade.layers.hierarchical import Embed, Hierarchy
from saccade.layers.pretrained import PretrainedEncoder
from saccade.layers.reader import Reader
from saccade.layers.reading import EncoderName, Reading
from saccade.normalizers.base import precise


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a `Classifier`; the size of the vocabulary includes the special tokens."""

    vocab: int
    labels: int
    attention: str
    """How states become one vector: a name of `saccade.attention.poolings`."""
    encoder: EncoderName
    embedding: int
    hidden: int
    """Width of the states, of a recurrent encoder both directions together."""
    layers: int
    dropout: float
    """Of the embeddings and of what is pooled."""
    documents: bool = False
    """Whether texts are documents of sentences."""
    self_attention: str = "none"
    """How states read each other before they are pooled: a name of `saccade.attention.poolings`."""
    heads: int = 4
    """Of a Transformer and of `multi-head` self-attention."""
    hops: int = 4
    """Views of `structured-self-attention`, readings of `multi-hop`."""
    word_dropout: float = 0.0
    """The chance that a token is read as unknown in training."""
    unknown: int = 3
    """The token that stands for those never seen."""
    characters: int = 0
    """How many characters there are; 0 for a classifier that reads none."""
    character_embedding: int = 25
    character_hidden: int = 50
    """Width of what a word's characters become, beside its embedding."""
    character_encoder: CharacterEncoderName = "cnn"

    @property
    def reading(self) -> Reading:
        """How sequences are read."""
        # Inside an encoder half as much is dropped, as most of it passes through once more behind it.
        return Reading(
            self.encoder,
            layers=self.layers,
            self_attention=self.self_attention,
            heads=self.heads,
            pooling=self.attention,
            hops=self.hops,
            dropout=self.dropout / 2,
        )


@exportable
class Classified(NamedTuple):
    """What a classifier says of a batch.

    logits:    of each label, `[batch, label]`.
    words:     weights of the words, `[batch, word]`, of documents `[batch, sentence, word]`; of poolings of several
               views or readings `[batch, hops, word]` and `[batch, sentence, hops, word]`; None where there is no
               attention, or none were asked for.
    sentences: weights of the sentences of documents, `[batch, sentence]` or `[batch, hops, sentence]`; else None.
    """

    logits: Tensor
    words: Tensor | None
    sentences: Tensor | None


class Classifier(nn.Module):
    """Embeddings, an encoder, self-attention if it is wanted, a pooling, and a linear layer over the labels.

    With a context vector over a bidirectional recurrent network it is one level of Yang et al. 2016, §2.2, and for
    documents the whole of it; with structured self-attention it is Lin et al. 2017, §2.1. Dropout stands after the
    embeddings and after the poolings. An empty text is judged by the bias alone. Token 0 is padding.

    >>> config = ClassifierConfig(11, 3, "context-vector", "lstm", embedding=4, hidden=6, layers=1, dropout=0.5)
    >>> logits, words, _ = Classifier(config)(torch.tensor([[4, 5, 2], [4, 2, 0]]), torch.tensor([3, 2]))
    >>> logits.shape, words.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))

    Args:
        config: the shape; `embedding` is the width of what is pretrained, where something is.
        pretrained: an encoder that others have trained, whose states take the place of the embeddings.
    """

    def __init__(self, config: ClassifierConfig, *, pretrained: PretrainedEncoder | None = None):
        super().__init__()
        self.config, how = config, config.reading
        self.pretrained, tokens = pretrained is not None, pretrained or _embedding(config)
        self.embed, width = nn.Sequential(tokens, Dropout(config.dropout)), config.embedding
        self.characters = None
        if config.characters:
            self.characters = CharacterEncoder(
                config.characters, config.character_embedding, config.character_hidden, kind=config.character_encoder
            )
            width += config.character_hidden
        words = last = Reader(width, config.hidden, how)
        self.read: Hierarchy | Reader = words
        if config.documents:
            last = Reader(words.output_dim, config.hidden, how)
            self.read = Hierarchy(words, last, dropout=config.dropout)
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(last.output_dim, config.labels)

    def forward(
        self,
        ids: Int[Tensor, "batch *sentence word"],
        lengths: Int[Tensor, "batch *sentence"],
        forms: Int[Tensor, "batch *sentence word"] | None = None,
        characters: Int[Tensor, "form character"] | None = None,
        *,
        need_weights: bool = True,
    ) -> Classified:
        """Logits, and the weights that the labels were found with.

        Args:
            ids: tokens `[batch, word]`, of documents `[batch, sentence, word]`.
            lengths: how many of each row are real, `[batch]`, of documents `[batch, sentence]`, where sentences without
                words are missing and stand at the end.
            forms: for a classifier that reads characters, which row of them each token is, shaped like `ids`.
            characters: of each different word, 0 behind its last one; a row of zeros is padding.

        Raises:
            ValueError: shapes that do not fit, or characters for a classifier that reads none, or none for one that
                does.
        """
        axes = ("batch", "sentence", "word") if self.config.documents else ("batch", "word")
        if ids.dim() != len(axes) or lengths.shape != ids.shape[:-1]:
            expected = f"[{', '.join(axes)}] with lengths [{', '.join(axes[:-1])}]"
            raise ValueError(f"ids must be {expected}; got {list(ids.shape)} and {list(lengths.shape)}")
        mask = masks.padding(lengths.flatten(), ids.shape[-1]).view(ids.shape)
        x, embed = self._beside(ids, forms, characters)
        if isinstance(self.read, Hierarchy):
            vector, words, sentences = self.read(x, mask=mask, embed=embed, need_weights=need_weights)
        else:
            vector, words, _ = self.read(embed(x), mask=mask, need_weights=need_weights)
            sentences = None
        return Classified(self.output(self.dropout(vector)), words, sentences)

    @property
    def tokens(self) -> TokenEmbedding:
        """The vectors of the tokens."""
        tokens = self.embed[0]
        assert isinstance(tokens, TokenEmbedding)
        return tokens

    def _beside(self, ids: Tensor, forms: Tensor | None, characters: Tensor | None) -> tuple[Tensor, Embed]:
        """What stands for each token, and what makes a vector of it."""
        if self.characters is None or forms is None or characters is None:
            if not (self.characters is None and forms is None and characters is None):
                raise ValueError("forms and characters must be given to a classifier that reads them, and to no other")
            return ids, self.embed
        if forms.shape != ids.shape or characters.dim() != 2:
            came = f"{list(forms.shape)} and {list(characters.shape)}"
            expected = f"{list(ids.shape)}, and characters [form, character]"
            raise ValueError(f"forms must be shaped like ids, {expected}; got {came}")
        tokens, dropout = self.embed
        look = self.characters(characters[None])[0]  # each different word is spelled once
        return torch.stack([ids, forms], -1), lambda both: dropout(
            torch.cat([tokens(both[..., 0]), embedding(both[..., 1], look)], -1)
        )


def _embedding(config: ClassifierConfig) -> TokenEmbedding:
    tokens = TokenEmbedding(config.vocab, config.embedding, unknown=config.unknown, drop=config.word_dropout)
    with torch.no_grad():
        tokens.table.weight.mul_(0.1)  # words seen once stay near where they began: better near nothing
    return tokens


def loss(
    classified: Classified,
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch label"],
    *,
    class_weights: Float[Tensor, " label"] | None = None,
    smoothing: float = 0.0,
    penalty: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean loss of a text, nats: cross-entropy of one label, or binary cross-entropies of several, summed.

    With a penalty, that much of `redundancy_penalty` of the weights is added (Lin et al. 2017, §2.2).

    Args:
        labels: of one label each its index, `[batch]`; of several 1 for those that hold and 0 for others, floating,
            `[batch, label]`.
        class_weights: how much each label counts, to make up for rare ones: the mean of one label's losses is weighted,
            and of several the part of those that hold.
        smoothing: how much of the target is shared out equally (Szegedy et al. 2016, §7); of several labels each.
        penalty: for poolings of several views or readings.

    >>> loss(Classified(torch.zeros(1, 2), None, None), torch.tensor([1])).item() == torch.tensor(2.0).log().item()
    True
    """
    logits = precise(classified.logits)
    if labels.is_floating_point():
        target = labels * (1 - smoothing) + smoothing / 2
        each = binary_cross_entropy_with_logits(logits, target, pos_weight=class_weights, reduction="none")
        found = each.sum(1).mean()
    else:
        found = cross_entropy(logits, labels, class_weights, label_smoothing=smoothing)
    return found + penalty * _redundancy(classified) if penalty else found


def _redundancy(classified: Classified) -> Tensor:
    """The mean over texts, or over sentences and over documents, that there are."""
    documents = classified.sentences is not None
    if classified.words is None or classified.words.dim() != 3 + documents:
        raise ValueError("penalty needs the weights of a pooling of several views or readings")
    levels = [weights for weights in classified[1:] if weights is not None]
    found = classified.logits.new_zeros(())
    for weights in levels:
        each = weights.flatten(0, -3)
        there = each.detach().any(-1).any(-1)
        found = found + (redundancy_penalty(each) * there).sum() / there.sum().clamp(min=1)
    return found
