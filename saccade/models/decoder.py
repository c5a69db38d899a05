"""The recurrent decoder: writes tokens one by one, and attends to a memory on the way, whatever made that memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade.attention.base import Attention
from saccade.attention.none import NoAttention
from saccade.attention.pointer import PointerGenerator, copied_share
from saccade.attention.results import Memory, dense, exportable
from saccade.layers import CellName, Order
from saccade.layers.cells import CellState, StackedCell, StackedRecurrence


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a `RecurrentDecoder`."""

    vocab: int
    """How many tokens it writes, the special ones included."""
    cell: CellName
    embedding: int
    hidden: int
    """Width of its states."""
    layers: int
    dropout: float
    memory: int
    """Width of what it attends to, and of the summary that it begins with."""
    copy: bool = False
    """Whether words of the source can be copied, and the vocabulary grows by one word for each source token."""
    unknown: int = 3
    """The token that stands for a copied word when the decoder reads it."""
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
    """What one step of a decoder gives: logits `[batch, vocab]`, weights `[batch, source]` or None, the new state."""

    logits: Tensor
    weights: Tensor | None
    state: Any


@exportable
class Forced(NamedTuple):
    """What teacher forcing gives.

    logits:  `[batch, target, vocab]`.
    weights: `[batch, target, source]`; None where none were asked for or are.
    state:   the decoder's after the last step.
    """

    logits: Tensor
    weights: Tensor | None
    state: Any


class _Steps(NamedTuple):
    """What the decoder made of some steps, `[batch, target, ...]`, before it predicts; and its last state."""

    output: Tensor
    context: Tensor
    embedded: Tensor
    weights: Tensor | None
    state: DecoderState


