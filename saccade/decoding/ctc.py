"""CTC's answers: its best path, the probability that an answer begins so, and a decoder that asks both.

A path writes one token or the blank at each time; without repeats and then blanks it is an answer (Graves et al. 2006,
§3.1). An answer's probability is the sum over its paths.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saccade.decoding.search import Hypothesis, Scored, Steps
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

    >>> path = torch.nn.functional.one_hot(torch.tensor([[3, 3, 0, 3, 4]]), 5).double().log()
    >>> best_path(path, torch.tensor([5]), blank=0)
    [Hypothesis(tokens=[3, 3, 4], score=0.0, weights=None)]
    """
    _check(log_probabilities, lengths)
    best, token = log_probabilities.max(-1)
    real = padding(lengths, log_probabilities.shape[1])
    scores = best.masked_fill(~real, 0.0).sum(-1)
    before = torch.nn.functional.pad(token, (1, 0), value=blank)[:, :-1]
    written = real & (token != blank) & (token != before)
    return [
        Hypothesis(row[kept].tolist(), score, None)
        for row, kept, score in zip(token, written, scores.tolist(), strict=True)
    ]


class Prefix(NamedTuple):
    """How probable it is to have written just the beginning g of an answer after each time, `[batch, 1 + time]`.

    nonblank: log of γⁿ_t(g), over the paths that end with g's last token at time t.
    blank:    log of γᵇ_t(g), over those that end with a blank; column 0 is before the first time.
    last:     g's last token, `[batch]`; -1 where it has none.
    score:    log ψ(g), the probability that an answer begins with g, `[batch]`.
    """

    nonblank: Tensor
    blank: Tensor
    last: Tensor
    score: Tensor


def blank_padding(
    log_probabilities: Float[Tensor, "batch time vocab"], lengths: Int[Tensor, " batch"], *, blank: int
) -> Float[Tensor, "batch time vocab"]:
    """Make every time behind a row's length a certain blank, which changes no answer's probability.

    In float32 at least; the functions of prefixes take what this gives.
    """
    _check(log_probabilities, lengths)
    wide = log_probabilities if log_probabilities.dtype == torch.float64 else log_probabilities.float()
    certain = wide.new_full((wide.shape[-1],), -INF).index_fill(0, lengths.new_tensor([blank]).long(), 0.0)
    return torch.where(padding(lengths, wide.shape[1])[..., None], wide, certain)


def empty_prefix(log_probabilities: Float[Tensor, "batch time vocab"], *, blank: int) -> Prefix:
    """The beginning of every answer: nothing written, `γᵇ_t = prod_{s <= t} p_s(blank)`, ψ = 1."""
    silent = torch.nn.functional.pad(log_probabilities[..., blank].cumsum(-1), (1, 0))
    last = silent.new_full(silent.shape[:1], -1, dtype=torch.long)
    return Prefix(torch.full_like(silent, -INF), silent, last, torch.zeros_like(silent[:, 0]))


def extend(
    prefix: Prefix, token: Int[Tensor, " batch"], log_probabilities: Float[Tensor, "batch time vocab"], *, blank: int
) -> Prefix:
    """The beginning g·c, one token longer (Watanabe et al. 2017, Algorithm 2, lines 10 to 17).

        φ_t      = γᵇ_{t-1}(g) + (γⁿ_{t-1}(g) where c is not g's last token)
        γⁿ_t(gc) = (γⁿ_{t-1}(gc) + φ_t) p_t(c)
        γᵇ_t(gc) = (γᵇ_{t-1}(gc) + γⁿ_{t-1}(gc)) p_t(blank)
        ψ(gc)    = sum_t φ_t p_t(c)

    all in logarithms.
    """
    batch, time = len(token), log_probabilities.shape[1]
    table = log_probabilities.expand(batch, -1, -1)
    gain, silence = table.gather(2, token[:, None, None].expand(-1, time, 1))[..., 0], table[..., blank]
    new = _new(prefix, token == prefix.last) + gain
    nonblank = blanks = new.new_full((batch,), -INF)
    columns = [(nonblank, blanks)]
    for fresh, said, silent in zip(new.unbind(1), gain.unbind(1), silence.unbind(1), strict=True):
        nonblank, blanks = torch.logaddexp(nonblank + said, fresh), torch.logaddexp(nonblank, blanks) + silent
        columns.append((nonblank, blanks))
    nonblanks, all_blanks = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return Prefix(nonblanks, all_blanks, token, new.logsumexp(1))


