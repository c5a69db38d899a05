"""Looking at a model while it runs, and leaving it as it was."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from types import TracebackType
from typing import Any, Literal

import torch
from torch import nn

from saccade.lens.capture.fused import FusedMode
from saccade.lens.capture.generation import note_tokens, swap_compiled, swap_generate
from saccade.lens.capture.huggingface import says_all, swap_functions
from saccade.lens.capture.ours import swap_reads
from saccade.lens.capture.recorder import Recorder, active, hooked, readable, recorder_of
from saccade.lens.capture.seen import Seen
from saccade.lens.capture.swaps import restore

_fastpath: list[bool] = []  # what the flag was, once for everybody who turned it off
_lock = threading.Lock()


class look:  # noqa: N801  a context, used like a function
    """See what every attention of a model attended to, while it runs at full speed and gives what it always gives.

    What each attention is given is kept by reference; weights are made afterwards, exactly, as far as somebody asks.
    Models of Hugging Face (whatever their attention implementation), of `nn.MultiheadAttention` and `nn.Transformer`,
    of F.scaled_dot_product_attention, of FlexAttention and of Saccade; in evaluation and training, compiled, under
    autocast. Whatever is touched is put back when the context is left; other models and threads are not looked at.

    Args:
        model: the module that will run; compiled or not.
        tokenizer: of Hugging Face, to name what goes in and comes out.
        sites: the names of modules to look at, with * for anything, one or several; None: all.
        rows: queries whose weights are made at once, with nothing else held: "last", or places; None: what the
            attentions were given is held, and only of few queries over many slots (a generation's steps) the weights.
        gradients: also keep the gradients that a backward pass sends to the attentions.

    Raises:
        ValueError: what cannot be seen (a scripted or an exported model), or names that no module has.

    >>> layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).eval()
    >>> with look(layer) as seen, torch.no_grad():
    ...     output = layer(torch.randn(1, 4, 6))
    >>> seen.sites[0].shape, seen["self_attn"].row(3).sum(-1).round(decimals=3).tolist()
    ((1, 2, 4, 4), [[1.0, 1.0]])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        tokenizer: Any = None,
        sites: str | Sequence[str] | None = None,
        rows: Literal["last"] | Sequence[int] | None = None,
        gradients: bool = False,
    ):
        _check_visible(model)
        if isinstance(rows, str) and rows != "last":
            raise ValueError(f'rows must be "last", places or None; got {rows!r}')
        self.model, self.tokenizer, self.names, self.rows = model, tokenizer, _wanted(model, sites), rows
        self.gradients = gradients

    def __enter__(self) -> Seen:
        model = getattr(self.model, "_orig_mod", self.model)
        recorder = recorder_of(model)
        recorder.begin(self.names, self.rows, self.gradients)
        recorder.root = type(model).__name__
        recorder.names = {id(module): readable(name) for name, module in model.named_modules()}
        self._recorder, self._seen = recorder, Seen(recorder, self.tokenizer, model)
        with ExitStack() as stack:
            active.append(recorder)
            stack.callback(active.remove, recorder)
            stack.callback(restore, recorder)
            for handle in hooked(self.model, recorder):
                stack.callback(handle.remove)
            stack.callback(_hook_inputs(self.model, recorder).remove)
            if _is_compiled(self.model):
                stack.callback(_without_fastpath())
            swap_functions(recorder, model)
            swap_generate(recorder, model)
            swap_compiled(recorder, self.model)
            swap_reads(recorder, model)
            if not says_all(model):
                stack.enter_context(FusedMode(recorder))
            self._leave = stack.pop_all()
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave.close()
        self._seen.close(quiet=error is not None)
        self._recorder.busy = False


def _check_visible(model: Any) -> None:
    """Refuse what runs where nobody can look."""
    exported = type(model).__name__ == "ExportedProgram"
    if not isinstance(model, nn.Module) and not exported:
        raise ValueError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    if not exported:
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise ValueError(f"model must not be scripted, nobody sees into torch.jit; {name or 'it'} is")
            exported = exported or _is_exported(module)
    if exported:
        raise ValueError("model must not be exported, its attention functions are gone; look at what was exported")


def _is_exported(module: nn.Module) -> bool:
    if not isinstance(module, torch.fx.GraphModule):
        return False
    return any(isinstance(node.target, torch._ops.OpOverload) for node in module.graph.nodes)


def _wanted(model: nn.Module, sites: str | Sequence[str] | None) -> frozenset[str] | None:
    if sites is None:
        return None
    patterns = [sites] if isinstance(sites, str) else list(sites)
    names = [readable(name) for name, _ in model.named_modules()]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            some = ", ".join(name for name in names if "att" in name.lower()) or ", ".join(names[1:9])
            raise ValueError(f"sites must be names of modules, such as {some[:300]}; got {pattern!r}")
    return frozenset(name for name in names if any(fnmatch(name, pattern) for pattern in patterns))


def _hook_inputs(model: nn.Module, recorder: Recorder) -> Any:
    def note(module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        if not torch.compiler.is_compiling() and recorder.mine():
            recorder.settle()
            if not recorder.generating:
                note_tokens(recorder, args, given)

    return model.register_forward_pre_hook(note, with_kwargs=True, prepend=True)


def _is_compiled(model: nn.Module) -> bool:
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def _without_fastpath() -> Any:
    """Turn off the encoder's fast path, which has no fused call to see; what is returned turns it on again.

    Without torch.compile it is off by itself while a mode is at work.
    """
    with _lock:
        _fastpath.append(_fastpath[0] if _fastpath else torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)

    def back() -> None:
        with _lock:
            before = _fastpath.pop()
            if not _fastpath:
                torch.backends.mha.set_fastpath_enabled(before)

    return back
