"""What is written down while a model runs: as little as can be, in the order in which it came."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from saccade.lens.capture.call import Call
from saccade.lens.capture.pieces import Piece, Sample, difference, kept

SHORT = 8
"""Up to so many queries over more slots their weights are made at once, and no key is held."""
active: list["Recorder"] = []
"""Everybody who looks now, in any thread."""
SAMPLED = 3
"""So many rows of what came out are kept, to check by."""

Kind = Literal["self", "cross", "pooling"]
Route = Literal["fused", "multihead", "huggingface", "ours"]


class Gradient:
    """What a backward pass tells of one output.

    grad:        the gradient that reached the output, as it is; None before a backward pass.
    heads_first: makes of it that of every head's context, `[batch, heads, query, dim]`.
    """

    def __init__(self, output: Tensor, heads_first: Callable[[Tensor], Tensor]):
        self.heads_first = heads_first
        self.grad: Tensor | None = None
        if output.requires_grad:
            output.register_hook(self._take)  # type: ignore[no-untyped-call]

    def _take(self, grad: Tensor) -> None:
        self.grad = grad.detach() if self.grad is None else self.grad + grad.detach()


class Mark(NamedTuple):
    """What is no attention: a forward pass, or a generation, begins or ends here."""

    what: Literal["forward", "generate", "end"]
    number: int = 0


class Recorded(NamedTuple):
    """One attention, as it was written down.

    name:     the module at work.
    kind:     None where nobody says it.
    sample:   what to check the weights by.
    error:    the difference that was found at once, where there is no sample.
    gradient: where gradients were asked for.
    dtype:    that of the output which the error was found with.
    step:     one of several steps inside a forward pass, which are rows of one table.
    """

    name: str
    route: Route
    kind: Kind | None
    piece: Piece
    sample: Sample | None = None
    error: Tensor | None = None
    gradient: Gradient | None = None
    step: bool = False
    dtype: torch.dtype | None = None


class Recorder:
    """Writes down what the attentions of one model were given, in one thread.

    wanted:    the modules whose attentions are written down; None: all of them.
    rows:      the queries whose weights are made at once, "last" or places; None: those of short calls.
    gradients: whether the gradients that reach the outputs are kept.
    """

    def __init__(self) -> None:
        self.busy = False
        self.root = "model"  # what the model itself is called, which has no name
        self.stack: list[str] = []  # the modules at work, the innermost last
        self.raw: list[Recorded | Mark] = []
        self.begin(None, None, False)

    def begin(
        self, wanted: frozenset[str] | None, rows: Literal["last"] | Sequence[int] | None, gradients: bool
    ) -> None:
        """Begin anew, with nothing written down."""
        self.wanted, self.rows, self.gradients = wanted, rows, gradients
        self.stack.clear()
        self.raw.clear()
        self.settled: list[Recorded | Mark] = []
        self.follows: dict[int, Tensor] = {}  # beam indices of what a generation returned, by its number
        self.inputs: list[dict[str, Tensor]] = []  # the tokens that went in, and those that came out
        self.names: dict[int, str] = {}  # of every module, by its identity
        self.selves: frozenset[int] = frozenset()  # mechanisms of ours that read their own sequence
        self.generating = 0  # above zero, forward passes are steps of it
        self.muted = 0  # above zero, what happens is part of what is already written down
        self.thread = threading.get_ident()

    def listens(self) -> bool:
        """Whether what happens now is the model's, in the thread of whoever looks, and not written down yet."""
        if self.muted or not self.stack or (self.wanted is not None and self.stack[-1] not in self.wanted):
            return False
        return self.mine()

    def mine(self) -> bool:
        """Whether this is the thread of whoever looks; what is compiled was so when it was traced."""
        return torch.compiler.is_compiling() or threading.get_ident() == self.thread

    def at_work(self) -> str:
        """The name of the module at work."""
        return self.stack[-1] or self.root

    def settle(self) -> None:
        """Put what was written down away: a compiled model must find the list that it appends to as it was."""
        self.settled += self.raw
        self.raw.clear()

    def record(self, route: Route, kind: Kind | None, call: Call, output: Tensor, heads_first: bool) -> None:
        """Write down a call and a little of its output, `[batch, heads, query, dim]` or heads third."""
        gradient = Gradient(output, _same if heads_first else _swapped) if self.gradients else None
        call = detached(call)
        rows = self.rows_now(call.shape)
        sampled = sample_rows(call.shape[2]) if rows is None else rows[-SAMPLED:]
        at = list(sampled)
        taken = output.detach()[:, :, at] if heads_first else output.detach()[:, at].transpose(1, 2)
        sample = Sample(tuple(sampled), taken)
        if rows is None or self.gradients:
            self.raw.append(Recorded(self.at_work(), route, kind, call, sample, None, gradient))
            return
        piece = kept(call, rows)
        error = None if call.dropout else difference(call, sample, piece.weights[:, :, -len(sampled) :])
        self.raw.append(Recorded(self.at_work(), route, kind, piece, None, error, dtype=output.dtype))

    def rows_now(self, shape: tuple[int, int, int, int]) -> list[int] | None:
        """The queries whose weights are made at once; None where what the call was given is held instead."""
        queries, keys = shape[2:]
        if self.rows is None:
            return list(range(queries)) if queries <= SHORT and queries < keys else None
        if self.rows == "last":
            return [queries - 1]
        return [row for row in self.rows if row < queries]


