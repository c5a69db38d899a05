"""Hierarchical attention network: words become sentences, sentences a document."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade import masks
from saccade.attention.results import exportable
from saccade.dropout import Dropout
from saccade.layers import CellName
from saccade.layers.reader import Reader
from saccade.layers.reading import Reading

Embed = Callable[[Tensor], Tensor]


@exportable
class Document(NamedTuple):
    """What a hierarchical attention network returns.

    vector:    of the document, `[batch, sentence_dim]`.
    words:     weights of the words in each sentence, `[batch, sentence, word]`; of poolings of several views or
               readings `[batch, sentence, hops, word]`; None where there is no attention, or none were asked for.
    sentences: weights of the sentences, `[batch, sentence]` or `[batch, hops, sentence]`; None likewise.
    """

    vector: Tensor
    words: Tensor | None
    sentences: Tensor | None


class Hierarchy(nn.Module):
    """One reader on another: the first makes a vector of each sentence, the second a vector of the document.

    Only sentences that have words are read, a few lengths at a time, so that long sentences and long documents make
    no work for short ones.

    Args:
        words: reads a sentence.
        sentences: reads the vectors of the sentences.
        dropout: of the vectors of the sentences.
    """

    def __init__(self, words: Reader, sentences: Reader, *, dropout: float = 0.0):
        super().__init__()
        self.words, self.sentences = words, sentences
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Shaped[Tensor, "batch sentence word *dim"],
        *,
        mask: Bool[Tensor, "batch sentence word"] | None = None,
        embed: Embed | None = None,
        need_weights: bool = True,
    ) -> Document:
        """Encode documents `[batch, sentence, word, input_dim]`, or `[batch, sentence, word, ...]` for an embedding.

        Args:
            mask: True where there is a word; what is missing stands at the ends of sentences and of documents.
            embed: makes vectors of what stands in the grid, of each real sentence; None: vectors stand there.

        Raises:
            ValueError: shapes that do not fit, or a mask with holes.
        """
        fits = x.dim() >= 3 if embed is not None else x.dim() == 4 and x.shape[3] == self.words.input_dim
        if not fits:
            dim = "..." if embed is not None else self.words.input_dim
            raise ValueError(f"x must be [batch, sentence, word, {dim}]; got {list(x.shape)}")
        mask = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device) if mask is None else mask
        if mask.shape != x.shape[:3] or mask.dtype != torch.bool:
            came = f"{mask.dtype} {list(mask.shape)}"
            raise ValueError(f"mask must be boolean [batch, sentence, word] = {list(x.shape[:3])}; got {came}")
        each, there, shape = mask.flatten(0, 1), mask.any(-1), x.shape[:2]
        _check_order(each, "words")
        _check_order(there, "sentences")
        vectors, words = self._read_words(x.flatten(0, 1), each, embed, need_weights)
        vectors = self.dropout(vectors).view(*shape, vectors.shape[1])
        vector, sentences, _ = self.sentences(vectors, mask=there, need_weights=need_weights)
        return Document(vector, None if words is None else words.view(*shape, *words.shape[1:]), sentences)

    def _read_words(
        self, x: Tensor, mask: Tensor, embed: Embed | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        # How many sentences are real is known only as the program runs, and a graph wants to know it before.
        groups = [] if torch.compiler.is_compiling() else alike(mask.sum(1))
        if not groups:
            return self._read_sentences(x, mask, embed, need_weights)
        vectors, looked = [], []
        for rows in groups:
            longest = int(mask[rows[-1]].sum())
            vector, weights = self._read_sentences(x[rows, :longest], mask[rows, :longest], embed, need_weights)
            vectors.append(vector)
            if weights is not None:
                looked.append(pad(weights, (0, mask.shape[1] - longest)))
        order = torch.cat(groups)
        return _put(vectors, order, len(x)), _put(looked, order, len(x)) if looked else None

    def _read_sentences(
        self, x: Tensor, mask: Tensor, embed: Embed | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        x = x if embed is None else embed(x)
        vectors, weights, _ = self.words(x, mask=mask, need_weights=need_weights)
        return vectors, weights


class HierarchicalEncoder(Hierarchy):
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
        pooling: "context-vector" as in the paper, or another name of `saccade.attention.poolings`; "none" is the mean.
        hops: how many views, or readings, a pooling takes that takes several; a vector is then as many times as wide.

    >>> encode = HierarchicalEncoder(3, word_dim=4, sentence_dim=6)
    >>> document = encode(torch.zeros(2, 5, 7, 3))
    >>> document.vector.shape, document.words.shape, document.sentences.shape
    (torch.Size([2, 6]), torch.Size([2, 5, 7]), torch.Size([2, 5]))
    """

    def __init__(
        self,
        input_dim: int,
        *,
        word_dim: int = 100,
        sentence_dim: int = 100,
        cell: CellName = "gru",
        pooling: str = "context-vector",
        hops: int = 4,
    ):
        how = Reading(cell, pooling=pooling, hops=hops)
        words = Reader(input_dim, word_dim, how)
        super().__init__(words, Reader(words.output_dim, sentence_dim, how))


def alike(lengths: Tensor) -> list[Tensor]:
    """The rows of something, from short to long, in groups whose longest is less than twice as long as its shortest.

    >>> [rows.tolist() for rows in alike(torch.tensor([7, 0, 2, 1, 3, 4]))]
    [[3], [2, 4], [5, 0]]
    """
    lengths, rows = lengths.sort(stable=True)
    rows, lengths = rows[lengths > 0], lengths[lengths > 0]
    powers = torch.frexp(lengths.double()).exponent
    counts = torch.unique_consecutive(powers, return_counts=True)[1]
    return list(torch.split(rows, counts.tolist()))


def _put(parts: list[Tensor], order: Tensor, rows: int) -> Tensor:
    """The rows of all parts at their places, and zeros elsewhere."""
    whole = torch.cat(parts)
    return whole.new_zeros(rows, *whole.shape[1:]).index_copy(0, order, whole)


def _check_order(mask: Tensor, name: str) -> None:
    if not torch.compiler.is_compiling() and bool((mask != masks.padding(mask.sum(1), mask.shape[1])).any()):
        raise ValueError(f"mask must leave out {name} at the end alone, as a recurrent network reads them in order")
