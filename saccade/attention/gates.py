"""Gates: channels or places of an image weighed between nothing and one, each by itself; they do not sum to one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade.attention.base import check_alike
from saccade.attention.results import Gated
from saccade.normalizers.base import precise


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation of Hu et al. 2018, eq. 2 to 4: what all channels hold says how much each one counts.

    `z_c = mean over places of x_c`, `s = sigmoid(W_2 relu(W_1 z + b_1) + b_2)`, `out_c = s_c x_c`.

    Args:
        channels: how many the image has.
        reduction: how many times narrower the layer between is; at least one unit is left.

    >>> gate = SqueezeExcitation(channels=8, reduction=4)
    >>> output, opened = gate(torch.ones(2, 8, 5, 3))
    >>> output.shape, opened.shape
    (torch.Size([2, 8, 5, 3]), torch.Size([2, 8, 1, 1]))
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        for name, size in (("channels", channels), ("reduction", reduction)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}")
        self.channels = channels
        self.squeeze = nn.Linear(channels, max(channels // reduction, 1))
        self.excite = nn.Linear(self.squeeze.out_features, channels)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Gated:
        """Gate an image `[batch, channels, height, width]`; the gate is `[batch, channels, 1, 1]`.

        Raises:
            ValueError: not four axes, another number of channels, another dtype or device.
        """
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f"x must be [batch, {self.channels}, height, width]; got {list(x.shape)}")
        check_alike("x", x, "the weights of SqueezeExcitation", self.squeeze.weight)
        # A mean over many places loses too much in low precision.
        mean = precise(x).mean((2, 3)).to(x.dtype)
        gate = torch.sigmoid(precise(self.excite(torch.relu(self.squeeze(mean))))).to(x.dtype)[..., None, None]
        return Gated(x * gate, gate)