def prefix_scores(
    prefix: Prefix,
    log_probabilities: Float[Tensor, "batch time vocab"],
    tokens: Int[Tensor, "batch some"] | None = None,
    *,
    blank: int,
    end: int,
) -> Float[Tensor, "batch some"]:
    """The log of ψ(g·c) for every next token c, and for the end token the log-probability that g is the whole answer,
    `γⁿ_T(g) + γᵇ_T(g)` (Watanabe et al. 2017, Algorithm 2).

    Together they are ψ(g). As φ_t is the same for all tokens but g's last, this is one sum over time for the whole
    vocabulary; only the token that is then taken needs the recursion of `extend`.

    Args:
        prefix: g.
        log_probabilities: from `blank_padding`.
        tokens: which c, `[batch, some]`; all where None.
        blank: the token that writes nothing, whose score is -inf.
        end: the token that ends an answer.
    """
    if tokens is None:
        tokens = torch.arange(log_probabilities.shape[-1], device=log_probabilities.device)[None]
        table = log_probabilities
    else:
        spread = tokens[:, None].expand(-1, log_probabilities.shape[1], -1)
        table = log_probabilities.expand(len(tokens), -1, -1).gather(2, spread)
    scores = (table + _new(prefix, torch.zeros_like(prefix.last, dtype=torch.bool))[..., None]).logsumexp(1)
    again = _repeated(prefix, log_probabilities)
    scores = torch.where(tokens == prefix.last[:, None], again[:, None], scores)
    whole = torch.logaddexp(prefix.nonblank[:, -1], prefix.blank[:, -1])[:, None]
    return torch.where(tokens == end, whole, scores).masked_fill(tokens == blank, -INF)


def _new(prefix: Prefix, same: Tensor) -> Tensor:
    """The log of φ_t, `[batch, time]`: where the next token is the same as the last there must be a blank between."""
    nonblank = prefix.nonblank.masked_fill(same[:, None], -INF)
    return torch.logaddexp(nonblank, prefix.blank)[:, :-1]


def _repeated(prefix: Prefix, log_probabilities: Tensor) -> Tensor:
    """The log of ψ of g and its last token again, `[batch]`."""
    batch, time = len(prefix.last), log_probabilities.shape[1]
    spread = prefix.last.clamp(min=0)[:, None, None].expand(-1, time, 1)
    gain = log_probabilities.expand(batch, -1, -1).gather(2, spread)[..., 0]
    return (prefix.blank[:, :-1] + gain).logsumexp(1)


class JointMemory(NamedTuple):
    """What the decoder reads, and CTC's log-probabilities `[batch, time, vocab]`, certain blanks behind each row."""

    source: Any
    log_probabilities: Tensor


class JointState(NamedTuple):
    """The decoder's state, and the beginning as CTC sees it; None before the first step."""

    decoder: Any
    prefix: Prefix | None


class JointSteps:
    """A decoder and CTC asked together at each step (Watanabe et al. 2017, §III-C; Hori et al. 2017, §3.2), for
    `greedy` and `beam_search`:

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
        table = blank_padding(log_probabilities, lengths, blank=self.blank)
        return JointMemory(source, table), JointState(state, None)

    def step(self, token: Int[Tensor, " batch"], memory: JointMemory, state: JointState) -> Scored:
        """Read the previous token `[batch]` and score the next."""
        stepped = self.decoder.step(token, memory.source, state.decoder)
        said = stepped.scores if isinstance(stepped, Scored) else stepped.logits.float().log_softmax(-1)
        if self.weight == 0:
            return Scored(said, stepped.weights, JointState(stepped.state, None))
        table = memory.log_probabilities
        if state.prefix is None:
            prefix = empty_prefix(table, blank=self.blank)
        else:
            prefix = extend(state.prefix, token, table, blank=self.blank)
        gains = self._gains(prefix, table, said)
        scores = gains if self.weight == 1 else (1 - self.weight) * said + self.weight * gains
        return Scored(scores, stepped.weights, JointState(stepped.state, prefix))

    def _gains(self, prefix: Prefix, table: Tensor, said: Tensor) -> Tensor:
        """What log ψ gains by each token, `[batch, vocab]`; -inf where CTC cannot have written g."""
        # The least number in place of -inf, which less itself would be NaN.
        whole = prefix.score.clamp(min=torch.finfo(prefix.score.dtype).min)[:, None]
        if self.candidates >= said.shape[-1]:
            return prefix_scores(prefix, table, blank=self.blank, end=self.end) - whole
        best = said.topk(self.candidates, -1).indices
        best = torch.cat([best, best.new_full((len(best), 1), self.end)], -1)
        some = prefix_scores(prefix, table, best, blank=self.blank, end=self.end) - whole
        return some.new_full(said.shape, -INF).scatter(-1, best, some)


def _check(log_probabilities: Tensor, lengths: Tensor) -> None:
    if log_probabilities.dim() != 3 or lengths.shape != log_probabilities.shape[:1]:
        raise ValueError(
            "log_probabilities must be [batch, time, vocab] and lengths [batch]; "
            f"got {list(log_probabilities.shape)} and {list(lengths.shape)}"
        )
