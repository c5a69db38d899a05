"""A vector for each word: words left out at random in training, vectors that were learned elsewhere."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade.errors import at_least_one


class TokenEmbedding(nn.Module):
    """A vector for each token; in training some tokens are read as unknown ones, so that those have one too.

    Each real token is replaced by `unknown` with the probability `drop` (Iyyer et al. 2015, §2.2, who leave it out;
    Dyer et al. 2015, §3.2, who do so with words seen once), anew at each call, and never in evaluation. Token 0 is
    padding, a vector of zeros.

    Args:
        size: how many tokens there are, padding among them.
        dim: width of a vector.
        unknown: the token that stands for those never seen.
        drop: the chance that a token is read as unknown in training.

    >>> embed = TokenEmbedding(7, 4, unknown=1)
    >>> embed.load(torch.ones(7, 4), torch.tensor([False, False, False, True, False, False, False]))
    >>> embed(torch.tensor([[3, 0]])).tolist()
    [[[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]
    """

    def __init__(self, size: int, dim: int, *, unknown: int, drop: float = 0.0):
        super().__init__()
        at_least_one({"dim": dim})
        if not 0 < unknown < size:
            raise ValueError(f"unknown must be a token of 1 to {size - 1}; got {unknown}")
        if not 0 <= drop < 1:
            raise ValueError(f"drop must be at least 0 and below 1; got {drop}")
        self.table = nn.Embedding(size, dim, padding_idx=0)
        self.unknown, self.drop = unknown, drop

    def forward(self, tokens: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """The vectors of tokens of any shape."""
        if self.training and self.drop:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.drop
            tokens = tokens.masked_fill(dropped & (tokens != 0), self.unknown)
        vectors: Tensor = self.table(tokens)
        return vectors

    @torch.no_grad()
    def load(self, values: Float[Tensor, "size dim"], found: Bool[Tensor, " size"]) -> None:
        """Take vectors that were learned elsewhere for the tokens that have one; padding stays zero.

        Args:
            values: a row for each token; those not found are not read.
            found: which tokens have one.

        Raises:
            ValueError: shapes that do not fit.
        """
        weight = self.table.weight
        if values.shape != weight.shape:
            raise ValueError(f"values must be [size, dim] = {list(weight.shape)}; got {list(values.shape)}")
        if found.shape != weight.shape[:1] or found.dtype != torch.bool:
            came = f"{found.dtype} {list(found.shape)}"
            raise ValueError(f"found must be boolean [size] = [{len(weight)}]; got {came}")
        found = found.to(weight.device) & (torch.arange(len(weight), device=weight.device) != 0)
        weight[found] = values.to(weight)[found]
