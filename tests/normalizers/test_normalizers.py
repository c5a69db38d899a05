"""The laws of the normalisers, over every function, mask and dtype."""

import math
from functools import partial

import entmax as reference
import normalizer_twins as twins
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from saccade import normalizers

BATCH, QUERY, KEY = 2, 3, 7


def without_noise(function, **options):
    return lambda scores, mask, noise: function(scores, mask, **options)


def with_noise(function, **options):
    return lambda scores, mask, noise: function(scores, mask, noise=noise, **options)


SMOOTH = {
    "softmax": (without_noise(normalizers.softmax), lambda s, g: twins.softmax(s)),
    "softmax, cool": (without_noise(normalizers.softmax, temperature=0.3), lambda s, g: twins.softmax(s, 0.3)),
    "sigmoid": (without_noise(normalizers.sigmoid), lambda s, g: twins.sigmoid(s)),
    "sparsemax": (without_noise(normalizers.sparsemax), lambda s, g: twins.sparsemax(s)),
    "entmax15": (without_noise(normalizers.entmax15), lambda s, g: twins.entmax(s, 1.5)),
    "entmax 1.01": (without_noise(normalizers.entmax, alpha=1.01), lambda s, g: twins.entmax(s, 1.01)),
    "entmax 1.2": (without_noise(normalizers.entmax, alpha=1.2), lambda s, g: twins.entmax(s, 1.2)),
    "entmax 1.5": (without_noise(normalizers.entmax), lambda s, g: twins.entmax(s, 1.5)),
    "entmax 2": (without_noise(normalizers.entmax, alpha=2.0), lambda s, g: twins.sparsemax(s)),
    "entmax 3": (without_noise(normalizers.entmax, alpha=3.0), lambda s, g: twins.entmax(s, 3.0)),
    "gumbel_softmax": (
        with_noise(normalizers.gumbel_softmax, temperature=0.7),
        lambda s, g: twins.gumbel_softmax(s, g, 0.7),
    ),
}
STEEP = {
    "straight_through": (without_noise(normalizers.straight_through), lambda s, g: twins.argmax(s)),
    "gumbel_straight_through": (
        with_noise(normalizers.gumbel_straight_through, temperature=0.7),
        lambda s, g: twins.sample(s, g),
    ),
}
FLAT = {
    "argmax": (without_noise(normalizers.argmax), lambda s, g: twins.argmax(s)),
    "sample": (with_noise(normalizers.sample), lambda s, g: twins.sample(s, g)),
}
ALL = SMOOTH | STEEP | FLAT
MODULES = {
    "Softmax": normalizers.Softmax(0.3),
    "Sigmoid": normalizers.Sigmoid(),
    "Sparsemax": normalizers.Sparsemax(),
    "Entmax15": normalizers.Entmax15(),
    "Entmax": normalizers.Entmax(1.3),
    "Argmax": normalizers.Argmax(),
    "StraightThrough": normalizers.StraightThrough(),
    "Gumbel": normalizers.Gumbel(0.7),
    "Sample": normalizers.Sample(),
}
MASKS = {
    "none": None,
    "padding": torch.arange(KEY) < torch.tensor([[[5]], [[2]]]),
    "for all": torch.tensor([True, False, True, True, True, False, True]),
    "causal": torch.ones(QUERY, KEY, dtype=torch.bool).tril(1),
    "nowhere": torch.tensor([[[1, 0, 1, 1, 0, 0, 1], [0] * 7, [0, 0, 0, 0, 0, 1, 0]]]).bool(),
}
DTYPES = {torch.float64: 1e-12, torch.float32: 3e-6, torch.bfloat16: 4e-3, torch.float16: 5e-4}

every = pytest.mark.parametrize("name", ALL)
every_differentiable = pytest.mark.parametrize("name", SMOOTH | STEEP)


