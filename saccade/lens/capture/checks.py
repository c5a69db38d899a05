"""Whether what is shown is what happened: recomputed rows against what really came out."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch

from saccade.lens.capture.call import Call
from saccade.lens.capture.pieces import difference, made
from saccade.lens.capture.recorder import Recorded

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""The difference, as a part of the largest value, that the arithmetic of each dtype explains."""


class Check(NamedTuple):
    """What comparing some rows of `A V` with the real output says.

    status:     "exact": they agree. "differs": they do not, so the weights are not to be trusted. "dropped": weights
                were dropped in training, which ones cannot be known; shown is what they were before. "not finite":
                the model's own numbers are not. "as given": the model itself gave these weights. "unchecked": there
                is nothing to compare with.
    difference: the largest one, as a part of the largest value; None where nothing was compared.
    """

    status: Literal["exact", "differs", "dropped", "not finite", "as given", "unchecked"]
    difference: float | None = None

    def __str__(self) -> str:
        return self.status if self.difference is None else f"{self.status} ({self.difference:.1e})"

    def warning(self, name: str) -> str | None:
        """One line for whoever looks, where there is something to say."""
        if self.status == "differs":
            return (
                f"{name}: recomputed weights do not explain the output ({self.difference:.1e} apart): do not trust them"
            )
        if self.status == "dropped":
            return f"{name}: dropout was at work; which weights it dropped cannot be shown, these are those before"
        if self.status == "not finite":
            return f"{name}: the model's output has NaN or infinity in it, so have the weights"
        return None


def checked(records: Sequence[Recorded]) -> Check:
    """The check of one table: the worst of its parts."""
    if any(record.piece.dropout for record in records):
        return Check("dropped")
    worst, bound, own = 0.0, math.inf, True
    for record in records:
        if record.error is not None:
            found, dtype = float(record.error), record.dtype
        elif record.sample is not None:
            call = made(record.piece)
            if not isinstance(call, Call):
                continue
            found, dtype = float(difference(call, record.sample)), record.sample.output.dtype
        else:
            own = own and record.route == "ours"
            continue
        own = False
        if not math.isfinite(found):
            return Check("not finite")
        worst, bound = max(worst, found), min(bound, TOLERANCE[dtype or torch.float32])
    if math.isinf(bound):
        return Check("as given" if own else "unchecked")
    return Check("exact" if worst <= bound else "differs", worst)
