"""Whether an explanation is faithful: what an answer is worth without what it points at, and with that alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Score = Callable[[NDArray[np.bool_]], ArrayLike]
"""From which tokens are kept, `[variant, token]`, to the score of the answer with those alone, `[variant]`."""

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of tokens over which DeYoung et al. 2020, §4, average."""


class Faithfulness(NamedTuple):
    """How the score of an answer falls, and comes back, with the tokens that each explanation names first.

    shares:            of the tokens that were taken away, or are left, from 0 to 1, `[step]`.
    deletion:          for each explanation the score with the most important share taken away, `[step]`: the faster it
                       falls, the better.
    insertion:         for each the score with that share alone, `[step]`: the faster it rises, the better.
    comprehensiveness: for each the mean fall of the score when its first 1, 5, 10, 20, 50 % are taken away (DeYoung et
                       al. 2020, eq. 1): high is faithful.
    sufficiency:       for each the mean fall when they alone are left (eq. 2): low is faithful.
    """

    shares: NDArray[np.float64]
    deletion: dict[str, NDArray[np.float64]]
    insertion: dict[str, NDArray[np.float64]]
    comprehensiveness: dict[str, float]
    sufficiency: dict[str, float]

    def table(self) -> list[tuple[str, float, float]]:
        """Each explanation with its comprehensiveness and sufficiency, the most comprehensive first."""
        rows = [(name, fall, self.sufficiency[name]) for name, fall in self.comprehensiveness.items()]
        return sorted(rows, key=lambda row: -row[1])


def faithfulness(
    score: Score,
    explanations: Mapping[str, ArrayLike],
    *,
    removable: ArrayLike | None = None,
    steps: int = 10,
    random: int = 10,
    seed: int = 0,
) -> Faithfulness:
    """Deletion and insertion curves of explanations beside those of a random order (Petsiuk et al. 2018, §3.2).

    Attention is not by itself an explanation (Jain and Wallace 2019), nor never one (Wiegreffe and Pinter 2019): this
    measures it for one answer of one model. Taking away words may leave a text that the model was never made for, so
    compare with the random order, not with zero.

    Args:
        score: of the answer, with some tokens alone; called with many variants at once.
        explanations: for each name how important each token is, `[token]`; of equals the first comes first.
        removable: which tokens may be taken away, boolean `[token]`, all where None; the others always stay.
        steps: how many steps of a curve.
        random: over how many random orders the row "random" is the mean; 0: none.
        seed: of those orders.

    Raises:
        ValueError: nothing that may be taken away, an explanation of another length or of NaN, or one that is called
            "random".

    >>> words = np.array([0.7, 0.2, 0.1])
    >>> found = faithfulness(lambda kept: kept @ words, {"right": words, "wrong": -words}, steps=3)
    >>> found.deletion["right"].round(1).tolist(), found.deletion["wrong"].round(1).tolist()
    ([1.0, 0.3, 0.1, 0.0], [1.0, 0.9, 0.7, 0.0])
    """
    if "random" in explanations:
        raise ValueError("explanations must not be called random, which is the row to compare with")
    if not explanations:
        raise ValueError("explanations must name at least one; got none")
    given = {name: np.asarray(values, dtype=np.float64) for name, values in explanations.items()}
    length = len(next(iter(given.values())))
    may = np.ones(length, bool) if removable is None else np.asarray(removable, dtype=bool)
    if may.shape != (length,) or not may.any():
        raise ValueError(f"removable must be boolean [token] = [{length}] with one true at least; got {may.tolist()}")
    for name, values in given.items():
        if values.shape != (length,) or np.isnan(values).any():
            raise ValueError(f"explanation {name} must be numbers [token] = [{length}]; got {list(values.shape)}")
    places = np.flatnonzero(may)
    orders = {name: [places[np.argsort(-values[places], kind="stable")]] for name, values in given.items()}
    if random:
        chance = np.random.default_rng(seed)
        orders["random"] = [chance.permutation(places) for _ in range(random)]
    return _measured(score, orders, may, steps)


def _measured(
    score: Score, orders: Mapping[str, Sequence[NDArray[np.intp]]], may: NDArray[np.bool_], steps: int
) -> Faithfulness:
    many = int(may.sum())
    shares = np.linspace(0, 1, steps + 1)
    counts = [*np.rint(shares * many).astype(int), *(max(round(share * many), 1) for share in BINS)]
    every = [order for some in orders.values() for order in some]
    kept = np.ones((len(every), 2, len(counts), len(may)), bool)
    for row, order in enumerate(every):
        for column, count in enumerate(counts):
            kept[row, 0, column, order[:count]] = False
            kept[row, 1, column, order[count:]] = False
    variants, which = np.unique(kept.reshape(-1, len(may)), axis=0, return_inverse=True)
    values = np.asarray(score(variants), dtype=np.float64)
    if values.shape != (len(variants),):
        raise ValueError(f"score must give one number for each of {len(variants)} variants; got {list(values.shape)}")
    found = values[which.ravel()].reshape(kept.shape[:3])
    whole = found[0, 0, 0]
    curves, falls, first = {}, {}, 0
    for name, some in orders.items():
        mean = found[first : first + len(some)].mean(0)
        first += len(some)
        curves[name], falls[name] = mean[:, : steps + 1], whole - mean[:, steps + 1 :].mean(1)
    return Faithfulness(
        shares,
        *({name: curve[side] for name, curve in curves.items()} for side in (0, 1)),
        *({name: float(fall[side]) for name, fall in falls.items()} for side in (0, 1)),
    )