class RecurrentDecoder(nn.Module):
    """The attentional decoder of Bahdanau et al. 2015, §3, A.1 and A.2, with any mechanism, over any memory.

    At each step the mechanism is queried with the decoder's previous state s_{i-1} (A.1.2) and the cell reads the
    previous token and the context: `s_i = cell([E y_{i-1}; c_i], s_{i-1})` (A.2.2). The prediction is
    `softmax(V tanh(C [s_i; c_i]))`, the attentional vector of Luong et al. 2015, eq. 5, where Bahdanau has a maxout
    layer; like theirs, it sees the state and the context.

    A decoder that attends after its cell is that of Luong et al. 2015, §3, without input feeding: s_i, of
    `s_i = cell(E y_{i-1}, s_{i-1})`, is the query. Nothing of the memory goes back into the cell, so under teacher
    forcing the cell takes all steps in one call and one reading answers all queries.

    Where the configuration says so, words of the source can be copied (See et al. 2017, §2.2): logits are then the
    log-probabilities of `PointerGenerator`, over the vocabulary and a word for each source token.

    Args:
        attention: its mechanism, with queries as wide as the states and keys as wide as the memory.
        embedding: the table of its tokens, `[vocab, embedding]`, where there is one already. Token 0 is padding.

    >>> from saccade.attention.additive import AdditiveAttention
    >>> config = DecoderConfig(7, "gru", embedding=4, hidden=6, layers=1, dropout=0.0, memory=8)
    >>> decoder = RecurrentDecoder(config, AdditiveAttention(query_dim=6, key_dim=8, hidden_dim=3))
    >>> source, state = decoder.begin(torch.zeros(2, 3, 8), None, torch.zeros(2, 8))
    >>> logits, weights, _ = decoder(torch.tensor([[1, 4, 4, 5], [1, 5, 2, 0]]), source, state)
    >>> logits.shape, weights.shape
    (torch.Size([2, 4, 7]), torch.Size([2, 4, 3]))
    """

    def __init__(self, config: DecoderConfig, attention: Attention, *, embedding: nn.Embedding | None = None):
        super().__init__()
        widths = attention.query_dim, attention.key_dim
        if widths != (config.hidden, config.memory):
            expected = f"query_dim and key_dim {config.hidden} and {config.memory}"
            raise ValueError(f"attention must have {expected}; got {widths[0]} and {widths[1]}")
        self.config, size, layers = config, config.hidden, config.layers
        self.embedding = nn.Embedding(config.vocab, config.embedding, padding_idx=0) if embedding is None else embedding
        self.attention = attention
        kind, read = (StackedRecurrence, 0) if config.attend == "after" else (StackedCell, config.memory)
        self.cells = kind(config.cell, config.embedding + read, size, layers=layers, dropout=config.dropout)
        self.start = nn.Linear(config.memory, layers * (size + self.cells.cell_dim))
        self.attentional = nn.Linear(size + config.memory, size, bias=False)
        self.output = nn.Linear(size, config.vocab)
        self.copier = PointerGenerator(config.memory, size, config.embedding) if config.copy else None
        self.dropout = nn.Dropout(config.dropout)

    def begin(
        self,
        states: Float[Tensor, "batch source memory"],
        mask: Bool[Tensor, "batch source"] | None,
        summary: Float[Tensor, "batch memory"],
        copy: Int[Tensor, "batch source"] | None = None,
    ) -> tuple[Source, DecoderState]:
        """What the decoder will read, and its first state. Without attention it reads the summary alone.

        Args:
            states: what stands at each slot of the source, `[batch, source, memory]`.
            mask: True = a slot that is there, `[batch, source]`; None: all are.
            summary: of the whole source, `[batch, memory]`; the first state is made of it.
            copy: for a decoder that copies, the word at each slot, in the extended vocabulary; 0 where none is.

        Raises:
            ValueError: words to copy where none copies, or none where one does.
        """
        if (copy is None) == (self.copier is not None):
            raise ValueError(f"copy must be given to a model that copies, and to no other; got {copy}")
        if copy is not None and mask is not None:
            copy = copy * mask  # nothing under padding can be copied
        if isinstance(self.attention, NoAttention):
            states, mask = summary[:, None], None
        memory = self.attention.remember(states, states, mask=mask)
        return Source(memory, copy), DecoderState(self._first_cells(summary), self.attention.initial(memory))

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
        target: Int[Tensor, "batch target"],
        source: Source,
        state: DecoderState,
        *,
        need_weights: bool = True,
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first."""
        run = self._run(target, source, state, need_weights=need_weights)
        logits = self._predict(run.output, run.context, run.embedded, run.weights, source.copy)
        return Forced(logits, run.weights, run.state)

    def copied(
        self,
        before: Int[Tensor, "batch target"],
        target: Int[Tensor, "batch target"],
        source: Source,
        state: DecoderState,
    ) -> Float[Tensor, "batch target"]:
        """Which share of the probability of each target token came from copying; see `copied_share`.

        Args:
            before: the tokens before each, the start token first.
            target: the tokens, in the extended vocabulary.
        """
        run = self._run(before, source, state, need_weights=True)
        if self.copier is None or run.weights is None or source.copy is None:
            raise ValueError("copied is for a model that copies; this one does not")
        logits = self._predict(run.output, run.context, run.embedded, run.weights, source.copy)
        gate = self.copier.logit(run.context, run.output, run.embedded)
        return copied_share(logits.log_softmax(-1), run.weights, gate, source.copy, target)

    def _run(self, target: Tensor, source: Source, state: DecoderState, *, need_weights: bool) -> _Steps:
        """All steps under teacher forcing."""
        memory, embedded = source.memory, self._embed(target)
        needed = need_weights or source.copy is not None
        if self.config.attend == "after":
            return self._at_once(embedded, memory, state, need_weights=needed)
        outputs, contexts, alignment = [], [], []
        for token in embedded.unbind(1):
            output, context, weights, state = self._advance(token, memory, state, need_weights=needed)
            outputs.append(output)
            contexts.append(context)
            alignment.append(weights)
        looked = [row for row in alignment if row is not None]
        shown = torch.stack(looked, 1) if looked else None
        return _Steps(torch.stack(outputs, 1), torch.stack(contexts, 1), embedded, shown, state)

    def _embed(self, token: Tensor) -> Tensor:
        if self.copier is not None:
            token = torch.where(token < self.config.vocab, token, self.config.unknown)
        embedded: Tensor = self.dropout(self.embedding(token))
        return embedded

    def _advance(
        self, embedded: Tensor, memory: Memory, state: DecoderState, *, need_weights: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, DecoderState]:
        attended = self.attention.read(state.cells.hidden[:, -1], memory, state.attention, need_weights=need_weights)
        output, cells = self.cells(torch.cat([embedded, attended.context], -1), state.cells)
        return output, attended.context, dense(attended.weights), DecoderState(cells, attended.state)

    def _at_once(self, embedded: Tensor, memory: Memory, state: DecoderState, *, need_weights: bool) -> _Steps:
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
