"""The linear baseline: ridge regression in closed form, which a model with attention has to beat."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Examples = Iterable[tuple[Tensor, Tensor]]
"""Batches of inputs `[batch, time, variable]` and of what they should give."""


class LinearBaseline(NamedTuple):
    """A fitted baseline.

    weight:  float64 `[feature, output]`.
    bias:    `[output]`.
    targets: of a forecast, the variables that are predicted; None: answers are numbers about the whole sequence.
    """

    weight: Tensor
    bias: Tensor
    targets: tuple[int, ...] | None

    def __call__(self, x: Float[Tensor, "batch time variable"]) -> Tensor:
        """Answers `[batch, output]`, or forecasts `[batch, horizon, target]`, in the dtype of x."""
        features, last = _features(x, self.targets)
        answers = features @ self.weight + self.bias + last
        return (answers if self.targets is None else answers.transpose(1, 2)).to(x.dtype)


def linear_baseline(examples: Examples, *, targets: Sequence[int] | None = None, ridge: float = 0.01) -> LinearBaseline:
    """The ridge regression of answers on whole sequences, or of the next steps of a series on those before.

    `W, b = argmin sum_n |y_n - W x_n - b|^2 + ridge N |W|^2` over N rows. Sequences are flattened to one row each. A
    forecast is made of each variable by itself, with the same weights for all of them, from the window without its
    last step, which both sides are taken relative to: `y - x_T = W (x - x_T) + b` (NLinear of Zeng et al. 2023, §4).
    Only sums of products are kept, in float64, so that the examples may be more than fit into memory.

    Args:
        examples: batches of inputs `[batch, time, variable]` with targets `[batch, output]`, or with the next steps
            `[batch, horizon, target]`.
        targets: of a forecast, the variables that are predicted.
        ridge: how much large weights cost; at 0 the smallest of the best weights are taken.

    Raises:
        ValueError: a negative ridge, or no examples.

    >>> x = torch.randn(50, 3, 2)
    >>> fitted = linear_baseline([(x, x.sum((1, 2))[:, None])], ridge=0.0)
    >>> torch.allclose(fitted.weight, torch.ones(6, 1, dtype=torch.float64), atol=1e-6)
    True
    """
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0; got {ridge}")
    chosen = None if targets is None else tuple(targets)
    total: Tensor | None = None
    for x, y in examples:
        features, last = _features(x, chosen)
        answers = y.double() if chosen is None else y.double().transpose(1, 2) - last
        ones = features.new_ones(*features.shape[:-1], 1)
        rows = torch.cat([ones, features, answers], -1).flatten(0, -2)
        inputs = features.shape[-1]
        products = rows.T @ rows
        total = products if total is None else total + products
    if total is None:
        raise ValueError("examples must hold at least one batch; got none")
    # Over deviations from the mean, so that the ridge leaves the bias alone.
    count, sums = total[0, 0], total[0, 1:]
    centred = total[1:, 1:] / count - sums[:, None] * sums / count**2
    gram = centred[:inputs, :inputs] + ridge * torch.eye(inputs, dtype=torch.float64, device=total.device)
    weight = torch.linalg.pinv(gram, hermitian=True) @ centred[:inputs, inputs:]
    return LinearBaseline(weight, (sums[inputs:] - sums[:inputs] @ weight) / count, chosen)


def _features(x: Tensor, targets: tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
    """What is multiplied, `[batch, feature]` or `[batch, target, feature]`, and the last steps that are added."""
    wide = x.double()
    if targets is None:
        return wide.flatten(1), wide.new_zeros(())
    series = wide[..., list(targets)].transpose(1, 2)
    return series[..., :-1] - series[..., -1:], series[..., -1:]
