"""Monotonic attention: a query never looks further back than the query before, so decoding can go along with hearing.

Raffel et al. 2017, "Online and Linear-Time Attention by Enforcing Monotonic Alignments". Trained in expectation
(`expected_alignment`), decoded by taking the first slot that is good enough (`hard_alignment`).
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade import kernels
from saccade.attention.additive import start_v
from saccade.attention.base import Asked, Attention, Noise
from saccade.attention.content import seen_scores
from saccade.attention.results import Attended, Memory, exportable
from saccade.kernels import Prepared, additive_scores, read_values
from saccade.normalizers.base import precise


@exportable
class MonotonicState(NamedTuple):
    """How the latest query was aligned: alpha_i, `[batch, key]`, float32 or better.

    In training the probability of each slot, in evaluation one at the slot that was attended. What is missing from one
    is the probability that the end of the memory was reached; nothing is attended from there on. A query that may look
    nowhere leaves the state as it was.
    """

    alignment: Tensor


def recurrence(factor: Float[Tensor, "*batch key"], term: Float[Tensor, "*batch key"]) -> Float[Tensor, "*batch key"]:
    """The first-order linear recurrence `q_j = factor_j q_{j-1} + term_j` with `q_{-1} = 0`, over the last axis.

    An associative scan by doubling (Hillis and Steele 1986): `(f, t) o (f', t') = (f f', f' t + t')`, in log2(key)
    passes. With factors in [0, 1] and terms that are not negative nothing is divided or subtracted, so that nothing
    overflows and no digits cancel; sums and differences of logarithms are slower and less exact.

    >>> recurrence(torch.full((4,), 0.5), torch.tensor([8.0, 0.0, 0.0, 3.0])).tolist()
    [8.0, 4.0, 2.0, 4.0]
    """
    reach, slots = 1, term.shape[-1]
    while reach < slots:
        term = term + factor * pad(term, (reach, -reach))
        factor = factor * pad(factor, (reach, -reach))
        reach *= 2
    return term


def expected_alignment(
    energies: Float[Tensor, "batch key"],
    previous: Float[Tensor, "batch key"],
    mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch key"]:
    """The probability alpha_ij that query i attends slot j, given that of the query before; used in training.

    `p_ij = sigmoid(e_ij)`, `q_ij = (1 - p_{i,j-1}) q_{i,j-1} + alpha_{i-1,j}`, `alpha_ij = p_ij q_ij`
    (Raffel et al. 2017, §2.3, eq. 12 to 14). Where they divide by products of `1 - p`, which underflow, `recurrence`
    only multiplies and adds: any finite energies and any length do. The sum over j is at most one.

    Args:
        energies: e_i, float32 or float64, `[batch, key]`.
        previous: alpha_{i-1}, in the same dtype; before the first query, one at slot 0.
        mask: True = may attend. A hidden slot has p = 0 and passes on what comes to it, as if it were not there.

    >>> expected_alignment(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])).tolist()
    [[0.5, 0.25, 0.125]]
    """
    hidden = None if mask is None else ~mask
    if hidden is not None:
        energies = energies.masked_fill(hidden, -torch.inf)
    # sigmoid(-e), not 1 - sigmoid(e), which would be 0 from e = 17 on in float32.
    passed_on = pad(torch.sigmoid(-energies), (1, -1))
    alpha = torch.sigmoid(energies) * recurrence(passed_on, previous)
    # Nothing but a NaN from an earlier slot could stand under the mask.
    return alpha if hidden is None else alpha.masked_fill(hidden, 0.0)


def hard_alignment(
    energies: Float[Tensor, "batch key"],
    previous: Float[Tensor, "batch key"],
    mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch key"]:
    """One at the first slot with `e_ij > 0` from the slot of the query before on, zero elsewhere; used in evaluation.

    Zero everywhere if there is no such slot, and then for all later queries too (Raffel et al. 2017, §2.2 and
    Algorithm 1, with `p_ij > 1/2` in place of a draw, §2.5): `expected_alignment` where every p is 0 or 1. No gradient
    reaches the energies. An energy that is NaN where the search comes by makes the alignment NaN there.

    Args:
        energies: e_i, float32 or float64, `[batch, key]`.
        previous: one-hot rows, or rows of zeros, `[batch, key]`; before the first query, one at slot 0.
        mask: True = may attend; hidden slots are passed by.

    >>> hard_alignment(torch.tensor([[9.0, -1.0, 0.5, 2.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])).tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    reached = previous.cumsum(-1)
    unknown = energies.isnan() | reached.isnan()
    stop = ((energies > 0) | unknown) & (reached != 0)
    if mask is not None:
        stop = stop & mask
    first = stop & (stop.cumsum(-1) == 1)
    return first.to(energies.dtype).masked_fill(first & unknown, torch.nan)


class MonotonicAttention(Attention):
    """Monotonic attention of Raffel et al. 2017: `e_ij = g v / |v| . tanh(W s_i + V h_j + b) + r` (§2.4, eq. 16).

    In training the context is the expected one, `expected_alignment`, with Gaussian noise added to the energies, which
    teaches them to be decided (§2.5). In evaluation it is the value of the one slot that `hard_alignment` finds, or
    zero: nothing is drawn, and only the values get a gradient. Weights may sum to less than one.

    g starts at `1 / sqrt(hidden_dim)`, b at zero and r at `offset`. The noise of `read` is standard normal numbers
    `[batch, query, key]` or a generator, which draws query by query; in evaluation noise is an error. A bias is added
    to e. A query that may look nowhere reads zeros, and the next one goes on where the one before had been.

    Args:
        query_dim: width of the query s_i.
        key_dim: width of the keys h_j.
        hidden_dim: width of the small network.
        noise: standard deviation of the noise in training.
        offset: r at the start; the longer the memory, the further below zero it should be, or all is attended at once.

    >>> attend = MonotonicAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attended = attend(torch.ones(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8))
    >>> attended.weights.shape, bool((attended.weights.sum(-1) < 1).all())
    (torch.Size([2, 3, 7]), True)
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, *, noise: float = 1.0, offset: float = -1.0):
        super().__init__(query_dim, key_dim)
        if not noise >= 0:
            raise ValueError(f"noise, a standard deviation, must be at least 0; got {noise}")
        self.noise = noise
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.key = nn.Linear(key_dim, hidden_dim)
        nn.init.zeros_(self.key.bias)
        self.v = start_v(hidden_dim)
        self.g = nn.Parameter(torch.tensor(hidden_dim**-0.5))
        self.r = nn.Parameter(torch.tensor(float(offset)))

    def extra_repr(self) -> str:
        """For print."""
        return f"noise={self.noise:g}"

    def project_key(self, key: Tensor) -> Tensor:
        """`V h_j + b`, `[batch, key, hidden_dim]`."""
        projected: Tensor = self.key(key)
        return projected

    def initial(self, memory: Memory) -> MonotonicState:
        """The search begins at the first slot."""
        batch, slots = memory.value.shape[:2]
        first = torch.arange(slots, device=memory.value.device) == 0
        return MonotonicState(first.to(torch.promote_types(memory.value.dtype, torch.float32)).repeat(batch, 1))

    def prepare(self, key: Tensor) -> Any:
        """What the kernels make of the projected keys once."""
        return kernels.prepare(key)

    def energy(self, query: Tensor, key: Tensor, prepared: Prepared | None = None) -> Tensor:
        """`g v / |v| . tanh(W s_i + V h_j + b) + r`, `[batch, query, key]`, float32 or better."""
        v = precise(self.v)
        v = precise(self.g) * v / v.norm()
        return additive_scores(self.query(query), key, v, prepared=prepared) + precise(self.r)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """Energies of all queries at once, then their alignments one after the other."""
        alpha, state = self.align(seen_scores(self.energy, query, memory), memory.mask, state, asked)
        return Attended(read_values(alpha, memory.value, memory.mask), alpha.to(memory.value.dtype), state)

    def align(
        self, energies: Tensor, mask: Tensor | None, state: MonotonicState, asked: Asked
    ) -> tuple[Tensor, MonotonicState]:
        """The alignments alpha `[batch, query, key]` of these energies, and the last of them as the state."""
        with torch.autocast(energies.device.type, enabled=False):
            energies = self._noisy(energies if asked.bias is None else energies + precise(asked.bias), asked.noise)
            rows = [None] * energies.shape[1] if mask is None else mask.expand_as(energies).unbind(1)
            alignment, (previous,) = expected_alignment if self.training else hard_alignment, state
            alphas = []
            for energy, allowed in zip(energies.unbind(1), rows, strict=True):
                alpha = alignment(energy, previous, allowed)
                # Without an allowed slot alpha is zero because nothing could be chosen, not because the end was met.
                previous = alpha if allowed is None else torch.where(allowed.any(-1, keepdim=True), alpha, previous)
                alphas.append(alpha)
        return torch.stack(alphas, 1) if alphas else energies, MonotonicState(previous)

    def _noisy(self, energies: Tensor, noise: Noise | None) -> Tensor:
        if not self.training:
            if noise is not None:
                name = type(self).__name__
                raise ValueError(f"noise must be None: {name} draws nothing in evaluation; got {type(noise).__name__}")
            return energies
        if self.noise == 0:
            return energies
        if isinstance(noise, Tensor):
            return energies + self.noise * noise.to(energies.dtype)
        # Row by row, so that a generator gives the same to one query after the other as to all at once.
        kind, device = energies.dtype, energies.device
        rows = [torch.randn(row.shape, generator=noise, dtype=kind, device=device) for row in energies.unbind(1)]
        return energies + self.noise * torch.stack(rows, 1) if rows else energies
