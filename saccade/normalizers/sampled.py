"""Weights that are drawn: by noise that a gradient passes (Gumbel-softmax) or by a choice that it does not (REINFORCE).

The functions take the noise, standard Gumbel; the modules draw it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from saccade.normalizers.base import Mask, Normalizer, Scores, check_above, confined, precise, wiped
from saccade.normalizers.hard import argmax, passed_through
from saccade.normalizers.soft import softmax


def gumbel_noise(shape_like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise, `g = -log(-log u)` with u uniform on (0, 1), always finite.

    Args:
        shape_like: its shape and device; float64 for float64, else float32.
        generator: what to draw from; PyTorch's own where None.

    >>> gumbel_noise(torch.zeros(2, 3, 5), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 5])
    """
    # -log u has an exponential distribution.
    exponential = torch.empty_like(precise(shape_like)).exponential_(generator=generator)
    return -exponential.clamp(min=torch.finfo(exponential.dtype).tiny).log()


def gumbel_softmax(
    scores: Scores, mask: Mask | None = None, *, noise: Scores, temperature: float | Tensor = 1.0
) -> Scores:
    """A relaxed draw from softmax(s): `w_j = exp((s_j + g_j) / T) / sum_k exp((s_k + g_k) / T)`.

    Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax", Eq. 2; Maddison et al. 2017, "The Concrete
    Distribution".

    Args:
        scores: log pi up to a constant, `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.
        noise: g, standard Gumbel, broadcastable to `scores`; see `gumbel_noise`.
        temperature: T, above 0; towards 0 the draw becomes one-hot.

    Raises:
        ValueError: a temperature that is not above 0.

    >>> gumbel_softmax(torch.zeros(1, 2), noise=torch.tensor([[5.0, 5.0]])).tolist()
    [[0.5, 0.5]]
    """
    return softmax(precise(scores) + noise, mask, temperature).to(scores.dtype)


def gumbel_straight_through(
    scores: Scores, mask: Mask | None = None, *, noise: Scores, temperature: float | Tensor = 1.0
) -> Scores:
    """Forward, exactly `sample`; backward, the gradient of `gumbel_softmax`. Jang et al. 2017, §2.2.

    Arguments and errors as for `gumbel_softmax`.

    >>> gumbel_straight_through(torch.zeros(1, 3), noise=torch.tensor([[0.1, 0.9, 0.2]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    soft = gumbel_softmax(scores, mask, noise=noise, temperature=temperature)
    return passed_through(sample(scores, mask, noise=noise), soft)


def sample(scores: Scores, mask: Mask | None = None, *, noise: Scores) -> Scores:
    """A one-hot draw from softmax(s) by the Gumbel-max trick, without gradient: one at `argmax_j s_j + g_j`.

    Xu et al. 2015, "Show, Attend and Tell", §4.1 (stochastic hard attention); its scores learn from
    `log_probability` and `entropy`.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.
        noise: g, standard Gumbel, broadcastable to `scores`; see `gumbel_noise`.

    >>> sample(torch.zeros(1, 3), noise=torch.tensor([[0.1, 0.9, 0.2]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return argmax(precise(scores) + noise, mask).to(scores.dtype)


def log_probability(scores: Scores, weights: Scores, mask: Mask | None = None) -> Float[Tensor, "*batch query"]:
    """How likely a draw was, `log softmax(s)_j` at the slot j that was chosen; 0 for a row that may look nowhere.

    Xu et al. 2015, §4.1: its gradient times the reward is that of REINFORCE.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        weights: the draw, one-hot rows as `sample` gives them, `[..., query, key]`.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> log_probability(torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]])).exp().tolist()
    [0.25]
    """
    logs = confined(precise(scores), mask).log_softmax(-1)
    return torch.where(weights != 0, logs, 0.0).sum(-1).to(scores.dtype)


def entropy(scores: Scores, mask: Mask | None = None) -> Float[Tensor, "*batch query"]:
    """How undecided softmax(s) is, `-sum_j w_j log w_j` in nats; 0 for a row that may look nowhere.

    Xu et al. 2015, §4.1, add it to the objective.

    Args:
        scores: `[..., query, key]`, any floating dtype; the result has the same.
        mask: boolean, broadcastable to `scores`, True = may attend.

    >>> entropy(torch.zeros(1, 4)).exp().tolist()
    [4.0]
    """
    logs = confined(precise(scores), mask).log_softmax(-1)
    # 0 log 0 is 0, and so is its gradient.
    terms = -logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)
    return wiped(terms, mask).sum(-1).to(scores.dtype)


class RandomNormalizer(Normalizer):
    """A module over a function of noise; a subclass defines `draw`."""

    random = True

    def draw(self, scores: Tensor, mask: Tensor | None, noise: Tensor) -> Tensor:
        """The weights of these scores and this noise."""
        raise TypeError(f"{type(self).__name__} defines no draw")

    def forward(
        self, scores: Scores, mask: Mask | None = None, noise: Tensor | torch.Generator | None = None
    ) -> Scores:
        """Weights `[..., query, key]` in the dtype of the scores.

        Args:
            scores: `[..., query, key]`, any floating dtype.
            mask: boolean, broadcastable to `scores`, True = may attend.
            noise: a tensor is the noise; a generator draws it; without one, PyTorch's own draws it in training, and
                in evaluation there is none: the best slot is taken.
        """
        if not isinstance(noise, Tensor):
            drawn = self.training or noise is not None
            noise = gumbel_noise(scores, noise) if drawn else torch.zeros_like(scores)
        return self.draw(scores, mask, noise)


class Gumbel(RandomNormalizer):
    """`gumbel_straight_through` at a fixed temperature.

    >>> Gumbel(temperature=0.5).eval()(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[0.0, 1.0, 0.0]]
    """

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        check_above("temperature", temperature, 0.0)
        self.temperature = temperature

    def draw(self, scores: Tensor, mask: Tensor | None, noise: Tensor) -> Tensor:
        return gumbel_straight_through(scores, mask, noise=noise, temperature=self.temperature)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


class Sample(RandomNormalizer):
    """`sample`: no gradient reaches the scores but that of REINFORCE.

    Args:
        expected: the share of examples for which, in training, a mechanism takes the expected value softmax(s) of every
            draw, through which gradients flow (Xu et al. 2015, §4.1, with 0.5). The normaliser itself always draws.

    >>> Sample().eval()(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[0.0, 1.0, 0.0]]
    """

    reinforced = True

    def __init__(self, expected: float = 0.0):
        super().__init__()
        if not 0 <= expected <= 1:
            raise ValueError(f"expected, a share, must be from 0 to 1; got {expected}")
        self.expected = expected

    def draw(self, scores: Tensor, mask: Tensor | None, noise: Tensor) -> Tensor:
        return sample(scores, mask, noise=noise)

    def extra_repr(self) -> str:
        return f"expected={self.expected:g}" if self.expected else ""
