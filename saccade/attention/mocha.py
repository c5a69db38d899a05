"""Monotonic chunkwise attention (MoChA): where monotonic attention stops, a softmax over the last few slots.

Chiu and Raffel 2018, "Monotonic Chunkwise Attention".
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade import kernels
from saccade.attention.additive import start_v
from saccade.attention.base import Asked
from saccade.attention.content import seen_scores
from saccade.attention.monotonic import MonotonicAttention
from saccade.attention.results import Attended, Memory, exportable
from saccade.kernels import Prepared, additive_scores, read_values
from saccade.normalizers import softmax


def chunk_weights(
    alpha: Float[Tensor, "*batch key"],
    chunk_energies: Float[Tensor, "*batch key"],
    width: int,
    mask: Bool[Tensor, "*batch key"] | None = None,
) -> Float[Tensor, "*batch key"]:
    """Weights of slots in the chunks of `width` slots that end where monotonic attention stopped.

    `beta_ij = sum_{k=j}^{j+w-1} alpha_ik exp(u_ij) / sum_{l=k-w+1}^{k} exp(u_il)` (Chiu and Raffel 2018, §2.4). They
    compute it by moving sums of `exp(u - max u)`, which are 0 / 0 in a chunk far below the largest u; this is a softmax
    in every chunk, `width` times as many numbers, for any u. The sum over j is that of alpha, expected or hard.

    Args:
        alpha: monotonic alignments, float32 or float64, `[..., key]`.
        chunk_energies: u, in the same dtype, `[..., key]`.
        width: w, how many slots a chunk has, the last of them the one where it stopped.
        mask: True = may attend, broadcastable to u. Hidden slots count in the width and are left out of the sums.

    Raises:
        ValueError: a width below 1.

    >>> chunk_weights(torch.tensor([0.0, 0.0, 1.0, 0.0]), torch.zeros(4), width=2).tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    if width < 1:
        raise ValueError(f"width must be at least 1 slot; got {width}")
    # A chunk reaches no further back than slot 0.
    before = min(width, alpha.shape[-1]) - 1
    if mask is None:
        mask = torch.ones(alpha.shape[-1], dtype=torch.bool, device=alpha.device)
    # [..., k, m]: the m-th slot of the chunk that ends at slot k is slot k - before + m.
    chunks, inside = (pad(x, (before, 0)).unfold(-1, before + 1, 1) for x in (chunk_energies, mask))
    shares = softmax(chunks, inside) * alpha[..., None]
    beta = torch.stack([pad(shares[..., m], (m - before, before - m)) for m in range(before + 1)]).sum(0)
    return beta.masked_fill(~mask, 0.0)


@exportable
class Both(NamedTuple):
    """What is prepared of the keys of both networks."""

    ends: Prepared
    chunks: Prepared


class MonotonicChunkwiseAttention(MonotonicAttention):
    """MoChA of Chiu and Raffel 2018, §2.4: `u_ij = v' . tanh(W' s_i + V' h_j + b')`, softmax over the chunk.

    The chunk ends where monotonic attention, with energies and parameters of its own, stops: in training the expected
    weights over all such ends, in evaluation those of the one chunk; see `chunk_weights`. The weights given back are
    beta, the state holds alpha. A bias and noise are added to the monotonic energies alone.

    Args:
        query_dim, key_dim, hidden_dim, noise, offset: as for `MonotonicAttention`, hidden_dim for both networks.
        chunk: w, how many slots a chunk has.

    >>> attend = MonotonicChunkwiseAttention(query_dim=4, key_dim=6, hidden_dim=5, chunk=3, offset=9.0).eval()
    >>> attend(torch.ones(2, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).weights[0].tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        chunk: int = 4,
        noise: float = 1.0,
        offset: float = -1.0,
    ):
        super().__init__(query_dim, key_dim, hidden_dim, noise=noise, offset=offset)
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 slot; got {chunk}")
        self.chunk = chunk
        self.chunk_query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.chunk_key = nn.Linear(key_dim, hidden_dim)
        self.chunk_v = start_v(hidden_dim)

    def extra_repr(self) -> str:
        """For print."""
        return f"chunk={self.chunk}, {super().extra_repr()}"

    def project_key(self, key: Tensor) -> Tensor:
        """`V h_j + b` and `V' h_j + b'` side by side, `[batch, key, 2 hidden_dim]`."""
        return torch.cat([super().project_key(key), self.chunk_key(key)], -1)

    def prepare(self, key: Tensor) -> Both | None:
        """What the kernels make of both, or None."""
        ends, chunks = (kernels.prepare(half) for half in key.chunk(2, -1))
        return None if ends is None or chunks is None else Both(ends, chunks)

    def chunk_energy(self, query: Tensor, key: Tensor, prepared: Prepared | None = None) -> Tensor:
        """`v' . tanh(W' s_i + V' h_j + b')`, `[batch, query, key]`, float32 or better."""
        return additive_scores(self.chunk_query(query), key, self.chunk_v, prepared=prepared)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """Where each query stops, then what it reads of the chunk that ends there."""
        prepared = memory.prepared or (None, None)
        halves = zip(memory.key.chunk(2, -1), prepared, strict=True)
        ends, chunks = (memory._replace(key=half, prepared=known) for half, known in halves)
        alpha, state = self.align(seen_scores(self.energy, query, ends), memory.mask, state, asked)
        u = seen_scores(self.chunk_energy, query, chunks)
        with torch.autocast(query.device.type, enabled=False):
            beta = chunk_weights(alpha, u, self.chunk, memory.mask)
        return Attended(read_values(beta, memory.value, memory.mask), beta.to(memory.value.dtype), state)
