"""Hierarchical attention network: words become sentences, sentences a document."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.pooling import ContextVectorPooling
from saccade.attention.results import exportable
from saccade.layers import CellName
from saccade.layers.recurrent import BidirectionalEncoder


@exportable
class Document(NamedTuple):
    """What a hierarchical attention network returns.

    vector:    of the document, `[batch, sentence_dim]`.
    words:     weights of the words in each sentence, `[batch, sentence, word]`.
    sentences: weights of the sentences, `[batch, sentence]`.
    """

    vector: Tensor
    words: Tensor
    sentences: Tensor


class HierarchicalEncoder(nn.Module):
    """The hierarchical attention network of Yang et al. 2016, §2.2, without its classifier.

    `h_it = BiGRU(x_it)`, `s_i = sum_t alpha_it h_it` with weights from `ContextVectorPooling`, eq. 1 to 7; the same
    over the sentences s_i, eq. 8 to 10, gives the document's vector v. A sentence without words has no weight, and a
    document without sentences a vector of zeros. Under `torch.compile` PyTorch wants
    `torch._dynamo.config.allow_rnn = True` for the recurrent parts.

    Args:
        input_dim: width of the words' vectors.
        word_dim: width of the encoded words, both directions together; and of the context vector that asks them.
        sentence_dim: the same of the sentences.
        cell: "gru" as in the paper, or "lstm".

    >>> encode = HierarchicalEncoder(3, word_dim=4, sentence_dim=6)
    >>> document = encode(torch.zeros(2, 5, 7, 3))
    >>> document.vector.shape, document.words.shape, document.sentences.shape
    (torch.Size([2, 6]), torch.Size([2, 5, 7]), torch.Size([2, 5]))
    """

    def __init__(self, input_dim: int, *, word_dim: int = 100, sentence_dim: int = 100, cell: CellName = "gru"):
        super().__init__()
        self.input_dim = input_dim
        self.word_encoder = BidirectionalEncoder(cell, input_dim, word_dim)
        self.word_pool = ContextVectorPooling(word_dim, word_dim)
        self.sentence_encoder = BidirectionalEncoder(cell, word_dim, sentence_dim)
        self.sentence_pool = ContextVectorPooling(sentence_dim, sentence_dim)

    def forward(
        self,
        x: Float[Tensor, "batch sentence word dim"],
        *,
        mask: Bool[Tensor, "batch sentence word"] | None = None,
    ) -> Document:
        """Encode documents `[batch, sentence, word, input_dim]`.

        Args:
            mask: True where there is a word; what is missing stands at the ends of sentences and of documents.

        Raises:
            ValueError: shapes that do not fit, or a mask with holes.
        """
        if x.dim() != 4 or x.shape[3] != self.input_dim:
            raise ValueError(f"x must be [batch, sentence, word, {self.input_dim}]; got {list(x.shape)}")
        mask = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device) if mask is None else mask
        if mask.shape != x.shape[:3] or mask.dtype != torch.bool:
            came = f"{mask.dtype} {list(mask.shape)}"
            raise ValueError(f"mask must be boolean [batch, sentence, word] = {list(x.shape[:3])}; got {came}")
        each = mask.flatten(0, 1)
        sentences, words = self._read(self.word_encoder, self.word_pool, x.flatten(0, 1), each, "words")
        there, shape = mask.any(-1), x.shape[:2]
        vector, weights = self._read(
            self.sentence_encoder, self.sentence_pool, sentences.view(*shape, -1), there, "sentences"
        )
        return Document(vector, words.view(mask.shape), weights)

    def _read(self, encoder: nn.Module, pool: nn.Module, x: Tensor, mask: Tensor, name: str) -> tuple[Tensor, Tensor]:
        lengths = mask.sum(1)
        if not torch.compiler.is_compiling() and bool((mask != masks.padding(lengths, mask.shape[1])).any()):
            raise ValueError(f"mask must leave out {name} at the end alone, as a recurrent network reads them in order")
        # An encoder needs a step to read; the pooling after it leaves out what is not there.
        states = encoder(x.masked_fill(~mask[..., None], 0.0), lengths.clamp(min=1)).states
        pooled, weights, _ = pool(states, mask=mask)
        return pooled, weights
