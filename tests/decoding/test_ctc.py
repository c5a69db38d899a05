"""CTC against every path written out: prefixes, joint steps, searches."""

from collections import defaultdict
from itertools import product
from math import exp, inf, log
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from saccade.decoding import JointSteps, Scored, Symbols, beam_search, best_path, greedy
from saccade.decoding.ctc import Frames, Prefix, empty_prefix, extend, framed, prefix_scores

BLANK, START, END = 0, 1, 2
LETTERS = (3, 4)
SYMBOLS = Symbols(START, END, (BLANK, START))
VOCAB, TIME, SOURCE, LIMIT = 5, 5, 7, 6
LENGTHS = torch.tensor([5, 3, 4])
Answer = tuple[int, ...]


def table(seed: int = 0, sharpness: float = 1.5, dtype: torch.dtype = torch.float64) -> Tensor:
    """CTC's log-probabilities for three rows, with NaN behind each row's length."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(3, TIME, VOCAB, generator=generator, dtype=torch.float64)
    chances = logits.log_softmax(-1).to(dtype)
    for row, length in enumerate(LENGTHS.tolist()):
        chances[row, length:] = torch.nan
    return chances


def collapsed(path: Answer) -> Answer:
    return tuple(one for place, one in enumerate(path) if one != BLANK and (place == 0 or path[place - 1] != one))


def every_answer(chances: Tensor) -> dict[Answer, float]:
    """The probability of each answer of `[time, vocab]`: the sum over all paths."""
    rows, found = chances.exp().tolist(), defaultdict(float)
    for path in product(range(VOCAB), repeat=len(rows)):
        chance = 1.0
        for row, token in zip(rows, path, strict=True):
            chance *= row[token]
        found[collapsed(path)] += chance
    return found


def ways(chances: Tensor) -> list[dict[Answer, float]]:
    return [every_answer(row[:length]) for row, length in zip(chances, LENGTHS.tolist(), strict=True)]


def begins(answers: dict[Answer, float], beginning: Answer) -> float:
    return sum(chance for answer, chance in answers.items() if answer[: len(beginning)] == beginning)


def after(frames: Frames, beginning: Answer) -> Prefix:
    """The prefix of a beginning, the same in every row."""
    prefix = empty_prefix(frames, blank=BLANK)
    for token in beginning:
        prefix = extend(prefix, torch.full((len(frames.logs),), token), frames, blank=BLANK)
    return prefix


BEGINNINGS = [beginning for length in range(4) for beginning in product(LETTERS, repeat=length)]


@pytest.mark.parametrize("seed", range(3))
def test_prefixes_equal_every_path(seed):
    raw = table(seed)
    answers, frames = ways(raw), framed(raw, LENGTHS, blank=BLANK)
    for beginning in BEGINNINGS:
        prefix = after(frames, beginning)
        scores = prefix_scores(prefix, frames, blank=BLANK, end=END).exp()
        for row in range(3):
            expected = [begins(answers[row], (*beginning, token)) for token in range(VOCAB)]
            expected[BLANK], expected[END] = 0.0, answers[row].get(beginning, 0.0)
            assert scores[row].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)
            assert float(prefix.score[row].exp()) == pytest.approx(begins(answers[row], beginning), rel=1e-12)


def test_what_an_answer_can_go_on_with_adds_up():
    """Each token again, another one, or the end: together they are the beginning's own probability."""
    logits = torch.randn(2, 41, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    logits[..., END] = -inf
    frames = framed(logits.log_softmax(-1), torch.tensor([41, 29]), blank=BLANK)
    prefix = empty_prefix(frames, blank=BLANK)
    for token in ([5, 7], [5, 3], [9, 3], [5, 12]):
        scores = prefix_scores(prefix, frames, blank=BLANK, end=END)
        torch.testing.assert_close(scores.logsumexp(-1), prefix.score, rtol=1e-12, atol=1e-12)
        prefix = extend(prefix, torch.tensor(token), frames, blank=BLANK)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_whole_answers_equal_the_loss_of_pytorch(dtype, tolerance):
    generator = torch.Generator().manual_seed(6)
    exact = torch.randn(3, 211, 17, dtype=torch.float64, generator=generator).mul(3).log_softmax(-1)
    lengths, written = torch.tensor([211, 97, 150]), torch.randint(3, 6, (3, 23), generator=generator)
    frames = framed(exact.to(dtype), lengths, blank=BLANK)
    prefix = empty_prefix(frames, blank=BLANK)
    for token in written.unbind(1):
        prefix = extend(prefix, token, frames, blank=BLANK)
    found = prefix_scores(prefix, frames, blank=BLANK, end=END)[:, END]
    loss = torch.nn.functional.ctc_loss(
        exact.transpose(0, 1), written, lengths, torch.tensor([23, 23, 23]), blank=BLANK, reduction="none"
    )
    torch.testing.assert_close(found.double(), -loss, rtol=tolerance, atol=tolerance)


def test_some_tokens_equal_their_columns():
    frames = framed(table(), LENGTHS, blank=BLANK)
    prefix = after(frames, (4, 3))
    tokens = torch.tensor([[3, 2, 0], [4, 4, 1], [2, 3, 4]])
    some = prefix_scores(prefix, frames, tokens, blank=BLANK, end=END)
    whole = prefix_scores(prefix, frames, blank=BLANK, end=END)
    torch.testing.assert_close(some, whole.gather(1, tokens))


def test_one_row_may_stand_for_all():
    frames = framed(table(), LENGTHS, blank=BLANK)
    tokens = torch.tensor([3, 4, 3, 4])
    one, four = (Frames(*(part[1:2].repeat(times, 1, 1) for part in frames)) for times in (1, 4))
    prefix, expected = (extend(empty_prefix(some, blank=BLANK), tokens, some, blank=BLANK) for some in (one, four))
    for found, other in zip(prefix, expected, strict=True):
        torch.testing.assert_close(found, other)
    found = prefix_scores(prefix, one, blank=BLANK, end=END)
    torch.testing.assert_close(found, prefix_scores(expected, four, blank=BLANK, end=END))


def test_a_best_path_is_the_likeliest_path():
    chances = table(1)
    for row, found in enumerate(best_path(chances, LENGTHS, blank=BLANK)):
        paths = product(range(VOCAB), repeat=int(LENGTHS[row]))
        score, path = max(
            (sum(float(chances[row, time, token]) for time, token in enumerate(one)), one) for one in paths
        )
        assert found.tokens == list(collapsed(path))
        assert found.score == pytest.approx(score, rel=1e-12)
        assert found.weights is None


def test_a_best_path_by_hand():
    path = torch.tensor([[4, 4, 0, 4, 3, 3], [3, 0, 0, 4, 4, 3]])
    certain = torch.nn.functional.one_hot(path, VOCAB).double().log()
    found = best_path(certain, torch.tensor([6, 3]), blank=BLANK)
    assert [one.tokens for one in found] == [[4, 4, 3], [3]]
    assert [one.score for one in found] == [0, 0]
    assert best_path(certain, torch.tensor([0, 1]), blank=BLANK)[0] == ([], 0.0, None)


class State(NamedTuple):
    """A sum over what was written, so that a state given to the wrong beam shows."""

    seen: Tensor


class Stepped(NamedTuple):
    logits: Tensor
    weights: Tensor
    state: State


class Toy:
    """Logits from a table that depends on row, previous token and everything written before."""

    def __init__(self):
        generator = torch.Generator().manual_seed(5)
        self.table = torch.randn(VOCAB, 11, VOCAB, generator=generator, dtype=torch.float64)

    def step(self, token: Tensor, memory: Tensor, state: State) -> Stepped:
        seen = state.seen * 3 + token[:, None] + 1
        place = (seen + memory)[:, 0]
        weights = torch.nn.functional.one_hot(place % SOURCE, SOURCE).float()
        return Stepped(self.table[token, place % 11], weights, State(seen))


def begin(first: int = 0, rows: int = 3) -> tuple[Tensor, State]:
    return torch.arange(first, first + rows)[:, None] * 4, State(torch.zeros(rows, 1, dtype=torch.long))


def attended(row: int, answer: Answer) -> float:
    """The toy's log-probability of an answer and its end."""
    (memory, state), total = begin(row, 1), 0.0
    for previous, token in zip((START, *answer), (*answer, END), strict=True):
        stepped = Toy().step(torch.tensor([previous]), memory, state)
        total += float(stepped.logits.log_softmax(-1)[0, token])
        state = stepped.state
    return total


def joint(weight: float, candidates: int = 200) -> JointSteps:
    return JointSteps(Toy(), weight, blank=BLANK, end=END, candidates=candidates)


def search(weight: float, beam: int, chances: Tensor, *, candidates: int = 200):
    steps = joint(weight, candidates)
    return beam_search(steps, *steps.begin(*begin(), chances, LENGTHS), SYMBOLS, [LIMIT] * 3, beam)


@pytest.mark.parametrize("beam", [1, 3, 8])
def test_without_weight_a_search_is_the_decoders_own(beam):
    alone = beam_search(Toy(), *begin(), SYMBOLS, [LIMIT] * 3, beam)
    for one, other in zip(search(0, beam, table()), alone, strict=True):
        assert [(h.tokens, h.score) for h in one] == [(h.tokens, h.score) for h in other]
        for mine, its in zip(one, other, strict=True):
            torch.testing.assert_close(mine.weights, its.weights, rtol=0, atol=0)
    steps = joint(0)
    found = greedy(steps, *steps.begin(*begin(), table(), LENGTHS), SYMBOLS, [LIMIT] * 3)
    expected = greedy(Toy(), *begin(), SYMBOLS, [LIMIT] * 3)
    assert [(h.tokens, h.score) for h in found] == [(h.tokens, h.score) for h in expected]


@pytest.mark.parametrize("weight", [0.3, 0.8, 1])
@pytest.mark.parametrize("seed", range(2))
def test_a_beam_as_wide_as_the_language_finds_the_best_answers(weight, seed):
    chances = table(seed)
    for row, (found, answers) in enumerate(zip(search(weight, 64, chances), ways(chances), strict=True)):
        scored = []
        for answer, chance in answers.items():
            if set(answer) <= set(LETTERS):
                own = 0.0 if weight == 1 else (1 - weight) * attended(row, answer)
                scored.append((own + weight * log(chance), list(answer)))
        scored.sort(reverse=True)
        assert len(found) == len(scored) >= 9
        assert [h.tokens for h in found] == [answer for _, answer in scored]
        assert [h.score for h in found] == pytest.approx([score for score, _ in scored], abs=1e-5)


@pytest.mark.parametrize("beam", [1, 2, 3])
def test_each_hypothesis_of_a_narrow_beam_has_its_own_score(beam):
    chances = table(1, sharpness=1.0)
    for row, (found, answers) in enumerate(zip(search(0.4, beam, chances), ways(chances), strict=True)):
        assert len(found) == beam
        for h in found:
            assert h.score == pytest.approx(
                0.6 * attended(row, tuple(h.tokens)) + 0.4 * log(answers[tuple(h.tokens)]), abs=1e-5
            )
            assert len(h.weights) == len(h.tokens) + 1


def test_greedy_takes_the_best_joint_score_at_each_step():
    steps, chances = joint(0.4), table(2)
    found = greedy(steps, *steps.begin(*begin(), chances, LENGTHS), SYMBOLS, [LIMIT] * 3)
    for row, (h, answers) in enumerate(zip(found, ways(chances), strict=True)):
        expected = 0.6 * attended(row, tuple(h.tokens)) + 0.4 * log(answers[tuple(h.tokens)])
        assert h.score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weight", [0.3, 1])
def test_a_batch_equals_its_rows_alone(weight):
    chances, steps = table(1), joint(weight)
    together = search(weight, 4, chances)
    for row, length in enumerate(LENGTHS.tolist()):
        memory, state = begin(row, 1)
        started = steps.begin(memory, state, chances[row : row + 1, :length], LENGTHS[row : row + 1])
        (alone,) = beam_search(steps, *started, SYMBOLS, [LIMIT], 4)
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-9)


