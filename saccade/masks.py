"""Boolean masks: True = may attend.

Two axes are always `[batch, key]`; three are `[batch or 1, query or 1, key]`, and four have heads after the batch. A
number added to the scores is a bias, never a mask. A `Pattern` is a mask that follows from places and is not written
out.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def padding(lengths: Int[Tensor, " batch"], size: int | None = None) -> Bool[Tensor, "batch key"]:
    """Let every query attend the first `lengths[b]` slots: `mask[b, j] = j < lengths[b]`.

    Args:
        lengths: how many slots are real, `[batch]`, an integer tensor.
        size: the width of the mask; the longest length where it is not given.

    Raises:
        ValueError: lengths are not one axis of integers, or one exceeds `size`.

    >>> padding(torch.tensor([2, 0]), size=3).int().tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    if lengths.dim() != 1 or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths must be integers of shape [batch]; got {lengths.dtype} {list(lengths.shape)}")
    if size is None:
        size = int(lengths.max()) if len(lengths) else 0
    elif len(lengths) and not torch.compiler.is_compiling() and int(lengths.max()) > size:
        raise ValueError(f"lengths must be at most size = {size}; got {int(lengths.max())}")
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def places(sizes: Int[Tensor, "batch 2"], height: int, width: int) -> Bool[Tensor, "batch height width"]:
    """Tell the places of images from what pads them at the bottom and right: `mask[b, i, j] = i < rows, j < columns`.

    Args:
        sizes: rows and columns of each image, `[batch, 2]`, an integer tensor.
        height: the rows of the mask.
        width: its columns.

    Raises:
        ValueError: sizes are not two integers for each image, or an image has no place or more than there are.

    >>> places(torch.tensor([[1, 2]]), 2, 3).int().tolist()
    [[[1, 1, 0], [0, 0, 0]]]
    """
    if sizes.dim() != 2 or sizes.shape[1] != 2 or sizes.is_floating_point() or sizes.dtype == torch.bool:
        raise ValueError(f"sizes must be integers of shape [batch, 2]; got {sizes.dtype} {list(sizes.shape)}")
    if len(sizes) and not torch.compiler.is_compiling():
        least, most = sizes.amin(0).tolist(), sizes.amax(0).tolist()
        if min(least) < 1 or most[0] > height or most[1] > width:
            raise ValueError(f"sizes must be from [1, 1] to [{height}, {width}]; got {least} to {most}")
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, :, None] & columns[:, None]


def causal(
    query: int, key: int | None = None, *, device: torch.device | str | None = None
) -> Bool[Tensor, "1 query key"]:
    """Let query i attend slots up to its own place, counted from the end where there are more slots than queries.

    `mask[0, i, j] = j <= i + key - query`.

    >>> causal(2, 3).int().tolist()
    [[[1, 1, 0], [1, 1, 1]]]
    """
    key = query if key is None else key
    return torch.ones(1, query, key, dtype=torch.bool, device=device).tril(key - query)


def window(
    query: int,
    key: int | None = None,
    *,
    before: int | None = None,
    after: int | None = None,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "1 query key"]:
    """Let query i attend slots near its own place, counted from the end where there are more slots than queries.

    `mask[0, i, j] = p - before <= j <= p + after` with `p = i + key - query`; None is no limit on that side.

    >>> window(4, before=1, after=0).int().tolist()
    [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]]
    """
    return Pattern(before=before, after=after).dense(query, key, device=device)


def documents(
    key: Int[Tensor, "batch key"], query: Int[Tensor, "batch query"] | None = None
) -> Bool[Tensor, "batch query key"]:
    """Let every query attend the slots of its own document, where several are packed into one row.

    `mask[b, i, j] = query[b, i] == key[b, j]`.

    Args:
        key: the number of the document that each slot belongs to.
        query: that of each query; the same where None.

    >>> documents(torch.tensor([[0, 0, 1]])).int().tolist()
    [[[1, 1, 0], [1, 1, 0], [0, 0, 1]]]
    """
    return (key if query is None else query)[..., None] == key[..., None, :]


