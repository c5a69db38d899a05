"""The route of Hugging Face's transformers: the attention functions that its models look up by name.

The function under an existing name is swapped while somebody looks: mask functions, which are registered beside it,
stay as they are. For "eager" it is the `eager_attention_forward` of each modelling file. transformers is never
imported here; where no model comes from it there is nothing to swap.
"""

import sys
from collections.abc import Callable, MutableMapping
from functools import cache
from inspect import getsource, signature
from typing import Any

import torch
from torch import Tensor, nn

from saccade.lens.capture.call import Call
from saccade.lens.capture.fused import autocast_dtype, mask_axes
from saccade.lens.capture.recorder import Kind, Recorder, active
from saccade.lens.capture.swaps import swap

EAGER = "eager_attention_forward"
FUSED = ("scaled_dot_product_attention", "flex_attention(", "multi_head_attention_forward")


def swap_functions(recorder: Recorder, model: nn.Module) -> None:
    """Watch the functions that the model may call."""
    for where, name, implementation in _functions(model):
        swap(recorder, where, name, where[name], _Function(where[name], implementation))


def says_all(model: nn.Module) -> bool:
    """Whether every attention of a model goes through the functions that are swapped, as far as its files tell.

    Then nothing else needs to be watched: a mode is asked about every operation.
    """
    for file in {type(module).__module__ for module in model.modules()}:
        if not file.startswith(("transformers.", "torch.nn.modules.")):
            return False
        if file.startswith("transformers.") and any(name in _source(file) for name in FUSED):
            return False
    return not any(isinstance(module, nn.MultiheadAttention) for module in model.modules())


@cache
def _source(file: str) -> str:
    """The text of a modelling file; where there is none, one that says that it may call anything."""
    try:
        return getsource(sys.modules[file])
    except (KeyError, OSError, TypeError):
        return FUSED[0]


def _functions(model: nn.Module) -> list[tuple[MutableMapping[str, Any], str, str]]:
    """Where the functions stand that this model may call: a mapping, the name in it, and what it is called there."""
    library = sys.modules.get("transformers.modeling_utils")
    if library is None:
        return []
    files = {base.__module__ for module in model.modules() for base in type(module).__mro__}
    found: list[tuple[MutableMapping[str, Any], str, str]] = []
    interfaces = [getattr(library, "ALL_ATTENTION_FUNCTIONS", None)]
    for file in sorted(files):
        names = vars(sys.modules[file]) if file in sys.modules else {}
        if EAGER in names:
            found.append((names, EAGER, "eager"))
        interfaces.append(names.get("ALL_ATTENTION_FUNCTIONS"))
    # Private, so looked for with care: what is not there is seen by the fused route, or said not to be seen.
    mappings = [getattr(x, part, None) for x in interfaces for part in ("_global_mapping", "_local_mapping")]
    for mapping in {id(x): x for x in mappings if isinstance(x, dict)}.values():
        found += [(mapping, name, name) for name in mapping if "paged" not in name]
    return found


class _Function:
    """Watches an attention function; a fused call inside it is part of it."""

    def __init__(self, real: Callable[..., Any], implementation: str):
        self.names, self.implementation = tuple(signature(real).parameters), implementation

    def enter(self, args: tuple[Any, ...], given: dict[str, Any]) -> list[Recorder]:
        """Whoever listens; the others let it pass."""
        listeners = [recorder for recorder in active if recorder.listens()]
        for recorder in listeners:
            recorder.muted += 1
        return listeners

    def leave(self, listeners: list[Recorder], args: tuple[Any, ...], given: dict[str, Any], found: Any) -> Any:
        """The output and the weights, if any, as they came."""
        for recorder in listeners:
            recorder.muted -= 1
        if listeners and found is not None:
            every = dict(zip(self.names, args, strict=False)) | given
            call = call_of(args[0], self.implementation, every)
            for recorder in listeners:
                recorder.record("huggingface", kind_of(args[0]), call, found[0], False)
        return found


def call_of(module: nn.Module, implementation: str, given: dict[str, Any]) -> Call:
    """What a function of that name makes of its arguments."""
    query, key, value = given["query"], given["key"], given["value"]
    mask, sinks = given.get("attention_mask"), given.get("s_aux")
    scale, bias = given.get("scaling"), given.get("position_bias")
    call = Call(query, key, value, bias=bias, scale=scale, dropout=given.get("dropout") or 0.0)
    call = call._replace(cap=given.get("softcap"), rounded=autocast_dtype(query))
    if implementation == "eager":
        sinks = getattr(module, "sinks", None) if sinks is None else sinks
        drop = call.dropout if module.training else 0.0
        scale = getattr(module, "scaling", None) if scale is None and "scaling" not in given else scale
        return call._replace(mask=_four(mask, call), sinks=sinks, dropout=drop, scale=scale)
    if implementation == "flex_attention":
        allowed = getattr(mask, "mask_mod", None)
        return call._replace(mask=_four(mask if allowed is None else None, call), allowed=allowed, sinks=sinks)
    causal = given.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if causal is None else causal) and query.shape[2] > 1
    if implementation.startswith("flash"):
        first = key.shape[2] - query.shape[2]
        window = given.get("sliding_window")
        return call._replace(mask=_four(mask, call), causal=causal, first=first, window=window, sinks=sinks)
    # The function of "sdpa": a mask says everything, and without one it is causal from the first slot on.
    floor = torch.finfo(key.dtype).min if bias is not None else call.floor
    return call._replace(mask=_four(mask, call), causal=causal and mask is None, floor=floor)


def kind_of(module: nn.Module) -> Kind | None:
    """Whether a module reads its own sequence, where it says so."""
    cross = getattr(module, "is_cross_attention", None)
    if cross is not None:
        return "cross" if cross else "self"
    return "self" if getattr(module, "is_causal", False) else None


def _four(mask: Tensor | None, call: Call) -> Tensor | None:
    """A mask of four axes over the call's keys; a padding mask `[batch, key]` of flash attention is boolean."""
    if mask is None:
        return None
    if mask.dim() == 2:
        mask = mask[:, None, None].bool()
    return mask_axes(mask, False)[..., : call.key.shape[2]]
