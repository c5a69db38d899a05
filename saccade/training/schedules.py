"""How the learning rate rises and falls."""

import math

from saccade.tasks.course import ScheduleName


def learning_rate_factor(step: int, total: int, *, schedule: ScheduleName = "linear", warm_up: int = 0) -> float:
    """What the highest learning rate is multiplied with at a step.

    It rises straight over the first `warm_up` steps. Then `linear` holds it and falls straight to zero over the second
    half; `inverse-sqrt` falls as `sqrt(warm_up / step)` (Vaswani et al. 2017, eq. 3); `cosine` falls to zero as
    `(1 + cos(pi t)) / 2`, t the share of the steps after the rise (Loshchilov and Hutter 2017, eq. 5); `constant`
    holds.

    Args:
        step: from 0.
        total: steps of the whole training.
        warm_up: 0: 100 steps, or a tenth of all if that is less.

    >>> [round(learning_rate_factor(step, 1000), 2) for step in (0, 49, 99, 500, 750, 999)]
    [0.01, 0.5, 1.0, 1.0, 0.5, 0.0]
    >>> round(learning_rate_factor(399, 1000, schedule="inverse-sqrt"), 2)
    0.5
    """
    warm_up = warm_up or max(min(100, total // 10), 1)
    rise = min((step + 1) / warm_up, 1.0)
    match schedule:
        case "inverse-sqrt":
            return rise * math.sqrt(warm_up / max(step + 1, warm_up))
        case "cosine":
            share = max(step - warm_up, 0) / max(total - warm_up, 1)
            return rise * (1 + math.cos(math.pi * min(share, 1.0))) / 2
        case "constant":
            return rise
    return min(rise, 2 * (total - step) / total)
