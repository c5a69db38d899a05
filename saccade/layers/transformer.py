"""The Transformer's layers and stacks, in the paper's order and with the norm first, whole and step by step."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple, Self

from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade import masks
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.results import Memory, dense, exportable
from saccade.attention.selfattention import KeyValueCache
from saccade.layers.sublayers import TransformerLayer, TransformerStack, expect


@exportable
class Encoded(NamedTuple):
    """What a Transformer's encoder gives.

    output:  `[batch, query, dim]`.
    weights: `[batch, heads, query, key]`; of a stack a tuple of them, from the first layer on; None where none were
             asked for.
    """

    output: Tensor
    weights: Tensor | tuple[Tensor, ...] | None


@exportable
class TransformerState(NamedTuple):
    """What a stack of decoder layers has read so far; a search reorders it and leaves the memory as it is.

    layers: the cache of each layer's self-attention.
    """

    layers: tuple[KeyValueCache, ...]


@exportable
class Decoded(NamedTuple):
    """What a Transformer's decoder gives.

    output:         `[batch, query, dim]`, or `[batch, dim]` for one step without a query axis.
    own_weights:    over the targets so far, `[batch, heads, query, key]`; of a stack a tuple of them, from the first
                    layer on; None where none were asked for.
    memory_weights: over the memory, likewise.
    state:          for the next step, a cache or that of a stack; None where the targets were read whole.
    """

    output: Tensor
    own_weights: Tensor | tuple[Tensor, ...] | None
    memory_weights: Tensor | tuple[Tensor, ...] | None
    state: KeyValueCache | TransformerState | None


class TransformerEncoderLayer(TransformerLayer):
    """A layer of the Transformer's encoder: slots read each other, then each goes on by itself.

    `y = LayerNorm(x + MultiHead(x, x, x))`, `output = LayerNorm(y + FFN(y))` (Vaswani et al. 2017, §3.1); with the
    norm first `y = x + MultiHead(n, n, n)` for `n = LayerNorm(x)`, and `output = y + FFN(LayerNorm(y))` (Xiong et al.
    2020, fig. 1b). No weights are made unless they are asked for.

    Args:
        dim: width of a slot (d_model).
        heads: how many heads; or how many of queries and how many of keys, see `MultiHeadAttention`.
        hidden_dim: width of the network between its two layers (d_ff), `4 dim` where None.
        dropout: the chance that in training a weight of the attention is dropped, a number between the layers of the
            network, or one of what is added to x.
        activation: of the network, "relu" or "gelu".
        norm_first: whether the norms stand before attention and network, or after the sums.
        layer_norm_eps: what the norms add to the variance.
        bias: whether projections, networks and norms have one.
        positions: what the heads know of places: see `saccade.attention.positions`.

    >>> import torch
    >>> layer = TransformerEncoderLayer(6, heads=2).eval()
    >>> output, weights = layer(torch.zeros(1, 3, 6), need_weights=True)
    >>> output.shape, weights.shape
    (torch.Size([1, 3, 6]), torch.Size([1, 2, 3, 3]))
    """

    @classmethod
    def from_torch(cls, module: nn.TransformerEncoderLayer) -> Self:
        """The same with the options and the weights of PyTorch's layer; ours is always batch first.

        Raises:
            ValueError: another module, or an activation that is neither relu nor gelu.

        >>> import torch
        >>> theirs, x = nn.TransformerEncoderLayer(6, 2, batch_first=True).eval(), torch.randn(1, 3, 6)
        >>> torch.allclose(TransformerEncoderLayer.from_torch(theirs)(x).output, theirs(x), atol=1e-6)
        True
        """
        expect(module, nn.TransformerEncoderLayer)
        own = cls.copied_from(module)
        own.around_self.take(module.norm1, module.dropout1)
        own.around_feedforward.take(module.norm2, module.dropout2)
        return own.train(module.training)

    def forward(
        self,
        x: Float[Tensor, "batch query dim"],
        *,
        mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch query key"] | masks.Pattern | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Encoded:
        """Encode a sequence `[batch, query, dim]`.

        Args:
            mask: True = may be attended: `[batch, key]`, or whatever self-attention takes. Padding is read as zeros;
                what comes out there means nothing.
            bias: added to the scores of every head, or with heads after the batch.
            need_weights: whether to give the weights.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        x = self.clean(x, mask)
        read = self.self_attention(self.around_self.enter(x), mask=mask, bias=bias, need_weights=need_weights)
        x = self.around_self.leave(x, read.context)
        x = self.around_feedforward.leave(x, self.feedforward(self.around_feedforward.enter(x)))
        return Encoded(x, read.weights)


