"""The laws of the other kinds: multi-head, self-attention with its cache, pooling, gates."""

import re
from typing import NamedTuple

import pytest
import torch
from kinds_twins import multi_head, squeeze_excitation, structured
from laws import BATCH, KEY, KEY_DIM, MASKS, QUERY, VALUE_DIM, every_mask, full
from test_laws import scalars
from torch import Tensor

from saccade import masks
from saccade.attention.gates import SqueezeExcitation
from saccade.attention.losses import coverage_loss, redundancy_penalty, reinforce_loss
from saccade.attention.multihead import KeyValueCache, MultiHeadAttention, SelfAttention
from saccade.attention.pooling import StructuredSelfAttention
from saccade.attention.results import Attended, Gated
from saccade.decoding import Symbols, beam_search, greedy

DIM, HEADS, HOPS, HEIGHT, WIDTH = 22, 2, 3, 7, 5
LENGTHS = ("padding", "empty sentence", "holes")


def heads(dtype: torch.dtype = torch.float64) -> MultiHeadAttention:
    torch.manual_seed(1)
    return MultiHeadAttention(DIM, KEY_DIM, heads=HEADS, value_dim=VALUE_DIM).to(dtype)


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    shapes = (BATCH, QUERY, DIM), (BATCH, KEY, KEY_DIM), (BATCH, KEY, VALUE_DIM)
    query, key, value = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return query, key, value


def pool(dtype: torch.dtype = torch.float64) -> tuple[StructuredSelfAttention, Tensor]:
    torch.manual_seed(1)
    module = StructuredSelfAttention(KEY_DIM, 11, HOPS).to(dtype)
    return module, torch.randn(BATCH, KEY, KEY_DIM, dtype=dtype, requires_grad=True)


def gate(dtype: torch.dtype = torch.float64) -> tuple[SqueezeExcitation, Tensor]:
    torch.manual_seed(1)
    module = SqueezeExcitation(KEY_DIM, reduction=4).to(dtype)
    return module, torch.randn(BATCH, KEY_DIM, HEIGHT, WIDTH, dtype=dtype, requires_grad=True)


def weights_of(module: torch.nn.Module) -> dict:
    return {name: scalars(parameter) for name, parameter in module.named_parameters()}


def stacked(nested: list) -> Tensor:
    return torch.stack([stacked(x) if isinstance(x, list) else x for x in nested])


def same_forward_and_backward(ours: tuple, theirs: tuple, learned: list[Tensor]) -> None:
    toward, gradients = [torch.randn_like(x) for x in ours], []
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    for side in (ours, theirs):
        total = sum((x * t).sum() for x, t in zip(side, toward, strict=True))
        gradients.append(torch.autograd.grad(total, learned, allow_unused=True))
    for mine, other, of in zip(*gradients, learned, strict=True):
        pair = (torch.zeros_like(of) if g is None else g for g in (mine, other))
        torch.testing.assert_close(*pair, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["padding", "a query that may look nowhere"])
def test_multi_head_equals_the_loops(kind):
    module, given, mask = heads(), tensors(), MASKS[kind]
    bias = torch.randn(BATCH, QUERY, KEY, dtype=torch.float64)
    ours = module(*given, mask=mask, bias=bias)[:2]
    w, found = weights_of(module), []
    for b in range(BATCH):
        rows = [scalars(x[b]) for x in given]
        found.append(multi_head(*rows, full(mask)[b].tolist(), scalars(bias[b]), w, HEADS))
    loops = tuple(stacked([sentence[side] for sentence in found]) for side in range(2))
    same_forward_and_backward(ours, loops, [*given, *module.parameters()])


@pytest.mark.parametrize("kind", LENGTHS)
def test_pooling_equals_the_loops(kind):
    (module, x), mask = pool(), MASKS[kind]
    ours = module(x, mask=mask)[:2]
    found = [structured(scalars(x[b]), mask[b].tolist(), weights_of(module)) for b in range(BATCH)]
    loops = tuple(stacked([sentence[side] for sentence in found]) for side in range(2))
    same_forward_and_backward(ours, loops, [x, *module.parameters()])


