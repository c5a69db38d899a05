"""Dropout that drops the same numbers at every step of a sequence."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout


class VariationalDropout(nn.Dropout):
    """One mask for all steps of a sequence: `x_t * m / (1 - p)`, m drawn once (Gal and Ghahramani 2016, §4).

    The paper drops what each layer reads and its recurrent state; here it is what each layer reads and what is
    predicted from, for states live inside fused kernels. A single step `[batch, dim]` is dropped as by nn.Dropout.

    >>> import torch
    >>> dropped = VariationalDropout(0.5)(torch.ones(2, 5, 7))
    >>> bool((dropped == dropped[:, :1]).all())
    True
    """

    def forward(self, input: Float[Tensor, "batch time dim"] | Float[Tensor, "batch dim"]) -> Tensor:
        """Drop in training; what comes in as it is otherwise."""
        if not self.training or not self.p:
            return input
        if input.dim() == 2:
            return super().forward(input)
        return input * dropout(input.new_ones(len(input), 1, input.shape[2]), self.p)


def dropout_of(p: float, *, variational: bool) -> nn.Dropout:
    """Dropout of every number by itself, or of the same ones at every step.

    >>> dropout_of(0.1, variational=True)
    VariationalDropout(p=0.1, inplace=False)
    """
    return VariationalDropout(p) if variational else nn.Dropout(p)
