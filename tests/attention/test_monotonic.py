"""What is special to monotonic attention and MoChA; the laws they share with the others are in test_laws."""

import math
from itertools import product

import monotonic_twins as twins
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saccade.attention.mocha import MonotonicChunkwiseAttention, chunk_weights
from saccade.attention.monotonic import (
    MonotonicAttention,
    MonotonicState,
    expected_alignment,
    hard_alignment,
    recurrence,
)

# Different primes, so that a swapped axis fails.
BATCH, QUERY, KEY, QUERY_DIM, KEY_DIM, VALUE_DIM, HIDDEN = 2, 3, 7, 11, 13, 5, 17
CHUNK = 3
EXACT = {"rtol": 1e-10, "atol": 1e-10}

MASKS = {
    "none": None,
    "padding": torch.arange(KEY) < torch.tensor([[KEY], [2]]),
    "empty sentence": torch.arange(KEY) < torch.tensor([[4], [0]]),
    "holes": torch.tensor([[0, 0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 1, 0]]).bool(),
    "causal": torch.ones(1, QUERY, KEY, dtype=torch.bool).tril(2),
    "one for all queries": (torch.arange(KEY) < 5)[None, None],
    "a query that may look nowhere": torch.tensor([[[1, 0, 1, 1, 0, 1, 1], [0] * 7, [0, 1, 1, 0, 1, 1, 1]]] * 2).bool(),
}
every_mask = pytest.mark.parametrize("kind", MASKS)
both = pytest.mark.parametrize("kind_of", [MonotonicAttention, MonotonicChunkwiseAttention])
modes = pytest.mark.parametrize("training", [True, False], ids=["expected", "hard"])


def make(kind_of: type, training: bool = True, dtype: torch.dtype = torch.float64) -> MonotonicAttention:
    torch.manual_seed(1)
    options = {"chunk": CHUNK} if kind_of is MonotonicChunkwiseAttention else {}
    # Noise of 0.7, so that a standard deviation that is not used is seen; energies around zero, so that some stop.
    attend = kind_of(QUERY_DIM, KEY_DIM, HIDDEN, noise=0.7, offset=-0.1, **options).to(dtype).train(training)
    with torch.no_grad():
        attend.g.mul_(20.0)
    return attend


def inputs(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(2)
    shapes = (BATCH, QUERY, QUERY_DIM), (BATCH, KEY, KEY_DIM), (BATCH, KEY, VALUE_DIM)
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def noise_for(training: bool, dtype: torch.dtype = torch.float64) -> Tensor | None:
    torch.manual_seed(3)
    return torch.randn(BATCH, QUERY, KEY, dtype=torch.float64).to(dtype) if training else None


def bias_of(scale: float = 1.0) -> Tensor:
    torch.manual_seed(4)
    return scale * torch.randn(BATCH, QUERY, KEY, dtype=torch.float64)


def full(mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones(BATCH, QUERY, KEY, dtype=torch.bool)
    return (mask[:, None] if mask.dim() == 2 else mask).expand(BATCH, QUERY, KEY)


def scalars(x: Tensor) -> list | Tensor:
    """Nested lists of tensors without axes, which still know their gradient."""
    return [scalars(row) for row in x.unbind()] if x.dim() else x


def stacked(x: list | Tensor) -> Tensor:
    return torch.stack([stacked(row) for row in x]) if isinstance(x, list) else x


def gradients(outputs: tuple[Tensor, ...], leaves: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(5)
    loss = sum((x * torch.randn_like(x)).sum() for x in outputs)
    return list(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))


@every_mask
@modes
@both
def test_it_equals_the_scalar_loops(kind_of, training, kind):
    attend, (query, key, value) = make(kind_of, training), inputs()
    noise, bias, mask = noise_for(training), bias_of(), MASKS[kind]
    attended = attend(query, key, value, mask=mask, bias=bias, noise=noise)
    weights = {name: scalars(p) for name, p in attend.named_parameters()}
    chunk = CHUNK if kind_of is MonotonicChunkwiseAttention else None
    rows = []
    for b in range(BATCH):
        of_b = (scalars(x[b]) for x in (query, key, value))
        added = scalars(bias[b]), None if noise is None else scalars(0.7 * noise[b])
        rows.append([stacked(x) for x in twins.attend(*of_b, full(mask)[b].tolist(), *added, weights, chunk)])
    twin = tuple(torch.stack(parts) for parts in zip(*rows, strict=True))
    ours = attended.context, attended.weights, attended.state.alignment
    torch.testing.assert_close(ours, twin, **EXACT)
    leaves = [query, key, value, *attend.parameters()]
    torch.testing.assert_close(gradients(ours, leaves), gradients(twin, leaves), **EXACT)
    if kind == "none" and not training:
        assert attended.weights.sum() > 2, "the energies should let something be attended"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-60, 60), st.booleans()), min_size=1, max_size=12), st.integers(0, 12))