def test_the_gate_equals_the_loops():
    module, x = gate()
    ours = module(x)
    found = [squeeze_excitation(scalars(x[b]), weights_of(module)) for b in range(BATCH)]
    loops = tuple(stacked([image[side] for image in found]) for side in range(2))
    same_forward_and_backward((ours.output, ours.gate[..., 0, 0]), loops, [x, *module.parameters()])


@every_mask
def test_multi_head_equals_torch(kind):
    ours, (query, key, value) = heads(), tensors()
    theirs = torch.nn.MultiheadAttention(DIM, HEADS, kdim=KEY_DIM, vdim=VALUE_DIM, batch_first=True).double()
    theirs.q_proj_weight.data, theirs.k_proj_weight.data = ours.query.weight.data, ours.key.weight.data
    theirs.v_proj_weight.data, theirs.out_proj = ours.value.weight.data, ours.output
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]).data
    mask = full(MASKS[kind])
    hidden = ~mask.repeat_interleave(HEADS, 0)
    context, weights = theirs(query, key, value, attn_mask=hidden, average_attn_weights=False)
    attended = ours(query, key, value, mask=MASKS[kind])
    looked = mask.any(-1)  # elsewhere torch's are NaN
    torch.testing.assert_close(attended.context[looked], context[looked], rtol=0, atol=1e-12)
    rows = looked[:, None].expand(-1, HEADS, -1)
    torch.testing.assert_close(attended.weights[rows], weights[rows], rtol=0, atol=1e-12)
    assert (attended.weights[~rows] == 0).all()


@every_mask
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_fused_path_equals_the_one_with_weights(kind, with_bias):
    module, mask = heads(), MASKS[kind]
    bias = torch.randn(1, QUERY, KEY, dtype=torch.float64) if with_bias else None
    results = []
    for need_weights in (True, False):
        given = tensors()
        attended = module(*given, mask=mask, bias=bias, need_weights=need_weights)
        assert (attended.weights is None) != need_weights
        attended.context.square().sum().backward()
        results.append([attended.context, *(x.grad for x in given)])
    for reference, fused in zip(*results, strict=True):
        assert fused.isfinite().all()
        torch.testing.assert_close(fused, reference, rtol=0, atol=1e-10)


@every_mask
def test_nothing_leaks_into_any_head_from_under_a_mask(kind):
    module, mask = heads(), full(MASKS[kind])
    clean, dirty = tensors(), tensors()
    with torch.no_grad():
        dirty[1][:, 4], dirty[2][:, 4] = float("nan"), float("inf")
    before, after, blind = module(*clean, mask=mask), module(*dirty, mask=mask), ~mask[:, :, 4]
    torch.testing.assert_close(after.context[blind], before.context[blind], rtol=0, atol=0)
    assert after.context[~blind].isnan().all()