def test_ctc_that_is_certain_decides():
    """Zero probabilities, where logarithms are infinite, give no NaN, and the only answer that is left."""
    path = torch.tensor([[4, 4, 0, 4, 3], [3, 0, 4, 3, 3], [0, 3, 3, 0, 3]])
    certain = torch.nn.functional.one_hot(path, VOCAB).double().log()
    for weight in (0.1, 1):
        for beam in (1, 5):
            found = search(weight, beam, certain)
            assert [[h.tokens for h in row] for row in found] == [[[4, 4, 3]], [[3, 4]], [[3]]]
    assert [row[0].score for row in found] == [0, 0, 0]


def test_a_search_stops_where_nothing_more_is_possible():
    class Counted(JointSteps):
        taken = 0

        def step(self, token, memory, state):
            self.taken += 1
            return super().step(token, memory, state)

    certain = torch.nn.functional.one_hot(torch.tensor([[4, 4, 0, 4, 3]] * 3), VOCAB).double().log()
    steps = Counted(Toy(), 0.5, blank=BLANK, end=END)
    found = beam_search(steps, *steps.begin(*begin(), certain, LENGTHS), SYMBOLS, [50] * 3, 5)
    assert [len(row) for row in found] == [1, 1, 1]
    assert steps.taken == 4  # as many as the longest answer and its end


