"""A linear-chain conditional random field: tags of a sequence are chosen together, not one by one."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade import masks
from saccade.errors import at_least_one
from saccade.normalizers.base import precise

Constraints = tuple[Tensor, Tensor, Tensor]
"""Which pairs of tags may follow each other `[tag, tag]`, which may come first and which last `[tag]`: boolean."""

_LOWEST = -1e30
"""What stands for minus infinity between: sums of it are numbers, and so are the gradients of its exponential."""


class _Chain(NamedTuple):
    """Scores in float32 or better, finite, zero at padding."""

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor
    mask: Tensor


def log_likelihood(
    emissions: Float[Tensor, "batch time tag"],
    tags: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "tag tag"],
    start: Float[Tensor, " tag"],
    end: Float[Tensor, " tag"],
    mask: Bool[Tensor, "batch time"] | None = None,
) -> Float[Tensor, " batch"]:
    """`log p(y | x) = s(x, y) - log sum_y' exp s(x, y')`, the sum over all sequences of tags (Lafferty et al. 2001).

    `s(x, y) = start[y_1] + sum_t P[t, y_t] + sum_t A[y_t, y_t+1] + end[y_n]` (Lample et al. 2016, §2.2), P the
    emissions and A the transitions; the sum is the forward algorithm's (Collobert et al. 2011, §3.3.2).

    Args:
        emissions: a score for each tag at each step.
        tags: the sequences in question; what stands at padding is not read.
        transitions: from the tag of the row to that of the column; minus infinity where one may not follow the other.
        start, end: of the first tag and of the last, likewise.
        mask: True = a real step; padding stands at the end. All steps where None.

    Returns:
        `[batch]`, float32 or better: minus infinity where the sequence may not be, 0 for one without steps.

    Raises:
        ValueError: shapes that do not fit, a mask with holes, or (unseen while compiling) a tag that does not exist.

    >>> nothing = torch.zeros(2)
    >>> log_likelihood(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]]), torch.zeros(2, 2), nothing, nothing).exp()
    tensor([0.1250])
    """
    chain = _checked(emissions, transitions, start, end, mask)
    _check_tags(tags, chain)
    score = _path_score(chain, tags)
    total = (_forward(chain)[-1] + chain.end).logsumexp(-1)
    # A sequence that may not be has no gradient either.
    found = (score - total).masked_fill(score < _LOWEST / 2, -torch.inf)
    return found.masked_fill(~chain.mask[:, 0], 0.0)


def viterbi(
    emissions: Float[Tensor, "batch time tag"],
    transitions: Float[Tensor, "tag tag"],
    start: Float[Tensor, " tag"],
    end: Float[Tensor, " tag"],
    mask: Bool[Tensor, "batch time"] | None = None,
) -> tuple[Int[Tensor, "batch time"], Float[Tensor, " batch"]]:
    """The sequence of tags with the highest score s(x, y), and that score (Viterbi 1967; Lample et al. 2016, eq. 1).

    Arguments as for `log_likelihood`.

    Returns:
        tags, int64 `[batch, time]`, 0 at padding; scores `[batch]`, float32 or better, minus infinity where no
        sequence may be.

    >>> follow = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]])  # 1 never follows 0
    >>> emissions, nothing = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]]), torch.zeros(2)
    >>> viterbi(emissions, follow, nothing, nothing)
    (tensor([[0, 0, 0]]), tensor([3.]))
    """
    chain = _checked(emissions, transitions, start, end, mask)
    first, *later = chain.emissions.unbind(1)
    best, before = chain.start + first, []
    stay = torch.arange(len(chain.start), device=best.device)
    for emission, real in zip(later, chain.mask.unbind(1)[1:], strict=True):
        reached, which = (best[:, :, None] + chain.transitions).max(1)
        best = torch.where(real[:, None], reached + emission, best)
        before.append(torch.where(real[:, None], which, stay))  # at padding a path stays where it ended
    score, tag = (best + chain.end).max(1)
    path = [tag]
    for which in reversed(before):
        path.append(which.gather(1, path[-1][:, None])[:, 0])
    found = torch.stack(path[::-1], 1).masked_fill(~chain.mask, 0)
    score = score.masked_fill(score < _LOWEST / 2, -torch.inf)
    return found, score.masked_fill(~chain.mask[:, 0], 0.0)


def marginals(
    emissions: Float[Tensor, "batch time tag"],
    transitions: Float[Tensor, "tag tag"],
    start: Float[Tensor, " tag"],
    end: Float[Tensor, " tag"],
    mask: Bool[Tensor, "batch time"] | None = None,
) -> Float[Tensor, "batch time tag"]:
    """`p(y_t = k | x)`, the probability of each tag at each step, by the forward-backward algorithm.

    `softmax_k(alpha_t(k) + beta_t(k))`: what leads to a tag, and what may follow it (Rabiner 1989, eq. 27; Lafferty et
    al. 2001, §3). It is the gradient of the log partition with respect to the emissions.

    Arguments as for `log_likelihood`.

    Returns:
        `[batch, time, tag]`, float32 or better, zero at padding and where no sequence may be.

    >>> nothing = torch.zeros(2)
    >>> marginals(torch.zeros(1, 3, 2), torch.zeros(2, 2), nothing, nothing)[0, 0]
    tensor([0.5000, 0.5000])
    """
    chain = _checked(emissions, transitions, start, end, mask)
    scores = torch.stack(_forward(chain), 1) + torch.stack(_backward(chain), 1)
    possible = scores.amax(-1) > _LOWEST / 2
    return scores.softmax(-1).masked_fill(~(possible & chain.mask)[..., None], 0.0)


def _forward(chain: _Chain) -> list[Tensor]:
    """`alpha_t(k) = P[t, k] + log sum_j exp(alpha_t-1(j) + A[j, k])`; after the end it stays what it was."""
    first, *later = chain.emissions.unbind(1)
    alphas = [chain.start + first]
    for emission, real in zip(later, chain.mask.unbind(1)[1:], strict=True):
        reached = (alphas[-1][:, :, None] + chain.transitions).logsumexp(1) + emission
        alphas.append(torch.where(real[:, None], reached, alphas[-1]))
    return alphas


def _backward(chain: _Chain) -> list[Tensor]:
    """`beta_t(j) = log sum_k exp(A[j, k] + P[t+1, k] + beta_t+1(k))`; at the last step it is the score of an end."""
    last = chain.end.expand(len(chain.mask), -1)
    betas = [last]
    for emission, real in zip(chain.emissions.unbind(1)[:0:-1], chain.mask.unbind(1)[:0:-1], strict=True):
        left = (chain.transitions + (emission + betas[-1])[:, None]).logsumexp(2)
        betas.append(torch.where(real[:, None], left, last))
    return betas[::-1]


def _path_score(chain: _Chain, tags: Tensor) -> Tensor:
    tags = tags.masked_fill(~chain.mask, 0)
    emitted = chain.emissions.gather(2, tags[..., None])[..., 0].sum(1)
    moved = chain.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~chain.mask[:, 1:], 0.0).sum(1)
    last = tags.gather(1, (chain.mask.sum(1, keepdim=True) - 1).clamp(min=0))[:, 0]
    return chain.start[tags[:, 0]] + emitted + moved + chain.end[last]


def _checked(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor | None) -> _Chain:
    if emissions.dim() != 3 or 0 in emissions.shape[1:]:
        raise ValueError(
            f"emissions must be [batch, time, tag], a step and a tag at least; got {list(emissions.shape)}"
        )
    batch, time, tags = emissions.shape
    for name, scores, shape in (
        ("transitions", transitions, [tags, tags]),
        ("start", start, [tags]),
        ("end", end, [tags]),
    ):
        if list(scores.shape) != shape:
            raise ValueError(f"{name} must be {shape}, as emissions have {tags} tags; got {list(scores.shape)}")
    if mask is None:
        mask = torch.ones(batch, time, dtype=torch.bool, device=emissions.device)
    masks.check_padding(mask, batch, time)
    if not torch.compiler.is_compiling() and bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("mask must leave out steps at the end alone, as each tag follows the one before it")
    emissions = emissions.masked_fill(~mask[..., None], 0.0)
    emissions, transitions, start, end = (
        precise(scores).clamp(min=_LOWEST) for scores in (emissions, transitions, start, end)
    )
    return _Chain(emissions, transitions, start, end, mask)


def _check_tags(tags: Tensor, chain: _Chain) -> None:
    if tags.shape != chain.mask.shape or tags.is_floating_point() or tags.dtype == torch.bool:
        came = f"{tags.dtype} {list(tags.shape)}"
        raise ValueError(f"tags must be integers [batch, time] = {list(chain.mask.shape)}; got {came}")
    if not torch.compiler.is_compiling():
        wrong = tags[chain.mask & ((tags < 0) | (tags >= len(chain.start)))]
        if len(wrong):
            raise ValueError(f"tags must be 0 to {len(chain.start) - 1}; got {int(wrong[0])}")


class ConditionalRandomField(nn.Module):
    """A linear-chain conditional random field over the emissions of a network (Lample et al. 2016, §2.2).

    It begins with zeros, as a softmax at each step. What may not follow each other has no probability, in training as
    in decoding (Papay et al. 2022): the same distribution is learned and used. So each sequence it is trained on must
    be one that may be; another has a likelihood of zero, and no gradient.

    Args:
        tags: how many there are.
        constraints: boolean tensors, which tag (row) may be followed by which (column), `[tag, tag]`, which may come
            first and which last, `[tag]`; all where None. They are kept with the weights.

    >>> crf = ConditionalRandomField(5)
    >>> emissions, mask = torch.randn(2, 3, 5), torch.tensor([[True, True, True], [True, False, False]])
    >>> tags, score = crf.viterbi(emissions, mask)
    >>> crf(emissions, tags, mask).shape, crf.marginals(emissions, mask).shape
    (torch.Size([2]), torch.Size([2, 3, 5]))
    """

    allowed: Tensor
    allowed_start: Tensor
    allowed_end: Tensor

    def __init__(self, tags: int, *, constraints: Constraints | None = None):
        super().__init__()
        at_least_one({"tags": tags})
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.start, self.end = nn.Parameter(torch.zeros(tags)), nn.Parameter(torch.zeros(tags))
        shapes = {"allowed": (tags, tags), "allowed_start": (tags,), "allowed_end": (tags,)}
        given = (
            [torch.ones(shape, dtype=torch.bool) for shape in shapes.values()] if constraints is None else constraints
        )
        for (name, shape), part in zip(shapes.items(), given, strict=True):
            if part.shape != shape or part.dtype != torch.bool:
                raise ValueError(f"{name} must be boolean {list(shape)}; got {part.dtype} {list(part.shape)}")
            self.register_buffer(name, part.clone())

    def forward(
        self,
        emissions: Float[Tensor, "batch time tag"],
        tags: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """The log-likelihood of these tags, `[batch]`: see `log_likelihood`."""
        return log_likelihood(emissions, tags, *self._scores(), mask)

    def viterbi(
        self, emissions: Float[Tensor, "batch time tag"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> tuple[Int[Tensor, "batch time"], Float[Tensor, " batch"]]:
        """The best tags `[batch, time]` and their scores `[batch]`: see the function `viterbi`."""
        return viterbi(emissions, *self._scores(), mask)

    def marginals(
        self, emissions: Float[Tensor, "batch time tag"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time tag"]:
        """The probability of each tag at each step `[batch, time, tag]`: see the function `marginals`."""
        return marginals(emissions, *self._scores(), mask)

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        pairs = ((self.transitions, self.allowed), (self.start, self.allowed_start), (self.end, self.allowed_end))
        transitions, start, end = (scores.masked_fill(~allowed, -torch.inf) for scores, allowed in pairs)
        return transitions, start, end