def drawn(*shape, dtype=torch.float64):
    """Gumbel noise, and scores further apart than bfloat16 rounds them and away from the edges of any support."""
    torch.manual_seed(3)
    shape = shape or (BATCH, QUERY, KEY)
    scores = 0.29 * torch.rand(shape).argsort(-1) + torch.rand(shape[:-1], dtype=torch.float64)[..., None]
    return scores.to(dtype), normalizers.gumbel_noise(torch.empty(shape, dtype=torch.float64))


def allowed_in(mask):
    return torch.ones(BATCH, QUERY, KEY, dtype=torch.bool) if mask is None else mask.expand(BATCH, QUERY, KEY)


def gradient(function, scores, mask, noise):
    """The weights, and the gradient of a weighted sum of them."""
    scores = scores.clone().requires_grad_()
    weights = function(scores, mask, noise)
    (weights * torch.arange(1.0, 1 + weights.shape[-1]).to(weights.dtype).cos()).sum().backward()
    return weights.detach(), scores.grad


def rows_of(mask):
    """The place of every row, with the slots that it may attend."""
    allowed = allowed_in(mask)
    return [(b, q, allowed[b, q]) for b in range(BATCH) for q in range(QUERY)]


@every
def test_equals_the_twin(name):
    (function, twin), (scores, noise) = ALL[name], drawn()
    for mask in MASKS.values():
        weights = function(scores, mask, noise)
        for at in rows_of(mask):
            if at[-1].any():
                expected = torch.tensor(twin(scores[at].tolist(), noise[at].tolist()), dtype=torch.float64)
                torch.testing.assert_close(weights[at], expected, rtol=0, atol=1e-10)


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sums_to_one_where_it_may_look_and_keeps_the_dtype(name, dtype):
    scores, noise = drawn(dtype=dtype)
    for mask in MASKS.values():
        weights, exact = (ALL[name][0](x, mask, noise) for x in (scores, scores.double()))
        assert weights.dtype == dtype
        assert weights.shape == scores.shape
        assert (weights >= 0).all()
        assert (weights[~allowed_in(mask)] == 0).all()
        torch.testing.assert_close(weights.double(), exact, rtol=0, atol=DTYPES[dtype])
        if name != "sigmoid":
            sums = allowed_in(mask).any(-1).double()
            torch.testing.assert_close(exact.sum(-1), sums, rtol=0, atol=1e-12)


@every
def test_masking_equals_deleting(name):
    function, (scores, noise) = ALL[name][0], drawn()
    for mask in MASKS.values():
        weights = function(scores, mask, noise)
        for at in rows_of(mask):
            torch.testing.assert_close(weights[at], function(scores[at], None, noise[at]), rtol=0, atol=1e-14)


@every_differentiable
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_masked_has_no_influence(name, dtype):
    (scores, noise), mask = drawn(dtype=dtype), MASKS["nowhere"]
    hidden = ~allowed_in(mask)
    weights, slope = gradient(ALL[name][0], scores, mask, noise)
    assert slope.isfinite().all()
    assert slope.abs().sum() > 0
    assert (slope[hidden] == 0).all()
    for strange in (math.nan, math.inf, -math.inf, torch.finfo(dtype).max):
        others = gradient(ALL[name][0], scores.masked_fill(hidden, strange), mask, noise)
        torch.testing.assert_close(others, (weights, slope), rtol=0, atol=0)


@pytest.mark.parametrize("name", FLAT)
def test_what_is_masked_has_no_influence_on_a_choice(name):
    (scores, noise), mask = drawn(), MASKS["nowhere"]
    for strange in (math.nan, math.inf, -math.inf):
        changed = ALL[name][0](scores.masked_fill(~mask, strange), mask, noise)
        assert torch.equal(changed, ALL[name][0](scores, mask, noise))
    assert not ALL[name][0](scores.requires_grad_(), mask, noise).requires_grad