def detached(call: Call) -> Call:
    """The same without the graph that would be kept alive with it."""
    parts = {
        name: getattr(call, name).detach()
        for name in ("query", "key", "value", "mask", "bias", "sinks")
        if getattr(call, name) is not None
    }
    return call._replace(**parts)


_of_models: WeakKeyDictionary[nn.Module, list[Recorder]] = WeakKeyDictionary()
_lock = threading.Lock()


def recorder_of(model: nn.Module) -> Recorder:
    """A recorder for a model, the same whenever it is free: a compiled graph that appends to one can be used again."""
    with _lock:
        mine = _of_models.setdefault(model, [])
        recorder = next((one for one in mine if not one.busy), None)
        if recorder is None:
            recorder = Recorder()
            mine.append(recorder)
        recorder.busy = True
        return recorder


def sample_rows(queries: int) -> list[int]:
    """A few queries: the last, the middle one and the one after the first quarter, each once."""
    return sorted({queries - 1, queries // 2, queries // 4} & set(range(queries)))


def _same(x: Tensor) -> Tensor:
    return x


def _swapped(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def hooked(model: nn.Module, recorder: Recorder) -> list[Any]:
    """Hooks by which the recorder knows which module is at work; whoever placed them removes them.

    Hooks cost a step of a generation a little each, so there are none on what nobody asked for, nor on PyTorch's
    layers, of which only these attend.
    """
    attending = nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer
    handles: list[Any] = []
    for name, module in model.named_modules():
        asked = recorder.wanted is None or readable(name) in recorder.wanted
        layer = type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, attending)
        if not readable(name) or (asked and not layer):
            handles += _hooks(module, name, recorder)
    return handles


def _hooks(module: nn.Module, name: str, recorder: Recorder) -> list[Any]:
    name = readable(name)

    def enter(module: nn.Module, given: Any) -> None:
        if recorder.mine():
            if not name:  # whatever a pass that failed left there
                recorder.stack.clear()
            if not recorder.stack:
                recorder.raw.append(Mark("forward"))
            recorder.stack.append(name)

    def leave(module: nn.Module, given: Any, result: Any) -> None:
        if recorder.mine() and recorder.stack:
            recorder.stack.pop()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def readable(name: str) -> str:
    """A module's name without what torch.compile and parallel wrappers put into it."""
    parts = [part for part in name.split(".") if part not in ("_orig_mod", "_fsdp_wrapped_module")]
    return ".".join(parts)
