"""What reaches a position through all layers: rollout and relevance, one vector at a time and never a matrix."""

import re
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saccade.lens.capture.call import Call
from saccade.lens.capture.site import Site

Flow = Callable[[Sequence[Site], Tensor], Tensor]


def rollout(sites: Sequence[Site], target: Int[Tensor, " batch"]) -> Float[Tensor, "batch key"]:
    """How much of each input token is in one position of the last layer (Abnar and Zuidema 2020, eq. 1).

    `r = e_target A~_L ... A~_1` from the left, with `A~ = (mean_h A_h + I) / 2` and rows that sum to one.

    Raises:
        ValueError: no such target.
    """
    r = _start(sites, target)
    for site in reversed(sites):
        mean = r[:, None].expand(-1, site.shape[1], -1) / site.shape[1]
        if (sums := _row_sums(site)) is not None:
            whole = (sums + 1) / 2
            r, mean = r / whole, mean / whole[:, None]
        r = (r + site.coverage(mean).sum(1)) / 2
    return r


def relevance(sites: Sequence[Site], target: Int[Tensor, " batch"]) -> Float[Tensor, "batch key"]:
    """How much each input token matters for what a loss took from one position (Chefer et al. 2021, eq. 5 and 6).

    `r = e_target (I + A^_L) ... (I + A^_1)` with `A^ = mean_h (dL/dA o A)+`.

    Raises:
        ValueError: no such target; no gradients.
    """
    r = _start(sites, target)
    for site in reversed(sites):
        r = r + site.relevance(r)
    return r


def stack_of(sites: Sequence[Site]) -> list[Site]:
    """The self-attentions of one stack of layers, from the first to the last.

    Raises:
        ValueError: there are none, or those of several stacks.
    """
    square = [site for site in sites if site.kind == "self" and site.shape[2] == site.shape[3]]
    stacks = {(site.shape[0], *site.shape[2:], re.sub(r"\d+", "*", site.name.split("#")[0])): site for site in square}
    if len(stacks) != 1:
        found = ", ".join(str(key[-1]) for key in stacks) or "none"
        raise ValueError(f"sites must be the self-attentions of one stack of layers; found {found}: say sites=...")
    return square


def positions(sites: Sequence[Site], target: int | Tensor, real: Tensor | None) -> Int[Tensor, " batch"]:
    """The position that is asked about in each sequence; from the end, it is counted from the last that is no padding.

    Args:
        real: which positions are no padding, boolean `[batch, key]`; None: all.

    Raises:
        ValueError: no such position.
    """
    batch, _, queries, _ = sites[0].shape
    at = torch.as_tensor(target).expand(batch)
    there = torch.ones(batch, queries, dtype=torch.bool) if real is None else real.cpu()
    counts = there.sum(1)
    if bool((at < -counts).any()) or bool((at >= queries).any()):
        raise ValueError(f"target must be a row from 0 to {queries - 1}; got {at.tolist()}")
    nth = there & (there.cumsum(1) == (counts + at + 1)[:, None])
    return torch.where(at < 0, nth.int().argmax(1), at)


def _start(sites: Sequence[Site], target: Tensor) -> Tensor:
    queries = sites[0].shape[2]
    if missing := next((site for site in sites if len(site.places) < queries), None):
        raise ValueError(f"every row of every layer is needed; of {missing.name} look(rows=...) kept only a few")
    return torch.nn.functional.one_hot(target, queries).to(torch.float32)


def _row_sums(site: Site) -> Tensor | None:
    """What the mean row of a site sums to, `[batch, query]`; None where it is one."""
    sinks = any(isinstance(piece, Call) and piece.sinks is not None for piece in site.made_pieces())
    if not sinks and bool((site.seen_slots() > 0).all()):
        return None
    return site.mass(torch.ones(1, site.shape[3], 1))[..., 0].mean(1)
