"""Heads that attend by any score and normaliser: general, additive, sparsemax ... side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop_out

from saccade import kernels
from saccade.attention.base import Asked
from saccade.attention.content import ContentAttention
from saccade.attention.multihead import MultiHeadAttention, joined, repeated, split
from saccade.attention.results import Attended, Memory, dense
from saccade.normalizers.base import precise


class ContentHeadAttention(MultiHeadAttention):
    """Multi-head attention whose heads attend by other scores and normalisers than a scaled dot product and softmax.

    `head_h = weights_h (W_v v)_h`, `weights_h = normalizer_h(score_h((W_q q)_h, (W_k k)_h))`, and `W_o` over all. There
    is no fused path. Noise is shared by all heads.

    Args:
        query_dim, key_dim, heads, value_dim, head_dim, bias, dropout: as for `MultiHeadAttention`.
        inner: how a head attends, as wide as the head: one mechanism for all of them, or one for each.

    >>> from saccade import AdditiveAttention, DotAttention
    >>> from saccade.normalizers import Sparsemax
    >>> inner = [AdditiveAttention(3, 3, 5), DotAttention(3, normalizer=Sparsemax())]
    >>> attend = ContentHeadAttention(query_dim=6, key_dim=4, inner=inner, heads=2)
    >>> attend(torch.ones(1, 3, 6), torch.ones(1, 5, 4), torch.ones(1, 5, 4)).weights.shape
    torch.Size([1, 2, 3, 5])
    """

    patterned = False

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        inner: ContentAttention | Sequence[ContentAttention],
        *,
        heads: int | tuple[int, int],
        value_dim: int | None = None,
        head_dim: int | tuple[int, int] | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__(
            query_dim, key_dim, heads=heads, value_dim=value_dim, head_dim=head_dim, bias=bias, dropout=dropout
        )
        several = [inner] if isinstance(inner, ContentAttention) else list(inner)
        if len(several) not in (1, self.heads):
            raise ValueError(f"inner must be one mechanism, or one for each of {self.heads} heads; got {len(several)}")
        for one in several:
            if (one.query_dim, one.key_dim) != (self.head_dim, self.head_dim):
                came = f"{one.query_dim} and {one.key_dim}"
                raise ValueError(f"inner must have query_dim = key_dim = {self.head_dim}, a head's; got {came}")
            if one.window is not None or one.normalizer.reinforced:
                raise ValueError(f"inner must be without a window or a draw to reinforce; got {one}")
        self.inner = nn.ModuleList(several)
        with torch.no_grad():
            self.key_widths = [one.project_key(torch.zeros(1, 1, self.head_dim)).shape[-1] for one in self._each()]

    def project_key(self, key: Tensor) -> Tensor:
        """What the mechanism of each head makes of its part of `W_k k`, side by side."""
        each = repeated(split(super().project_key(key), self.shared), self.heads).unbind(1)
        return torch.cat([one.project_key(x) for one, x in zip(self._each(), each, strict=True)], -1)

    def attend(self, query: Tensor, memory: Memory, state: None, asked: Asked) -> Attended:
        """Every head by its own mechanism, and the projection of them all."""
        queries, keys = split(self.query(query), self.heads), torch.split(memory.key, self.key_widths, -1)
        values = repeated(split(memory.value, self.shared), self.heads)
        found = []
        for h, one in enumerate(self._each()):
            mask, bias = (_of_head(h, x) for x in (memory.mask, asked.bias))
            mine = asked._replace(bias=bias, need_weights=True)
            attended = one.attend(queries[:, h], Memory(keys[h], values[:, h], mask), None, mine)
            weights = dense(attended.weights)
            assert weights is not None
            context = attended.context
            if self.training and self.dropout:
                context = kernels.read_values(precise(drop_out(weights, self.dropout)), values[:, h], mask)
            found.append((context, weights))
        context, weights = (torch.stack(some, 1) for some in zip(*found, strict=True))
        return Attended(self.output(joined(context)), weights, None)

    def _each(self) -> list[ContentAttention]:
        return [one for one in self.inner if isinstance(one, ContentAttention)] * (self.heads // len(self.inner))


def _of_head(h: int, x: Tensor | None) -> Tensor | None:
    return x if x is None or x.dim() == 3 else x[:, min(h, x.shape[1] - 1)]
