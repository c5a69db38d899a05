"""The recurrent decoder: writes tokens one by one, and attends to a memory on the way, whatever made that memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from saccade.attention.base import Attention
from saccade.attention.none import NoAttention
from saccade.attention.pointer import PointerGenerator, copied_share
from saccade.attention.results import Memory, dense, exportable
from saccade.dropout import VariationalDropout, dropout_of
from saccade.layers import CellName, Order
from saccade.layers.cells import Ahead, CellState, StackedCell, StackedRecurrence
from saccade.normalizers import softmax


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
    feed: bool = False
    """Whether the cell of a decoder that attends after it also reads what the step before predicted from."""
    tied: bool = False
    """Whether tokens are predicted with their own embeddings (Press and Wolf 2017)."""
    variational: bool = False
    """Whether the same numbers are dropped at every step, see `VariationalDropout`."""
    layer_norm: bool = False
    """Whether its cells are normalised, see `NormedCell`."""


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
    fed:       the attentional vector of the step before, `[batch, dim]`; None where it is not fed back.
    """

    cells: CellState
    attention: Any
    fed: Tensor | None = None


class Step(NamedTuple):
    """What one step of a decoder gives: logits `[batch, vocab]`, weights `[batch, source]` or None, the new state."""

    logits: Tensor
    weights: Tensor | None
    state: Any


@exportable
class Forced(NamedTuple):
    """What teacher forcing gives.

    logits:  `[batch, target, vocab]`; of the places that were asked for alone, `[places, vocab]`, row by row.
    weights: `[batch, target, source]`; None where none were asked for or are.
    state:   the decoder's after the last step.
    """

    logits: Tensor
    weights: Tensor | None
    state: Any


class _Steps(NamedTuple):
    """What the decoder made of a step `[batch, ...]` or some `[batch, target, ...]` before it predicts; its last state;
    the attentional vectors where they were fed back.
    """

    output: Tensor
    context: Tensor
    embedded: Tensor
    weights: Tensor | None
    state: DecoderState
    vector: Tensor | None = None


class _Drawn(NamedTuple):
    """What is dropped at every step of a sequence, of attentional vectors and between layers; None: drawn anew."""

    vector: Tensor | None
    between: list[Tensor] | None