def test_hard_alignment_is_algorithm_1(slots, before):
    energies = torch.tensor([[e for e, _ in slots]], dtype=torch.float64) / 8
    allowed = torch.tensor([[ok for _, ok in slots]])
    previous = (torch.arange(len(slots)) == before).double()[None]  # all zeros where before is past the end
    twin = twins.hard(list(energies[0]), list(previous[0]), allowed[0].tolist())
    assert hard_alignment(energies, previous, allowed)[0].tolist() == [float(x) for x in twin]
    assert not hard_alignment(torch.zeros_like(energies), previous).any(), "a probability of one half is not enough"


@given(st.integers(1, 70))
@settings(max_examples=30, deadline=None)
def test_the_recurrence_at_any_length(slots):
    factor, term = torch.rand(2, slots, dtype=torch.float64)
    q, one_by_one = torch.zeros((), dtype=torch.float64), []
    for f, t in zip(factor, term, strict=True):
        q = f * q + t
        one_by_one.append(q)
    torch.testing.assert_close(recurrence(factor, term), torch.stack(one_by_one), rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", ["none", "holes"])
def test_derivatives_of_the_functions(kind):
    torch.manual_seed(6)
    mask = None if MASKS[kind] is None else MASKS[kind]
    energies, u = (torch.randn(BATCH, KEY, dtype=torch.float64, requires_grad=True) for _ in range(2))
    previous = torch.rand(BATCH, KEY, dtype=torch.float64).softmax(-1).requires_grad_()
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda e, a: expected_alignment(e, a, mask), (energies, previous))
        assert check(lambda a, u: chunk_weights(a, u, CHUNK, mask), (previous, u))


@both
def test_derivatives_of_the_modules(kind_of):
    attend, mask = make(kind_of), MASKS["a query that may look nowhere"]

    def run(*x):
        context, weights, state = attend(*x, mask=mask, noise=noise_for(True))
        return context, weights, state.alignment

    assert torch.autograd.gradcheck(run, inputs(), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs(), fast_mode=True)


@modes
def test_masking_equals_deleting(training):
    attend, (query, key, value) = make(MonotonicAttention, training), inputs()
    noise, mask = noise_for(training), MASKS["holes"]
    attended = attend(query, key, value, mask=mask, noise=noise)
    for b in range(BATCH):
        kept = mask[b]
        left = None if noise is None else noise[b : b + 1, :, kept]
        fewer = attend(query[b : b + 1], key[b : b + 1, kept], value[b : b + 1, kept], noise=left)
        torch.testing.assert_close(attended.context[b], fewer.context[0], **EXACT)
        torch.testing.assert_close(attended.weights[b, :, kept], fewer.weights[0], **EXACT)
        assert not attended.weights[b, :, ~kept].any()


@modes
@both
def test_padding_equals_deleting(kind_of, training):
    attend, (query, key, value) = make(kind_of, training), inputs()
    noise = noise_for(training)
    attended = attend(query, key, value, mask=torch.arange(KEY).expand(BATCH, KEY) < 5, noise=noise)
    fewer = attend(query, key[:, :5], value[:, :5], noise=None if noise is None else noise[..., :5])
    torch.testing.assert_close(attended.context, fewer.context, **EXACT)
    torch.testing.assert_close(attended.weights[..., :5], fewer.weights, **EXACT)


@every_mask
@modes
@both
def test_step_by_step_equals_all_at_once(kind_of, training, kind):
    attend, (query, key, value) = make(kind_of, training), inputs()
    mask, bias = MASKS[kind], bias_of()
    generator = torch.Generator().manual_seed(7) if training else None
    whole = attend(query, key, value, mask=mask, bias=bias, noise=generator)
    generator = torch.Generator().manual_seed(7) if training else None
    state, steps = None, []
    for i in range(QUERY):
        seen = mask[:, i : i + 1] if mask is not None and mask.dim() == 3 and mask.shape[1] > 1 else mask
        step = attend(query[:, i], key, value, mask=seen, bias=bias[:, i : i + 1], state=state, noise=generator)
        state = step.state
        steps.append(step)
    torch.testing.assert_close(torch.stack([s.context for s in steps], 1), whole.context, **EXACT)
    torch.testing.assert_close(torch.stack([s.weights for s in steps], 1), whole.weights, **EXACT)
    torch.testing.assert_close(state, whole.state, **EXACT)


