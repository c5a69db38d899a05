"""The specification: additive scores as the formula is written."""

import torch
from torch import Tensor

from saccade.normalizers.base import precise


def additive_scores(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    """`e_ij = v . tanh(q_i + k_j)`, in a tensor of tanh `[batch, query, key, dim]`; any dtype, any device."""
    with torch.autocast(query.device.type, enabled=False):
        return torch.tanh(precise(query)[:, :, None] + precise(key)[:, None]) @ precise(v)
