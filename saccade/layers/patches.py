"""Patches: a few neighbouring steps of a series become one token, and weights of tokens weights of steps."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from saccade.errors import at_least_one


class PatchEmbedding(nn.Module):
    """Overlapping patches of a series as vectors: `x_d = W_p x_p + b` (Nie et al. 2023, §3.1).

    Patches of `patch` steps begin every `stride` steps; there are `ceil((time - patch) / stride) + 1`. The last one
    ends at the last step: what is missing of the first one repeats the first step. (The paper repeats the last step
    after the end.) Patches of one step are the steps themselves.

    Args:
        variables: how many numbers a step has; a patch has all of them side by side.
        dim: width of a token.
        patch: steps in a patch.
        stride: steps from one patch to the next, at most `patch`, so that every step is in one.

    Raises:
        ValueError: a size below one, or a stride that leaves steps out.

    >>> import torch
    >>> PatchEmbedding(3, 8, patch=5, stride=2)(torch.zeros(2, 12, 3)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, variables: int, dim: int, *, patch: int = 1, stride: int = 1):
        super().__init__()
        at_least_one({"variables": variables, "dim": dim, "patch": patch, "stride": stride})
        if stride > patch:
            raise ValueError(f"stride must be at most patch = {patch}, so that no step is left out; got {stride}")
        self.variables, self.patch, self.stride = variables, patch, stride
        self.project = nn.Linear(patch * variables, dim)

    def tokens(self, time: int) -> int:
        """How many patches there are of so many steps."""
        return max(-(-(time - self.patch) // self.stride), 0) + 1

    def forward(self, x: Float[Tensor, "batch time variable"]) -> Float[Tensor, "batch token dim"]:
        """Embed series of at least one step.

        Raises:
            ValueError: another number of axes, another number of variables, or no steps.
        """
        if x.dim() != 3 or x.shape[2] != self.variables or not x.shape[1]:
            raise ValueError(f"x must be [batch, time, {self.variables}] with at least one step; got {list(x.shape)}")
        patches = pad(x.transpose(1, 2), (self.missing(x.shape[1]), 0), mode="replicate")
        patches = patches.unfold(2, self.patch, self.stride)  # [batch, variable, token, patch]
        embedded: Tensor = self.project(patches.permute(0, 2, 3, 1).flatten(2))
        return embedded

    def missing(self, time: int) -> int:
        """How many steps the first patch lacks."""
        return self.patch + (self.tokens(time) - 1) * self.stride - time

    def over_time(self, weights: Float[Tensor, "*rows token"], time: int) -> Float[Tensor, "*rows time"]:
        """Weights of the patches as weights of the steps: each patch gives every step in it an equal share.

        Sums stay what they were: what the first patch lacks takes no share.

        Raises:
            ValueError: another number of tokens than `time` steps have.

        >>> import torch
        >>> PatchEmbedding(1, 8, patch=2, stride=1).over_time(torch.tensor([0.5, 0.5]), 3).tolist()
        [0.25, 0.5, 0.25]
        """
        tokens = self.tokens(time)
        if weights.shape[-1] != tokens:
            raise ValueError(f"weights of {time} steps must be [..., {tokens}]; got {list(weights.shape)}")
        steps = weights.new_zeros(tokens, time)
        for token, row in enumerate(steps):
            first = token * self.stride - self.missing(time)
            row[max(first, 0) : first + self.patch] = 1.0
        return weights @ (steps / steps.sum(1, keepdim=True))