@modes
@both
def test_a_batch_equals_its_sentences(kind_of, training):
    attend, x, noise = make(kind_of, training), inputs(), noise_for(training)
    whole = attend(*x, mask=MASKS["padding"], noise=noise)
    for b in range(BATCH):
        one = slice(b, b + 1)
        alone = attend(*(t[one] for t in x), mask=MASKS["padding"][one], noise=None if noise is None else noise[one])
        torch.testing.assert_close(alone.weights, whole.weights[one], **EXACT)
        torch.testing.assert_close(alone.context, whole.context[one], **EXACT)


@both
def test_sharp_energies_make_the_expected_alignment_hard(kind_of):
    query, key, value = inputs()
    sharp = torch.where(bias_of() > 0, 1e3, -1e3)
    attend = make(kind_of)
    expected = attend(query, key, value, bias=sharp, mask=MASKS["holes"], noise=noise_for(True))
    hard = attend.eval()(query, key, value, bias=sharp, mask=MASKS["holes"])
    torch.testing.assert_close(expected.weights, hard.weights, **EXACT)
    torch.testing.assert_close(expected.state, hard.state, **EXACT)
    torch.manual_seed(8)
    energies = 50.0 * torch.randn(100, 31, dtype=torch.float64).sign()
    alphas = previous = (torch.arange(31) == 0).double().repeat(100, 1)
    for _ in range(5):
        alphas, previous = expected_alignment(energies, alphas), hard_alignment(energies, previous)
        torch.testing.assert_close(alphas, previous, **EXACT)
        energies = -energies.roll(3, -1)


def test_expected_alignment_is_stable():
    """10,000 rows of 500 slots with logits up to +-50 in float32, against the recurrence in float64."""
    torch.manual_seed(9)
    epsilon = torch.finfo(torch.float32).eps
    for batch, scale in product(range(10), (50.0, 3.0)):
        energies = scale * (2 * torch.rand(500, 500) - 1)
        previous = torch.rand(500, 500).mul(batch).softmax(-1)
        if batch == 0:
            previous = (torch.arange(500) == 0).float().repeat(500, 1)
        energies, previous = energies.requires_grad_(), previous.requires_grad_()
        alpha = expected_alignment(energies, previous)
        ours = torch.autograd.grad((alpha * torch.cos(torch.arange(500.0))).sum(), (energies, previous))
        assert all(x.isfinite().all() for x in (alpha, *ours))
        assert (alpha >= 0).all()
        assert alpha.sum(-1).max() <= 1 + 4 * epsilon
        if batch < 2:
            p, q, slots = energies.detach().double(), previous.detach().double(), range(500)
            p, q = p.requires_grad_(), q.requires_grad_()
            mass, rows = torch.zeros(500, dtype=torch.float64), []
            stay, stop, came = torch.sigmoid(-p).unbind(-1), torch.sigmoid(p).unbind(-1), q.unbind(-1)
            for j in slots:
                mass = (stay[j - 1] * mass if j else mass) + came[j]
                rows.append(stop[j] * mass)
            exact = torch.stack(rows, -1)
            theirs = torch.autograd.grad((exact * torch.cos(torch.arange(500.0).double())).sum(), (p, q))
            for x, y in zip((alpha, *ours), (exact, *theirs), strict=True):
                torch.testing.assert_close(x.double(), y, rtol=0, atol=2e-6)
            # Where there is any probability, it is right to 5 digits, not only close to zero with the others.
            some = exact > 1e-20
            torch.testing.assert_close(alpha.double()[some], exact[some], rtol=1e-5, atol=0)


