"""What the Transformer's layers are made of: the network at each place, and the sums and norms around each part."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, Literal, Self, TypeVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from saccade import masks
from saccade.attention.base import check_alike, check_sequence
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.positions import Positions
from saccade.attention.selfattention import SelfAttention
from saccade.dropout import Dropout
from saccade.errors import at_least_one

ActivationName = Literal["relu", "gelu"]
Some = TypeVar("Some", bound=nn.Module)


class FeedForward(nn.Module):
    """The network at each place: `FFN(x) = W_2 max(0, W_1 x + b_1) + b_2` (Vaswani et al. 2017, eq. 2).

    Args:
        dim: width of what comes in and out.
        hidden_dim: width between (d_ff).
        dropout: the chance that a number between is dropped in training.
        activation: "relu", or "gelu" (Hendrycks and Gimpel 2016, exact) in place of the maximum.
        bias: whether there are b_1 and b_2.

    >>> FeedForward(3, 12)(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        dropout: float = 0.0,
        activation: ActivationName = "relu",
        bias: bool = True,
    ):
        super().__init__()
        at_least_one({"hidden_dim": hidden_dim})
        if activation not in get_args(ActivationName):
            raise ValueError(f"activation must be relu or gelu; got {activation!r}")
        self.inner, self.outer = nn.Linear(dim, hidden_dim, bias=bias), nn.Linear(hidden_dim, dim, bias=bias)
        self.dropout, self.activation = Dropout(dropout), activation

    def forward(self, x: Float[Tensor, "*slots dim"]) -> Float[Tensor, "*slots dim"]:
        """The same network for every slot."""
        activate: Callable[[Tensor], Tensor] = relu if self.activation == "relu" else gelu
        output: Tensor = self.outer(self.dropout(activate(self.inner(x))))
        return output


