"""The route of fused calls: whatever calls PyTorch's attention functions in this thread passes by here.

`F.scaled_dot_product_attention` and FlexAttention are seen where they are called; `nn.MultiheadAttention` hides its
fused call from modes (pytorch 131947), so what its function was given is kept, and projected when somebody asks.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saccade.lens.capture.call import Call
from saccade.lens.capture.multihead import record_multihead
from saccade.lens.capture.recorder import Recorder

# Compared by identity alone: anything else in the handler breaks a compiled graph at every operation.
_SDPA = F.scaled_dot_product_attention
_MULTIHEAD = F.multi_head_attention_forward
_FLEX = torch.ops.higher_order.flex_attention


class FusedMode(TorchFunctionMode):
    """Passes every call on as it came, and writes attentions down."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The call's own result."""
        given = kwargs or {}
        found = func(*args, **given)
        if func is _SDPA:
            if self.recorder.listens():
                _record_sdpa(self.recorder, args, given, found)
        elif func is _MULTIHEAD:
            if self.recorder.listens():
                record_multihead(self.recorder, args, given, found)
        elif func is _FLEX and self.recorder.listens():
            _record_flex(self.recorder, args, found)
        return found


class _Sdpa(NamedTuple):
    """The arguments of F.scaled_dot_product_attention."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def _record_sdpa(recorder: Recorder, args: Sequence[Any], given: dict[str, Any], output: Tensor) -> None:
    call = _Sdpa(*args, **given)
    lone = call.query.dim() < 4
    query, key, value, output = (_with_axes(x) for x in (call.query, call.key, call.value, output))
    mask = None if call.attn_mask is None else mask_axes(call.attn_mask, lone)
    made = Call(
        query,
        key,
        value,
        mask,
        causal=call.is_causal,
        scale=call.scale,
        dropout=call.dropout_p,
        rounded=autocast_dtype(query),
    )
    recorder.record("fused", None, made, output, True)


def _record_flex(recorder: Recorder, args: Sequence[Any], found: Any) -> None:
    query, key, value, modified, blocks, scale = args[:6]
    allowed = blocks[-1]  # the tuple of a BlockMask ends with its function
    made = Call(query, key, value, scale=scale, allowed=allowed, modified=modified)
    recorder.record("fused", None, made, found[0], True)


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """What autocast makes of a fused call's arguments; None where it is off."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def mask_axes(mask: Tensor, lone: bool) -> Tensor:
    """A mask of `[batch, heads, query, key]`; where the call had no heads, its first axis is the batch."""
    if lone and mask.dim() == 3:
        return mask[:, None]
    while mask.dim() < 4:
        mask = mask[None]
    return mask


def _with_axes(x: Tensor) -> Tensor:
    """`[batch, heads, slot, dim]` of what may lack heads, or batch and heads, or have more axes before them."""
    if x.dim() == 3:
        return x[:, None]
    if x.dim() == 2:
        return x[None, None]
    return x if x.dim() == 4 else x.flatten(0, -4)