def test_gradients_through_query_after_query_are_finite():
    """10,000 matrices of 3 queries and 500 slots with logits up to +-50 in float32: monotonic, and MoChA on top."""
    torch.manual_seed(9)
    first = (torch.arange(500) == 0).float().repeat(500, 1)
    for _ in range(20):
        energies = (100 * torch.rand(3, 500, 500) - 50).requires_grad_()
        u = (100 * torch.rand(3, 500, 500) - 50).requires_grad_()
        alpha, total = first, torch.zeros(())
        for e, chunk in zip(energies, u, strict=True):
            alpha = expected_alignment(e, alpha)
            beta = chunk_weights(alpha, chunk, width=4)
            assert alpha.sum(-1).max() <= 1 + 1e-6
            assert beta.sum(-1).max() <= 1 + 1e-6
            total = total + (beta * torch.cos(torch.arange(500.0))).sum()
        for gradient in torch.autograd.grad(total, (energies, u)):
            assert gradient.isfinite().all()
            assert gradient.abs().sum() > 0


@modes
def test_what_is_left_is_the_end_of_the_memory(training):
    attend, x = make(MonotonicAttention, training), inputs()
    refused = attend(*x, bias=torch.full((1, 1, KEY), -1e9, dtype=torch.float64), noise=noise_for(training))
    assert not refused.weights.any()
    assert not refused.context.any()
    again = attend(*x, state=refused.state, bias=torch.full((1, 1, KEY), 1e9, dtype=torch.float64))
    assert not again.weights.any()
    assert not again.state.alignment.any()


@every_mask
@modes
@both
def test_alignments_only_move_on_and_sum_to_at_most_one(kind_of, training, kind):
    attend, (query, key, value), mask = make(kind_of, training), inputs(), full(MASKS[kind])
    state, reached = None, torch.zeros(BATCH, KEY, dtype=torch.float64)
    for i in range(QUERY):
        attended = attend(query[:, i], key, value, mask=mask[:, i : i + 1], state=state)
        state = attended.state
        assert (attended.weights.sum(-1) <= 1 + 1e-12).all()
        assert not attended.weights[~mask[:, i]].any()
        # P(t_i <= j) falls from query to query: nobody looks back.
        passed = state.alignment.cumsum(-1)
        assert (passed <= reached + 1e-12).all() or i == 0
        reached = passed


@modes
@both
def test_a_query_that_may_look_nowhere_leaves_the_state(kind_of, training):
    attend, (query, key, value) = make(kind_of, training), inputs()
    mask, noise = MASKS["a query that may look nowhere"], noise_for(training)
    whole = attend(query, key, value, mask=mask, noise=noise)
    assert not whole.weights[:, 1].any()
    assert not whole.context[:, 1].any()
    without = [0, 2]
    fewer = attend(
        query[:, without], key, value, mask=mask[:, without], noise=None if noise is None else noise[:, without]
    )
    torch.testing.assert_close(whole.weights[:, without], fewer.weights, **EXACT)
    torch.testing.assert_close(whole.state, fewer.state, **EXACT)
    assert whole.weights[:, 2].any()
    for gradient in torch.autograd.grad(whole.context[:, 1].sum(), (query, key, value), allow_unused=True):
        assert gradient is None or not gradient.any()


@pytest.mark.parametrize("seen", [True, False], ids=["seen by the last", "seen by none"])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
@modes
@both
def test_what_a_mask_hides_has_no_influence(kind_of, training, poison, seen):
    attend, mask = make(kind_of, training), torch.ones(BATCH, QUERY, KEY, dtype=torch.bool)
    mask[:, :2, 3] = mask[..., 5] = False
    mask[:, 2, 3] = seen
    bad = torch.zeros(KEY, dtype=torch.bool)
    bad[[3, 5]] = True
    runs = []
    for fill in (0.0, poison):
        leaves = inputs()
        query, key, value = leaves[0], *(x.masked_fill(bad[:, None], fill) for x in leaves[1:])
        bias = bias_of().masked_fill(~mask, fill)
        noise = noise_for(True).masked_fill(~mask, fill) if training else None
        attended = attend(query, key, value, mask=mask, bias=bias, noise=noise)
        results = [attended.context[:, :2], attended.weights[:, :2]]
        # One that is seen spoils the gradient of the state that its query was given, and rightly.
        runs.append(results if seen else results + gradients(attended[:2], [*leaves, *attend.parameters()]))
    torch.testing.assert_close(runs[1], runs[0], rtol=0, atol=0)
    if seen and training:
        assert attended.weights[:, 2, 3].isnan().all(), "an attended NaN must not vanish"
        assert attended.context[:, 2].isnan().all()
        assert not attended.weights[:, 2, 5].any()


