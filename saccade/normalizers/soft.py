"""Dense weights: every allowed slot gets some."""

import torch
from torch import Tensor

from saccade.normalizers.base import Mask, Normalizer, Scores, below_top, check_above, confined, wiped


def softmax(scores: Scores, mask: Mask | None = None, temperature: float | Tensor = 1.0) -> Scores:
    """Weights that sum to one over the slots that may be attended: `w_j = exp(s_j / T) / sum_k exp(s_k / T)`.

    A row with no allowed slot gets zero weights and a zero gradient, never NaN. What stands under the mask, NaN and
    infinity included, has no influence.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.
        temperature: T, above 0: small ones sharpen. A tensor is broadcastable to `scores` and may learn.

    Raises:
        ValueError: a temperature that is not above 0.

    >>> softmax(torch.zeros(1, 4), torch.tensor([[True, True, False, False]])).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    check_above("temperature", temperature, 0.0)
    if not isinstance(temperature, Tensor) and temperature == 1.0:
        x = confined(scores, mask)
    else:
        x = below_top(scores, mask)
        # The lowest finite number, not -inf, and a product, not a quotient: the temperature's gradient is then finite.
        x = x.clamp(min=torch.finfo(x.dtype).min) * (1.0 / temperature)
    return wiped(x.softmax(-1), mask).to(scores.dtype)


def sigmoid(scores: Scores, mask: Mask | None = None) -> Scores:
    """A weight for each slot by itself, with no sum to one: `w_j = 1 / (1 + exp(-s_j))`.

    Ramapuram et al. 2025, "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", §2. Their bias of
    `-log(key)`, which keeps long rows small, belongs to the scores. A NaN stays in its own slot.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> sigmoid(torch.tensor([[0.0, 90.0, torch.nan]]), torch.tensor([True, True, False])).tolist()
    [[0.5, 1.0, 0.0]]
    """
    return wiped(wiped(scores, mask).sigmoid(), mask)


class Softmax(Normalizer):
    """`softmax` at a fixed temperature.

    >>> Softmax(temperature=2.0)(torch.zeros(1, 4)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        check_above("temperature", temperature, 0.0)
        self.temperature = temperature

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return softmax(scores, mask, self.temperature)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


class Sigmoid(Normalizer):
    """`sigmoid`.

    >>> Sigmoid()(torch.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return sigmoid(scores, mask)
