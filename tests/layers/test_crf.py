"""The conditional random field: it equals a walk over all sequences, and what is missing or forbidden has no part."""

import itertools
import re
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from saccade.layers.crf import ConditionalRandomField, log_likelihood, marginals, viterbi

BATCH, TIME, TAGS = 5, 4, 3
LENGTHS = torch.tensor([4, 2, 1, 3, 0])
MASK = torch.arange(TIME) < LENGTHS[:, None]
FORBIDDEN = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 0, 1]]).bool()
constrained = pytest.mark.parametrize("constrained", [False, True])


class Scores(NamedTuple):
    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor

    @classmethod
    def drawn(cls, dtype: torch.dtype = torch.float64, constrained: bool = False) -> "Scores":
        torch.manual_seed(1)
        shapes = ((BATCH, TIME, TAGS), (TAGS, TAGS), (TAGS,), (TAGS,))
        emissions, transitions, start, end = (torch.randn(shape, dtype=dtype) for shape in shapes)
        if constrained:
            transitions, start = (
                transitions.masked_fill(FORBIDDEN, -torch.inf),
                start.index_fill(0, start.argmax(), -torch.inf),
            )
            end = end.index_fill(0, torch.tensor([1]), -torch.inf)
        return cls(emissions, transitions, start, end)