class Residual(nn.Module):
    """What stands around a sublayer f: `LayerNorm(x + f(x))` (Vaswani et al. 2017, §3.1).

    With the norm first it is `x + f(LayerNorm(x))` (Xiong et al. 2020, fig. 1b). What f gives is dropped out.

    Args:
        dim: width of x.
        dropout: the chance that a number of f(x) is dropped in training.
        norm_first: whether the norm stands before f.
        eps: what the norm adds to the variance.
        bias: whether the norm has one.

    >>> around, x = Residual(3), torch.randn(2, 3)
    >>> around.leave(x, around.enter(x)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, dim: int, *, dropout: float = 0.0, norm_first: bool = False, eps: float = 1e-5, bias: bool = True
    ):
        super().__init__()
        self.norm: nn.Module = nn.LayerNorm(dim, eps=eps, bias=bias)
        self.dropout, self.norm_first = Dropout(dropout), norm_first

    def enter(self, x: Tensor) -> Tensor:
        """What f reads."""
        read: Tensor = self.norm(x) if self.norm_first else x
        return read

    def leave(self, x: Tensor, found: Tensor) -> Tensor:
        """What becomes of x and of what f found."""
        x = x + self.dropout(found)
        output: Tensor = x if self.norm_first else self.norm(x)
        return output

    def take(self, norm: nn.Module, dropout: nn.Dropout) -> None:
        """A copy of another norm, and the chance of another dropout, in place of its own."""
        self.norm, self.dropout.p = copied(norm), dropout.p


class TransformerLayer(nn.Module):
    """What the layers of both stacks have: self-attention, a network at each place, and what stands around them."""

    decodes = False
    """Whether targets see only what came before them, and the layer also reads a memory."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int | tuple[int, int],
        hidden_dim: int | None = None,
        dropout: float = 0.1,
        activation: ActivationName = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
        positions: Positions | None = None,
    ):
        super().__init__()
        at_least_one({"dim": dim})

        def around() -> Residual:
            return Residual(dim, dropout=dropout, norm_first=norm_first, eps=layer_norm_eps, bias=bias)

        own = MultiHeadAttention(dim, dim, heads=heads, bias=bias, dropout=dropout, positions=positions)
        self.dim, self.heads = dim, own.heads
        self.self_attention, self.around_self = SelfAttention(own, after=0 if self.decodes else None), around()
        if self.decodes:
            self.cross_attention = MultiHeadAttention(dim, dim, heads=heads, bias=bias, dropout=dropout)
            self.around_cross = around()
        self.feedforward = FeedForward(
            dim, 4 * dim if hidden_dim is None else hidden_dim, dropout=dropout, activation=activation, bias=bias
        )
        self.around_feedforward = around()

    @classmethod
    def copied_from(cls, module: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer) -> Self:
        """One with the attention and the network of PyTorch's layer, and its options."""
        own = cls(
            module.linear1.in_features,
            heads=module.self_attn.num_heads,
            hidden_dim=module.linear1.out_features,
            dropout=module.dropout.p,
            activation=activation_of(module.activation),
            norm_first=module.norm_first,
        )
        own.self_attention.attend = MultiHeadAttention.from_torch(module.self_attn)
        own.feedforward.inner, own.feedforward.outer = copied(module.linear1), copied(module.linear2)
        return own

    def clean(self, x: Tensor, mask: masks.Mask | None, *, step: bool = False) -> Tensor:
        """What fits this layer, with zeros for padding: a NaN there would come back in the gradients of all weights."""
        check_sequence(x, self.dim, step=step)
        check_alike("x", x, f"the weights of {type(self).__name__}", self.feedforward.inner.weight)
        batch, slots = len(x), x.shape[1] if x.dim() == 3 else 1
        padding = mask
        if isinstance(mask, masks.Pattern):
            mask.check(batch, slots)
            padding = mask.padding
        elif mask is not None:
            masks.with_axes(mask, batch, slots, slots, self.heads)
        if not isinstance(padding, Tensor) or padding.dim() != 2:
            return x
        if padding.device != x.device:
            raise ValueError(f"mask must be on {x.device}, as x; got {padding.device}")
        return x.masked_fill(~(padding if x.dim() == 2 else padding[..., None]), 0.0)


class TransformerStack(nn.Module):
    """Layers one on another, and a norm of what the last one gives."""

    def __init__(self, layers: Iterable[TransformerLayer], *, norm: nn.Module | None = None):
        super().__init__()
        self.layers: Sequence[Any] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.norm = norm
        at_least_one({"layers": len(self.layers)})

    @classmethod
    def copied_from(
        cls, module: nn.TransformerEncoder | nn.TransformerDecoder, layer: Callable[[Any], TransformerLayer]
    ) -> Self:
        """One with the norm of PyTorch's stack, and what `layer` makes of each of its layers."""
        norm = None if module.norm is None else copied(module.norm)
        return cls([layer(one) for one in module.layers], norm=norm).train(module.training)


def expect(module: nn.Module, kind: type[nn.Module]) -> None:
    """Refuse a module of PyTorch of another kind.

    Raises:
        ValueError: naming both.
    """
    if not isinstance(module, kind):
        raise ValueError(f"module must be nn.{kind.__name__}; got {type(module).__name__}")


def copied(module: Some) -> Some:
    """The same module once more, to be trained whether the first one is or not."""
    return deepcopy(module).requires_grad_()


def activation_of(function: object) -> ActivationName:
    """Our name of an activation function of PyTorch.

    Raises:
        ValueError: we have none.

    >>> activation_of(nn.GELU())
    'gelu'
    """
    if function in (relu, torch.relu) or isinstance(function, nn.ReLU):
        return "relu"
    if function is gelu or (isinstance(function, nn.GELU) and function.approximate == "none"):
        return "gelu"
    came = getattr(function, "__name__", None) or " ".join(repr(function).split())
    raise ValueError(f"activation must be relu or gelu; got {came}")
