"""What drawn attention is trained with, beside the loss of what was said: REINFORCE with a moving baseline."""

import torch
from torch import Tensor, nn

from saccade.attention.content import Drawn
from saccade.attention.losses import reinforce_loss

# Xu et al. 2015, §4.1, tune both; the baseline moves as there.
REWARD, ENTROPY, BASELINE = 0.1, 0.1, 0.9


class Reinforced(nn.Module):
    """Adds the loss of what was drawn to that of a batch (Xu et al. 2015, §4.1).

    The reward of an example is the log-probability of its target, compared with a moving mean of earlier rewards, and
    the entropy of what was drawn from is kept up. The baseline is a buffer, so that a resumed training goes on with it.

    Args:
        entropy: the weight of the entropy; over hundreds of slots, whose entropy is large, a small one.

    >>> Reinforced()(torch.tensor(2.0), None, torch.tensor([-1.0])).item()
    2.0
    """

    def __init__(self, *, entropy: float = ENTROPY):
        super().__init__()
        self.entropy = entropy
        self.register_buffer("baseline", torch.tensor(float("nan")))
        self.baseline: Tensor

    def forward(self, total: Tensor, drawn: Drawn | None, reward: Tensor) -> Tensor:
        """The summed loss of a batch with that of its draws; where nothing was drawn, as it is.

        Args:
            reward: of each example, `[batch]`, nats.
        """
        if drawn is None:
            return total
        baseline = torch.where(self.baseline.isnan(), reward.mean(), self.baseline)
        total = total + REWARD * len(reward) * reinforce_loss(drawn.log_probability, reward, baseline)
        self.baseline = torch.lerp(reward.mean(), baseline, BASELINE)
        return total - self.entropy * drawn.entropy.sum()
