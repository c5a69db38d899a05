"""Dropout: numbers that are left out in training, drawn fast on a CPU; the same ones at every step of a sequence."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16


def dropout(input: Float[Tensor, "..."], p: float = 0.5, training: bool = True) -> Float[Tensor, "..."]:
    """`input * m / (1 - p)`, each m 0 with probability p and else 1 (Srivastava et al. 2014, §4).

    `torch.nn.functional.dropout`, but that a number on a CPU takes 16 random bits in place of 64, and less time, so
    that p is rounded to a multiple of 2^-16. Weights of attention are dropped as PyTorch's kernels drop them.

    Args:
        input: any shape, of floating point.
        p: from 0 to 1.
        training: False: nothing is dropped.

    >>> sorted(set(dropout(torch.ones(1000), 0.5).tolist()))
    [0.0, 2.0]
    >>> dropout(torch.ones(2), 0.5, training=False)
    tensor([1., 1.])
    """
    level = round(p * _LEVELS)
    if not training or input.device.type != "cpu" or not 0 < level < _LEVELS:
        return functional.dropout(input, p, training)
    drawn = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = drawn[: input.numel()].view(input.shape) >= level - _LEVELS // 2
    return input * kept.to(input.dtype).mul_(_LEVELS / (_LEVELS - level))


class Dropout(nn.Dropout):
    """`dropout` as a module.

    >>> Dropout(0.1).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Drop in training; what comes in as it is otherwise."""
        return dropout(input, self.p, self.training)


class VariationalDropout(Dropout):
    """One mask for all steps of a sequence: `x_t * m / (1 - p)`, m drawn once (Gal and Ghahramani 2016, §4).

    The paper drops what each layer reads and its recurrent state; here it is what each layer reads and what is
    predicted from, for states live inside fused kernels. A single step `[batch, dim]` is dropped as by `Dropout`.

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


def dropout_of(p: float, *, variational: bool) -> Dropout:
    """Dropout of every number by itself, or of the same ones at every step.

    >>> dropout_of(0.1, variational=True)
    VariationalDropout(p=0.1, inplace=False)
    """
    return VariationalDropout(p) if variational else Dropout(p)
