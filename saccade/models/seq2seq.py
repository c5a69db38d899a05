"""The recurrent encoder-decoder with attention between its halves."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.attention.build import build
from saccade.attention.pointer import PointerGenerator, copied_share
from saccade.attention.results import Memory, dense, exportable
from saccade.layers import CellName, Order
from saccade.layers.cells import CellState, StackedCell, StackedRecurrence
from saccade.layers.recurrent import BidirectionalEncoder


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The shape of a `Seq2Seq`; vocabulary sizes include the special tokens."""

    source_vocab: int
    target_vocab: int
    attention: str
    """A name of `saccade.attention.catalogue`."""
    encoder: CellName
    decoder: CellName
    embedding: int
    hidden: int
    """Width of the encoder's states (both directions together) and of the decoder's; additive networks have half."""
    layers: int
    dropout: float
    half_width: int = 10
    """Of a local window, in source tokens."""
    slots: int = 1000
    """The longest source, for mechanisms whose scores belong to places."""
    copy: bool = False
    """Whether words of the source can be copied, and the vocabulary grows by one word for each source token."""
    unknown: int = 3
    """The target token that stands for a copied word when the decoder reads it."""
    attend: Order = "before"
    """Whether the decoder attends before its cell takes a step, or after."""


@exportable
class Source(NamedTuple):
    """A source that was read.

    memory: what the decoder attends to.
    copy:   the word at each slot, an index into the extended vocabulary, `[batch, source]`; None where none copies.
    """

    memory: Memory
    copy: Tensor | None


@exportable
class DecoderState(NamedTuple):
    """What the decoder carries from step to step; every tensor is `[batch, ...]`.

    cells:     of its recurrent cells.
    attention: of its mechanism; None for those that carry nothing.
    """

    cells: CellState
    attention: Any


class Step(NamedTuple):
    """What one step of the decoder gives: logits `[batch, vocab]`, weights `[batch, source]` or None, the new state."""

    logits: Tensor
    weights: Tensor | None
    state: DecoderState


@exportable
class Forced(NamedTuple):
    """What teacher forcing gives.

    logits:  `[batch, target, vocab]`.
    weights: `[batch, target, source]`; None where none were asked for or are.
    state:   the decoder's after the last step.
    """

    logits: Tensor
    weights: Tensor | None
    state: DecoderState


class _Steps(NamedTuple):
    """What the decoder made of some steps, `[batch, target, ...]`, before it predicts; and its last state."""

    output: Tensor
    context: Tensor
    embedded: Tensor
    weights: Tensor | None
    state: DecoderState