def test_gradients_are_right_to_the_second_order():
    module, mask = heads(), MASKS["a query that may look nowhere"]
    (pooling, x), (gating, image) = pool(), gate()
    for function, given in (
        (lambda *t: module(*t, mask=mask)[:2], tensors()),
        (lambda t: pooling(t, mask=MASKS["holes"])[:2], (x,)),
        (lambda t: gating(t), (image,)),
    ):
        assert torch.autograd.gradcheck(function, given, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


def test_masking_equals_deleting():
    kept = torch.tensor([0, 2, 3, 6])
    mask = torch.zeros(BATCH, KEY, dtype=torch.bool)
    mask[:, kept] = True
    module, (query, key, value) = heads(), tensors()
    masked, deleted = module(query, key, value, mask=mask), module(query, key[:, kept], value[:, kept])
    torch.testing.assert_close(masked.context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.weights[..., kept], deleted.weights, rtol=0, atol=1e-12)
    pooling, x = pool()
    poisoned = x.detach().clone()
    poisoned[:, [1, 4, 5]] = float("nan")
    masked, deleted = pooling(poisoned, mask=mask), pooling(x[:, kept])
    torch.testing.assert_close(masked.context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.weights[..., kept], deleted.weights, rtol=0, atol=1e-12)
    assert (pooling(poisoned, mask=torch.zeros_like(mask)).context == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_and_autocast(dtype):
    for made, call in (
        (lambda t: (heads(t), tensors(t)), lambda m, g: m(*g).context),
        (lambda t: (pool(t)[0], pool(t)[1:]), lambda m, g: m(*g).context),
        (lambda t: (gate(t)[0], gate(t)[1:]), lambda m, g: m(*g).output),
    ):
        module, given = made(dtype)
        low = call(module, given)
        assert low.dtype == dtype
        exact = call(module.double(), [x.double() for x in given])
        torch.testing.assert_close(low.double(), exact, rtol=0.05, atol=0.05)
        module, given = made(torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            low = call(module, given)
        exact = call(module.double(), [x.double() for x in given])
        torch.testing.assert_close(low.double(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("which", ["multi-head", "fused", "self-attention", "a step", "pooling", "gate"])
def test_compiles_whole_exports_and_reloads(which, tmp_path):
    mask = MASKS["padding"]
    (pooling, x), (gating, image) = pool(torch.float32), gate(torch.float32)
    own = SelfAttention(DIM, heads=HEADS)
    cache = KeyValueCache(*(torch.randn(BATCH, 3, DIM) for _ in range(2)), torch.ones(BATCH, 3, dtype=torch.bool))
    module, given, options = {
        "multi-head": (heads(torch.float32), tensors(torch.float32), {"mask": mask}),
        "fused": (heads(torch.float32), tensors(torch.float32), {"mask": mask, "need_weights": False}),
        "self-attention": (own, (torch.randn(BATCH, KEY, DIM),), {"mask": masks.causal(KEY)}),
        "a step": (own, (torch.randn(BATCH, DIM),), {"state": cache}),
        "pooling": (pooling, (x,), {"mask": mask}),
        "gate": (gating, (image,), {}),
    }[which]
    given = tuple(t.detach() for t in given)
    expected = module(*given, **options)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")(*given, **options)
    torch.export.save(torch.export.export(module, given, options), tmp_path / "module.pt2")
    reloaded = torch.export.load(tmp_path / "module.pt2").module()(*given, **options)
    for found in (compiled, reloaded):
        assert type(found) is type(expected)
        assert isinstance(found, Attended | Gated)
        for mine, other in zip(found[:2], expected[:2], strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("side", ["left", "right", "none"])
def test_a_cache_equals_reading_all_at_once(side):
    torch.manual_seed(1)
    attend, x = SelfAttention(DIM, heads=HEADS).double(), torch.randn(3, KEY, DIM, dtype=torch.float64)
    lengths = torch.tensor([[KEY], [4], [2]])
    real = {
        "left": torch.arange(KEY) >= KEY - lengths,
        "right": torch.arange(KEY) < lengths,
        "none": torch.ones(3, KEY, dtype=torch.bool),
    }[side]
    whole, state = attend(x, mask=real[:, None] & masks.causal(KEY)), attend.initial(3)
    for i in range(KEY):
        context, weights, state = attend(x[:, i], mask=real[:, i : i + 1], state=state)
        torch.testing.assert_close(context, whole.context[:, i], rtol=0, atol=1e-12)
        torch.testing.assert_close(weights, whole.weights[:, :, i, : i + 1], rtol=0, atol=1e-12)
    assert state.key.shape == (3, KEY, DIM)


class Stepped(NamedTuple):
    logits: Tensor
    weights: Tensor | None
    state: KeyValueCache


class Language(torch.nn.Module):
    """One self-attention layer that writes: with its cache, or reading everything anew at each step."""

    def __init__(self, cached: bool):
        super().__init__()
        torch.manual_seed(7)
        self.embedding, self.attend = torch.nn.Embedding(7, DIM), SelfAttention(DIM, heads=HEADS)
        self.output, self.cached = torch.nn.Linear(DIM, 7), cached
        self.double()

    def step(self, token: Tensor, memory: Tensor, state: KeyValueCache) -> Stepped:
        x = self.embedding(token) + memory
        if self.cached:
            context, _, state = self.attend(x, state=state)
        else:  # what was written so far stands in the cache as it was put in
            seen = torch.cat([state.key, x[:, None]], 1)
            mask = torch.cat([state.mask, state.mask.new_ones(len(x), 1)], 1)
            context = self.attend(seen, mask=masks.causal(seen.shape[1])).context[:, -1]
            state = KeyValueCache(seen, seen, mask)
        # The weights over a cache grow with every step; a search shows those over a memory, which does not.
        return Stepped(self.output(torch.tanh(context)), None, state)


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_a_cache_gives_the_same_answers_as_reading_anew_under_beam_search(beam):
    symbols, limits, found = Symbols(0, 1, (0,)), [6, 9, 4], []
    for cached in (True, False):
        model = Language(cached)
        memory = torch.randn(3, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        with torch.inference_mode():
            state = model.attend.initial(3)
            answers = beam_search(model, memory, state, symbols, limits, beam)
            found.append([*answers, greedy(model, memory, model.attend.initial(3), symbols, limits)])
    for one, other in zip(*found, strict=True):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-5)


def test_losses():
    weights = torch.rand(BATCH, QUERY, KEY, dtype=torch.float64).softmax(-1)
    expected = [0.0] * BATCH
    for b in range(BATCH):
        covered = [0.0] * KEY
        for row in weights[b].tolist()[:2] if b else weights[b].tolist():
            expected[b] += sum(min(a, c) for a, c in zip(row, covered, strict=True))
            covered = [a + c for a, c in zip(row, covered, strict=True)]
    real = torch.tensor([[True, True, True], [True, True, False]])
    assert coverage_loss(weights, real).tolist() == pytest.approx(expected, abs=1e-12)
    gram = weights @ weights.mT - torch.eye(QUERY)
    torch.testing.assert_close(redundancy_penalty(weights), (gram**2).sum((1, 2)))
    chances, reward = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    loss = reinforce_loss(chances, reward, 0.5)
    loss.backward()
    torch.testing.assert_close(chances.grad, -(reward.detach() - 0.5) / 5)
    assert reward.grad is None


WRONG = {
    "heads must divide query_dim = 22; got 3": lambda: MultiHeadAttention(DIM, KEY_DIM, heads=3),
    "value must be [batch, key, 5]; got [2, 7, 4]": lambda: heads()(
        *tensors()[:2], torch.zeros(BATCH, KEY, 4, dtype=torch.float64)
    ),
    "x must be [batch, query, 22]; got [2, 7, 13]": lambda: SelfAttention(DIM, heads=2)(torch.zeros(2, 7, 13)),
    "a step must be [batch, 22]; got [2, 7, 22]": lambda: own_step(torch.zeros(2, 7, DIM)),
    "state must be a KeyValueCache of [3, steps, 22]; got [2, 0, 22]": lambda: own_step(torch.zeros(3, DIM)),
    "state must be a KeyValueCache of [2, steps, 22]; got tuple": lambda: SelfAttention(DIM, heads=2)(
        torch.zeros(2, DIM), state=(1, 2)
    ),
    "state must be a KeyValueCache of [2, steps, 22]; got [2, 0, 26]": lambda: SelfAttention(DIM, heads=2)(
        torch.zeros(2, DIM), state=SelfAttention(26, heads=2).initial(2)
    ),
    "x must be [batch, key, 13]; got [2, 7, 12]": lambda: pool(torch.float32)[0](torch.zeros(2, 7, 12)),
    "mask must be [batch, key] = [2, 7]; got [2, 3, 7]": lambda: pool(torch.float32)[0](
        torch.zeros(2, 7, 13), mask=torch.ones(2, 3, 7, dtype=torch.bool)
    ),
    "hops must be at least 1; got 0": lambda: StructuredSelfAttention(3, 5, 0),
    "x must be [batch, 13, height, width]; got [2, 7, 5, 13]": lambda: gate(torch.float32)[0](torch.zeros(2, 7, 5, 13)),
    "reduction must be at least 1; got 0": lambda: SqueezeExcitation(3, 0),
    "x must be torch.float32, as the weights of SqueezeExcitation; got torch.float64": lambda: gate(torch.float32)[0](
        torch.zeros(2, 13, 7, 5).double()
    ),
}


def own_step(x: Tensor) -> Attended:
    attend = SelfAttention(DIM, heads=2)
    return attend(x, state=attend.initial(2))


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
