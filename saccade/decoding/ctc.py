"""CTC's answers: its best path, the probability that an answer begins so, and a decoder that asks both.

A path writes one token or the blank at each time; without repeats and then blanks it is an answer (Graves et al. 2006,
§3.1). An answer's probability is the sum over its paths.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from saccade.decoding.steps import Hypothesis, Scored, Steps
from saccade.masks import padding

INF = float("inf")


def best_path(
    log_probabilities: Float[Tensor, "batch time vocab"], lengths: Int[Tensor, " batch"], *, blank: int
) -> list[Hypothesis]:
    """The answer of the likeliest path: the best token at each time (Graves et al. 2006, §3.2).

    Its score is the log-probability of that one path, a lower bound of the answer's; it has no weights.

    Args:
        log_probabilities: normalised over the vocabulary, `[batch, time, vocab]`.
        lengths: how many times of each row are real, `[batch]`; what lies behind has no influence.
        blank: the token that writes nothing.

    Raises:
        ValueError: a shape is wrong, or a row is longer than there are times.

    >>> path = torch.nn.functional.one_hot(torch.tensor([[3, 3, 0, 3, 4]]), 5).double().log()
    >>> best_path(path, torch.tensor([5]), blank=0)
    [Hypothesis(tokens=[3, 3, 4], score=0.0, weights=None)]
    """
    best, token = framed(log_probabilities, lengths, blank=blank).logs.max(-1)
    before = pad(token, (1, 0), value=blank)[:, :-1]
    written = (token != blank) & (token != before)
    return [
        Hypothesis(row[kept].tolist(), score, None)
        for row, kept, score in zip(token, written, best.sum(-1).tolist(), strict=True)
    ]


class Frames(NamedTuple):
    """What CTC says at each time, `[batch, time, vocab]`, with certain blanks behind each row, which change no answer's
    probability: the logarithms and the probabilities themselves; float32 at least.
    """

    logs: Tensor
    chances: Tensor


class Prefix(NamedTuple):
    """How probable it is to have written just the beginning g of an answer after each time, `[batch, 1 + time]`.

    nonblank: log of γⁿ_t(g), over the paths that end with g's last token at time t.
    blank:    log of γᵇ_t(g), over those that end with a blank; column 0 of both is before the first time.
    last:     g's last token, `[batch]`; -1 where it has none.
    score:    log ψ(g), the probability that an answer begins with g, `[batch]`.
    """

    nonblank: Tensor
    blank: Tensor
    last: Tensor
    score: Tensor


def framed(
    log_probabilities: Float[Tensor, "batch time vocab"], lengths: Int[Tensor, " batch"], *, blank: int
) -> Frames:
    """What the functions of prefixes read; for the arguments and errors see `best_path`."""
    if log_probabilities.dim() != 3 or lengths.shape != log_probabilities.shape[:1]:
        raise ValueError(
            "log_probabilities must be [batch, time, vocab] and lengths [batch]; "
            f"got {list(log_probabilities.shape)} and {list(lengths.shape)}"
        )
    wide = log_probabilities if log_probabilities.dtype == torch.float64 else log_probabilities.float()
    certain = wide.new_full(wide.shape[-1:], -INF)
    certain[blank] = 0.0
    logs = torch.where(padding(lengths, wide.shape[1])[..., None], wide, certain)
    return Frames(logs, logs.exp())


def empty_prefix(frames: Frames, *, blank: int) -> Prefix:
    """The beginning of every answer: nothing written, `γᵇ_t = prod_{s <= t} p_s(blank)`, ψ = 1."""
    silent = pad(frames.logs[..., blank].cumsum(-1), (1, 0))
    last = silent.new_full(silent.shape[:1], -1, dtype=torch.long)
    return Prefix(torch.full_like(silent, -INF), silent, last, torch.zeros_like(silent[:, 0]))


def extend(prefix: Prefix, token: Int[Tensor, " batch"], frames: Frames, *, blank: int) -> Prefix:
    """The beginning g·c, one token longer (Watanabe et al. 2017, Algorithm 2).

        φ_t      = γᵇ_{t-1}(g) + (γⁿ_{t-1}(g) where c is not g's last token)
        γⁿ_t(gc) = (γⁿ_{t-1}(gc) + φ_t) p_t(c)
        γᵇ_t(gc) = (γᵇ_{t-1}(gc) + γⁿ_{t-1}(gc)) p_t(blank)
        ψ(gc)    = sum_t φ_t p_t(c)

    all in logarithms.
    """
    said, silence = _column(frames.logs, token), frames.logs[..., blank]
    new = _new(prefix, token == prefix.last) + said
    nonblank = _running(said, new)
    blanks = _running(silence, _later(nonblank, 1) + silence)
    nonblank, blanks = (pad(part, (1, 0), value=-INF) for part in (nonblank, blanks))
    return Prefix(nonblank, blanks, token, new.logsumexp(1))


def prefix_scores(
    prefix: Prefix, frames: Frames, tokens: Int[Tensor, "batch some"] | None = None, *, blank: int, end: int
) -> Float[Tensor, "batch some"]:
    """The log of ψ(g·c) for every next token c, and for the end token the log-probability that g is the whole answer,
    `γⁿ_T(g) + γᵇ_T(g)` (Watanabe et al. 2017, Algorithm 2). Together they are ψ(g).

    As φ_t is the same for all tokens but g's last, ψ is one product of φ with the table of probabilities; only the
    token that is then taken needs the recursion of `extend`. As φ_t <= ψ(g), what the product loses in float32 are
    tokens that add less than about e^-87 of ψ(g): they get -inf.

    Args:
        prefix: g.
        frames: from `framed`.
        tokens: which c, `[batch, some]`; all where None.
        blank: the token that writes nothing, whose score is -inf.
        end: the token that ends an answer.
    """
    chances = frames.chances
    if tokens is None:
        tokens = torch.arange(chances.shape[-1], device=chances.device)[None]
    else:
        spread = tokens[:, None].expand(-1, chances.shape[1], -1)
        chances = chances.expand(len(tokens), -1, -1).gather(2, spread)
    new = _new(prefix, torch.zeros_like(prefix.last, dtype=torch.bool))
    # The least number in place of -inf, which less itself would be NaN.
    most = new.amax(1, keepdim=True).clamp(min=torch.finfo(new.dtype).min)
    with torch.autocast(new.device.type, enabled=False):
        scores = ((new - most).exp()[:, None] @ chances)[:, 0].log() + most
    again = (prefix.blank[:, :-1] + _column(frames.logs, prefix.last.clamp(min=0))).logsumexp(1)
    scores = torch.where(tokens == prefix.last[:, None], again[:, None], scores)
    whole = torch.logaddexp(prefix.nonblank[:, -1], prefix.blank[:, -1])[:, None]
    return torch.where(tokens == end, whole, scores).masked_fill(tokens == blank, -INF)


def _column(table: Tensor, token: Tensor) -> Tensor:
    """Of each row the column of its token, `[batch, time]`."""
    time = table.shape[1]
    return table.expand(len(token), -1, -1).gather(2, token[:, None, None].expand(-1, time, 1))[..., 0]


def _new(prefix: Prefix, same: Tensor) -> Tensor:
    """The log of φ_t, `[batch, time]`: where the next token is the same as the last there must be a blank between."""
    nonblank = prefix.nonblank.masked_fill(same[:, None], -INF)
    return torch.logaddexp(nonblank, prefix.blank)[:, :-1]


def _running(gain: Tensor, new: Tensor) -> Tensor:
    """`x_t = log(exp(x_{t-1} + gain_t) + exp(new_t))` for all t of `[batch, time]`, in log2(time) rounds: after each,
    x holds what began within twice as many times.
    """
    span = 1
    while span < gain.shape[1]:
        new = torch.logaddexp(new, _later(new, span) + gain)
        gain = gain + _later(gain, span)
        span *= 2
    return new


def _later(x: Tensor, span: int) -> Tensor:
    return pad(x, (span, 0), value=-INF)[:, :-span]


class JointMemory(NamedTuple):
    """What the decoder reads, and what CTC says."""

    source: Any
    frames: Frames


class JointState(NamedTuple):
    """The decoder's state, and the beginning as CTC sees it; None before the first step."""

    decoder: Any
    prefix: Prefix | None


class JointSteps:
    """A decoder and CTC asked together at each step (Watanabe et al. 2017; Hori et al. 2017), for `greedy` and
    `beam_search`:

        (1 - λ) log p_att(c | g, X) + λ (log ψ(g·c) - log ψ(g))

    ψ being the probability under CTC that the answer begins so, or is whole where c is the end token. Along an answer
    these add up to `(1 - λ) log p_att + λ log p_ctc`, the paper's score. With λ = 0 it is the decoder alone, with
    λ = 1 CTC alone; the weights are the decoder's.

    Args:
        decoder: what takes the steps; its logits `[batch, vocab]` are over the tokens of CTC.
        weight: λ, 0 to 1.
        blank: CTC's blank, a token that the decoder never writes.
        end: the token that ends an answer.
        candidates: of a larger vocabulary CTC is asked only about so many tokens, the decoder's best, and about the
            end token; the others get -inf.

    Raises:
        ValueError: the weight is not from 0 to 1, or there are no candidates.
    """

    def __init__(self, decoder: Steps, weight: float, *, blank: int = 0, end: int = 2, candidates: int = 200):
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be from 0 to 1; got {weight}")
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}")
        self.decoder, self.weight, self.blank, self.end = decoder, weight, blank, end
        self.candidates = candidates

    def begin(
        self,
        source: Any,
        state: Any,
        log_probabilities: Float[Tensor, "batch time vocab"],
        lengths: Int[Tensor, " batch"],
    ) -> tuple[JointMemory, JointState]:
        """Memory and first state of a search.

        Args:
            source: the decoder's memory.
            state: its first state.
            log_probabilities: CTC's, normalised over the vocabulary.
            lengths: how many times of each row are real, `[batch]`.
        """
        frames = framed(log_probabilities, lengths, blank=self.blank)
        return JointMemory(source, frames), JointState(state, None)

    def step(self, token: Int[Tensor, " batch"], memory: JointMemory, state: JointState) -> Scored:
        """Read the previous token `[batch]` and score the next."""
        stepped = self.decoder.step(token, memory.source, state.decoder)
        said = stepped.scores if isinstance(stepped, Scored) else stepped.logits.float().log_softmax(-1)
        if self.weight == 0:
            return Scored(said, stepped.weights, JointState(stepped.state, None))
        frames = memory.frames
        if state.prefix is None:
            prefix = empty_prefix(frames, blank=self.blank)
        else:
            prefix = extend(state.prefix, token, frames, blank=self.blank)
        gains = self._gains(prefix, frames, said)
        scores = gains if self.weight == 1 else (1 - self.weight) * said + self.weight * gains
        return Scored(scores, stepped.weights, JointState(stepped.state, prefix))

    def _gains(self, prefix: Prefix, frames: Frames, said: Tensor) -> Tensor:
        """What log ψ gains by each token, `[batch, vocab]`; -inf where CTC cannot have written g."""
        # The least number in place of -inf, which less itself would be NaN.
        whole = prefix.score.clamp(min=torch.finfo(prefix.score.dtype).min)[:, None]
        if self.candidates >= said.shape[-1]:
            return prefix_scores(prefix, frames, blank=self.blank, end=self.end) - whole
        best = said.topk(self.candidates, -1).indices
        best = torch.cat([best, best.new_full((len(best), 1), self.end)], -1)
        some = prefix_scores(prefix, frames, best, blank=self.blank, end=self.end) - whole
        return some.new_full(said.shape, -INF).scatter(-1, best, some)
