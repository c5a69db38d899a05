"""Reversible instance normalisation: each series by its own mean and deviation, and forecasts back into its units."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from saccade.attention.results import exportable
from saccade.normalizers.base import precise


@exportable
class InstanceStatistics(NamedTuple):
    """What a batch of series was normalised by, each variable of each series by its own.

    mean: `[batch, 1, variable]`.
    std:  likewise, with eps in it, so that it is never zero.
    """

    mean: Tensor
    std: Tensor

    def of(self, variables: Sequence[int]) -> "InstanceStatistics":
        """Those of some variables, in this order."""
        return InstanceStatistics(self.mean[..., list(variables)], self.std[..., list(variables)])


def instance_statistics(
    x: Float[Tensor, "batch time variable"], *, mask: Bool[Tensor, "batch time"] | None = None, eps: float = 1e-5
) -> InstanceStatistics:
    """Mean and deviation of each variable over the time of each series (Kim et al. 2022, eq. 1).

    `E[x] = sum_t x_t / T`, `Var[x] = sum_t (x_t - E[x])^2 / T`, `std = sqrt(Var[x] + eps)`, in float32 or better. The
    paper's learned scale and shift are left out: a linear layer behind can learn them, and no forecast is divided by
    a scale that has become small.

    Args:
        x: series `[batch, time, variable]`.
        mask: True where there is a step; the others have no influence.
        eps: added to the variance; a constant series is divided by `sqrt(eps)`, and so becomes zeros.

    >>> import torch
    >>> x = torch.tensor([[[1.0], [3.0]]])
    >>> [round(float(part), 3) for part in instance_statistics(x)]
    [2.0, 1.0]
    """
    wide = precise(x)
    if mask is None:
        mean = wide.mean(1, keepdim=True)
        return InstanceStatistics(mean, ((wide - mean).square().mean(1, keepdim=True) + eps).sqrt())
    real = mask[..., None]
    count = real.sum(1, keepdim=True).clamp(min=1)
    mean = wide.masked_fill(~real, 0.0).sum(1, keepdim=True) / count
    variance = (wide - mean).masked_fill(~real, 0.0).square().sum(1, keepdim=True) / count
    return InstanceStatistics(mean, (variance + eps).sqrt())


def instance_normalized(x: Tensor, statistics: InstanceStatistics) -> Tensor:
    """`(x - mean) / std`, the shape and dtype of x (Kim et al. 2022, eq. 2)."""
    return ((precise(x) - statistics.mean) / statistics.std).to(x.dtype)


def instance_restored(y: Tensor, statistics: InstanceStatistics) -> Tensor:
    """`y std + mean`: forecasts `[batch, horizon, variable]` in the units of their series (Kim et al. 2022, eq. 3).

    >>> import torch
    >>> x = torch.randn(2, 7, 3)
    >>> statistics = instance_statistics(x)
    >>> torch.allclose(instance_restored(instance_normalized(x, statistics), statistics), x, atol=1e-6)
    True
    """
    return (precise(y) * statistics.std + statistics.mean).to(y.dtype)
