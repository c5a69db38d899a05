"""How answers are found: greedily, with a beam, or drawn."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from saccade.decoding.beam import beam_search
from saccade.decoding.onebyone import Sampling, generator, greedy, sample
from saccade.decoding.penalty import Penalty
from saccade.decoding.steps import Hypothesis, Steps, Symbols, select, some_tensor


class Manner(NamedTuple):
    """How the answers to an input are found, beside how wide a beam is.

    penalty:  of length, by which the answers of a beam are ranked.
    sampling: from what answers are drawn; None: they are searched for.
    seed:     decides what is drawn.
    early:    beginnings are given up that only a larger penalty could save, see `beam_search`.
    """

    penalty: Penalty | None = None
    sampling: Sampling | None = None
    seed: int = 1
    early: bool = False


SEARCHED = Manner()
"""By log-probability."""


def decode(
    model: Steps,
    memory: Any,
    state: Any,
    symbols: Symbols,
    limits: Sequence[int],
    *,
    beam: int = 1,
    nbest: int = 1,
    manner: Manner = SEARCHED,
    keys: Sequence[bytes] = (),
) -> list[list[Hypothesis]]:
    """The `nbest` best answers of each row, best first, fewer where there are fewer; or so many that are drawn, in the
    order of drawing.

    Args:
        beam: how wide, at least `nbest`; 1: greedy.
        keys: for drawing, what each row is of: the same key and seed draw the same noise, whatever stands beside it.

    Raises:
        ValueError: a beam where answers are drawn.
    """
    if manner.sampling is None:
        beam = max(beam, nbest)
        if beam == 1:
            return [[answer] for answer in greedy(model, memory, state, symbols, limits)]
        how: dict[str, Any] = {"penalty": manner.penalty, "early": manner.early}
        return beam_search(model, memory, state, symbols, limits, beam, best=nbest, **how)
    if beam != 1:
        raise ValueError(f"beam must be 1 where answers are drawn; got {beam}")
    if not limits:
        return []
    rows = len(limits)
    each = torch.arange(rows, device=some_tensor(state).device).repeat_interleave(nbest)
    memory, state = (select(tree, each, rows) for tree in (memory, state))
    generators = [generator(manner.seed, key, number) for key in keys for number in range(nbest)]
    repeated = [limit for limit in limits for _ in range(nbest)]
    drawn = sample(model, memory, state, symbols, repeated, generators, manner.sampling)
    return [drawn[begin : begin + nbest] for begin in range(0, len(drawn), nbest)]
