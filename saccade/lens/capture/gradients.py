"""What a backward pass tells of weights that were never made: `O = A V`, so `dL/dA = dL/dO V^T`."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.attention.multihead import repeated
from saccade.lens.capture.call import Call, precise, read, weights
from saccade.lens.capture.pieces import Kept
from saccade.lens.capture.recorder import Gradient
from saccade.lens.capture.statistics import LARGE


def of_weights(piece: Call | Kept, gradient: Gradient | None, rows: Sequence[int]) -> Float[Tensor, "b heads rows key"]:
    """`dL / dA_ij = dL/dO_i . V_j` of some rows."""
    assert isinstance(piece, Call)
    reached = arrived(gradient)[:, :, list(rows)]
    value = repeated(precise(piece).value, reached.shape[1])
    return reached.to(value.dtype) @ value.transpose(-1, -2)


def relevance(
    piece: Call | Kept, gradient: Gradient | None, r: Float[Tensor, "batch query"]
) -> Float[Tensor, "batch key"]:
    """`sum_i r_i mean_h (dL/dA o A)+_hij` (Chefer et al. 2021, eq. 5), a few rows at a time."""
    batch, heads, queries, keys = piece.shape
    assert isinstance(piece, Call)
    with torch.no_grad():
        total = r.new_zeros(batch, keys)
        some = max(1, LARGE // (batch * heads * keys))
        for start in range(0, queries, some):
            rows = list(range(start, min(start + some, queries)))
            if r[:, rows].any():
                at = torch.tensor(rows, device=piece.query.device)
                both = (of_weights(piece, gradient, rows) * weights(piece, at)).clamp(min=0).mean(1)
                total += (r[:, None, rows].to(both) @ both)[:, 0].to(total)
        return total


def importance(piece: Call | Kept, gradient: Gradient | None) -> Float[Tensor, "batch heads"]:
    """`|sum_i O_i . dL/dO_i|` of each head (Michel et al. 2019, eq. 2); its mean over the data is the paper's."""
    assert isinstance(piece, Call)
    reached = arrived(gradient)
    batch, heads, queries, keys = piece.shape
    total = precise(piece).query.new_zeros(batch, heads)
    some = max(1, LARGE // (batch * heads * keys))
    with torch.no_grad():
        for start in range(0, queries, some):
            rows = slice(start, min(start + some, queries))
            context = read(piece, weights(piece, rows))
            total += (context * reached[:, :, rows].to(context)).sum((-1, -2))
    return total.abs()


def norms(call: Call, rows: Sequence[int], output: Tensor | None) -> Float[Tensor, "batch heads rows key"]:
    """`A_ij |V_j W_o|` of some rows (Kobayashi et al. 2020, eq. 4, without the bias of V)."""
    with torch.no_grad():
        made = weights(call, torch.tensor(rows, device=call.query.device))
        value = repeated(precise(call).value, made.shape[1])
        if output is not None:
            heads, dim = value.shape[1], value.shape[3]
            if output.dim() != 2 or output.shape[1] != heads * dim:
                raise ValueError(
                    f"output must be [dim, heads * value_dim] = [dim, {heads * dim}]; got {list(output.shape)}"
                )
            value = value @ output.detach().to(value.dtype).view(-1, heads, dim).permute(1, 2, 0)
        lengths: Tensor = torch.linalg.vector_norm(value, dim=-1)
        return made * lengths[:, :, None]


def arrived(gradient: Gradient | None) -> Float[Tensor, "batch heads query value_dim"]:
    """The gradient that reached each head's context.

    Raises:
        ValueError: there was no backward pass.
    """
    if gradient is None or gradient.grad is None:
        raise ValueError("gradients must be made first: call backward() on a loss, before or after leaving look")
    return gradient.heads_first(gradient.grad)