@every
def test_an_allowed_nan_is_seen_in_its_row(name):
    scores, noise = drawn()
    broken = scores.clone()
    broken[1, 0, 0] = broken[0, 2, 5] = math.nan
    for mask in MASKS.values():
        allowed = allowed_in(mask)
        weights = ALL[name][0](broken, mask, noise)
        struck = broken.isnan() & allowed
        if name != "sigmoid":
            struck = struck.any(-1, keepdim=True) & allowed
        assert torch.equal(weights.isnan(), struck)
        torch.testing.assert_close(weights[~struck], ALL[name][0](scores, mask, noise)[~struck], rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(SMOOTH.keys() - {"sigmoid"}))
def test_an_infinite_score_that_is_allowed_has_no_weights(name):
    scores = torch.tensor([[0.0, math.inf, -1.0], [0.0, 1.0, -1.0]])
    weights = ALL[name][0](scores, None, torch.zeros(3))
    assert weights.isnan().all(-1).tolist() == [True, False]


@every
def test_permuting_slots_permutes_weights(name):
    (scores, noise), mask, order = drawn(), MASKS["nowhere"], torch.randperm(KEY)
    weights = ALL[name][0](scores, mask, noise)
    permuted = ALL[name][0](scores[..., order], mask[..., order], noise[..., order])
    torch.testing.assert_close(permuted, weights[..., order], rtol=0, atol=1e-14)


@every_differentiable
@pytest.mark.parametrize("mask", [None, torch.ones(QUERY, 0, dtype=torch.bool)], ids=["none", "empty"])
def test_a_row_of_no_slots(name, mask):
    weights, slope = gradient(ALL[name][0], torch.zeros(BATCH, QUERY, 0), mask, torch.zeros(BATCH, QUERY, 0))
    assert weights.shape == slope.shape == (BATCH, QUERY, 0)
    assert normalizers.argmax(weights, mask).shape == weights.shape
    assert normalizers.entropy(weights, mask).tolist() == [[0.0] * QUERY] * BATCH
    assert normalizers.log_probability(weights, weights, mask).tolist() == [[0.0] * QUERY] * BATCH


@every
@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
def test_huge_float32_scores(name, size):
    scores = torch.tensor([[size, -size, size], [-size, 0.0, -size], [-size, -size, -size]])
    weights, slope = ALL[name][0](scores, None, torch.zeros(3)), None
    half = 0.5 if name in SMOOTH else 1.0
    expected = torch.tensor([[half, 0.0, 1 - half], [0.0, 1.0, 0.0], [1 / 3] * 3 if half < 1 else [1.0, 0.0, 0.0]])
    if name == "sigmoid":
        expected = scores.sigmoid()
    torch.testing.assert_close(weights, expected)
    if name not in FLAT:
        slope = gradient(ALL[name][0], scores, None, torch.zeros(3))[1]
        assert slope.isfinite().all()


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("count", [1, 2, 5, 101])
def test_equal_scores_get_even_weights(name, count):
    weights = ALL[name][0](torch.full((1, count + 2), -3.3), torch.arange(count + 2) < count, torch.zeros(1))
    assert (weights[:, :count] == weights[0, 0]).all()
    if name != "sigmoid":
        torch.testing.assert_close(weights[0, 0].item(), 1 / count, rtol=1e-6, atol=0)


