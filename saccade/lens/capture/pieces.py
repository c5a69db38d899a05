"""What is kept of one attention: what it was given, or, of a few queries, their weights."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.lens.capture.call import EVERY, Call, attendable, narrow, precise, read, weights


class Kept(NamedTuple):
    """Weights that were made at once, for a few queries: they are smaller than the keys.

    weights: `[batch, heads, rows, key]`, float32 or better.
    rows:    which of the queries these are.
    queries: how many queries there were.
    counts:  how many slots each row may attend, broadcastable to `[batch, heads, rows]`.
    dropout: as in `Call`.
    """

    weights: Tensor
    rows: tuple[int, ...]
    queries: int
    counts: Tensor
    dropout: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(batch, heads, query, key)`."""
        return (*self.weights.shape[:2], self.queries, self.weights.shape[3])


class Later(NamedTuple):
    """What is known only when it is asked for: how to make a `Call` or a `Kept`, and of what shape."""

    make: Callable[[], "Call | Kept"]
    shape: tuple[int, int, int, int]
    dropout: float = 0.0


Piece = Call | Kept | Later


def made(piece: Piece) -> Call | Kept:
    """A piece that has what it needs."""
    if not isinstance(piece, Later):
        return piece
    with torch.no_grad():
        return piece.make()


def kept(call: Call, rows: Sequence[int]) -> Kept:
    """The weights of some queries of a call, made now."""
    at = torch.tensor(rows, device=call.query.device)
    return Kept(weights(call, at), tuple(rows), call.query.shape[2], counts(call, at), call.dropout)


def counts(call: Call, rows: slice | Tensor) -> Tensor:
    """How many slots some queries may attend, broadcastable to `[batch, heads, rows]`."""
    seen = attendable(call, rows)
    if seen is None:
        return torch.full((1, 1, 1), call.key.shape[2], device=call.query.device)
    seen = seen[(None,) * (4 - seen.dim())]
    every = seen.shape[-1] == 1  # a mask that does not tell slots apart
    return seen.sum(-1) * (call.key.shape[2] if every else 1)


def rows_of(
    piece: Call | Kept, rows: Sequence[int], heads: Sequence[int] | None
) -> Float[Tensor, "batch heads rows key"]:
    """Weights of some queries and heads."""
    if isinstance(piece, Kept):
        at = [piece.rows.index(row) for row in rows]
        found = piece.weights if heads is None else piece.weights[:, list(heads)]
        return found[:, :, at]
    call = piece if heads is None else narrow(piece, EVERY, torch.tensor(heads, device=piece.query.device))
    return weights(call, torch.tensor(rows, dtype=torch.int64, device=call.query.device))


class Sample(NamedTuple):
    """A few rows of what really came out, to check the weights by.

    rows:   which queries.
    output: `[batch, heads, rows, value_dim]`, or with a projection `[batch, rows, dim]`.
    projection: weight and bias of what came after the heads, if that was inside the call.
    """

    rows: tuple[int, ...]
    output: Tensor
    projection: tuple[Tensor, Tensor | None] | None = None


def difference(call: Call, sample: Sample, made: Tensor | None = None) -> Tensor:
    """The largest difference between `A V` and what came out, as a part of the largest value: `[]`.

    Args:
        made: the weights of the sample's rows, where they are there already.
    """
    with torch.no_grad(), torch.autocast(call.query.device.type, enabled=False):
        call = precise(call)
        if not sample.output.numel() or not call.value.numel():
            return torch.zeros(())
        made = weights(call, torch.tensor(sample.rows, device=call.query.device)) if made is None else made
        found = read(call, made)
        most = call.value.abs().amax()
        if sample.projection is not None:
            weight, bias = sample.projection
            weight, bias = weight.detach().to(found.dtype), None if bias is None else bias.detach().to(found.dtype)
            found = torch.nn.functional.linear(found.transpose(1, 2).flatten(2), weight, bias)
            most = torch.maximum(most, found.abs().amax())
        return (found - sample.output.detach().to(found.dtype)).abs().amax() / most.clamp(min=1e-30)
