"""Losses on what attention did: on weights, and on what was drawn."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def coverage_loss(
    weights: Float[Tensor, "batch query key"], mask: Bool[Tensor, "batch query"] | None = None
) -> Float[Tensor, " batch"]:
    """How much was read again: `sum_i sum_j min(a_ij, c_ij)`, where `c_ij` is what slot j had before query i.

    See et al. 2017, eq. 10 and 12.

    Args:
        weights: of one example's queries in order, `[batch, query, key]`.
        mask: True for the queries that count, `[batch, query]`; those that do not are as if they were not there.

    >>> coverage_loss(torch.tensor([[[1.0, 0.0], [0.25, 0.75]]])).tolist()
    [0.25]
    """
    if mask is not None:
        weights = weights * mask[..., None]
    covered = weights.cumsum(1) - weights
    return torch.minimum(weights, covered).sum((1, 2))


def alignment_loss(
    weights: Float[Tensor, "batch query key"], links: Bool[Tensor, "batch query key"]
) -> Float[Tensor, " batch"]:
    """How far queries look from where they should: `-sum_i sum_j A_ij log a_ij`.

    A are the links, each row divided by how many it has, so that a query with several looks at all of them alike; a
    query without one may look anywhere. Garg et al. 2019, "Jointly Learning to Align and Translate", section 3, whose
    mean over target tokens is the caller's. A weight below 1e-9 counts as that and has no gradient.

    Args:
        weights: `[batch, query, key]`, each row summing to one at most.
        links: True where a query should look, `[batch, query, key]`.

    >>> links = torch.tensor([[[True, False, True], [False, False, False]]])
    >>> round(alignment_loss(torch.tensor([[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]]), links).exp().item() ** 2, 4)
    8.0
    """
    rows = links / links.sum(-1, keepdim=True).clamp(min=1)
    return -(rows * weights.float().clamp(min=1e-9).log()).sum((1, 2))


def redundancy_penalty(weights: Float[Tensor, "batch hops key"]) -> Float[Tensor, " batch"]:
    """How much several rows of weights look at the same: `|A A^T - I|_F^2` (Lin et al. 2017, eq. 8).

    >>> redundancy_penalty(torch.eye(2)[None]).tolist()
    [0.0]
    """
    same = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
    return (weights @ weights.transpose(1, 2) - same).square().sum((1, 2))


def doubly_stochastic_loss(
    weights: Float[Tensor, "batch query key"],
    mask: Bool[Tensor, "batch query"] | None = None,
    *,
    memory_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, " batch"]:
    """How far every place is from being looked at once in all: `sum_j (1 - sum_i a_ij)^2` (Xu et al. 2015, eq. 14).

    Args:
        weights: of one example's queries, `[batch, query, key]`.
        mask: True for the queries that count, `[batch, query]`.
        memory_mask: True for the slots that there are, `[batch, key]`.

    >>> doubly_stochastic_loss(torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])).tolist()
    [0.5]
    """
    if mask is not None:
        weights = weights * mask[..., None]
    missing = (1 - weights.sum(1)).square()
    return (missing if memory_mask is None else missing * memory_mask).sum(-1)


def quantity_loss(
    weights: Float[Tensor, "batch query key"], mask: Bool[Tensor, "batch query"] | None = None
) -> Float[Tensor, " batch"]:
    """How far each query is from looking once in all: `sum_i |1 - sum_j a_ij|`.

    For monotonic attention, whose expected weights lose what stops nowhere, and which thus learns to stop. The quantity
    loss of Dong and Xu 2020 ("CIF", §3.2) compares the sums of all queries together; here each answers for itself.

    Args:
        weights: of one example's queries, `[batch, query, key]`.
        mask: True for the queries that count, `[batch, query]`.

    >>> quantity_loss(torch.tensor([[[0.5, 0.0], [0.25, 0.75]]])).tolist()
    [0.5]
    """
    missing = (1 - weights.sum(2)).abs()
    return (missing if mask is None else missing * mask).sum(1)


def reinforce_loss(
    log_probability: Float[Tensor, " batch"], reward: Float[Tensor, " batch"], baseline: Float[Tensor, ""] | float
) -> Float[Tensor, ""]:
    """The score-function estimate `-mean((R - b) log p)`, whose gradient is that of `-E[R]`.

    Williams 1992; Xu et al. 2015, §4.1.

    Args:
        log_probability: of all that was drawn for an example, nats, `[batch]`.
        reward: how well that went, `[batch]`; it gets no gradient.
        baseline: what to expect; it takes away variance and no truth, as long as it does not depend on the draw.

    >>> reinforce_loss(torch.tensor([-1.0]), torch.tensor([3.0]), 1.0).item()
    2.0
    """
    return -((reward - baseline).detach() * log_probability).mean()
