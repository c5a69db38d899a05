"""What every normaliser shares: what a mask does to scores and weights, and the module that holds a function."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Scores = Float[Tensor, "*batch query key"]
Mask = Bool[Tensor, "*batch query key"]


class Normalizer(nn.Module):
    """A module over one of the functions, `forward(scores, mask, noise) -> weights`; a subclass defines `normalize`.

    Attributes:
        random: whether it draws noise.
        reinforced: whether no gradient reaches the scores, so that they need the loss of REINFORCE.
    """

    random: bool = False
    reinforced: bool = False

    def normalize(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """The weights of these scores."""
        raise TypeError(f"{type(self).__name__} defines no normalize")

    def forward(
        self, scores: Scores, mask: Mask | None = None, noise: Tensor | torch.Generator | None = None
    ) -> Scores:
        """Weights `[..., query, key]` in the dtype of the scores.

        Raises:
            ValueError: noise for a module that draws none.
        """
        if noise is not None:
            raise ValueError(f"{type(self).__name__} takes no noise: noise must be None; got {type(noise).__name__}")
        return self.normalize(scores, mask)


def precise(x: Tensor) -> Tensor:
    """Float32 for what comes in a lower precision; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def confined(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores with minus infinity where the mask hides; zeros in a row without an allowed slot, never 0 / 0."""
    if mask is None:
        return scores
    somewhere = mask.any(-1, keepdim=True)
    return torch.where(mask, scores, torch.zeros_like(somewhere, dtype=scores.dtype).masked_fill(somewhere, -torch.inf))


def wiped(weights: Tensor, mask: Tensor | None) -> Tensor:
    """Weights with exact zeros where the mask hides, whatever the row came to."""
    return weights if mask is None else weights.masked_fill(~mask, 0.0)


def top(x: Tensor) -> Tensor:
    """The largest of each row, `[..., query, 1]`, NaN where one is NaN; of no slots, which have none, zero."""
    return x.amax(-1, keepdim=True) if x.shape[-1] else x.sum(-1, keepdim=True)


def below_top(scores: Tensor, mask: Tensor | None) -> Tensor:
    """`x_j = s_j - max_k s_k` of confined scores, at least float32.

    The weights do not change when a row is shifted, so the largest score needs no gradient.
    """
    x = confined(precise(scores), mask)
    return x - top(x.detach())


def check_above(name: str, value: float | Tensor, bound: float) -> None:
    """Refuse a number, or a tensor with an element, that is not above the bound; a compiler sees no data.

    Raises:
        ValueError: naming both.
    """
    good = value > bound
    if isinstance(good, Tensor):
        good = torch.compiler.is_compiling() or bool(good.all())
    if not good:
        raise ValueError(f"{name} must be above {bound:g}; got {value}")