def test_candidates_are_the_decoders_best_and_the_end():
    chances = table()
    full, some = joint(0.5), joint(0.5, candidates=2)
    memory, state = full.begin(*begin(), chances, LENGTHS)
    token = torch.full((3,), START)
    for following in ([3, 4, 3], [4, 4, 3]):
        whole, part = (steps.step(token, memory, state) for steps in (full, some))
        own = Toy().step(token, memory.source, state.decoder).logits
        for row in range(3):
            kept = {*own[row].topk(2).indices.tolist(), END}
            expected = [float(whole.scores[row, one]) if one in kept else -inf for one in range(VOCAB)]
            assert part.scores[row].tolist() == pytest.approx(expected)
        assert isinstance(part, Scored)
        token, state = torch.tensor(following), part.state
    assert all(search(0.5, 3, chances, candidates=1))


def test_low_precision_is_float32_inside():
    low, exact = table(3).bfloat16(), table(3).bfloat16().double()
    scores = []
    for chances in (low, exact):
        frames = framed(chances, LENGTHS, blank=BLANK)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores.append(prefix_scores(after(frames, (4, 3)), frames, blank=BLANK, end=END))
    assert scores[0].dtype == torch.float32
    torch.testing.assert_close(scores[0].double(), scores[1], rtol=1e-5, atol=1e-5)
    for one, other in zip(*(best_path(chances, LENGTHS, blank=BLANK) for chances in (low, exact)), strict=True):
        assert one.tokens == other.tokens
        assert one.score == pytest.approx(other.score, rel=1e-6)


