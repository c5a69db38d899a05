"""The route of `nn.MultiheadAttention`: what its function was given, by reference, projected when somebody asks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from saccade.lens.capture.call import Call
from saccade.lens.capture.pieces import Later, Sample, difference, kept
from saccade.lens.capture.recorder import Gradient, Kind, Recorded, Recorder, sample_rows


class Given(NamedTuple):
    """The arguments of F.multi_head_attention_forward."""

    query: Tensor
    key: Tensor
    value: Tensor
    embed_dim_to_check: int
    num_heads: int
    in_proj_weight: Tensor | None
    in_proj_bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    add_zero_attn: bool
    dropout_p: float
    out_proj_weight: Tensor
    out_proj_bias: Tensor | None
    training: bool = True
    key_padding_mask: Tensor | None = None
    need_weights: bool = True
    attn_mask: Tensor | None = None
    use_separate_proj_weight: bool = False
    q_proj_weight: Tensor | None = None
    k_proj_weight: Tensor | None = None
    v_proj_weight: Tensor | None = None
    static_k: Tensor | None = None
    static_v: Tensor | None = None
    average_attn_weights: bool = True
    is_causal: bool = False


def record_multihead(recorder: Recorder, args: Sequence[Any], given: dict[str, Any], found: Any) -> None:
    """Write one call down; its output is `[query, batch, dim]`, after the projection of all heads."""
    of = Given(*args, **given)
    kind: Kind | None = "self" if of.query is of.key else None
    output = found[0] if found[0].dim() == 3 else found[0][:, None]
    query, key, value = (_batched(x.detach()) for x in (of.query, of.key, of.value))
    of = of._replace(query=query, key=key, value=value)
    gradient = Gradient(output, _per_head(of)) if recorder.gradients else None
    queries, batch = of.query.shape[:2]
    shape = (batch, of.num_heads, queries, of.key.shape[0] + (of.bias_k is not None) + of.add_zero_attn)
    rows = recorder.rows_now(shape)
    sampled = tuple(sample_rows(queries)) if rows is None else tuple(rows[-3:])
    projection = of.out_proj_weight, of.out_proj_bias
    sample = Sample(sampled, output.detach()[list(sampled)].transpose(0, 1), projection)
    drop = of.dropout_p if of.training else 0.0
    name = recorder.at_work()
    if rows is not None and gradient is None:
        call = projected(of)
        piece = kept(call, rows)
        error = None if drop else difference(call, sample, piece.weights[:, :, -len(sampled) :])
        recorder.raw.append(Recorded(name, "multihead", kind, piece, None, error, dtype=output.dtype))
    elif of.training or gradient is not None:  # the next step of an optimiser changes the weights in place
        recorder.raw.append(Recorded(name, "multihead", kind, projected(of), sample, None, gradient))
    else:
        later = Later(lambda: projected(of), shape, drop)
        recorder.raw.append(Recorded(name, "multihead", kind, later, sample))


def projected(given: Given) -> Call:
    """The call of every head: queries, keys and values through their projections, slots of its own behind them.

    >>> module = torch.nn.MultiheadAttention(6, 2)
    >>> x, weight = torch.randn(3, 1, 6), module.out_proj.weight
    >>> of = Given(x, x, x, 6, 2, module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0, weight, None)
    >>> projected(of).shape
    (1, 2, 3, 3)
    """
    heads, batch = given.num_heads, given.query.shape[1]
    weights: tuple[Tensor | None, ...] = (given.q_proj_weight, given.k_proj_weight, given.v_proj_weight)
    if not given.use_separate_proj_weight:
        assert given.in_proj_weight is not None
        weights = given.in_proj_weight.chunk(3)
    biases = (None,) * 3 if given.in_proj_bias is None else given.in_proj_bias.chunk(3)
    inputs = (given.query, given.key, given.value)
    with torch.no_grad():
        query, key, value = (F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True))  # type: ignore[arg-type]
        more = 0
        if given.bias_k is not None and given.bias_v is not None:
            key = torch.cat([key, given.bias_k.expand(1, batch, -1)])
            value = torch.cat([value, given.bias_v.expand(1, batch, -1)])
            more += 1
        query, key, value = (_split(x, heads) for x in (query, key, value))
        if given.static_k is not None:
            key = given.static_k.view(batch, heads, *given.static_k.shape[1:])
        if given.static_v is not None:
            value = given.static_v.view(batch, heads, *given.static_v.shape[1:])
        if given.add_zero_attn:
            key, value = F.pad(key, (0, 0, 0, 1)), F.pad(value, (0, 0, 0, 1))
            more += 1
        causal = given.is_causal and given.key_padding_mask is None and not given.need_weights
        masks = _masks(given, batch, causal, more)
    drop = given.dropout_p if given.training else 0.0
    return Call(query, key, value, *masks, causal=causal, dropout=drop)


def _masks(given: Given, batch: int, causal: bool, more: int) -> tuple[Tensor | None, Tensor | None]:
    """Two masks of ours; PyTorch's booleans are True where a slot is hidden. Slots of its own are never hidden."""
    mask, padding = given.attn_mask, given.key_padding_mask
    if mask is not None:
        mask = mask.view(batch, given.num_heads, *mask.shape[1:]) if mask.dim() == 3 else mask[None, None]
    if padding is not None:
        padding = padding.view(1 if padding.dim() == 1 else batch, 1, 1, -1)
    found = []
    for one in (None if causal else mask, padding):
        if one is not None:
            one = ~one if one.dtype == torch.bool else one
            one = F.pad(one, (0, more), value=True if one.dtype == torch.bool else 0.0)
        found.append(one)
    return found[0], found[1]


def _per_head(given: Given) -> Any:
    """The gradient of each head's context, from that of the projection of all."""

    def heads_first(grad: Tensor) -> Tensor:
        return _split(grad @ given.out_proj_weight.detach().to(grad.dtype), given.num_heads)

    return heads_first


def _split(x: Tensor, heads: int) -> Tensor:
    """`[slot, batch, all]` as `[batch, heads, slot, dim]`."""
    return x.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)  # type: ignore[no-any-return, no-untyped-call]


def _batched(x: Tensor) -> Tensor:
    return x if x.dim() == 3 else x[:, None]