@every
def test_minus_infinity_that_is_allowed_is_as_masked(name):
    (scores, noise), mask = drawn(), MASKS["causal"]
    weights = ALL[name][0](scores.masked_fill(~mask, -math.inf), None, noise)
    torch.testing.assert_close(weights, ALL[name][0](scores, mask, noise), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("mask", [None, MASKS["nowhere"]], ids=["none", "nowhere"])
def test_first_and_second_derivatives(name, mask):
    scores, noise = drawn(1, QUERY, KEY)
    function = partial(ALL[name][0], mask=mask, noise=noise)
    assert gradcheck(function, (scores.requires_grad_(),))
    assert gradgradcheck(function, (scores,))


@pytest.mark.parametrize("mask", [None, MASKS["nowhere"]], ids=["none", "nowhere"])
@pytest.mark.parametrize("function", [normalizers.entmax, normalizers.softmax])
def test_derivatives_by_alpha_and_temperature(function, mask):
    scores, _ = drawn(1, QUERY, KEY)
    shape = torch.tensor([1.2, 1.5, 1.8], dtype=torch.float64)[:, None].requires_grad_()
    assert gradcheck(lambda s, x: function(s, mask, x), (scores.requires_grad_(), shape))
    assert gradgradcheck(lambda s, x: function(s, mask, x), (scores, shape))


def test_the_temperature_learns_whatever_is_masked():
    scores, _ = drawn(dtype=torch.float32)
    temperature = torch.tensor(0.1, requires_grad=True)
    mask = MASKS["nowhere"]
    normalizers.softmax(scores.masked_fill(~mask, math.nan), mask, temperature).square().sum().backward()
    assert temperature.grad.isfinite()
    assert temperature.grad != 0


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9, 2.5])
def test_entmax_has_the_derivatives_of_the_papers(alpha):
    scores, _ = drawn(1, KEY)
    at = torch.tensor(alpha, dtype=torch.float64)
    by_scores, by_alpha = torch.func.jacrev(lambda s, a: normalizers.entmax(s[None], None, a)[0], (0, 1))(scores[0], at)
    weights = twins.entmax(scores[0].tolist(), alpha)
    assert alpha < 1.5 or 0 in weights
    jacobian = torch.tensor(twins.entmax_jacobian(weights, alpha), dtype=torch.float64)
    torch.testing.assert_close(by_scores, jacobian, rtol=0, atol=1e-10)
    expected = torch.tensor(twins.entmax_by_alpha(weights, alpha), dtype=torch.float64)
    torch.testing.assert_close(by_alpha, expected, rtol=0, atol=1e-10)


PAIRS = [
    (normalizers.sparsemax, reference.sparsemax),
    (normalizers.entmax15, reference.entmax15),
    (normalizers.entmax, partial(reference.entmax_bisect, alpha=1.5)),
    (partial(normalizers.entmax, alpha=1.2), partial(reference.entmax_bisect, alpha=1.2)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_equals_the_entmax_package(ours, theirs, spread):
    scores = spread * torch.randn(11, 97, dtype=torch.float64)
    expected = gradient(lambda s, mask, noise: theirs(s), scores, None, None)
    torch.testing.assert_close(gradient(lambda s, m, g: ours(s), scores, None, None), expected, rtol=0, atol=1e-10)


def test_entmax_by_alpha_equals_the_entmax_package():
    scores, slopes = torch.randn(5, 23, dtype=torch.float64), []
    for function in (lambda a: normalizers.entmax(scores, None, a), lambda a: reference.entmax_bisect(scores, a)):
        alpha = torch.full((5, 1), 1.4, dtype=torch.float64, requires_grad=True)
        (function(alpha) * scores).sum().backward()
        slopes.append(alpha.grad)
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-10)


def test_entmax_goes_to_softmax():
    scores, _ = drawn(dtype=torch.float32)
    learned = normalizers.Entmax()
    with torch.no_grad():
        learned.a.fill_(-40.0)
    weights = learned(scores)
    torch.testing.assert_close(weights, scores.softmax(-1), rtol=1e-5, atol=0)
    weights.square().sum().backward()
    assert learned.a.grad.abs() < 1e-5


SCORES = st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=13)


