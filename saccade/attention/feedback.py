"""Attention that knows where it has looked: earlier weights are fed back into the additive score."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.attention.additive import AdditiveAttention
from saccade.attention.base import Asked
from saccade.attention.content import Drawn
from saccade.attention.results import Attended, Memory, exportable
from saccade.kernels import read_values
from saccade.normalizers import Normalizer
from saccade.normalizers.base import precise


@exportable
class Feedback(NamedTuple):
    """What is fed back.

    alignment: `[batch, key]`, float32 or better: the previous query's weights, or the sum of all weights so far.
    drawn:     for weights that are drawn, what REINFORCE needs; else None.
    """

    alignment: Tensor
    drawn: Drawn | None


class FeedbackAttention(AdditiveAttention):
    """Additive attention whose projected keys hold a term of the earlier weights: queries are read one by one.

    A subclass defines `key_after(key, alignment)` and `alignment_after(alignment, weights, key)`.
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, *, normalizer: Normalizer | None = None):
        super().__init__(query_dim, key_dim, hidden_dim, normalizer=normalizer)

    def prepare(self, key: Tensor) -> None:
        """Nothing: the keys that are scored change with every query."""

    def key_after(self, key: Tensor, alignment: Tensor) -> Tensor:
        """The keys that are scored, given what was read before."""
        raise TypeError(f"{type(self).__name__} defines no key_after")

    def alignment_after(self, alignment: Tensor, weights: Tensor, key: Tensor) -> Tensor:
        """What is fed back once `weights` `[batch, key]` have been read."""
        raise TypeError(f"{type(self).__name__} defines no alignment_after")

    def initial(self, memory: Memory) -> Feedback:  # type: ignore[override]
        """Nothing has been read."""
        content = super().initial(memory)
        alignment = precise(memory.value.new_zeros(memory.value.shape[:2]))
        return Feedback(alignment, None if content is None else content.drawn)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """The four steps, query after query."""
        alignment, drawn = state
        contexts, rows = [], []
        for i in range(query.shape[1]):
            key, value, mask = seen_by(memory, i)[:3]
            scores = self.score(query[:, i : i + 1], self.key_after(key, alignment))
            if asked.bias is not None:
                scores = scores + of_query(asked.bias, i)
            weights, drawn = self.normalize(scores, mask, of_query(asked.noise, i), drawn)
            after = self.alignment_after(alignment, weights[:, 0], key)
            # Who could look nowhere has not looked: what is fed back stays as it was.
            alignment = after if mask is None else torch.where(mask[:, 0].any(-1, keepdim=True), after, alignment)
            contexts.append(read_values(weights, value, mask))
            rows.append(weights)
        weights = torch.cat(rows, 1).to(memory.value.dtype)
        return Attended(torch.cat(contexts, 1), weights, Feedback(alignment, drawn))


class LocationSensitiveAttention(FeedbackAttention):
    """Location-sensitive attention of Chorowski et al. 2015, eq. 8 and 9.

    `f_i = F * a_{i-1}` (a convolution over the slots), `e_ij = v . tanh(W s_i + V h_j + U f_ij + b)`, then softmax.
    Before the first query `a_0` is zero.

    Args:
        query_dim, key_dim, hidden_dim, normalizer: as for `AdditiveAttention`.
        filters: how many features F computes for each slot.
        kernel_size: how many slots F covers, odd.
        cumulative: feed back the sum of all weights so far (Shen et al. 2018, Tacotron 2) in place of the last ones.

    >>> attend = LocationSensitiveAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attended = attend(torch.ones(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8))
    >>> torch.equal(attended.state.alignment, attended.weights[:, -1])
    True
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        filters: int = 10,
        kernel_size: int = 15,
        cumulative: bool = False,
        normalizer: Normalizer | None = None,
    ):
        super().__init__(query_dim, key_dim, hidden_dim, normalizer=normalizer)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that it has a middle; got {kernel_size}")
        self.cumulative = cumulative
        self.convolution = nn.Conv1d(1, filters, kernel_size, padding=kernel_size // 2, bias=False)
        self.location = nn.Linear(filters, hidden_dim)

    def key_after(self, key: Tensor, alignment: Tensor) -> Tensor:
        """`V h_j + U f_ij + b`."""
        features = self.convolution(alignment[:, None].to(self.convolution.weight.dtype))
        located: Tensor = self.location(features.transpose(1, 2))
        return key + located

    def alignment_after(self, alignment: Tensor, weights: Tensor, key: Tensor) -> Tensor:
        """`a_i`, or the sum up to it."""
        return alignment + weights if self.cumulative else weights


class CoverageAttention(FeedbackAttention):
    """Coverage in the score: `e_ij = v . tanh(W s_i + U h_j + w_c c_ij + b)`, then softmax (See et al. 2017, eq. 11).

    `c_ij` is the sum of the weights that slot j has had so far (eq. 10). With a fertility it is the linguistic coverage
    of Tu et al. 2016, eq. 5 to 7: `c_ij = c_{i-1,j} + a_ij / Phi_j`, `Phi_j = N sigmoid(U_f h_j)`, how many output
    tokens slot j is worth, at most N.

    Args:
        query_dim, key_dim, hidden_dim, normalizer: as for `AdditiveAttention`.
        fertility: N, or None for coverage without it.

    >>> attend = CoverageAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attended = attend(torch.ones(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8))
    >>> torch.allclose(attended.state.alignment, attended.weights.sum(1))
    True
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        fertility: float | None = None,
        normalizer: Normalizer | None = None,
    ):
        super().__init__(query_dim, key_dim, hidden_dim, normalizer=normalizer)
        if fertility is not None and not fertility > 0:
            raise ValueError(f"fertility must be above 0; got {fertility}")
        self.coverage = nn.Linear(1, hidden_dim)
        self.fertility = fertility
        self.worth = None if fertility is None else nn.Linear(key_dim, 1, bias=False)

    def project_key(self, key: Tensor) -> Tensor:
        """`U h_j`, and with a fertility `Phi_j` in a last column of its own: it too depends on the memory alone."""
        projected = super().project_key(key)
        if self.worth is None or self.fertility is None:
            return projected
        return torch.cat([projected, self.fertility * torch.sigmoid(self.worth(key))], -1)

    def key_after(self, key: Tensor, alignment: Tensor) -> Tensor:
        """`U h_j + w_c c_ij + b`."""
        covered: Tensor = self.coverage(alignment[..., None].to(self.coverage.weight.dtype))
        return key[..., : covered.shape[-1]] + covered

    def alignment_after(self, alignment: Tensor, weights: Tensor, key: Tensor) -> Tensor:
        """`c_{i-1} + a_i`, with a fertility `c_{i-1} + a_i / Phi`."""
        if self.worth is None:
            return alignment + weights
        worth = precise(key[..., -1])
        return alignment + weights / torch.where(worth == 0, 1.0, worth)  # zero where the slot is hidden


def seen_by(memory: Memory, i: int) -> Memory:
    """The memory as the i-th query sees it: its row of the mask, and zeros where that hides a slot."""
    mask = memory.mask
    if mask is None or mask.shape[1] == 1:
        return memory
    mask = mask[:, i : i + 1]
    key, value = (torch.where(mask.transpose(1, 2), x, 0.0) for x in (memory.key, memory.value))
    return Memory(key, value, mask)


def of_query(x: Any, i: int) -> Any:
    """The i-th query's row of a bias or noise `[batch or 1, query or 1, key]`; what is no tensor stays what it is."""
    return x[:, i : i + 1] if isinstance(x, Tensor) and x.shape[1] > 1 else x