class Pattern(NamedTuple):
    """Who may attend whom of one sequence, by their places; multi-head attention never writes it out where it can.

    before:    how many slots before its own place a query may attend; None: all of them.
    after:     how many slots after it; 0 is causal, -1 only what comes before; None: all of them.
    padding:   boolean `[batch, key]`, True = may be attended; None: all of them.
    documents: the number of each slot's document, integers `[batch, key]`; a query attends only its own.

    >>> Pattern(before=1, after=0).dense(3).int().tolist()
    [[[1, 0, 0], [1, 1, 0], [0, 1, 1]]]
    """

    before: int | None = None
    after: int | None = None
    padding: Tensor | None = None
    documents: Tensor | None = None

    def dense(
        self, query: int, key: int | None = None, *, device: torch.device | str | None = None
    ) -> Bool[Tensor, "batch_or_1 query key"]:
        """The same written out for the last `query` places of `key`."""
        key = query if key is None else key
        return self.part(torch.arange(key - query, key, device=device), torch.arange(key, device=device))

    def part(self, query: Int[Tensor, "*some query"], key: Int[Tensor, "*some key"]) -> Bool[Tensor, "*shape"]:
        """The same written out for the queries and slots at some places, `[batch or 1, ..., query, key]`."""
        steps = key[..., None, :] - query[..., None]
        mask = torch.ones_like(steps, dtype=torch.bool)[None]
        if self.before is not None:
            mask = mask & (steps >= -self.before)
        if self.after is not None:
            mask = mask & (steps <= self.after)
        if self.padding is not None:
            mask = mask & self.padding[:, key][..., None, :]
        if self.documents is not None:
            mask = mask & documents(self.documents[:, key], self.documents[:, query])
        return mask

    def check(self, batch: int, key: int) -> None:
        """Refuse what does not fit a sequence of `key` slots.

        Raises:
            ValueError: sides below nothing, padding or documents of another shape or kind.
        """
        for name, side, least in (("before", self.before, 0), ("after", self.after, -1)):
            if side is not None and side < least:
                raise ValueError(f"{name} must be at least {least}, or None for no limit; got {side}")
        if self.padding is not None:
            check_padding(self.padding, batch, key)
        if self.documents is not None and (
            self.documents.shape != (batch, key) or self.documents.is_floating_point() or self.documents.is_complex()
        ):
            came = f"{self.documents.dtype} {list(self.documents.shape)}"
            raise ValueError(f"documents must be integers [batch, key] = [{batch}, {key}]; got {came}")


def from_additive(added: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """Turn a mask of zeros and minus infinities (or the lowest number of its dtype), as is added to scores, into one.

    Raises:
        ValueError: another number stands in it: then it is a bias.

    >>> from_additive(torch.tensor([0.0, float("-inf")])).tolist()
    [True, False]
    """
    if not added.is_floating_point():
        raise ValueError(f"an additive mask must be a floating-point tensor; got {added.dtype}")
    kept, hidden = added == 0, added <= torch.finfo(added.dtype).min
    if not bool((kept | hidden).all()):
        raise ValueError("an additive mask must hold 0 and -inf alone; with other numbers it is a bias")
    return kept


def from_torch_padding(key_padding_mask: Bool[Tensor, "batch key"]) -> Bool[Tensor, "batch key"]:
    """Turn round a mask in which True means "ignore" (nn.MultiheadAttention, fairseq, OpenNMT-py).

    >>> from_torch_padding(torch.tensor([[False, False, True]])).int().tolist()
    [[1, 1, 0]]
    """
    if key_padding_mask.dtype != torch.bool:
        raise ValueError(f"key_padding_mask must be boolean; got {key_padding_mask.dtype}")
    return ~key_padding_mask


Mask = Tensor | Pattern
"""A boolean mask, or a pattern that is not written out."""


def with_axes(
    mask: Tensor, batch: int, query: int | None, key: int, heads: int | None = None
) -> Bool[Tensor, "batch_or_1 query_or_1 key"]:
    """Check a mask against the sizes it is used with (`query` None: not known yet) and give it three axes, or four.

    Args:
        heads: how many the mechanism has, whose masks may have four axes; None: it has none.

    Raises:
        ValueError: a mask that is not boolean, that looks like lengths, or whose shape does not fit.
    """
    if mask.dim() == 1 and not mask.is_floating_point() and mask.dtype != torch.bool:
        raise ValueError("mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)")
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be boolean, True = may attend; got {mask.dtype} (added terms are bias)")
    if mask.dim() == 2:
        if mask.shape != (batch, key):
            raise ValueError(f"mask must be [batch, key] = [{batch}, {key}]; got {list(mask.shape)}")
        return mask[:, None]
    axes: dict[str, int | None] = {"batch": batch, "query": query, "key": key}
    if mask.dim() == 4 and heads is not None:
        if mask.shape[0] in (1, batch) and mask.shape[1] in (1, heads) and _fits(mask.shape[2:], query, key):
            return mask
        axes = {"batch": batch, "heads": heads, "query": query, "key": key}
    elif mask.dim() == 3 and mask.shape[0] in (1, batch) and _fits(mask.shape[1:], query, key):
        return mask
    wanted = ", ".join("query" if size is None else str(size) for size in axes.values())
    raise ValueError(f"mask must be [{', '.join(axes)}] = [{wanted}]; got {list(mask.shape)}")


def _fits(shape: tuple[int, ...], query: int | None, key: int) -> bool:
    return shape[1] == key and (query is None or shape[0] in (1, query))


def check_padding(mask: Tensor, batch: int, key: int) -> None:
    """Refuse what is no mask of two axes.

    Raises:
        ValueError: not boolean, or another shape.
    """
    with_axes(mask, batch, None, key)
    if mask.dim() != 2:
        raise ValueError(f"mask must be [batch, key] = [{batch}, {key}]; got {list(mask.shape)}")


def any_head(mask: Tensor) -> Tensor:
    """A mask of three axes: what at least one head may attend."""
    return mask.any(1) if mask.dim() == 4 else mask


def differs(mask: Tensor) -> bool:
    """Whether a mask with all its axes may hide from one query, or one head, what another may attend."""
    return any(size != 1 for size in mask.shape[1:-1])
