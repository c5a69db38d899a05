"""No attention: the decoder sees one fixed vector, so that what attention buys can be measured."""

from torch import Tensor

from saccade.attention.base import Asked, Attention
from saccade.attention.results import Attended, Memory


class NoAttention(Attention):
    """The plain encoder-decoder of Cho et al. 2014, §2.2: the context is one summary of the input at every step.

    It has the calls of the other mechanisms, so that nothing around it changes; its memory is the single slot that
    holds the summary, and it has no weights to show. (Sutskever et al. 2014 give the summary to the decoder's first
    state alone; here it is given to both.)

    >>> import torch
    >>> attend = NoAttention(query_dim=4, key_dim=6)
    >>> summary = torch.ones(2, 1, 6)
    >>> attend(torch.zeros(2, 4), summary, summary).context.shape
    torch.Size([2, 6])
    """

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """The summary itself, whatever the query."""
        if memory.value.shape[1] != 1:
            raise ValueError(f"memory must hold one slot, the summary; got {memory.value.shape[1]}")
        for name, given in (("bias", asked.bias), ("noise", asked.noise)):
            if given is not None:
                raise ValueError(f"NoAttention has no scores and draws nothing, so it takes no {name}")
        return Attended(memory.value.expand(-1, query.shape[1], -1), None, None)
