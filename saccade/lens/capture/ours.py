"""The route of Saccade's own mechanisms: the weights that they return, or what makes them once more."""

from typing import Any

import torch
from torch import Tensor, nn

from saccade.attention.base import Attention
from saccade.attention.multihead import MultiHeadAttention, split
from saccade.attention.none import NoAttention
from saccade.attention.pooling import Pooling
from saccade.attention.results import Attended, Memory, dense
from saccade.attention.selfattention import SelfAttention
from saccade.lens.capture.call import Call
from saccade.lens.capture.pieces import Kept, Later, Sample
from saccade.lens.capture.recorder import Gradient, Kind, Recorded, Recorder, active, sample_rows
from saccade.lens.capture.swaps import swap


def swap_reads(recorder: Recorder, model: nn.Module) -> None:
    """Watch the readings of every mechanism that has weights."""
    recorder.selves = frozenset(id(x.attend) for x in model.modules() if isinstance(x, SelfAttention))
    for module in model.modules():
        if isinstance(module, NoAttention):
            continue
        if isinstance(module, Attention):
            swap(recorder, module.__dict__, "read", module.read, _Reading(module))
        elif isinstance(module, Pooling):
            swap(recorder, module.__dict__, "forward", module.forward, _Reading(module))


class _Reading:
    """Watches what one mechanism reads; a fused call inside it is part of it."""

    def __init__(self, module: Attention | Pooling):
        self.module = module

    def enter(self, args: tuple[Any, ...], given: dict[str, Any]) -> list[Recorder]:
        """Whoever looks at this module; nobody while it is traced or made once more."""
        lookers = [x for x in active if x.mine() and not x.muted and id(self.module) in x.names]
        for recorder in lookers:
            recorder.muted += 1
        return lookers

    def leave(self, lookers: list[Recorder], args: tuple[Any, ...], given: dict[str, Any], found: Any) -> Any:
        """What the mechanism gave."""
        for recorder in lookers:
            recorder.muted -= 1
            name = recorder.names[id(self.module)]
            if found is not None and (recorder.wanted is None or name in recorder.wanted):
                recorder.raw.append(self._recorded(recorder, name or recorder.root, args, given, found))
        return found

    def _recorded(
        self, recorder: Recorder, name: str, args: tuple[Any, ...], given: dict[str, Any], found: Attended
    ) -> Recorded:
        if isinstance(self.module, Pooling):
            x, mask = _detached(args[0] if args else given["x"]), given.get("mask")
            counts = _counts(None if mask is None else mask[:, None], x.shape[1])
            piece = self._piece(found, lambda: self.module(x, mask=mask), counts, False, x.shape[1])
            return Recorded(name, "ours", "pooling", piece)
        asked = dict(zip(("query", "memory", "state"), args, strict=False)) | given
        query, memory = _detached(asked["query"]), Memory(*(_detached(part) for part in asked["memory"][:6]))
        step, slots = query.dim() == 2, memory.value.shape[1]
        kind: Kind = "self" if id(self.module) in recorder.selves else "cross"
        plain = type(self.module) is MultiHeadAttention and not self.module.positions.needs_weights
        if found.weights is None and plain and asked.get("state") is None:
            return self._multihead(recorder, name, kind, asked | {"query": query, "memory": memory}, found.context)
        mask = memory.mask
        if memory.pattern is not None:
            mask = memory.pattern.dense(1 if step else query.shape[1], slots, device=query.device)
        state, bias, noise, place = (_detached(asked.get(x)) for x in ("state", "bias", "noise", "place"))
        again = lambda: self.module.read(query, memory, state, bias=bias, noise=noise, place=place)  # noqa: E731
        piece = self._piece(found, again, _counts(mask, slots), step, slots)
        return Recorded(name, "ours", kind, piece, step=step)

    def _piece(self, found: Attended, again: Any, counts: Tensor, step: bool, slots: int) -> Kept | Later:
        """The weights that were given, or that will be when the mechanism is asked once more."""
        pooling = isinstance(self.module, Pooling)
        heads = self.module.heads if isinstance(self.module, Attention) else None

        def kept(weights: Any) -> Kept:
            whole = dense(weights)
            assert whole is not None
            whole = whole.detach()
            whole = whole if whole.dtype == torch.float64 else whole.float()
            whole = whole[..., None, :] if step or pooling else whole
            whole = whole if whole.dim() == 4 else whole[:, None]
            return Kept(whole, tuple(range(whole.shape[2])), whole.shape[2], counts)

        if found.weights is not None:
            return kept(found.weights)
        context = found.context
        if pooling:
            hops = context.shape[1] if context.dim() == 3 else 1
            return Later(lambda: kept(_muted(again).weights), (len(context), hops, 1, slots))
        shape = len(context), heads or 1, 1 if step else context.shape[1], slots
        return Later(lambda: kept(_muted(again).weights), shape)

    def _multihead(self, recorder: Recorder, name: str, kind: Kind, asked: dict[str, Any], context: Tensor) -> Recorded:
        module, memory, query = self.module, asked["memory"], asked["query"]
        assert isinstance(module, MultiHeadAttention)
        queries = query if query.dim() == 3 else query[:, None]
        output = context if context.dim() == 3 else context[:, None]
        shape = len(queries), module.heads, queries.shape[1], memory.key.shape[1]
        drop = module.dropout if module.training else 0.0

        def make() -> Call:
            place = shape[3] - shape[2] if asked.get("place") is None else asked["place"]
            query, key, value = module.split_heads(queries, memory, place)
            bias, own = asked.get("bias"), module.positions.bias(query, shape[3], place)
            added = [x if x.dim() == 4 else x[:, None] for x in (bias, own) if x is not None]
            mask = memory.mask
            if memory.pattern is not None:
                mask = memory.pattern.dense(shape[2], shape[3], device=query.device)
            mask = mask if mask is None or mask.dim() == 4 else mask[:, None]
            total = None if not added else added[0] if len(added) == 1 else added[0] + added[1]
            return Call(query, key, value, mask, total, dropout=drop)

        gradient = None
        if recorder.gradients:
            weight = module.output.weight.detach()
            gradient = Gradient(output, lambda grad: split(grad @ weight, module.heads))
        rows = sample_rows(shape[2])
        projection = module.output.weight, module.output.bias
        sample = Sample(tuple(rows), output.detach()[:, rows], projection)
        with torch.no_grad():
            # The next step of an optimiser changes the weights in place.
            piece = make() if module.training else Later(make, shape, drop)
        return Recorded(name, "ours", kind, piece, sample, None, gradient, query.dim() == 2)


def _muted(again: Any) -> Attended:
    """Asked once more, with nobody listening."""
    for recorder in active:
        recorder.muted += 1
    try:
        found: Attended = again()
    finally:
        for recorder in active:
            recorder.muted -= 1
    return found


def _counts(mask: Tensor | None, slots: int) -> Tensor:
    """How many slots may be attended, broadcastable to `[batch, heads, query]`."""
    if mask is None:
        return torch.full((1, 1, 1), slots)
    return (mask if mask.dim() == 4 else mask[:, None]).sum(-1)


def _detached(x: Any) -> Any:
    """Tensors, and tuples of them, without their graph."""
    if isinstance(x, Tensor):
        return x.detach()
    if isinstance(x, tuple):
        parts = [_detached(part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x
