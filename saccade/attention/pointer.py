"""Pointing: the weights themselves are the answer, or a part of it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from saccade.attention.additive import AdditiveAttention
from saccade.attention.content import seen_scores
from saccade.attention.results import Memory
from saccade.normalizers.base import precise

_FAINT = 1e-12


class PointerAttention(AdditiveAttention):
    """The pointer network of Vinyals et al. 2015, eq. 3: `u_ij = v . tanh(W_1 e_j + W_2 d_i)`, `p_i = softmax(u_i)`.

    The answer is a slot of the memory, so what is learned from is `log_probabilities`; as attention it is additive.
    Arguments as for `AdditiveAttention`.

    >>> point = PointerAttention(query_dim=4, key_dim=6, hidden_dim=5)
    >>> memory = point.remember(torch.ones(2, 7, 6), torch.ones(2, 7, 6))
    >>> point.log_probabilities(torch.ones(2, 4), memory).exp().sum(-1).round(decimals=5).tolist()
    [1.0, 1.0]
    """

    def log_probabilities(self, query: Tensor, memory: Memory) -> Tensor:
        """`log p_i`, `[batch, query, key]` (or `[batch, key]`), nats; -inf for slots that may not be attended.

        Args:
            query: `[batch, query, query_dim]` or `[batch, query_dim]`.
            memory: what `remember` made.
        """
        queries = query[:, None] if query.dim() == 2 else query
        scores = seen_scores(self.score, queries, memory)
        if memory.mask is not None:
            scores = scores.masked_fill(~memory.mask, torch.finfo(scores.dtype).min)
        chances = scores.log_softmax(-1)
        if memory.mask is not None:
            chances = chances.masked_fill(~memory.mask, -float("inf"))
        return chances[:, 0] if query.dim() == 2 else chances


def copy_log_probabilities(
    vocabulary: Float[Tensor, "batch *query vocab"],
    weights: Float[Tensor, "batch *query key"],
    gate: Float[Tensor, "batch *query"],
    slots: Int[Tensor, "batch key"],
    extended: int,
) -> Float[Tensor, "batch *query extended"]:
    """The pointer-generator's distribution: write a word of the vocabulary, or copy one from the source.

    `P(w) = p_gen P_vocab(w) + (1 - p_gen) sum_{j: x_j = w} a_j` (See et al. 2017, eq. 9), over the vocabulary and,
    after it, the words of the source that the vocabulary lacks.

    Args:
        vocabulary: log-probabilities of the vocabulary, nats.
        weights: attention over the source; they need not sum to one.
        gate: logit of p_gen.
        slots: the word at each slot, an index into the extended vocabulary.
        extended: size of the extended vocabulary.

    Returns:
        log P, nats; -inf for words that can neither be written nor copied. Finite gradients throughout: to the sum of a
        word that the source has 1e-12 is added, or hard weights that look elsewhere would make its loss infinite.

    >>> half = torch.tensor([[0.5, 0.5]]).log()
    >>> copied = copy_log_probabilities(half, torch.tensor([[0.75, 0.25]]), torch.zeros(1), torch.tensor([[2, 0]]), 3)
    >>> copied.exp().tolist()
    [[0.375, 0.25, 0.375]]
    """
    slots = slots.view(slots.shape[0], *[1] * (weights.dim() - 2), slots.shape[1])
    faint = weights.new_zeros(*slots.shape[:-1], extended).scatter(-1, slots, _FAINT)  # once, however often it occurs
    copied = faint.expand(*weights.shape[:-1], -1).scatter_add(-1, slots.expand(weights.shape), weights)
    written = pad(vocabulary, (0, extended - vocabulary.shape[-1]), value=-float("inf")) + logsigmoid(gate)[..., None]
    # Only where something can be copied: the logarithm of zero has no gradient.
    tiny = torch.finfo(copied.dtype).tiny
    both = torch.logaddexp(written, copied.clamp_min(tiny).log() + logsigmoid(-gate)[..., None])
    return torch.where(copied > 0, both, written)


class PointerGenerator(nn.Module):
    """Writes or copies: `p_gen = sigmoid(w_h . h* + w_s . s + w_x . x + b)` (See et al. 2017, eq. 8), then eq. 9.

    Args:
        context_dim, state_dim, token_dim: widths of the context h*, the decoder's state s and the token x it has read.

    >>> write = PointerGenerator(context_dim=4, state_dim=3, token_dim=2)
    >>> read = torch.ones(1, 4), torch.ones(1, 3), torch.ones(1, 2)
    >>> write(torch.zeros(1, 5), torch.full((1, 7), 1 / 7), torch.full((1, 7), 5), *read).exp().sum().round(decimals=5)
    tensor(1., grad_fn=<RoundBackward1>)
    """

    def __init__(self, context_dim: int, state_dim: int, token_dim: int):
        super().__init__()
        self.gate = nn.Linear(context_dim + state_dim + token_dim, 1)

    def forward(
        self,
        logits: Float[Tensor, "batch *query vocab"],
        weights: Float[Tensor, "batch *query key"],
        slots: Int[Tensor, "batch key"],
        context: Float[Tensor, "batch *query context_dim"],
        state: Float[Tensor, "batch *query state_dim"],
        token: Float[Tensor, "batch *query token_dim"],
    ) -> Float[Tensor, "batch *query extended"]:
        """Log-probabilities over the vocabulary and one more word for each slot: more words no source can add.

        Args:
            logits: over the vocabulary.
            weights: attention over the source.
            slots: the word at each slot, an index below `vocab + key`.
        """
        gate = self.logit(context, state, token)
        with torch.autocast(logits.device.type, enabled=False):
            written = precise(logits).log_softmax(-1)
            extended = logits.shape[-1] + slots.shape[1]
            return copy_log_probabilities(written, precise(weights), gate, slots, extended)

    def logit(
        self,
        context: Float[Tensor, "batch *query context_dim"],
        state: Float[Tensor, "batch *query state_dim"],
        token: Float[Tensor, "batch *query token_dim"],
    ) -> Float[Tensor, "batch *query"]:
        """The logit of p_gen, float32 or better."""
        gate: Tensor = precise(self.gate(torch.cat([context, state, token], -1)))[..., 0]
        return gate


def copied_share(
    log_probabilities: Float[Tensor, "batch query extended"],
    weights: Float[Tensor, "batch query key"],
    gate: Float[Tensor, "batch query"],
    slots: Int[Tensor, "batch key"],
    words: Int[Tensor, "batch query"],
) -> Float[Tensor, "batch query"]:
    """Which share of the probability of each word came from copying, 0 to 1 (See et al. 2017, eq. 9, second term).

    `(1 - p_gen) sum_{i: w_i = w} a_i / P(w)`.

    Args:
        log_probabilities: log P over the extended vocabulary, as `PointerGenerator` gives it.
        weights: attention over the source.
        gate: logit of p_gen.
        slots: the word at each slot, an index into the extended vocabulary.
        words: the words that were written.

    >>> log_p = torch.tensor([[[0.375, 0.25, 0.375]]]).log()
    >>> weights, slots = torch.tensor([[[0.75, 0.25]]]), torch.tensor([[2, 0]])
    >>> copied_share(log_p, weights, torch.zeros(1, 1), slots, torch.tensor([[0]])).item()
    0.3333333432674408
    """
    mass = (weights * (slots[:, None, :] == words[..., None])).sum(-1)
    total = log_probabilities.gather(-1, words[..., None])[..., 0].exp()
    return (torch.sigmoid(-gate) * mass / total).clamp(0.0, 1.0)
