"""Boolean masks: True = may attend.

Two axes are always `[batch, key]`; three are `[batch or 1, query or 1, key]`. A number added to the scores is a bias,
never a mask.
"""

import torch
from jaxtyping import Bool, Int
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


def from_torch_padding(key_padding_mask: Bool[Tensor, "batch key"]) -> Bool[Tensor, "batch key"]:
    """Turn round a mask in which True means "ignore" (nn.MultiheadAttention, fairseq, OpenNMT-py).

    >>> from_torch_padding(torch.tensor([[False, False, True]])).int().tolist()
    [[1, 1, 0]]
    """
    if key_padding_mask.dtype != torch.bool:
        raise ValueError(f"key_padding_mask must be boolean; got {key_padding_mask.dtype}")
    return ~key_padding_mask


def with_query_axis(mask: Tensor, batch: int, query: int | None, key: int) -> Bool[Tensor, "batch_or_1 query_or_1 key"]:
    """Check a mask against the sizes it is used with (`query` None: not known yet) and give it three axes.

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
    fits = mask.dim() == 3 and mask.shape[0] in (1, batch) and mask.shape[2] == key
    if not fits or (query is not None and mask.shape[1] not in (1, query)):
        queries = "query" if query is None else query
        raise ValueError(f"mask must be [batch, query, key] = [{batch}, {queries}, {key}]; got {list(mask.shape)}")
    return mask
