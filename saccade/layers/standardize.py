"""Inputs brought to mean 0 and variance 1, by what a training set had."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Standardize(nn.Module):
    """`(x - mean) / std` for each feature or channel, and zero behind the end of each example.

    Args:
        mean, std: of each; a std of zero, of what never changes, counts as one.

    >>> standardize = Standardize([1.0, 0.0], [2.0, 0.0])
    >>> standardize(torch.ones(1, 2, 2), torch.tensor([[1]])).tolist()
    [[[0.0, 1.0], [0.0, 0.0]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor([value or 1.0 for value in std], dtype=torch.float32))

    def forward(self, x: Tensor, sizes: Int[Tensor, "batch axes"]) -> Float[Tensor, "batch *axes dim"]:
        """Standardise `[batch, ..., dim]`, numbers of any dtype, of which `sizes` are real along each axis."""
        real = torch.ones((), dtype=torch.bool, device=x.device)
        for axis, size in enumerate(sizes.unbind(1)):
            place = torch.arange(x.shape[axis + 1], device=x.device)
            shape = [1] * (x.dim() - 1)
            shape[axis + 1] = -1
            real = real & (place.view(shape) < size.view(-1, *[1] * (x.dim() - 2)))
        return ((x.float() - self.mean) / self.std) * real[..., None]