def tags_of(scores: Scores) -> Tensor:
    """Sequences that may be, not the best ones."""
    found = torch.zeros(BATCH, TIME, dtype=torch.long)
    for b, length in enumerate(LENGTHS.tolist()):
        possible = [path for path, score in walked(scores, b) if score > -torch.inf]
        found[b, :length] = torch.tensor(possible[len(possible) // 2])
    return found


def walked(scores: Scores, b: int) -> list[tuple[tuple[int, ...], Tensor]]:
    """Every sequence of one row and its score, as the formula says it."""
    emissions, transitions, start, end = scores
    found = []
    for path in itertools.product(range(TAGS), repeat=int(LENGTHS[b])):
        score = emissions.new_zeros(())
        for t, tag in enumerate(path):
            score = score + emissions[b, t, tag]
            score = score + (start[tag] if t == 0 else transitions[path[t - 1], tag])
        found.append((path, score + end[path[-1]] if path else score))
    return found


def twin(scores: Scores, tags: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-likelihood, marginals, the best tags and their score, from all sequences."""
    likelihood, chances = [], scores.emissions.new_zeros(BATCH, TIME, TAGS)
    best, top = torch.zeros(BATCH, TIME, dtype=torch.long), []
    for b, length in enumerate(LENGTHS.tolist()):
        paths = walked(scores, b)
        total = torch.stack([score for _, score in paths if score > -torch.inf]).logsumexp(0)
        likelihood.append(dict(paths)[tuple(tags[b, :length].tolist())] - total)
        for path, score in paths:
            for t, tag in enumerate(path):
                chances[b, t, tag] += (score - total).exp()
        path, score = max(paths, key=lambda pair: pair[1])
        best[b, :length] = torch.tensor(path)
        top.append(score)
    return torch.stack(likelihood), chances, best, torch.stack(top)


@constrained
def test_it_equals_a_walk_over_all_sequences(constrained):
    scores = Scores.drawn(constrained=constrained)
    tags = tags_of(scores)
    likelihood, chances, best, top = twin(scores, tags)
    torch.testing.assert_close(
        log_likelihood(scores.emissions, tags, *scores[1:], MASK), likelihood, rtol=0, atol=1e-12
    )
    torch.testing.assert_close(marginals(*scores, MASK), chances, rtol=0, atol=1e-12)
    found, score = viterbi(*scores, MASK)
    assert found.tolist() == best.tolist()
    torch.testing.assert_close(score, top, rtol=0, atol=1e-12)


def test_marginals_are_the_gradient_of_the_log_partition_and_sum_to_one():
    scores = Scores.drawn(constrained=True)
    emissions, tags = scores.emissions.requires_grad_(), tags_of(scores)
    log_likelihood(emissions, tags, *scores[1:], MASK).sum().backward()
    chosen = torch.nn.functional.one_hot(tags, TAGS) * MASK[..., None]
    found = marginals(*scores, MASK)
    torch.testing.assert_close(found, chosen - emissions.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.sum(-1), MASK.double(), rtol=0, atol=1e-12)


@constrained
def test_gradients(constrained):
    scores = Scores.drawn(constrained=constrained)
    allowed = [part > -torch.inf for part in scores]
    tags = tags_of(scores)

    def confined(*parts: Tensor) -> list[Tensor]:
        return [part.masked_fill(~may, -torch.inf) for part, may in zip(parts, allowed, strict=True)]

    def likelihood(*parts: Tensor) -> Tensor:
        emissions, *rest = confined(*parts)
        return log_likelihood(emissions, tags, *rest, MASK)

    inputs = [part.masked_fill(part == -torch.inf, 0.0).requires_grad_() for part in scores]
    assert torch.autograd.gradcheck(likelihood, inputs)
    assert torch.autograd.gradgradcheck(likelihood, inputs)
    assert torch.autograd.gradcheck(lambda *parts: marginals(*confined(*parts), MASK), inputs)


@constrained
def test_nothing_leaks_from_padding(constrained):
    scores, results = Scores.drawn(constrained=constrained), []
    tags = tags_of(scores)
    for poison, tag in ((0.0, 0), (float("nan"), -100)):
        parts = [part.clone().requires_grad_() for part in scores]
        with torch.no_grad():
            parts[0][~MASK] = poison
        likelihood = log_likelihood(parts[0], tags.masked_fill(~MASK, tag), *parts[1:], MASK)
        chances, (best, score) = marginals(*parts, MASK), viterbi(*parts, MASK)
        (likelihood.sum() + chances.square().sum() + score.sum()).backward()
        results.append([likelihood, chances, best, score, *(part.grad for part in parts)])
    for clean, dirty in zip(*results, strict=True):
        assert dirty.isfinite().all()
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)
    assert (results[0][1][~MASK] == 0).all()
    assert (results[0][2][~MASK] == 0).all()


def test_a_batch_is_its_rows_one_by_one():
    scores = Scores.drawn()
    tags = tags_of(scores)
    likelihood, chances = log_likelihood(scores.emissions, tags, *scores[1:], MASK), marginals(*scores, MASK)
    best, score = viterbi(*scores, MASK)
    for b, length in enumerate(LENGTHS.tolist()[:-1]):
        one = scores.emissions[b : b + 1, :length]
        found = log_likelihood(one, tags[b : b + 1, :length], *scores[1:])
        torch.testing.assert_close(found[0], likelihood[b], rtol=0, atol=1e-12)
        torch.testing.assert_close(marginals(one, *scores[1:])[0], chances[b, :length], rtol=0, atol=1e-12)
        alone, alone_score = viterbi(one, *scores[1:])
        assert alone[0].tolist() == best[b, :length].tolist()
        torch.testing.assert_close(alone_score[0], score[b], rtol=0, atol=1e-12)


def test_what_may_not_be_has_no_probability_and_no_gradient():
    allowed, (first, last) = ~FORBIDDEN, torch.tensor([[True, False, True], [True, True, False]])
    crf = ConditionalRandomField(TAGS, constraints=(allowed, first, last)).double()
    emissions = (10 * torch.randn(BATCH, TIME, TAGS, dtype=torch.float64)).requires_grad_()
    every = torch.tensor([*itertools.product(range(TAGS), repeat=TIME)])
    chances = crf(emissions[:1].expand(len(every), -1, -1), every).exp()
    possible = allowed[every[:, :-1], every[:, 1:]].all(1) & first[every[:, 0]] & last[every[:, -1]]
    assert ((chances > 0) == possible).all()
    torch.testing.assert_close(chances.sum(), torch.ones((), dtype=torch.float64))
    best = crf.viterbi(emissions[:1])[0][0]
    assert best.tolist() == every[chances.argmax()].tolist()
    impossible = every[~possible][:1]
    loss = crf(emissions[:1], impossible)
    loss.backward()
    assert loss == -torch.inf
    assert all((part.grad == 0).all() for part in (emissions, *crf.parameters()))


def test_where_nothing_may_be():
    crf = ConditionalRandomField(2, constraints=(torch.eye(2).bool(), *torch.eye(2).bool()))  # 0 first, 1 last
    emissions = torch.randn(1, 3, 2, requires_grad=True)
    likelihood, chances = crf(emissions, torch.tensor([[0, 0, 1]])), crf.marginals(emissions)
    assert (likelihood == -torch.inf).all()
    assert (crf.viterbi(emissions)[1] == -torch.inf).all()
    assert (chances == 0).all()
    (likelihood + chances.sum()).sum().backward()
    assert (emissions.grad == 0).all()


def test_it_begins_as_a_softmax_at_each_step():
    emissions, tags = torch.randn(BATCH, TIME, TAGS), torch.randint(TAGS, (BATCH, TIME))
    chances = emissions.log_softmax(-1)
    crf = ConditionalRandomField(TAGS)
    torch.testing.assert_close(crf(emissions, tags), chances.gather(2, tags[..., None]).sum((1, 2)))
    torch.testing.assert_close(crf.marginals(emissions), chances.exp())
    assert crf.viterbi(emissions)[0].tolist() == emissions.argmax(-1).tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_summed_in_float32(dtype):
    scores = Scores.drawn(torch.float32)
    tags, low = tags_of(scores), Scores(*(part.to(dtype) for part in scores))
    wide = Scores(*(part.float() for part in low))
    for cast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            found = [log_likelihood(low.emissions, tags, *low[1:], MASK), marginals(*low, MASK), *viterbi(*low, MASK)]
        other = [log_likelihood(wide.emissions, tags, *wide[1:], MASK), marginals(*wide, MASK), *viterbi(*wide, MASK)]
        for one, exact in zip(found, other, strict=True):
            torch.testing.assert_close(one, exact, rtol=0, atol=0)


def test_compiles_whole_and_exports(tmp_path):
    scores = Scores.drawn(torch.float32)
    tags = tags_of(scores)
    constraints = (~FORBIDDEN, torch.ones(TAGS).bool(), torch.ones(TAGS).bool())

    class Everything(ConditionalRandomField):
        def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
            return (
                super().forward(emissions, tags, mask),
                self.marginals(emissions, mask),
                *self.viterbi(emissions, mask),
            )

    crf, inputs = Everything(TAGS, constraints=constraints), (scores.emissions, tags, MASK)
    expected = crf(*inputs)
    torch.compiler.reset()
    compiled = torch.compile(crf, fullgraph=True, backend="aot_eager")(*inputs)
    torch.export.save(torch.export.export(crf, inputs), tmp_path / "crf.pt2")
    reloaded = torch.export.load(tmp_path / "crf.pt2").module()(*inputs)
    for found in (compiled, reloaded):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_constraints_are_kept_with_the_weights():
    crf, other = (
        ConditionalRandomField(TAGS, constraints=(~FORBIDDEN, *torch.eye(TAGS).bool()[:2])),
        ConditionalRandomField(TAGS),
    )
    other.load_state_dict(crf.state_dict())
    emissions = torch.randn(BATCH, TIME, TAGS)
    assert other.viterbi(emissions)[0].tolist() == crf.viterbi(emissions)[0].tolist()
    assert (other.allowed == ~FORBIDDEN).all()


HOLES = MASK.clone()
HOLES[0, 1] = False
CRF = ConditionalRandomField(TAGS)
EMISSIONS, TARGET = torch.zeros(BATCH, TIME, TAGS), torch.zeros(BATCH, TIME, dtype=torch.long)
TWO = torch.ones(2, 2).bool()
WRONG = {
    "emissions must be [batch, time, tag], a step and a tag at least; got [5, 0, 3]": lambda: CRF.viterbi(
        EMISSIONS[:, :0]
    ),
    "emissions must be [batch, time, tag], a step and a tag at least; got [4, 3]": lambda: CRF.marginals(EMISSIONS[0]),
    "transitions must be [2, 2], as emissions have 2 tags; got [3, 3]": lambda: CRF.viterbi(EMISSIONS[..., :2]),
    "mask must be [batch, key] = [5, 4]; got [5, 3]": lambda: CRF.viterbi(EMISSIONS, MASK[:, :3]),
    "mask must leave out steps at the end alone, as each tag follows the one before it": lambda: CRF.viterbi(
        EMISSIONS, HOLES
    ),
    "tags must be integers [batch, time] = [5, 4]; got torch.int64 [5, 3]": lambda: CRF(EMISSIONS, TARGET[:, :3]),
    "tags must be integers [batch, time] = [5, 4]; got torch.float32 [5, 4]": lambda: CRF(EMISSIONS, TARGET.float()),
    "tags must be 0 to 2; got 3": lambda: CRF(EMISSIONS, TARGET + 3),
    "tags must be 0 to 2; got -100": lambda: CRF(EMISSIONS, TARGET - 100, MASK),
    "tags must be at least 1; got 0": lambda: ConditionalRandomField(0),
    "allowed must be boolean [3, 3]; got torch.bool [2, 2]": lambda: ConditionalRandomField(
        3, constraints=(TWO, TWO[0], TWO[0])
    ),
    "allowed_end must be boolean [2]; got torch.int64 [2]": lambda: ConditionalRandomField(
        2, constraints=(TWO, TWO[0], TWO[0].long())
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
