"""The Transformer as a writer: tokens one by one over any memory, with the calls of the recurrent decoder."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from saccade.attention.results import Memory
from saccade.dropout import Dropout
from saccade.layers.placed import StackShape, added_positions, last_norm, layers_of, token_table
from saccade.layers.transformer import TransformerDecoder, TransformerDecoderLayer, TransformerState
from saccade.models.decoder import Forced, Step


@dataclass(frozen=True)
class WriterConfig(StackShape):
    """The shape of a `TransformerWriter`."""

    vocab: int
    """How many tokens it writes, the special ones included."""
    memory: int
    """Width of what it attends to."""
    tied: bool = False
    """Whether tokens are predicted with their own embeddings (Press and Wolf 2017; Vaswani et al. 2017, §3.4)."""


class TransformerWriter(nn.Module):
    """The decoder of Vaswani et al. 2017, §3, over any memory: it reads what it wrote, then the memory, layer by layer.

    `x_i = sqrt(dim) E y_{i-1} + PE(i)` (§3.4, §3.5), where its heads do not know places themselves; layers with their
    norms first and one norm at the end (Xiong et al. 2020, fig. 1b), or after each sum as in the paper; logits are
    `W x + b`, with a W of their own or E (§3.4). A memory of another width is projected. Its calls are those of
    `RecurrentDecoder`; a step reads a cache, not all that came before. What it shows are the weights of the last layer
    over the memory, the mean of its heads; `saccade.look` shows every head of every layer. Token 0 is padding.

    Args:
        embedding: the table of its tokens, `[vocab, dim]`, where there is one already.

    >>> import torch
    >>> writer = TransformerWriter(WriterConfig(7, dim=6, heads=2, layers=2, dropout=0.0, memory=8)).eval()
    >>> source, state = writer.begin(torch.randn(2, 3, 8), None)
    >>> logits, weights, _ = writer(torch.tensor([[1, 4, 4, 5], [1, 5, 2, 0]]), source, state)
    >>> logits.shape, weights.shape
    (torch.Size([2, 4, 7]), torch.Size([2, 4, 3]))
    >>> torch.allclose(writer.step(torch.tensor([1, 1]), source, state).logits, logits[:, 0], atol=1e-5)
    True
    """

    def __init__(self, config: WriterConfig, *, embedding: nn.Embedding | None = None):
        super().__init__()
        self.config, dim = config, config.dim
        self.embedding = token_table(config.vocab, dim) if embedding is None else embedding
        self.positions = added_positions(config)
        self.project = nn.Linear(config.memory, dim) if config.memory != dim else nn.Identity()
        self.stack = TransformerDecoder(layers_of(TransformerDecoderLayer, config), norm=last_norm(config))
        self.output = nn.Linear(dim, config.vocab)
        if config.tied:
            self.output.weight = self.embedding.weight
        self.dropout = Dropout(config.dropout)

    def begin(
        self,
        states: Float[Tensor, "batch source memory"],
        mask: Bool[Tensor, "batch source"] | None,
        summary: Float[Tensor, "batch memory"] | None = None,
    ) -> tuple[tuple[Memory, ...], TransformerState]:
        """What it will read, as each layer projects it, and its first state.

        Args:
            states: what stands at each slot of the source, `[batch, source, memory]`.
            mask: True = a slot that is there, `[batch, source]`; None: all are.
            summary: what a recurrent decoder begins with; a Transformer begins with nothing, and looks away.
        """
        if mask is not None:
            states = states.masked_fill(~mask[..., None], 0.0)  # or a NaN would reach the gradient of the projection
        memory = self.stack.remember(self.project(states), mask=mask)
        return memory, self.stack.initial(len(states), like=states)

    def step(self, token: Int[Tensor, " batch"], source: tuple[Memory, ...], state: TransformerState) -> Step:
        """Read the previous token `[batch]` and predict the next."""
        logits, looked, after = self._read(token, source, state, need_weights=True)
        return Step(logits, _shown(looked), after)

    def forward(
        self,
        target: Int[Tensor, "batch target"],
        source: tuple[Memory, ...],
        state: TransformerState,
        *,
        need_weights: bool = True,
        where: Bool[Tensor, "batch target"] | None = None,
    ) -> Forced:
        """Logits and weights under teacher forcing: `target` holds the previous tokens, the start token first.

        Args:
            where: the places to predict at, see `Forced`; None: all.
        """
        logits, looked, after = self._read(target, source, state, need_weights=need_weights, where=where)
        return Forced(logits, _shown(looked), after)

    def every_head(
        self,
        target: Int[Tensor, "batch target"],
        source: tuple[Memory, ...],
        state: TransformerState,
        *,
        where: Bool[Tensor, "batch target"] | None = None,
    ) -> tuple[Forced, tuple[Float[Tensor, "batch heads target source"], ...]]:
        """What `forward` gives, and the weights of every layer over the memory, from the first one on."""
        logits, looked, after = self._read(target, source, state, need_weights=True, where=where)
        assert looked is not None
        return Forced(logits, _shown(looked), after), looked

    def _read(
        self,
        token: Tensor,
        source: tuple[Memory, ...],
        state: TransformerState,
        *,
        need_weights: bool,
        where: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None, TransformerState]:
        """Logits, weights of each layer and state after one more token `[batch]`, or several `[batch, target]`."""
        x = self.config.dim**0.5 * self.embedding(token)
        if self.positions is not None:
            x = self.positions(x, start=state.layers[0].steps)
        x = self.dropout(x)
        decoded = self.stack.read(x, source, state, need_weights=need_weights)
        looked = decoded.memory_weights
        assert isinstance(decoded.state, TransformerState)
        output = decoded.output if where is None else decoded.output[where]
        return self.output(output), looked if isinstance(looked, tuple) else None, decoded.state


def _shown(looked: tuple[Tensor, ...] | None) -> Tensor | None:
    """The mean of the last layer's heads."""
    return None if looked is None else looked[-1].mean(1)
