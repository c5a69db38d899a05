"""What the laws of attention are run over."""

import torch
from torch import Tensor

from saccade.attention.base import Attention
from saccade.attention.build import build
from saccade.attention.catalogue import NAMES

# Different primes, so that a swapped axis fails.
BATCH, QUERY, KEY, QUERY_DIM, KEY_DIM, VALUE_DIM, HIDDEN = 2, 3, 7, 11, 13, 5, 17

LOOKING = tuple(name for name in NAMES if name != "none")
"""The mechanisms that look at more than one slot; `none` reads a single summary, so laws on slots say nothing of it."""


def mechanism(name: str, dtype: torch.dtype = torch.float64) -> Attention:
    """A mechanism of this name; the dot products need keys as wide as queries."""
    torch.manual_seed(1)
    key_dim = QUERY_DIM if name in ("dot", "scaled-dot") else KEY_DIM
    return build(name, query_dim=QUERY_DIM, key_dim=key_dim, hidden_dim=HIDDEN).to(dtype)  # type: ignore[arg-type]


def inputs(attend: Attention, dtype: torch.dtype = torch.float64, batch: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
    """A query, a key and a value that ask for gradients."""
    torch.manual_seed(2)
    shapes = (batch, QUERY, attend.query_dim), (batch, KEY, attend.key_dim), (batch, KEY, VALUE_DIM)
    query, key, value = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return query, key, value


def masks_of_every_kind() -> dict[str, Tensor]:
    """Padding, holes, causal order, one mask per query, a row that may look nowhere."""
    torch.manual_seed(3)
    nowhere = torch.rand(BATCH, QUERY, KEY) < 0.5
    nowhere[:, 1] = False
    return {
        "padding": torch.arange(KEY) < torch.tensor([[KEY], [2]]),
        "empty sentence": torch.arange(KEY) < torch.tensor([[4], [0]]),
        "holes": torch.tensor([[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 1, 0]]).bool(),
        "causal": torch.ones(1, QUERY, KEY, dtype=torch.bool).tril(2),
        "one for all queries": (torch.arange(KEY) < 5)[None, None],
        "a query that may look nowhere": nowhere,
    }