class RecurrentDecoder(nn.Module):
    """The attentional decoder of Bahdanau et al. 2015, §3, A.1 and A.2, with any mechanism, over any memory.

    At each step the mechanism is queried with the decoder's previous state s_{i-1} (A.1.2) and the cell reads the
    previous token and the context: `s_i = cell([E y_{i-1}; c_i], s_{i-1})` (A.2.2). The prediction is
    `softmax(V tanh(C [s_i; c_i]))`, the attentional vector of Luong et al. 2015, eq. 5, where Bahdanau has a maxout
    layer; like theirs, it sees the state and the context.

    A decoder that attends after its cell is that of Luong et al. 2015, §3: s_i, of `s_i = cell(E y_{i-1}, s_{i-1})`, is
    the query. Nothing of the memory goes back into the cell, so under teacher forcing the cell takes all steps in one
    call and one reading answers all queries; unless it is fed the attentional vector of the step before (input feeding,
    §3.3), `s_i = cell([E y_{i-1}; h~_{i-1}], s_{i-1})`, the first of which is zero.

    Tied to its embeddings, a decoder predicts with E in place of V (Press and Wolf 2017); attentional vectors are then
    as wide as embeddings. What predicts begins small, so the cell reads `sqrt(dim) E y`, as a Transformer does.

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
        if config.feed and config.attend != "after":
            raise ValueError(f"feed needs a decoder that attends after its cell; got attend {config.attend!r}")
        self.config, size, layers = config, config.hidden, config.layers
        self.embedding = nn.Embedding(config.vocab, config.embedding, padding_idx=0) if embedding is None else embedding
        self.attention, width = attention, config.embedding if config.tied else size
        read = config.memory if config.attend == "before" else width if config.feed else 0
        shape: dict[str, Any] = {"layers": layers, "dropout": config.dropout, "layer_norm": config.layer_norm}
        if read:
            self.cells: Any = StackedCell(config.cell, config.embedding + read, size, **shape)
        else:
            self.cells = StackedRecurrence(config.cell, config.embedding, size, **shape, variational=config.variational)
        self.start = nn.Linear(config.memory, layers * (size + self.cells.cell_dim))
        self.attentional = nn.Linear(size + config.memory, width, bias=False)
        self.output = nn.Linear(width, config.vocab)
        if config.tied:
            self.output.weight = self.embedding.weight
        self.copier = PointerGenerator(config.memory, size, config.embedding) if config.copy else None
        self.dropout = dropout_of(config.dropout, variational=config.variational)

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
        fed = summary.new_zeros(len(summary), self.attentional.out_features) if self.config.feed else None
        return Source(memory, copy), DecoderState(self._first_cells(summary), self.attention.initial(memory), fed)

    def _first_cells(self, summary: Tensor) -> CellState:
        # tanh(W h), A.2.2; an LSTM's memory cell is not bounded, so its part is left linear.
        start = self.start(summary).unflatten(1, (self.config.layers, -1))
        hidden, cell = start.split([self.config.hidden, self.cells.cell_dim], -1)
        return CellState(torch.tanh(hidden), cell)

    def shares(self, source: Source) -> bool:
        """Whether several beginnings can read one source: where nothing is carried from one reading to the next."""
        return source.copy is None and self.attention.heads is None and self.attention.initial(source.memory) is None

    def step(self, token: Int[Tensor, " batch"], source: Source, state: DecoderState) -> Step:
        """Read the previous token `[batch]` and predict the next. If the source `shares`, `n` neighbours may read each
        of its rows: it then has `batch / n` of them.
        """
        embedded = self._embed(token)
        if isinstance(self.cells, StackedRecurrence):
            run = self._at_once(embedded[:, None], source.memory, state, need_weights=True)
            logits = self._predict(run, source.copy)
            return Step(logits[:, 0], None if run.weights is None else run.weights[:, 0], run.state)
        run = self._advance(embedded, None, source.memory, state, _Drawn(None, None), need_weights=True)
        return Step(self._predict(run, source.copy), run.weights, run.state)

    def forward(
        self,
        target: Int[Tensor, "batch target"],
        source: Source,
        state: DecoderState,
        *,
        need_weights: bool = True,
        where: Bool[Tensor, "batch target"] | None = None,
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first.

        Args:
            where: the places to predict at, see `Forced`; None: all.
        """
        run = self._run(target, source, state, need_weights=need_weights)
        return Forced(self._predict(run, source.copy, where), run.weights, run.state)

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
        logits = self._predict(run, source.copy)
        gate = self.copier.logit(run.context, run.output, run.embedded)
        return copied_share(logits.log_softmax(-1), run.weights, gate, source.copy, target)

    def posterior(
        self,
        before: Int[Tensor, "batch target"],
        target: Int[Tensor, "batch target"],
        source: Source,
        state: DecoderState,
    ) -> Float[Tensor, "batch target source"] | None:
        """What was looked at, given what was written: `a_ij p(y_i | s_i, h_j) / sum_k a_ik p(y_i | s_i, h_k)`.

        The weights a_ij are made before y_i is known, and so are spread over whatever may come; how likely each slot
        alone makes y_i tells which one it was. Of Shankar and Sarawagi 2019, "Posterior Attention Models", section 3.1,
        who train so; here the decoder is trained as ever. Costs as many predictions as there are weights above zero.

        Args:
            before: the tokens before each, the start token first.
            target: the tokens.

        Returns:
            rows that sum to one; None where nothing looks.

        Raises:
            ValueError: a decoder that attends before its cell, which would step for each slot, or one that copies.
        """
        if self.config.attend != "after" or self.copier is not None:
            raise ValueError("posterior needs a decoder that attends after its cell and does not copy")
        run = self._run(before, source, state, need_weights=True)
        if run.weights is None:
            return None
        ours, theirs = torch.split(self.attentional.weight, [self.config.hidden, self.config.memory], 1)
        queries, slots = run.output @ ours.T, source.memory.value @ theirs.T
        weights = run.weights.to(torch.promote_types(run.weights.dtype, torch.float32))
        likelihood = torch.zeros_like(weights)
        for step, query in enumerate(queries.unbind(1)):
            row, slot = (weights[:, step] > 0).nonzero(as_tuple=True)
            logits = self.output(torch.tanh(query[row] + slots[row, slot])).to(weights.dtype)
            likelihood[row, step, slot] = -cross_entropy(logits, target[row, step], reduction="none")
        return softmax(weights.log() + likelihood, weights > 0)

    def _run(self, target: Tensor, source: Source, state: DecoderState, *, need_weights: bool) -> _Steps:
        """All steps under teacher forcing."""
        memory, embedded = source.memory, self._embed(target)
        needed = need_weights or source.copy is not None
        if isinstance(self.cells, StackedRecurrence):
            return self._at_once(embedded, memory, state, need_weights=needed)
        ahead, drawn, steps = self.cells.ahead(embedded), self._drawn(embedded), []
        for token, gates in zip(embedded.unbind(1), ahead.gates.unbind(1), strict=True):
            part = ahead._replace(gates=gates)
            steps.append(self._advance(token, part, memory, state, drawn, need_weights=needed))
            state = steps[-1].state
        output, context, vector, weights = (
            torch.stack(parts, 1) if parts else None
            for parts in (
                [step.output for step in steps],
                [step.context for step in steps],
                [step.vector for step in steps if step.vector is not None],
                [step.weights for step in steps if step.weights is not None],
            )
        )
        assert output is not None
        assert context is not None
        return _Steps(output, context, embedded, weights, state, vector)

    def _drawn(self, embedded: Tensor) -> _Drawn:
        """What is dropped at every step alike, where anything is."""
        if not self.training or not isinstance(self.dropout, VariationalDropout):
            return _Drawn(None, None)
        vector, hidden = (embedded.new_ones(len(embedded), x) for x in (self.output.in_features, self.config.hidden))
        return _Drawn(self.dropout(vector), self.cells.masks(hidden))

    def _embed(self, token: Tensor) -> Tensor:
        if self.copier is not None:
            token = torch.where(token < self.config.vocab, token, self.config.unknown)
        scale = self.config.embedding**0.5 if self.config.tied else 1.0
        embedded: Tensor = self.dropout(scale * self.embedding(token))
        return embedded

    def _advance(
        self,
        embedded: Tensor,
        ahead: Ahead | None,
        memory: Memory,
        state: DecoderState,
        drawn: _Drawn,
        *,
        need_weights: bool,
    ) -> _Steps:
        """A step of a decoder whose cell reads what came of the memory; `ahead` is what it has of the token already."""
        if self.config.attend == "before":
            query = state.cells.hidden[:, -1]
            context, weights, after = self._look(query, memory, state.attention, need_weights=need_weights)
            output, cells = self.cells(_read(embedded, context, ahead), state.cells, ahead=ahead, masks=drawn.between)
            return _Steps(output, context, embedded, weights, DecoderState(cells, after))
        assert state.fed is not None
        output, cells = self.cells(_read(embedded, state.fed, ahead), state.cells, ahead=ahead, masks=drawn.between)
        context, weights, after = self._look(output, memory, state.attention, need_weights=need_weights)
        vector = self._attentional(output, context)
        vector = self.dropout(vector) if drawn.vector is None else vector * drawn.vector
        return _Steps(output, context, embedded, weights, DecoderState(cells, after, vector), vector)

    def _at_once(self, embedded: Tensor, memory: Memory, state: DecoderState, *, need_weights: bool) -> _Steps:
        """Steps of a decoder that attends after its cell: `[batch, step, embedding]`."""
        output, cells = self.cells(embedded, state.cells)
        context, weights, after = self._look(output, memory, state.attention, need_weights=need_weights)
        return _Steps(output, context, embedded, weights, DecoderState(cells, after))

    def _look(
        self, query: Tensor, memory: Memory, state: Any, *, need_weights: bool
    ) -> tuple[Tensor, Tensor | None, Any]:
        """Context, weights over every slot, and the mechanism's next state; neighbours that share a row of the memory
        are queries of one reading.
        """
        rows = len(memory.value)
        if len(query) == rows:
            context, weights, after = self.attention.read(query, memory, state, need_weights=need_weights)
            return context, dense(weights), after
        together = query.reshape(rows, -1, query.shape[-1])
        context, weights, after = self.attention.read(together, memory, state, need_weights=need_weights)
        shown, shape = dense(weights), query.shape[:-1]
        return context.reshape(*shape, -1), None if shown is None else shown.reshape(*shape, -1), after

    def _attentional(self, output: Tensor, context: Tensor) -> Tensor:
        """`tanh(C [s_i; c_i])`."""
        return torch.tanh(self.attentional(torch.cat([output, context], -1)))

    def _predict(self, run: _Steps, copy: Tensor | None, where: Tensor | None = None) -> Tensor:
        """Logits of every step, or of some places, `[places, vocab]`."""
        vector = self.dropout(self._attentional(run.output, run.context)) if run.vector is None else run.vector
        if self.copier is None or run.weights is None or copy is None:
            logits: Tensor = self.output(vector if where is None else vector[where])
            return logits
        extended: Tensor = self.copier(self.output(vector), run.weights, copy, run.context, run.output, run.embedded)
        return extended if where is None else extended[where]


def _read(embedded: Tensor, other: Tensor, ahead: Ahead | None) -> Tensor:
    """What the cell reads: the token too, unless it has that already."""
    return torch.cat([embedded, other], -1) if ahead is None else other
