"""Gaussian-mixture attention: a few bells that move along the memory, placed by the query alone."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from saccade.attention.base import Asked, Attention
from saccade.attention.results import Attended, Memory, exportable
from saccade.errors import at_least_one
from saccade.kernels import read_values
from saccade.normalizers.base import precise


@exportable
class Places(NamedTuple):
    """Where the bells stand, in slots counted from 1, `[batch, components]`, float32 or better."""

    place: Tensor


class Mixture(NamedTuple):
    """The bells of each query: `a_iu = sum_k height_k exp(-steepness_k (place_k - u)^2)`; all `[batch, query, k]`."""

    height: Tensor
    steepness: Tensor
    place: Tensor


def mixture_weights(mixture: Mixture, slots: int) -> Float[Tensor, "batch query key"]:
    """Weights `a_iu = sum_k height_k exp(-steepness_k (place_k - u)^2)` of the slots u = 1, 2, ... `slots`.

    They do not sum to one (Graves 2013, eq. 46).

    >>> one = torch.ones(1, 1, 1)
    >>> mixture_weights(Mixture(one, one * 1e3, one * 2), 3).tolist()
    [[[0.0, 1.0, 0.0]]]
    """
    u = torch.arange(1, slots + 1, device=mixture.place.device, dtype=mixture.place.dtype)
    distance = (mixture.place[..., None] - u).square()
    return (mixture.height[..., None] * torch.exp(-mixture.steepness[..., None] * distance)).sum(2)


class GaussianMixtureAttention(Attention):
    """The window of Graves 2013, §5.1, eq. 46 to 51: `a_iu = sum_k alpha_k exp(-beta_k (kappa_k - u)^2)`.

    `(alpha, beta, step) = exp(W s_i + b)`, `kappa_i = kappa_{i-1} + step`, `kappa_0 = 0`: the bells only move on. The
    weights are not normalised; keys are not looked at.

    Args:
        query_dim: width of the query s_i.
        key_dim: width of the keys.
        components: how many bells.

    >>> attend = GaussianMixtureAttention(query_dim=4, key_dim=6)
    >>> attend(torch.ones(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).weights.shape
    torch.Size([2, 3, 7])
    """

    def __init__(self, query_dim: int, key_dim: int, *, components: int = 10):
        super().__init__(query_dim, key_dim)
        at_least_one({"components": components})
        self.components = components
        self.parameters_of = nn.Linear(query_dim, 3 * components)

    def initial(self, memory: Memory) -> Places:
        """Every bell stands before the first slot."""
        return Places(precise(memory.value.new_zeros(memory.value.shape[0], self.components)))

    def bells(self, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Height, steepness and step of the bells of queries `[batch, query, query_dim]`, `[batch, query, k]` each."""
        height, steepness, step = precise(self.parameters_of(query)).exp().chunk(3, -1)
        return height, steepness, step

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """Move the bells, and read what stands under them."""
        for name, given in (("bias", asked.bias), ("noise", asked.noise)):
            if given is not None:
                raise ValueError(f"{type(self).__name__} has no scores and draws nothing, so it takes no {name}")
        height, steepness, step = self.bells(query)
        if memory.mask is not None:  # who can look nowhere moves nothing
            step = step * memory.mask.any(-1, keepdim=True)
        with torch.autocast(query.device.type, enabled=False):
            mixture = Mixture(height, steepness, state.place[:, None] + step.cumsum(1))
            weights = mixture_weights(mixture, memory.value.shape[1])
        if memory.mask is not None:
            weights = weights.masked_fill(~memory.mask, 0.0)
        context = read_values(weights, memory.value, memory.mask)
        return Attended(context, weights.to(memory.value.dtype), Places(mixture.place[:, -1]))


class GaussianMixtureV2bAttention(GaussianMixtureAttention):
    """GMMv2b of Battenberg et al. 2020, §2.2: normalised bells, softplus in place of exp, and a first guess as biases.

    `(w, step, sigma) = V tanh(W s_i + b)`, `w = softmax(w)`, `step = softplus(step + b_1)`,
    `sigma = softplus(sigma + b_2)`; `mu_i = mu_{i-1} + step`, `mu_0 = 0`;
    `a_iu = sum_k w_k exp(-(u - mu_k)^2 / (2 sigma_k^2)) / sqrt(2 pi sigma_k^2)`. The biases start where the step is 1
    and sigma is 10.

    Args:
        query_dim, key_dim, components: as for `GaussianMixtureAttention`.
        hidden_dim: width of the network's hidden layer.

    >>> attend = GaussianMixtureV2bAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> attend(torch.ones(2, 3, 4), torch.ones(2, 7, 6), torch.ones(2, 7, 8)).state.place.shape
    torch.Size([2, 5])
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, *, components: int = 5):
        super().__init__(query_dim, key_dim, components=components)
        self.parameters_of = nn.Sequential(  # type: ignore[assignment]
            nn.Linear(query_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, 3 * components, bias=False)
        )
        first = [math.log(math.expm1(x)) for x in (1.0, 10.0)]
        self.first = nn.Parameter(torch.tensor(first)[:, None].repeat(1, components))

    def bells(self, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Height, steepness and step of the bells of queries `[batch, query, query_dim]`, `[batch, query, k]` each."""
        share, step, sigma = precise(self.parameters_of(query)).chunk(3, -1)
        step, sigma = softplus(step + precise(self.first[0])), softplus(sigma + precise(self.first[1]))
        return share.softmax(-1) / (math.sqrt(2.0 * math.pi) * sigma), 0.5 / sigma.square(), step