class Seq2Seq(nn.Module):
    """The attentional encoder-decoder of Bahdanau et al. 2015, §3, A.1 and A.2, with any mechanism between.

    The encoder reads the source in both directions. At each step the mechanism is queried with the decoder's previous
    state s_{i-1} (A.1.2) and the cell reads the previous token and the context: `s_i = cell([E y_{i-1}; c_i], s_{i-1})`
    (A.2.2). The prediction is `softmax(V tanh(C [s_i; c_i]))`, the attentional vector of Luong et al. 2015, eq. 5,
    where Bahdanau has a maxout layer; like theirs, it sees the state and the context.

    A decoder that attends after its cell is that of Luong et al. 2015, §3, without input feeding: s_i, of
    `s_i = cell(E y_{i-1}, s_{i-1})`, is the query. Nothing of the memory goes back into the cell, so under teacher
    forcing the cell takes all steps in one call and one reading answers all queries.

    Where the configuration says so, words of the source can be copied (See et al. 2017, §2.2): logits are then the
    log-probabilities of `PointerGenerator`, over the vocabulary and a word for each source token.

    Token 0 is padding.

    >>> config = Seq2SeqConfig(11, 7, "additive", "lstm", "gru", embedding=4, hidden=6, layers=1, dropout=0.0)
    >>> source, target = torch.tensor([[4, 5, 2], [4, 2, 0]]), torch.tensor([[1, 4], [1, 5]])
    >>> logits, weights, _ = Seq2Seq(config)(source, torch.tensor([3, 2]), target)
    >>> logits.shape, weights.shape
    (torch.Size([2, 2, 7]), torch.Size([2, 2, 3]))
    """

    def __init__(self, config: Seq2SeqConfig):
        super().__init__()
        self.config, size = config, config.hidden
        self.source_embedding = nn.Embedding(config.source_vocab, config.embedding, padding_idx=0)
        self.target_embedding = nn.Embedding(config.target_vocab, config.embedding, padding_idx=0)
        layers, dropout = config.layers, config.dropout
        self.encoder = BidirectionalEncoder(config.encoder, config.embedding, size, layers=layers, dropout=dropout)
        self.attention = build(
            config.attention,
            query_dim=size,
            key_dim=size,
            hidden_dim=size // 2,
            slots=config.slots,
            half_width=config.half_width,
        )
        kind, read = (StackedRecurrence, 0) if config.attend == "after" else (StackedCell, size)
        self.cells = kind(config.decoder, config.embedding + read, size, layers=layers, dropout=dropout)
        self.start = nn.Linear(size, layers * (size + self.cells.cell_dim))
        self.attentional = nn.Linear(2 * size, size, bias=False)
        self.output = nn.Linear(size, config.target_vocab)
        self.copier = PointerGenerator(size, size, config.embedding) if config.copy else None
        self.dropout = nn.Dropout(config.dropout)

    def remember(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        copy: Int[Tensor, "batch source"] | None = None,
    ) -> tuple[Source, DecoderState]:
        """Read a batch of sources: what the decoder will read, and its first state.

        Args:
            source: token ids, `[batch, source]`.
            lengths: how many of each row are real, `[batch]`, at least 1.
            copy: for a model that copies, the word at each source token, in the extended vocabulary; 0 where none is.
        """
        if (copy is None) == (self.copier is not None):
            raise ValueError(f"copy must be given to a model that copies, and to no other; got {copy}")
        encoded = self.encoder(self.dropout(self.source_embedding(source)), lengths)
        real = masks.padding(lengths, source.shape[1])
        if self.config.attention == "none":
            states, mask = encoded.summary[:, None], None
        else:
            states, mask = encoded.states, real
        copy = None if copy is None else copy * real  # nothing under padding can be copied
        memory = self.attention.remember(states, states, mask=mask)
        return Source(memory, copy), DecoderState(self._first_cells(encoded.summary), self.attention.initial(memory))

    def _first_cells(self, summary: Tensor) -> CellState:
        # tanh(W h), A.2.2; an LSTM's memory cell is not bounded, so its part is left linear.
        start = self.start(summary).unflatten(1, (self.config.layers, -1))
        hidden, cell = start.split([self.config.hidden, self.cells.cell_dim], -1)
        return CellState(torch.tanh(hidden), cell)

    def step(self, token: Int[Tensor, " batch"], source: Source, state: DecoderState) -> Step:
        """Read the previous token `[batch]` and predict the next."""
        embedded = self._embed(token)
        if self.config.attend == "after":
            run = self._at_once(embedded[:, None], source.memory, state, need_weights=True)
            logits = self._predict(run.output, run.context, run.embedded, run.weights, source.copy)
            return Step(logits[:, 0], None if run.weights is None else run.weights[:, 0], run.state)
        output, context, weights, state = self._advance(embedded, source.memory, state, need_weights=True)
        return Step(self._predict(output, context, embedded, weights, source.copy), weights, state)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch target"],
        *,
        copy: Int[Tensor, "batch source"] | None = None,
        need_weights: bool = True,
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first."""
        run, copy = self._run(source, lengths, target, copy, need_weights=need_weights)
        logits = self._predict(run.output, run.context, run.embedded, run.weights, copy)
        return Forced(logits, run.weights, run.state)

    def copied(
        self,
        source: Int[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
        before: Int[Tensor, "batch target"],
        target: Int[Tensor, "batch target"],
        *,
        copy: Int[Tensor, "batch source"],
    ) -> Float[Tensor, "batch target"]:
        """Which share of the probability of each target token came from copying; see `copied_share`.

        Args:
            before: the tokens before each, the start token first.
            target: the tokens, in the extended vocabulary.
        """
        run, words = self._run(source, lengths, before, copy, need_weights=True)
        if self.copier is None or run.weights is None or words is None:
            raise ValueError("copied is for a model that copies; this one does not")
        logits = self._predict(run.output, run.context, run.embedded, run.weights, words)
        gate = self.copier.logit(run.context, run.output, run.embedded)
        return copied_share(logits.log_softmax(-1), run.weights, gate, words, target)

    def _run(
        self, source: Tensor, lengths: Tensor, target: Tensor, copy: Tensor | None, *, need_weights: bool
    ) -> tuple["_Steps", Tensor | None]:
        """All steps under teacher forcing, and what can be copied."""
        read, state = self.remember(source, lengths, copy)
        (memory, copy), embedded = read, self._embed(target)
        needed = need_weights or copy is not None
        if self.config.attend == "after":
            return self._at_once(embedded, memory, state, need_weights=needed), copy
        outputs, contexts, alignment = [], [], []
        for token in embedded.unbind(1):
            output, context, weights, state = self._advance(token, memory, state, need_weights=needed)
            outputs.append(output)
            contexts.append(context)
            alignment.append(weights)
        looked = [row for row in alignment if row is not None]
        shown = torch.stack(looked, 1) if looked else None
        return _Steps(torch.stack(outputs, 1), torch.stack(contexts, 1), embedded, shown, state), copy

    def _embed(self, token: Tensor) -> Tensor:
        if self.copier is not None:
            token = torch.where(token < self.config.target_vocab, token, self.config.unknown)
        embedded: Tensor = self.dropout(self.target_embedding(token))
        return embedded

    def _advance(
        self, embedded: Tensor, memory: Memory, state: DecoderState, *, need_weights: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, DecoderState]:
        attended = self.attention.read(state.cells.hidden[:, -1], memory, state.attention, need_weights=need_weights)
        output, cells = self.cells(torch.cat([embedded, attended.context], -1), state.cells)
        return output, attended.context, dense(attended.weights), DecoderState(cells, attended.state)

    def _at_once(self, embedded: Tensor, memory: Memory, state: DecoderState, *, need_weights: bool) -> "_Steps":
        """Steps of a decoder that attends after its cell: `[batch, step, embedding]`."""
        output, cells = self.cells(embedded, state.cells)
        context, weights, after = self.attention.read(output, memory, state.attention, need_weights=need_weights)
        return _Steps(output, context, embedded, dense(weights), DecoderState(cells, after))

    def _predict(
        self, output: Tensor, context: Tensor, embedded: Tensor, weights: Tensor | None, copy: Tensor | None
    ) -> Tensor:
        attentional = torch.tanh(self.attentional(torch.cat([output, context], -1)))
        logits: Tensor = self.output(self.dropout(attentional))
        if self.copier is None or weights is None or copy is None:
            return logits
        extended: Tensor = self.copier(logits, weights, copy, context, output, embedded)
        return extended