def test_long_and_sharp_rows_are_exact_in_float32():
    """Where beginnings are as improbable as e^-150, and tokens e^-60 of that."""
    generator = torch.Generator().manual_seed(8)
    exact = torch.randn(3, 401, 11, dtype=torch.float64, generator=generator).mul(12).log_softmax(-1)
    lengths, found = torch.tensor([401, 350, 13]), []
    for chances in (exact, exact.float()):
        frames = framed(chances, lengths, blank=BLANK)
        prefix = after(frames, (3, 4, 4, 5, 9, 3, 3))
        found.append(prefix_scores(prefix, frames, blank=BLANK, end=END) - prefix.score[:, None])
    kept = (found[0] > -80) & found[0].isfinite()
    assert int(kept.sum()) > 20
    assert float(found[0][kept].min()) < -40
    torch.testing.assert_close(found[1].double()[kept], found[0][kept], rtol=1e-6, atol=3e-5)
    assert not found[1].isnan().any()


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 3], r"log_probabilities must be \[batch, time, vocab\] and lengths \[batch\]; got \[3, 5, 5\] and \[2\]"),
        ([5, 6, 3], "lengths must be at most size = 5; got 6"),
    ],
)
def test_what_is_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        best_path(table(), torch.tensor(lengths), blank=BLANK)


def test_weights_and_candidates_that_are_refused():
    with pytest.raises(ValueError, match=r"weight must be from 0 to 1; got 1\.5"):
        joint(1.5)
    with pytest.raises(ValueError, match="candidates must be at least 1; got 0"):
        joint(0.5, candidates=0)


def test_every_way_to_write_an_answer_is_counted():
    """The twin itself: of two times `a` has three paths."""
    chances = torch.tensor([[0.5, 0, 0, 0.3, 0.2], [0.6, 0, 0, 0.1, 0.3]], dtype=torch.float64).log()
    assert every_answer(chances)[3,] == pytest.approx(0.3 * 0.6 + 0.5 * 0.1 + 0.3 * 0.1)
    assert exp(log(every_answer(chances)[()])) == pytest.approx(0.3)
