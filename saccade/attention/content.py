"""Content attention: any score of query and key, any normaliser, the whole memory or a window of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade import kernels, normalizers
from saccade.attention import windows
from saccade.attention.base import Asked, Attention, Noise
from saccade.attention.results import Attended, Memory, Windowed, exportable
from saccade.attention.windows import Window
from saccade.masks import Mask, Pattern
from saccade.normalizers import Normalizer, Softmax
from saccade.normalizers.base import precise


@exportable
class Drawn(NamedTuple):
    """What REINFORCE needs to know of all that was drawn so far, in nats, `[batch]` each.

    log_probability: summed over the queries: log p of the slots that were drawn.
    entropy:         summed over the queries: H of the distributions they were drawn from.
    expected:        boolean, True for an example that takes expected values and draws nothing; None where all draw.
    """

    log_probability: Tensor
    entropy: Tensor
    expected: Tensor | None = None


@exportable
class ContentState(NamedTuple):
    """What content attention carries: the window's state, and what was drawn; None where there is neither."""

    window: Any
    drawn: Drawn | None


class ContentAttention(Attention):
    """Attention by content: a subclass defines `score(query, key)`, everything else is chosen.

    `weights = normalizer(score(query, key) + bias)` over the slots that the mask and the window allow;
    `context = weights @ value`.

    Args:
        normalizer: from scores to weights, softmax where None; see `saccade.normalizers`.
        window: which slots each query reads, all where None; see `saccade.attention.windows`.
    """

    by_place = False
    """Whether scores belong to absolute slots, so that a window of them has no meaning."""

    def __init__(
        self, query_dim: int, key_dim: int, *, normalizer: Normalizer | None = None, window: Window | None = None
    ):
        super().__init__(query_dim, key_dim)
        if window is not None and self.by_place:
            raise ValueError(f"{type(self).__name__} scores slots by their place and takes no window; got {window}")
        self.normalizer = Softmax() if normalizer is None else normalizer
        self.window = window

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores `[batch, query, key]`, in float32 or better, of a query and projected keys."""
        raise TypeError(f"{type(self).__name__} defines no score")

    def initial(self, memory: Memory) -> ContentState | None:
        """Nothing is carried, but for windows that move and for weights that were drawn."""
        batch, like = memory.value.shape[0], memory.value
        window = None if self.window is None else self.window.initial(batch, like)
        drawn = self._nothing_drawn(batch, like) if self.normalizer.reinforced else None
        return None if window is drawn is None else ContentState(window, drawn)

    def _nothing_drawn(self, batch: int, like: Tensor) -> Drawn:
        share = getattr(self.normalizer, "expected", 0.0) if self.training else 0.0
        expected = torch.rand(batch, device=like.device) < share if share else None
        nothing = precise(like.new_zeros(batch))
        return Drawn(nothing, nothing, expected)

    def attend(self, query: Tensor, memory: Memory, state: Any, asked: Asked) -> Attended:
        """The four steps, over every slot or over each query's window."""
        if self.window is not None:
            return self._attend_window(query, memory, state, asked)
        scores = seen_scores(self.score, query, memory)
        if asked.bias is not None:
            scores = scores + asked.bias
        weights, drawn = self.normalize(scores, memory.mask, asked.noise, None if state is None else state.drawn)
        context = kernels.read_values(weights, memory.value, memory.mask)
        return Attended(context, weights.to(memory.value.dtype), None if state is None else ContentState(None, drawn))

    def normalize(
        self, scores: Tensor, mask: Tensor | None, noise: Noise | None, drawn: Drawn | None
    ) -> tuple[Tensor, Drawn | None]:
        """Weights, and the log-probability and entropy of what was drawn added to those of the queries before."""
        weights = self.normalizer(scores, mask, noise)
        if drawn is not None:
            chance = normalizers.log_probability(scores, weights, mask).sum(1)
            if drawn.expected is not None:
                chance = chance.masked_fill(drawn.expected, 0.0)
                weights = torch.where(drawn.expected[:, None, None], normalizers.softmax(scores, mask), weights)
            entropy = drawn.entropy + normalizers.entropy(scores, mask).sum(1)
            drawn = Drawn(drawn.log_probability + chance, entropy, drawn.expected)
        return weights, drawn

    def _attend_window(self, query: Tensor, memory: Memory, state: ContentState, asked: Asked) -> Attended:
        assert self.window is not None
        slots, mask = memory.value.shape[1], memory.mask
        everything = query.new_full((1, 1), slots, dtype=torch.long)
        centre, window = self.window(query, everything if mask is None else mask.sum(-1), state.window)
        start, place, inside = windows.neighbours(centre, self.window.half_width, slots)
        if mask is not None:
            inside = inside & windows.gather_scores(mask, place)
        # Every query has its own copy of its few slots, so what is hidden from it can be zeroed for it alone.
        key, value = (torch.where(inside[..., None], windows.gather(x, place), 0.0) for x in (memory.key, memory.value))
        scores = self._score_each(query, key, projected=not isinstance(memory, Unprojected))
        if asked.bias is not None:
            scores = scores + windows.gather_scores(asked.bias, place)
        noise = windows.gather_scores(asked.noise, place) if isinstance(asked.noise, Tensor) else asked.noise
        weights, drawn = self.normalize(scores, inside, noise, state.drawn)
        with torch.autocast(query.device.type, enabled=False):
            if self.window.gaussian:
                weights = weights * windows.gaussian(centre, start, self.window.half_width).to(weights.dtype)
            context = (weights[..., None, :] @ value.to(weights.dtype))[..., 0, :].to(value.dtype)
        return Attended(context, Windowed(start, weights.to(value.dtype), slots), ContentState(window, drawn))

    def _score_each(self, query: Tensor, key: Tensor, *, projected: bool) -> Tensor:
        """Scores of each query against keys of its own, `[batch, query, width, ...]`."""
        one_each = key.flatten(0, 1)
        if not projected:
            one_each = self.project_key(one_each)
        return self.score(query.flatten(0, 1)[:, None], one_each).view(*key.shape[:3])

    def remember_for(self, queries: int, key: Tensor, value: Tensor, mask: Mask | None) -> Memory:
        """Where the windows together hold fewer slots than the memory, only the keys inside them are projected."""
        if (
            self.window is None
            or isinstance(mask, Pattern)
            or key.dim() != 3
            or queries * (2 * self.window.half_width + 1) >= key.shape[1]
        ):
            return self.remember(key, value, mask=mask)
        return Unprojected(*self.checked_memory(key, value, mask))


class Unprojected(Memory):
    """A memory whose keys are projected only where they are read."""


def seen_scores(score: Callable[..., Tensor], query: Tensor, memory: Memory) -> Tensor:
    """`score(query, key)` of a memory, in which keys that a query's mask hides from it have no part.

    Where something was prepared of the keys it is given too: `score(query, key, prepared)`.
    """
    if memory.prepared is None:
        return kernels.seen_scores(score, query, memory.key, memory.mask)
    return score(query, memory.key, memory.prepared)