class TransformerDecoderLayer(TransformerLayer):
    """A layer of the Transformer's decoder: targets read what came before them, then a memory.

    `y = LayerNorm(x + MultiHead(x, x, x))` under a causal mask, `z = LayerNorm(y + MultiHead(y, memory, memory))`,
    `output = LayerNorm(z + FFN(z))` (Vaswani et al. 2017, §3.1 and §3.2.3); the norm first as in the encoder's layer.
    Arguments as for `TransformerEncoderLayer`; positions are those of the targets.

    >>> import torch
    >>> layer = TransformerDecoderLayer(6, heads=2).eval()
    >>> x, memory = torch.randn(1, 3, 6), torch.randn(1, 5, 6)
    >>> whole, read, state = layer(x, memory), layer.remember(memory), layer.initial(1)
    >>> for step in x.unbind(1):
    ...     output, _, weights, state = layer.read(step, read, state, need_weights=True)
    >>> torch.allclose(output, whole.output[:, -1], atol=1e-6), weights.shape
    (True, torch.Size([1, 2, 5]))
    """

    decodes = True

    @classmethod
    def from_torch(cls, module: nn.TransformerDecoderLayer) -> Self:
        """The same with the options and weights of PyTorch's layer, which must be told to be causal; ours always is.

        Raises:
            ValueError: another module, or an activation that is neither relu nor gelu.

        >>> import torch
        >>> theirs = nn.TransformerDecoderLayer(6, 2, batch_first=True).eval()
        >>> x, memory, hidden = torch.randn(1, 3, 6), torch.randn(1, 5, 6), ~masks.causal(3)[0]
        >>> ours = TransformerDecoderLayer.from_torch(theirs)
        >>> torch.allclose(ours(x, memory).output, theirs(x, memory, tgt_mask=hidden), atol=1e-6)
        True
        """
        expect(module, nn.TransformerDecoderLayer)
        own = cls.copied_from(module)
        own.cross_attention = MultiHeadAttention.from_torch(module.multihead_attn)
        own.around_self.take(module.norm1, module.dropout1)
        own.around_cross.take(module.norm2, module.dropout2)
        own.around_feedforward.take(module.norm3, module.dropout3)
        return own.train(module.training)

    def remember(self, memory: Float[Tensor, "batch key dim"], *, mask: masks.Mask | None = None) -> Memory:
        """Project what every step will read, once: `[batch, key, dim]`, and who may be attended."""
        if memory.dim() != 3 or memory.shape[2] != self.dim:
            raise ValueError(f"memory must be [batch, key, {self.dim}]; got {list(memory.shape)}")
        return self.cross_attention.remember(memory, memory, mask=mask)

    def initial(self, batch: int, *, like: Tensor | None = None) -> KeyValueCache:
        """The state before the first step: an empty cache of the dtype and device of `like`, else of the weights."""
        return self.self_attention.initial(batch, like=like)

    def read(
        self,
        x: Float[Tensor, "batch query dim"] | Float[Tensor, "batch dim"],
        memory: Memory,
        state: KeyValueCache | None = None,
        *,
        mask: masks.Mask | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Decoded:
        """Decode all targets `[batch, query, dim]`, or with a state one more `[batch, dim]`, or several.

        Args:
            memory: what `remember` gave.
            state: what the step before gave back, or `initial`; None for all targets.
            mask: True = may be attended: over the targets; with a state `[batch, steps]`, whether a step is real.
            bias: added to the scores of the self-attention; with a state the keys are those of the cache.
            need_weights: whether to give the weights.

        Raises:
            ValueError: widths, shapes or a state that do not fit.
        """
        x = self.clean(x, mask, step=state is not None)
        own = self.self_attention(
            self.around_self.enter(x), mask=mask, bias=bias, state=state, need_weights=need_weights
        )
        x = self.around_self.leave(x, own.context)
        read = self.cross_attention.read(self.around_cross.enter(x), memory, need_weights=need_weights)
        x = self.around_cross.leave(x, read.context)
        x = self.around_feedforward.leave(x, self.feedforward(self.around_feedforward.enter(x)))
        return Decoded(x, own.weights, dense(read.weights), own.state)

    def forward(
        self,
        x: Float[Tensor, "batch query dim"],
        memory: Float[Tensor, "batch key dim"],
        *,
        mask: masks.Mask | None = None,
        memory_mask: masks.Mask | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Decoded:
        """Decode all targets at once: `remember`, then `read`."""
        read = self.remember(memory, mask=memory_mask)
        return self.read(x, read, mask=mask, bias=bias, need_weights=need_weights)


class TransformerEncoder(TransformerStack):
    """The Transformer's encoder, one layer on another: `x_l = layer_l(x_{l-1})` (Vaswani et al. 2017, §3.1).

    Args:
        layers: the layers, the first one first.
        norm: of what the last layer gives; layers that have their norms first need one.

    >>> import torch
    >>> stack = TransformerEncoder([TransformerEncoderLayer(6, heads=2) for _ in range(3)])
    >>> output, weights = stack(torch.zeros(1, 5, 6), need_weights=True)
    >>> output.shape, len(weights), weights[0].shape
    (torch.Size([1, 5, 6]), 3, torch.Size([1, 2, 5, 5]))
    """

    layers: Sequence[TransformerEncoderLayer]

    @classmethod
    def from_torch(cls, module: nn.TransformerEncoder) -> Self:
        """The same with the layers and the norm of PyTorch's stack; ours is always batch first.

        Raises:
            ValueError: another module or another kind of layer, or an activation that is neither relu nor gelu.

        >>> import torch
        >>> theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, batch_first=True), 2).eval()
        >>> x = torch.randn(1, 3, 6)
        >>> torch.allclose(TransformerEncoder.from_torch(theirs)(x).output, theirs(x), atol=1e-6)
        True
        """
        expect(module, nn.TransformerEncoder)
        return cls.copied_from(module, TransformerEncoderLayer.from_torch)

    def forward(
        self,
        x: Float[Tensor, "batch query dim"],
        *,
        mask: masks.Mask | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Encoded:
        """Encode a sequence `[batch, query, dim]`; every layer has the same mask and the same bias.

        Args:
            mask: True = may be attended: `[batch, key]`, or whatever self-attention takes.
            bias: added to the scores of every head, or with heads after the batch.
            need_weights: whether to give the weights of every layer.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        weights = []
        for layer in self.layers:
            x, looked = layer(x, mask=mask, bias=bias, need_weights=need_weights)
            weights.append(looked)
        return Encoded(x if self.norm is None else self.norm(x), tuple(weights) if need_weights else None)


class TransformerDecoder(TransformerStack):
    """The Transformer's decoder, one layer on another, all of which read the same memory (Vaswani et al. 2017, §3.1).

    Args:
        layers: the layers, the first one first.
        norm: of what the last layer gives; layers that have their norms first need one.

    >>> import torch
    >>> stack = TransformerDecoder([TransformerDecoderLayer(6, heads=2) for _ in range(3)]).eval()
    >>> x, memory = torch.randn(1, 3, 6), torch.randn(1, 5, 6)
    >>> whole, read, state = stack(x, memory), stack.remember(memory), stack.initial(1)
    >>> for step in x.unbind(1):
    ...     output, _, _, state = stack.read(step, read, state)
    >>> torch.allclose(output, whole.output[:, -1], atol=1e-6)
    True
    """

    layers: Sequence[TransformerDecoderLayer]

    @classmethod
    def from_torch(cls, module: nn.TransformerDecoder) -> Self:
        """The same with the layers and the norm of PyTorch's stack, which must be told to be causal; ours always is.

        Raises:
            ValueError: another module or another kind of layer, or an activation that is neither relu nor gelu.
        """
        expect(module, nn.TransformerDecoder)
        return cls.copied_from(module, TransformerDecoderLayer.from_torch)

    def remember(self, memory: Float[Tensor, "batch key dim"], *, mask: masks.Mask | None = None) -> tuple[Memory, ...]:
        """What every step will read: the memory as each layer projects it, once."""
        return tuple(layer.remember(memory, mask=mask) for layer in self.layers)

    def initial(self, batch: int, *, like: Tensor | None = None) -> TransformerState:
        """The state before the first step: empty caches of the dtype and device of `like`, else of the weights."""
        return TransformerState(tuple(layer.initial(batch, like=like) for layer in self.layers))

    def read(
        self,
        x: Float[Tensor, "batch query dim"] | Float[Tensor, "batch dim"],
        memory: tuple[Memory, ...],
        state: TransformerState | None = None,
        *,
        mask: masks.Mask | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Decoded:
        """Decode all targets `[batch, query, dim]`, or with a state one more `[batch, dim]`, or several.

        Arguments as for the layers' `read`.

        Raises:
            ValueError: widths, shapes, or a memory or a state that do not fit.
        """
        count = len(self.layers)
        if isinstance(memory, Memory) or len(memory) != count:
            came = "one alone" if isinstance(memory, Memory) else str(len(memory))
            raise ValueError(f"memory must be a tuple of {count}, one for each layer, as remember gives; got {came}")
        if state is not None and (not isinstance(state, TransformerState) or len(state.layers) != count):
            came = f"{len(state.layers)} layers" if isinstance(state, TransformerState) else type(state).__name__
            raise ValueError(f"state must be a TransformerState of {count} layers; got {came}")
        states = repeat(None, count) if state is None else state.layers
        own: list[Any] = []
        looked: list[Any] = []
        caches: list[KeyValueCache] = []
        for layer, projected, cache in zip(self.layers, memory, states, strict=True):
            step = layer.read(x, projected, cache, mask=mask, bias=bias, need_weights=need_weights)
            x = step.output
            own.append(step.own_weights)
            looked.append(step.memory_weights)
            if isinstance(step.state, KeyValueCache):
                caches.append(step.state)
        return Decoded(
            x if self.norm is None else self.norm(x),
            tuple(own) if need_weights else None,
            tuple(looked) if need_weights else None,
            None if state is None else TransformerState(tuple(caches)),
        )

    def forward(
        self,
        x: Float[Tensor, "batch query dim"],
        memory: Float[Tensor, "batch key dim"],
        *,
        mask: masks.Mask | None = None,
        memory_mask: masks.Mask | None = None,
        bias: Float[Tensor, "batch query key"] | None = None,
        need_weights: bool = False,
    ) -> Decoded:
        """Decode all targets at once: `remember`, then `read`."""
        read = self.remember(memory, mask=memory_mask)
        return self.read(x, read, mask=mask, bias=bias, need_weights=need_weights)
