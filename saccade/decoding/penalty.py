"""Penalties of length: an answer's rank is its score divided by one, so that short answers do not always win.

A penalty is a function of how many tokens an answer has, the end token counted: positive, and never smaller for a
longer answer.
"""

from collections.abc import Callable

Penalty = Callable[[int], float]


def power(alpha: float) -> Penalty:
    """`|Y|^alpha`: with 1 answers are ranked by the mean log-probability of their tokens, with 0 by the whole.

    Raises:
        ValueError: alpha is below 0, which would punish length twice.

    >>> power(0.5)(9)
    3.0
    """
    _check(alpha)
    return lambda length: float(length**alpha)


def wu(alpha: float) -> Penalty:
    """`((5 + |Y|) / 6)^alpha` (Wu et al. 2016, eq. 14); the paper found alpha from 0.6 to 0.7 best.

    Raises:
        ValueError: alpha is below 0.

    >>> wu(0.5)(19)
    2.0
    """
    _check(alpha)
    return lambda length: float(((5 + length) / 6) ** alpha)


def _check(alpha: float) -> None:
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha must be a number of at least 0; got {alpha}")
