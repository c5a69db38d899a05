"""Several models that are asked together at each step."""

from collections.abc import Callable, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor

from saccade.decoding.steps import Scored, Steps, log_probabilities, shares

Mix = Callable[[Tensor], Tensor]
"""From the log-probabilities of each model, `[models, batch, vocab]`, to scores `[batch, vocab]`."""


def arithmetic(logs: Tensor) -> Tensor:
    """The log of the mean of probabilities, `log sum_m p_m - log M`: a model that is sure decides.

    >>> arithmetic(torch.tensor([[0.5], [0.1]]).log()).exp().round(decimals=4)
    tensor([0.3000])
    """
    return logs.logsumexp(0) - log(len(logs))


def geometric(logs: Tensor) -> Tensor:
    """The mean of log-probabilities, not made to sum to one again, so that an answer's score is the mean of those that
    the models give it: a model that forbids decides.

    >>> geometric(torch.tensor([[0.5], [0.125]]).log()).exp()
    tensor([0.2500])
    """
    return logs.mean(0)


class Ensemble:
    """Models as one, for every search: each reads the token and keeps a state of its own, and what they say is mixed.

    Memory and state are tuples, one of each model. Its weights are the mean of the models' where all show weights of
    one shape, else those of the first.

    Args:
        models: whatever can take a step, all over the same tokens.
        mix: `arithmetic` or `geometric`.

    Raises:
        ValueError: there are no models.
    """

    def __init__(self, models: Sequence[Steps], mix: Mix = arithmetic):
        if not models:
            raise ValueError("models must be at least one; got none")
        self.models, self.mix = tuple(models), mix

    def shares(self, memory: tuple[Any, ...]) -> bool:
        """Whether the beginnings of a row can read one memory of each model."""
        return all(shares(model, source) for model, source in zip(self.models, memory, strict=True))

    def step(self, token: Tensor, memory: tuple[Any, ...], state: tuple[Any, ...]) -> Scored:
        """Read the previous token `[batch]` and score the next."""
        given = zip(self.models, memory, state, strict=True)
        said = [model.step(token, source, before) for model, source, before in given]
        scores = self.mix(torch.stack([log_probabilities(one) for one in said])).clamp(max=0.0)
        return Scored(scores, _mean([one.weights for one in said]), tuple(one.state for one in said))


def _mean(weights: Sequence[Tensor | None]) -> Tensor | None:
    shown = [one for one in weights if one is not None]
    alike = len(shown) == len(weights) and len({one.shape for one in shown}) == 1
    return torch.stack(shown).mean(0) if alike else weights[0]


def together(models: Sequence[Steps], begun: Sequence[tuple[Any, Any]]) -> tuple[Steps, Any, Any]:
    """What is searched, its memory and its first state, of models that each have begun: of one model its own."""
    if len(models) == 1:
        return models[0], *begun[0]
    return Ensemble(models), tuple(memory for memory, _ in begun), tuple(state for _, state in begun)