def test_a_chunk_is_not_spoilt_by_a_key_that_only_a_later_query_sees():
    attend, mask = make(MonotonicChunkwiseAttention, False), torch.ones(1, QUERY, KEY, dtype=torch.bool)
    mask[:, :2, 3] = False
    runs = []
    for fill in (0.0, math.nan):
        leaves = inputs()
        key = leaves[1].masked_fill((torch.arange(KEY) == 3)[:, None], fill)
        attended = attend(leaves[0], key, leaves[2], mask=mask, bias=bias_of(9.0))
        assert attended.weights[:, :2].count_nonzero() > 2
        runs.append([attended.weights[:, :2], gradients((attended.weights[:, :2],), leaves[:1])[0][:, :2]])
    assert runs[0][1].any()
    torch.testing.assert_close(runs[1], runs[0], rtol=0, atol=0)


def test_an_attended_nan_does_not_vanish():
    for alignment, training in ((expected_alignment, True), (hard_alignment, False)):
        energies, start = torch.tensor([[-1.0, math.nan, 2.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        spoilt = alignment(energies, start)
        assert spoilt[0, 1].isnan()
        assert alignment(torch.ones(1, 3), spoilt).isnan().any(), "nor may the next query forget it"
        for hidden in (energies, torch.ones(1, 3)):
            mask = torch.tensor([[True, False, True]])
            assert alignment(hidden, start, mask).isfinite().all()
        assert not training or spoilt[0, 0] > 0
    # What the search does not come by is not looked at.
    assert hard_alignment(torch.tensor([[math.nan, 1.0, math.nan]]), torch.tensor([[0.0, 1.0, 0.0]])).tolist() == [
        [0.0, 1.0, 0.0]
    ]


def test_chunks_are_stable_for_any_energy():
    u = torch.tensor([[0.0, -2e4, -2e4, 3e4, 3e4, math.nan, -1e30]], requires_grad=True)
    alpha = torch.full((1, 7), 1 / 7, requires_grad=True)
    mask = torch.tensor([[True] * 5 + [False, True]])
    beta = chunk_weights(alpha, u, 2, mask)
    expected = torch.tensor([[2.0, 0.5, 0.5, 1.5, 1.5, 0.0, 1.0]]) / 7
    torch.testing.assert_close(beta, expected)
    for gradient in torch.autograd.grad(beta.square().sum(), (u, alpha)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("width", [1, 2, KEY, 50])
def test_chunks_of_any_width(width):
    torch.manual_seed(10)
    alpha, u = torch.rand(2, 3, 2, KEY, dtype=torch.float64)
    beta = chunk_weights(alpha, u, width)
    for ours, a, energies in zip(beta.flatten(0, 1), alpha.flatten(0, 1), u.flatten(0, 1), strict=True):
        twin = twins.chunk_weights(scalars(a), scalars(energies), width, [True] * KEY)
        torch.testing.assert_close(ours, stacked(twin), **EXACT)
    torch.testing.assert_close(beta.sum(-1), alpha.sum(-1), **EXACT)
    if width == 1:
        torch.testing.assert_close(beta, alpha, **EXACT)


def test_hard_mocha_reads_the_chunk_that_ends_where_it_stopped():
    attend, (query, key, value) = make(MonotonicChunkwiseAttention, False), inputs()
    stops = torch.tensor([1, 4, 4])
    bias = torch.full((1, QUERY, KEY), -1e9, dtype=torch.float64)
    bias[0, range(QUERY), stops] = 1e9
    attended = attend(query, key, value, bias=bias)
    for row, stop in product(attended.weights.unbind(0), range(QUERY)):
        assert row[stop].nonzero().flatten().tolist() == ([0, 1], [2, 3, 4], [2, 3, 4])[stop]
    torch.testing.assert_close(attended.weights.sum(-1), torch.ones(BATCH, QUERY, dtype=torch.float64), **EXACT)
    assert attended.state.alignment.argmax(-1).tolist() == [4, 4]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@modes
@both
def test_low_precision_in_and_out(kind_of, training, dtype):
    attend, x, noise = make(kind_of, training, dtype), inputs(dtype), noise_for(training, dtype)
    attended = attend(*x, noise=noise)
    assert attend.initial(attend.remember(*x[1:])).alignment.dtype == torch.float32
    assert attended.context.dtype == attended.weights.dtype == dtype
    assert attended.state.alignment.dtype == torch.float32
    again = attend(*x, noise=noise, state=attended.state)
    assert again.state.alignment.dtype == torch.float32
    if training:
        exact = make(kind_of)
        exact.load_state_dict(attend.state_dict())
        close = exact(*(t.double() for t in x), noise=noise.double())
        torch.testing.assert_close(attended.context.double(), close.context, rtol=0, atol=0.15)
        torch.autograd.grad(attended.context.sum(), x)


@modes
@both
def test_autocast_stays_close(kind_of, training):
    attend, x, noise = make(kind_of, training, torch.float32), inputs(torch.float32), noise_for(training, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attended = attend(*x, noise=noise)
    assert attended.weights.dtype == attended.state.alignment.dtype == torch.float32
    if training:
        torch.testing.assert_close(attended.weights, attend(*x, noise=noise).weights, rtol=0, atol=0.1)


class Whole(torch.nn.Module):
    """With what it takes by position: torch.export."""

    def __init__(self, attend: MonotonicAttention):
        super().__init__()
        self.attend = attend

    def forward(self, query, key, value, mask, state, noise):
        return self.attend(query, key, value, mask=mask, state=state, noise=noise)


@modes
def test_it_compiles_and_exports(training):
    """MoChA, of which monotonic attention is a part."""
    attend, x, noise = make(MonotonicChunkwiseAttention, training), inputs(), noise_for(training)
    mask = MASKS["a query that may look nowhere"]
    whole = Whole(attend).train(training)
    state = whole(*x, mask, None, noise).state
    expected = whole(*x, mask, state, noise)
    torch._dynamo.reset()
    compiled = torch.compile(whole, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*x, mask, state, noise), expected, **EXACT)
    exported = torch.export.export(whole, (*x, mask, state, noise))
    torch.testing.assert_close(exported.module()(*x, mask, state, noise), expected, **EXACT)


def test_noise_is_drawn_in_training_alone():
    attend, x = make(MonotonicAttention), inputs()
    drawn = [attend(*x, noise=torch.Generator().manual_seed(seed)).weights for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2])
    generator = torch.Generator().manual_seed(1)
    normal = [torch.randn(BATCH, KEY, generator=generator, dtype=torch.float64) for _ in range(QUERY)]
    assert torch.equal(drawn[0], attend(*x, noise=torch.stack(normal, 1)).weights)
    assert not torch.equal(attend(*x).weights, attend(*x).weights)
    attend.noise = 0.0
    assert torch.equal(attend(*x).weights, attend(*x, noise=noise_for(True)).weights)
    attend.eval()
    for noise, name in ((noise_for(True), "Tensor"), (torch.Generator(), "Generator")):
        with pytest.raises(ValueError, match=f"MonotonicAttention draws nothing in evaluation; got {name}"):
            attend(*x, noise=noise)


@both
def test_no_slots_and_no_queries(kind_of):
    attend, (query, key, value) = make(kind_of), inputs()
    nothing = attend(query, key[:, :0], value[:, :0])
    assert not nothing.context.any()
    assert nothing.state.alignment.shape == (BATCH, 0)
    assert attend(query[:, :0], key, value).weights.shape == (BATCH, 0, KEY)
    one = attend(query, key[:, :1], value[:, :1])
    assert one.weights.shape == (BATCH, QUERY, 1)


def test_the_start_and_what_is_refused():
    attend = MonotonicAttention(QUERY_DIM, KEY_DIM, 4)
    assert (attend.g.item(), attend.r.item(), attend.key.bias.any().item()) == (0.5, -1.0, False)
    _, key, value = (x.float() for x in inputs())
    assert attend.initial(attend.remember(key, value)).alignment.tolist() == [[1.0] + [0.0] * 6] * BATCH
    with pytest.raises(ValueError, match=r"noise, a standard deviation, must be at least 0; got -1"):
        MonotonicAttention(3, 3, 3, noise=-1)
    with pytest.raises(ValueError, match="chunk must be at least 1 slot; got 0"):
        MonotonicChunkwiseAttention(3, 3, 3, chunk=0)
    with pytest.raises(ValueError, match="width must be at least 1 slot; got 0"):
        chunk_weights(torch.zeros(1, 3), torch.zeros(1, 3), 0)
    with pytest.raises(ValueError, match="state must be that of MonotonicAttention"):
        attend(torch.zeros(BATCH, QUERY_DIM), key, value, state=MonotonicState(torch.zeros(BATCH, KEY + 1)))