@settings(max_examples=60, deadline=None)
@given(SCORES, st.floats(1.05, 2.5))
def test_any_row_equals_its_twin(slots, alpha):
    scores = torch.tensor([[score for score, _ in slots]], dtype=torch.float64)
    mask = torch.tensor([[ok for _, ok in slots]])
    left = [score for score, ok in slots if ok]
    for weights, twin in (
        (normalizers.sparsemax(scores, mask), twins.sparsemax),
        (normalizers.entmax15(scores, mask), partial(twins.entmax, alpha=1.5)),
        (normalizers.entmax(scores, mask, alpha), partial(twins.entmax, alpha=alpha)),
    ):
        assert (weights[~mask] == 0).all()
        expected = torch.tensor(twin(left) if left else [], dtype=torch.float64)
        # At an edge of the support a root of high order magnifies the rounding of tau.
        torch.testing.assert_close(weights[mask], expected, rtol=0, atol=1e-10 if alpha <= 2 else 1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_straight_through_is_one_hot_with_the_gradient_of_softmax(dtype):
    (scores, noise), mask = drawn(dtype=dtype), MASKS["nowhere"]
    for steep, smooth in (("straight_through", "softmax"), ("gumbel_straight_through", "gumbel_softmax")):
        weights, slope = gradient(ALL[steep][0], scores, mask, noise)
        assert set(weights.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(slope, gradient(ALL[smooth][0], scores, mask, noise)[1])
    many = normalizers.straight_through(torch.randn(1009, KEY).to(dtype).requires_grad_())
    assert set(many.unique().tolist()) == {0.0, 1.0}


def test_the_first_of_equals_is_chosen():
    assert normalizers.argmax(torch.tensor([2.0, 5.0, 5.0, 5.0])).tolist() == [0, 1, 0, 0]
    mask = torch.tensor([False, False, True, True])
    assert normalizers.argmax(torch.tensor([2.0, 5.0, 5.0, 5.0]), mask).tolist() == [0, 0, 1, 0]
    assert normalizers.argmax(torch.full((4,), -math.inf), mask).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_equals_that_of_torch(hard):
    function = normalizers.gumbel_straight_through if hard else normalizers.gumbel_softmax
    scores, _ = drawn()

    def ours(s, mask, noise):
        torch.manual_seed(5)
        return function(s, mask, noise=normalizers.gumbel_noise(s), temperature=0.7)

    def theirs(s, mask, noise):
        torch.manual_seed(5)
        return F.gumbel_softmax(s, tau=0.7, hard=hard, dim=-1)

    expected = gradient(theirs, scores, None, None)
    torch.testing.assert_close(gradient(ours, scores, None, None), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["sample", "gumbel_softmax"])
def test_low_precision_scores_and_noise_are_added_in_float32(name):
    scores, noise = torch.randn(2, 1009, KEY, dtype=torch.bfloat16)
    expected = ALL[name][0](scores.float(), None, noise.float()).bfloat16()
    assert torch.equal(ALL[name][0](scores, None, noise), expected)


def test_draws_are_as_frequent_as_softmax_says():
    scores, mask = torch.randn(1, KEY), torch.arange(KEY) < 5
    noise = normalizers.gumbel_noise(torch.empty(20011, KEY), torch.Generator().manual_seed(1))
    frequency = normalizers.sample(scores.expand(20011, KEY), mask, noise=noise).mean(0)
    expected = normalizers.softmax(scores, mask)[0]
    assert ((frequency - expected).abs() <= 5 * (expected * (1 - expected) / 20011).sqrt()).all()


def test_gumbel_noise_is_standard_and_finite(monkeypatch):
    noise = normalizers.gumbel_noise(torch.empty(100003), torch.Generator().manual_seed(1))
    assert noise.mean() == pytest.approx(0.5772, abs=0.02)
    assert noise.var() == pytest.approx(math.pi**2 / 6, abs=0.05)
    for like, dtype in ((torch.float64, torch.float64), (torch.bfloat16, torch.float32), (torch.half, torch.float32)):
        assert normalizers.gumbel_noise(torch.empty(3, dtype=like)).dtype == dtype
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self, generator: self.zero_())
    assert normalizers.gumbel_noise(torch.empty(3)).isfinite().all()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_log_probability_and_entropy(mask):
    scores, noise = drawn()
    weights = normalizers.sample(scores, mask, noise=noise)
    logs, spread = normalizers.log_probability(scores, weights, mask), normalizers.entropy(scores, mask)
    for at in rows_of(mask):
        row, chosen = scores[at].tolist(), weights[at].tolist()
        assert logs[at[:2]].item() == pytest.approx(twins.log_probability(row, chosen) if row else 0, abs=1e-12)
        assert spread[at[:2]].item() == pytest.approx(twins.entropy(row) if row else 0, abs=1e-12)
    scores.requires_grad_()
    assert gradcheck(lambda s: normalizers.log_probability(s, weights, mask), (scores,))
    assert gradcheck(lambda s: normalizers.entropy(s, mask), (scores,))
    assert gradgradcheck(lambda s: normalizers.entropy(s, mask), (scores,))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_log_probability_and_entropy_see_nothing_that_is_masked(dtype):
    (scores, noise), mask = drawn(dtype=dtype), MASKS["nowhere"]
    weights = normalizers.sample(scores, mask, noise=noise)
    for function in (
        lambda s, m, g: normalizers.log_probability(s, weights, m)[..., None],
        lambda s, m, g: normalizers.entropy(s, m)[..., None],
    ):
        expected = gradient(function, scores, mask, noise)
        assert expected[0].dtype == dtype
        assert expected[1].isfinite().all()
        for strange in (math.nan, math.inf, -1e4):
            found = gradient(function, scores.masked_fill(~mask, strange), mask, noise)
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
        scores_with_nan = scores.clone()
        scores_with_nan[0, 2, 5] = math.nan
        assert function(scores_with_nan, mask, noise)[0, 2].isnan()


def test_the_log_probability_of_a_broken_draw_is_seen():
    scores = torch.tensor([[0.0, math.nan], [0.0, 1.0]])
    weights = normalizers.sample(scores, noise=torch.zeros(2))
    assert normalizers.log_probability(scores, weights).isnan().tolist() == [True, False]


def test_entropy_of_scores_far_apart_is_zero_with_a_finite_gradient():
    scores = torch.tensor([[0.0, -1e30, -math.inf]], requires_grad=True)
    entropy = normalizers.entropy(scores)
    entropy.sum().backward()
    assert entropy.item() == 0
    assert (scores.grad == 0).all()


@pytest.mark.parametrize("name", MODULES)
def test_modules_hold_their_functions(name):
    (scores, noise), mask, module = drawn(dtype=torch.float32), MASKS["nowhere"], MODULES[name]
    assert isinstance(module, normalizers.Normalizer)
    assert module.reinforced == (name == "Sample")
    assert module.random == (name in ("Gumbel", "Sample"))
    if module.random:
        expected = normalizers.sample(scores, mask, noise=noise)
        assert torch.equal(module.eval()(scores, mask, noise), expected)
        assert torch.equal(module.train()(scores, mask, noise), expected)
        return
    functions = {
        "Softmax": partial(normalizers.softmax, temperature=0.3),
        "Sigmoid": normalizers.sigmoid,
        "Sparsemax": normalizers.sparsemax,
        "Entmax15": normalizers.entmax15,
        "Entmax": partial(normalizers.entmax, alpha=1.3),
        "Argmax": normalizers.argmax,
        "StraightThrough": normalizers.straight_through,
    }
    torch.testing.assert_close(module(scores, mask), functions[name](scores, mask))
    with pytest.raises(ValueError, match=f"{name} takes no noise: noise must be None; got Tensor"):
        module(scores, mask, noise)
    with pytest.raises(ValueError, match=f"{name} takes no noise: noise must be None; got Generator"):
        module(scores, mask, torch.Generator())


@pytest.mark.parametrize("name", ["Gumbel", "Sample"])
def test_random_modules_draw_in_training_or_from_a_generator(name):
    (scores, _), module = drawn(53, KEY, dtype=torch.float32), MODULES[name]
    best = normalizers.argmax(scores)
    assert torch.equal(module.eval()(scores), best)
    assert not torch.equal(module.train()(scores), module(scores))
    for mode in (True, False):
        one, same, other = (module.train(mode)(scores, None, torch.Generator().manual_seed(n)) for n in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_the_alpha_of_a_module_learns():
    module, scores = normalizers.Entmax(1.3).bfloat16(), drawn(dtype=torch.bfloat16)[0]
    assert module.alpha.item() == pytest.approx(1.3, abs=2e-3)
    assert [name for name, _ in module.named_parameters()] == ["a"]
    weights = module(scores, MASKS["nowhere"])
    weights.square().sum().backward()
    assert weights.dtype == torch.bfloat16
    assert module.a.grad > 0  # a larger alpha is sparser, and its weights have a larger sum of squares


BAD = [
    (lambda s: normalizers.softmax(s, temperature=0.0), "temperature must be above 0; got 0.0"),
    (lambda s: normalizers.softmax(s, temperature=-torch.ones(1)), "temperature must be above 0; got tensor"),
    (lambda s: normalizers.gumbel_softmax(s, noise=s, temperature=math.nan), "temperature must be above 0; got nan"),
    (lambda s: normalizers.gumbel_straight_through(s, noise=s, temperature=-1.0), "temperature must be above 0"),
    (lambda s: normalizers.Softmax(0.0), "temperature must be above 0; got 0.0"),
    (lambda s: normalizers.Gumbel(-2.0), "temperature must be above 0; got -2.0"),
    (lambda s: normalizers.entmax(s, alpha=1.0), "alpha must be above 1; got 1.0"),
    (lambda s: normalizers.entmax(s, alpha=torch.tensor([1.5, 0.5])), "alpha must be above 1; got tensor"),
    (lambda s: normalizers.Entmax(2.0), "alpha must be between 1 and 2; got 2.0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 2))


class Everything(nn.Module):
    """All the modules on the same scores: one compilation instead of nine."""

    def __init__(self):
        super().__init__()
        self.each = nn.ModuleList(MODULES.values())

    def forward(self, scores, mask, noise):
        weights = [module(scores, mask, noise if module.random else None) for module in self.each]
        weights.append(normalizers.softmax(scores, mask, scores.new_tensor(0.5)))
        sums = [normalizers.entropy(scores, mask), normalizers.log_probability(scores, weights[-2], mask)]
        return torch.stack(weights), torch.stack(sums)


def test_compiles_and_exports():
    (scores, noise), mask, model = drawn(dtype=torch.float32), MASKS["nowhere"].expand(BATCH, -1, -1), Everything()
    expected = gradient(lambda s, m, g: model(s, m, g)[0], scores, mask, noise)
    sums = model(scores, mask, noise)[1]
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradient(lambda s, m, g: compiled(s, m, g)[0], scores, mask, noise), expected)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("query"), 2: torch.export.Dim("key")}
    program = torch.export.export(model, (scores, mask, noise), dynamic_shapes=(sizes, sizes, sizes)).module()
    torch.testing.assert_close(program(scores, mask, noise), (expected[0], sums))
    longer, others = drawn(5, 11, 13, dtype=torch.float32)
    all_allowed = torch.ones(5, 11, 13, dtype=torch.bool)
    torch.testing.assert_close(program(longer, all_allowed, others), model(longer, all_allowed, others))


def test_drawing_compiles():
    compiled = torch.compile(normalizers.Gumbel().train(), fullgraph=True, backend="aot_eager")
    weights = compiled(drawn(dtype=torch.float32)[0], MASKS["padding"])
    assert torch.equal(weights.sum(-1), torch.ones(BATCH, QUERY))
