"""Multi-head attention without its weights: PyTorch's fused kernels, under masks and under patterns of places."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from saccade.kernels import transformed
from saccade.masks import Pattern

BLOCK = 128
"""Queries of a window's block: fewer read less that is masked, more are fewer calls."""


def fused_multihead(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch shared key dim"],
    value: Float[Tensor, "batch shared key value_dim"],
    mask: Bool[Tensor, "batch query key"] | Bool[Tensor, "batch heads query key"] | None = None,
    bias: Float[Tensor, "batch query key"] | Float[Tensor, "batch heads query key"] | None = None,
    *,
    drop: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """The context of `multihead` by PyTorch's fused kernels, which make no weights; the arguments are the same.

    Keys and values may have fewer heads, each shared by as many of the queries. On a CPU PyTorch has no fused kernel
    where weights are dropped or where a bias is learned.

    Args:
        causal: a query attends slots up to its own place; instead of a mask.

    >>> one = torch.ones(1, 2, 1, 3)
    >>> fused_multihead(one, one, one).shape
    torch.Size([1, 2, 1, 3])
    """
    added = None if mask is None else with_heads(mask)
    if bias is not None:
        bias = with_heads(bias).to(query.dtype)
        added = bias if added is None else torch.where(added, bias, -math.inf)
    dim, width = query.shape[3], value.shape[3]
    scale = dim**-0.5
    if dim != width:  # the kernels know one width only; zeros change neither a score nor what is kept of a context
        most = max(dim, width)
        query, key, value = (pad(x, (0, most - x.shape[3])) for x in (query, key, value))
    # From PyTorch 2.5 on a row without an allowed slot gives zeros here, in every kernel.
    context = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=added,
        dropout_p=drop,
        is_causal=causal,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return context[..., :width]


def with_heads(x: Tensor) -> Tensor:
    """A mask or a bias with four axes."""
    return x if x.dim() == 4 else x[:, None]


def patterned_multihead(query: Tensor, key: Tensor, value: Tensor, pattern: Pattern, *, drop: float = 0.0) -> Tensor:
    """The context of `multihead` under a pattern, in the memory that its places need.

    - Causal and nothing else: the kernel that knows it.
    - A window on both sides (or causal): blocks of queries, each with the slots its windows reach. FlexAttention on
      CUDA where it knows the widths, which also leaves out what lies between documents.
    - Everything else: a mask without heads.

    Args:
        query, key: `[batch, heads, slot, dim]` of one sequence.
        value: `[batch, heads, slot, value_dim]`.
        pattern: who may attend whom.
        drop: the chance that a weight is dropped.

    >>> x = torch.randn(1, 2, 9, 4)
    >>> narrow = patterned_multihead(x, x, x, Pattern(before=0, after=0))
    >>> torch.allclose(narrow, x)
    True
    """
    slots = query.shape[2]
    plain = pattern.padding is None and pattern.documents is None
    if plain and pattern.before is None and pattern.after == 0:
        return fused_multihead(query, key, value, drop=drop, causal=True)
    narrow = pattern.before is not None and pattern.after is not None
    traced = torch.compiler.is_compiling() or transformed(query, key, value)
    if (narrow or pattern.documents is not None) and not (drop or traced) and _flexible_knows(query, value):
        return flexible(query, key, value, pattern)
    if not narrow:
        return fused_multihead(query, key, value, pattern.dense(slots, device=query.device), drop=drop)
    if drop or traced:
        return folded(query, key, value, pattern, drop=drop)
    found: Tensor = _Blocks.apply(query, key, value, pattern)  # type: ignore[no-untyped-call]
    return found


def folded(query: Tensor, key: Tensor, value: Tensor, pattern: Pattern, *, drop: float = 0.0) -> Tensor:
    """A window in blocks that are a batch: differentiable as often as one likes, but keys and values are copied.

    >>> x = torch.randn(1, 2, 9, 4)
    >>> torch.allclose(folded(x, x, x, Pattern(before=0, after=0)), x)
    True
    """
    before, after = _sides(pattern)
    batch, slots = query.shape[0], query.shape[2]
    blocks = -(-slots // BLOCK)
    filled, span = blocks * BLOCK - slots, BLOCK + before + after

    def block(x: Tensor) -> Tensor:
        each = pad(x, (0, 0, before, filled + after)).unfold(2, span, BLOCK)  # [batch, heads, blocks, dim, span]
        return each.permute(0, 2, 1, 4, 3).flatten(0, 1)

    first = torch.arange(blocks, device=query.device)[:, None] * BLOCK
    at = first + torch.arange(BLOCK, device=query.device)
    place = first - before + torch.arange(span, device=query.device)
    inside = ((place >= 0) & (place < slots))[:, None]
    mask = pattern.part(at.clamp(max=slots - 1), place.clamp(0, slots - 1)) & inside
    mask = mask.expand(batch, -1, -1, -1).flatten(0, 1)
    queries = pad(query, (0, 0, 0, filled)).view(batch, -1, blocks, BLOCK, query.shape[3]).transpose(1, 2).flatten(0, 1)
    found = fused_multihead(queries, block(key), block(value), mask, drop=drop)
    return found.view(batch, blocks, *found.shape[1:]).transpose(1, 2).flatten(2, 3)[:, :, :slots]


class _Blocks(torch.autograd.Function):
    """A window block by block; each block's forward is made again in the backward pass, so nothing of it is kept."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, pattern: Pattern) -> Tensor:
        """Contexts `[batch, heads, slot, value_dim]`."""
        ctx.save_for_backward(query, key, value)
        ctx.pattern = pattern
        found = value.new_empty(*query.shape[:3], value.shape[3])
        for parts, mask in _blocks(query, pattern):
            q, k, v = (x[:, :, part] for x, part in zip((query, key, value), parts, strict=True))
            found[:, :, parts[0]] = fused_multihead(q, k, v, mask)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of query, key and value."""
        inputs, pattern = ctx.saved_tensors, ctx.pattern
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients
            wanted = [x for x in inputs if x.requires_grad]
            query, key, value = inputs
            made = iter(torch.autograd.grad(folded(query, key, value, pattern), wanted, grad, create_graph=True))
            return *(next(made) if x.requires_grad else None for x in inputs), None
        sums = [torch.zeros_like(x) for x in inputs]
        for parts, mask in _blocks(inputs[0], pattern):
            leaves = [x[:, :, part].detach().requires_grad_() for x, part in zip(inputs, parts, strict=True)]
            with torch.enable_grad():
                context = fused_multihead(leaves[0], leaves[1], leaves[2], mask)
            found = torch.autograd.grad(context, leaves, grad[:, :, parts[0]])
            for total, part, one in zip(sums, parts, found, strict=True):
                total[:, :, part] += one
        return *sums, None


def _blocks(query: Tensor, pattern: Pattern) -> Iterator[tuple[tuple[slice, slice, slice], Tensor]]:
    """Blocks of queries, the slots that their windows reach, twice, and the mask between them."""
    before, after = _sides(pattern)
    slots = query.shape[2]
    for first in range(0, slots, BLOCK):
        rows = slice(first, min(first + BLOCK, slots))
        columns = slice(max(first - before, 0), min(rows.stop + after, slots))
        places = (torch.arange(part.start, part.stop, device=query.device) for part in (rows, columns))
        yield (rows, columns, columns), pattern.part(*places)


def _sides(pattern: Pattern) -> tuple[int, int]:
    assert pattern.before is not None
    assert pattern.after is not None
    return pattern.before, pattern.after


def flexible(query: Tensor, key: Tensor, value: Tensor, pattern: Pattern) -> Tensor:
    """Any pattern by PyTorch's FlexAttention, which passes over blocks of slots that nobody in a block attends."""
    # Imported late: it takes most of a second.
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    batch, _, slots, _ = query.shape

    def allowed(b: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        may = j == j
        if pattern.before is not None:
            may = may & (j >= i - pattern.before)
        if pattern.after is not None:
            may = may & (j <= i + pattern.after)
        if pattern.padding is not None:
            may = may & pattern.padding[b, j]
        if pattern.documents is not None:
            may = may & (pattern.documents[b, i] == pattern.documents[b, j])
        return may

    each = pattern.padding is not None or pattern.documents is not None
    mask = create_block_mask(allowed, batch if each else None, None, slots, slots, device=query.device)
    # Without torch.compile FlexAttention writes all scores down.
    attention = _compiled(flex_attention) if query.device.type == "cuda" else flex_attention
    found: Tensor = attention(query, key, value, block_mask=mask, enable_gqa=query.shape[1] != key.shape[1])
    return found


def _flexible_knows(query: Tensor, value: Tensor) -> bool:
    """Whether FlexAttention has a kernel with a backward pass for these: not on a CPU, nor for narrow heads."""
    wide = min(query.shape[3], value.shape[3]) >= 16
    return query.device.type == "cuda" and query.dtype != torch.float64 and wide


@cache
def _compiled(function: Any) -> Any:
    return torch.compile(function)
