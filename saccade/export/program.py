"""A translator as two programs of torch.export: its encoder, and one step of its decoder.

    encoder(source [batch, source], lengths [batch])  ->  memory, state
    step(token [batch], memory, state)                ->  logits [batch, vocab], weights [batch, source], state

Memory and state are flat tuples of tensors, whose first axis is the batch; source, batch and steps have any length. A
model that copies also takes `copy`, `[batch, source]`, behind the lengths; one that looks at nothing gives no weights.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from saccade.attention.results import Memory
from saccade.errors import ExportError, first_line
from saccade.export.twin import exportable_twin
from saccade.models.seq2seq import Seq2Seq

Flat: TypeAlias = tuple[Tensor, ...]
_BATCH, _SOURCE, _STEPS = 5, 7, 3


class Programs(NamedTuple):
    """The two programs of a translator; how many tensors its memory is, and whether it shows weights."""

    encoder: ExportedProgram
    step: ExportedProgram
    memory: int
    state: int
    weights: bool


class _Encoder(nn.Module):
    def __init__(self, model: Seq2Seq):
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, lengths: Tensor, copy: Tensor | None = None) -> tuple[Flat, Flat]:
        memory, state = self.model.remember(source, lengths, copy)
        return flat(bare(memory)), flat(state)


class _Step(nn.Module):
    def __init__(self, model: Seq2Seq, memory: Any, state: Any):
        super().__init__()
        self.model, self.memory, self.state = model, memory, state

    def forward(self, token: Tensor, memory: Flat, state: Flat) -> tuple[Tensor, Tensor | None, Flat]:
        given = filled(self.memory, iter(memory)), filled(self.state, iter(state))
        logits, weights, after = self.model.step(token, *given)
        return logits, weights, flat(after)


def bare(tree: Any) -> Any:
    """Nested tuples whose memories hold nothing that a kernel made of them: no other engine has such kernels."""
    if isinstance(tree, Memory):
        tree = tree._replace(prepared=None)
    return _same_kind(tree, [bare(part) for part in tree]) if isinstance(tree, tuple) else tree


def flat(tree: Any) -> Flat:
    """The tensors of nested tuples, in order.

    >>> [len(x) for x in flat((torch.ones(2), (None, torch.ones(3))))]
    [2, 3]
    """
    if isinstance(tree, Tensor):
        return (tree,)
    return tuple(x for part in tree for x in flat(part)) if isinstance(tree, tuple) else ()


def filled(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """Nested tuples with other tensors, as `flat` orders them."""
    if isinstance(tree, Tensor):
        return next(tensors)
    return _same_kind(tree, [filled(part, tensors) for part in tree]) if isinstance(tree, tuple) else tree


def _same_kind(tree: tuple[Any, ...], parts: list[Any]) -> Any:
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


@torch.no_grad()
def programs(model: Seq2Seq) -> Programs:
    """The programs of a translator.

    Raises:
        ExportError: torch.export cannot follow it.
    """
    twin = exportable_twin(model)
    given = _sources(twin, _BATCH, _SOURCE)
    memory, state = twin.remember(*given)
    memory = bare(memory)
    encoder = _exported("encoder", _Encoder(twin), given, tuple(_moving(sizes) for sizes in _encoder_inputs(twin)))
    token, after = torch.ones(_BATCH, dtype=torch.long), state
    for _ in range(_STEPS):
        step = twin.step(token, memory, after)
        after = step.state
    axes = tuple(tuple(_moving(sizes) for sizes in zip(*some, strict=True)) for some in _step_inputs(twin))
    inputs = token, flat(memory), flat(after)
    one = _exported("decoder", _Step(twin, memory, state), inputs, ({0: Dim.DYNAMIC}, *axes))
    return Programs(encoder, one, len(inputs[1]), len(inputs[2]), step.weights is not None)


def _sources(model: Seq2Seq, batch: int, source: int) -> tuple[Tensor, ...]:
    """Made-up sources, the second one shorter."""
    ids = torch.full((batch, source), 4 % model.config.source_vocab)
    lengths = torch.tensor([source - (row == 1) for row in range(batch)])
    return (ids, lengths, torch.zeros_like(ids)) if model.config.copy else (ids, lengths)


def _encoder_inputs(model: Seq2Seq) -> list[list[Tensor]]:
    """Each input of the encoder in several sizes."""
    return [list(sizes) for sizes in zip(*(_sources(model, *size) for size in _SIZES), strict=True)]


_SIZES = (2, 3), (4, 3), (2, 6)


def _step_inputs(model: Seq2Seq) -> list[list[Flat]]:
    """Memory and state in several sizes, the state also after a step."""
    memories, states = [], []
    for batch, source in _SIZES:
        memory, state = model.remember(*_sources(model, batch, source))
        after = model.step(torch.ones(batch, dtype=torch.long), memory, state).state
        memories.append(flat(bare(memory)))
        states += [flat(state), flat(after)]
    return [memories, states]


def _moving(sizes: Sequence[Tensor]) -> dict[int, Any]:
    """The axes of a tensor whose length changes with what is translated, as torch.export is told them."""
    shapes = zip(*(x.shape for x in sizes), strict=True)
    return {axis: Dim.DYNAMIC for axis, lengths in enumerate(shapes) if len(set(lengths)) > 1}


def _exported(name: str, module: nn.Module, inputs: tuple[Any, ...], axes: tuple[Any, ...]) -> ExportedProgram:
    try:
        return torch.export.export(module.eval(), inputs, dynamic_shapes=axes, strict=True)
    except Exception as error:  # torch.export has errors of many kinds
        raise ExportError(f"torch.export cannot follow this {name}: {first_line(error)}") from error
