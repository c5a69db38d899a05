"""The laws of the kinds that are no attention of a decoder: pooling, gates, image attention, linear attention."""

import re

import pytest
import torch
from kinds import BOTH, GATES, KINDS, LINEAR, MASKED, NON_LOCAL, POOLING, parts
from laws import BATCH, KEY, KEY_DIM, MASKS, QUERY
from test_laws import scalars
from torch import Tensor

from saccade.attention import linear
from saccade.attention.gates import (
    ConvolutionalBlockAttention,
    EfficientChannelGate,
    SpatialGate,
    SqueezeExcitation,
)
from saccade.attention.images import NonLocalBlock, SpatialChannelAttention, VisualAttention, regions
from saccade.attention.linear import LinearAttention, LinearState
from saccade.attention.losses import (
    coverage_loss,
    doubly_stochastic_loss,
    quantity_loss,
    redundancy_penalty,
    reinforce_loss,
)
from saccade.attention.pooling import BagPooling, ContextVectorPooling, MultiHopPooling, StructuredSelfAttention
from saccade.normalizers import Sample

EVERYWHERE = torch.ones(BATCH, KEY, dtype=torch.bool)
LENGTHS = {**{kind: MASKS[kind] for kind in ("padding", "empty sentence", "holes")}, "no mask": EVERYWHERE}
every_kind = pytest.mark.parametrize("name", KINDS)


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


CALLS = [*((n, kind) for n in MASKED for kind in LENGTHS), *((n, None) for n in KINDS.keys() - MASKED.keys())]


@pytest.mark.parametrize(("name", "kind"), sorted(CALLS, key=str))
def test_equals_the_loops_of_the_paper_forward_and_backward(name, kind):
    module, given = KINDS[name].module(), KINDS[name].given()
    ours = parts(module(*given, mask=LENGTHS[kind]) if kind else module(*given))
    w, found = {n: scalars(p) for n, p in module.named_parameters()}, []
    for b in range(BATCH):
        allowed = [LENGTHS[kind][b].tolist()] if kind else []
        found.append(KINDS[name].loops(*(scalars(x[b]) for x in given), *allowed, w))
    loops = tuple(stacked([example[side] for example in found]) for side in range(len(ours)))
    same_forward_and_backward(ours, loops, [*given, *module.parameters()])


@every_kind
def test_gradients_are_right_to_the_second_order(name):
    module, options = KINDS[name].module(), {"mask": MASKS["holes"]} if name in MASKED else {}

    def call(*given: Tensor) -> tuple[Tensor, ...]:
        return parts(module(*given, **options))

    assert torch.autograd.gradcheck(call, KINDS[name].given(), fast_mode=True)
    assert torch.autograd.gradgradcheck(call, KINDS[name].given(), fast_mode=True)


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("poison", [0.0, float("nan"), float("inf")])
def test_masking_equals_deleting(name, poison):
    kept = torch.tensor([0, 2, 3, 6])
    mask = torch.zeros(BATCH, KEY, dtype=torch.bool)
    mask[:, kept] = True
    module, (x,) = KINDS[name].module(), KINDS[name].given()
    dirty = x.detach().clone()
    dirty[:, [1, 4, 5]] = poison
    masked, deleted = module(dirty, mask=mask), module(x[:, kept])
    context, weights = masked.context, masked.weights[..., kept]
    if name in LINEAR:  # a hidden step still asks, and its answer is its own affair
        context, weights = context[:, kept], weights[:, :, kept]
    torch.testing.assert_close(context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, deleted.weights, rtol=0, atol=1e-12)
    assert (masked.weights[..., [1, 4, 5]] == 0).all()
    nothing = module(dirty, mask=torch.zeros_like(mask))
    assert (nothing.weights == 0).all()
    if name in POOLING:
        assert (nothing.context == 0).all()
        empty = module(x[:, :0])
        assert empty.context.shape == masked.context.shape
        assert (empty.context == 0).all()


@pytest.mark.parametrize("name", POOLING)
def test_permuting_a_sequence_permutes_the_weights(name):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    module, (x,) = KINDS[name].module(), KINDS[name].given()
    straight, permuted = module(x), module(x[:, order])
    torch.testing.assert_close(permuted.weights, straight.weights[..., order], rtol=0, atol=1e-12)
    torch.testing.assert_close(permuted.context, straight.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(straight.weights.sum(-1), torch.ones_like(straight.weights[..., 0]))


@every_kind
def test_a_batch_equals_its_singles(name):
    module, given = KINDS[name].module(), KINDS[name].given()
    whole = parts(module(*given))
    for b in range(BATCH):
        single = module(*(x[b : b + 1] for x in given))
        fields = single[:2] if hasattr(single, "state") else single
        for one, all_ in zip(fields, module(*given)[: len(fields)], strict=True):
            torch.testing.assert_close(one[0], all_[b], rtol=0, atol=1e-12)
    assert all(x.isfinite().all() for x in whole)


@pytest.mark.parametrize("name", GATES | BOTH)
def test_the_output_is_the_input_times_the_gates(name):
    module, given = KINDS[name].module(), KINDS[name].given()
    found = module(*given)
    product = given[0]
    for gate in found[1:]:
        assert gate.dim() == 4
        assert ((gate > 0) & (gate < 1)).all()
        product = product * gate
    torch.testing.assert_close(found.output, product, rtol=0, atol=1e-12)


@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_and_autocast(name, dtype):
    exact = parts(KINDS[name].module(dtype).double()(*(x.double() for x in KINDS[name].given(dtype))))
    low = parts(KINDS[name].module(dtype)(*KINDS[name].given(dtype)))
    for one, other in zip(low, exact, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=0.05, atol=0.05)
    exact = parts(KINDS[name].module(torch.float32).double()(*(x.double() for x in KINDS[name].given(torch.float32))))
    with torch.autocast("cpu", torch.bfloat16):
        cast = parts(KINDS[name].module(torch.float32)(*KINDS[name].given(torch.float32)))
    for one, other in zip(cast, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("name", POOLING)
def test_sums_of_low_precision_are_taken_in_float32(name):
    module, (x,) = KINDS[name].module(torch.bfloat16), KINDS[name].given(torch.bfloat16)
    if name != "multi-hop":
        weights = module.score(x).softmax(-1)
        assert weights.dtype == torch.float32
        expected = (weights @ x.float()).bfloat16()
        torch.testing.assert_close(module(x).context, expected if module.several else expected[:, 0], rtol=0, atol=0)


@every_kind
def test_compiles_whole_exports_and_reloads(name, tmp_path):
    module = KINDS[name].module(torch.float32)
    given = tuple(x.detach() for x in KINDS[name].given(torch.float32))
    options = {"mask": MASKS["padding"]} if name in MASKED else {}
    expected = module(*given, **options)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")(*given, **options)
    torch.export.save(torch.export.export(module, given, options), tmp_path / "module.pt2")
    reloaded = torch.export.load(tmp_path / "module.pt2").module()(*given, **options)
    for found in (compiled, reloaded):
        assert type(found) is type(expected)
        for mine, other in zip(parts(found), parts(expected), strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", [*POOLING, *LINEAR, "non-local, embedded"])
def test_autocast_keeps_scores_in_float32(name):
    module, given = KINDS[name].module(torch.float32), KINDS[name].given(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(*given)
        if name in POOLING and name != "multi-hop":
            assert module.score(*given).dtype == torch.float32
    torch.testing.assert_close(found.weights.sum(-1), torch.ones_like(found.weights[..., 0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*POOLING, *NON_LOCAL, *LINEAR])
def test_without_weights_the_context_is_the_same(name):
    module, given = KINDS[name].module(), KINDS[name].given()
    without, found = module(*given, need_weights=False), module(*given)
    assert without.weights is None
    torch.testing.assert_close(without.context, found.context, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_linear_attention_is_one_thing_in_three_forms(chunk, monkeypatch):
    """Parallel by its weights, chunk by chunk, and step by step; with steps that nobody may attend."""
    monkeypatch.setattr(linear, "CHUNK", chunk)
    attend, (x,) = KINDS["linear, causal"].module(), KINDS["linear, causal"].given()
    for mask in LENGTHS.values():
        whole, state = attend(x, mask=mask), attend.initial(BATCH)
        heads = attend.value(x.masked_fill(~mask[..., None], 0.0)).unflatten(-1, (2, -1)).transpose(1, 2)
        parallel = attend.output((whole.weights @ heads).transpose(1, 2).flatten(2))
        torch.testing.assert_close(whole.context, parallel, rtol=0, atol=1e-12)
        for i in range(KEY):
            context, weights, state = attend(x[:, i], mask=mask[:, i : i + 1], state=state)
            assert weights is None
            torch.testing.assert_close(context, whole.context[:, i], rtol=0, atol=1e-12)
        for one, other in zip(state, whole.state, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
        first = attend(x[:, :3], mask=mask[:, :3], state=attend.initial(BATCH))
        rest = attend(x[:, 3:], mask=mask[:, 3:], state=first.state)
        torch.testing.assert_close(torch.cat([first.context, rest.context], 1), whole.context, rtol=0, atol=1e-12)


def test_linear_attention_is_as_exact_over_long_sequences():
    """2,000 steps in float32: the running sums lose no more than the written-out form does."""
    torch.manual_seed(4)
    q, k, v = (torch.randn(1, 1, 2000, 16, dtype=torch.float64) for _ in range(3))
    exact = linear.causal_linear_attention(q, k, v)[0]
    low = [x.float() for x in (q, k, v)]
    ours = (linear.causal_linear_attention(*low)[0] - exact).abs().max()
    written = linear.linear_weights(low[0], low[1], torch.ones(1, 2000, 2000, dtype=torch.bool).tril()) @ low[2]
    assert ours <= 2 * (written - exact).abs().max()


def test_places_of_an_image_are_a_memory_row_by_row():
    x = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    found = regions(x)
    assert found.shape == (2, 20, 3)
    assert found[1, 7].tolist() == x[1, :, 1, 2].tolist()


def test_hard_attention_over_an_image_is_reinforced():
    """Xu et al. 2015, §4.1: one region is drawn, and the gate is on what is read of it."""
    torch.manual_seed(3)
    attend, x = VisualAttention(11, KEY_DIM, 5, normalizer=Sample()), torch.randn(BATCH, KEY_DIM, 3, 2)
    memory, query = attend.remember(regions(x), regions(x)), torch.randn(BATCH, 11)
    context, weights, state = attend.read(query, memory, noise=torch.Generator().manual_seed(1))
    assert weights.sort().values.tolist() == [[0.0] * 5 + [1.0]] * BATCH
    beta = torch.sigmoid(attend.gate(query))
    torch.testing.assert_close(context, beta * regions(x)[torch.arange(BATCH), weights.argmax(-1)])
    reinforce_loss(state.drawn.log_probability, torch.tensor([1.0, 2.0]), 0.0).backward()
    assert attend.query.weight.grad.abs().sum() > 0


def test_a_normed_spatial_gate_learns_its_batch():
    gate, x = SpatialGate(3), torch.randn(5, 3, 7, 5)
    gate(x)
    assert gate.norm.running_mean.abs().item() > 0
    gate.eval()
    kept = gate.norm.running_mean.clone()
    gate(x)
    torch.testing.assert_close(gate.norm.running_mean, kept)


@pytest.mark.parametrize(("channels", "size"), [(1, 3), (8, 3), (64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_the_kernel_of_efficient_channel_attention_follows_the_channels(channels, size):
    """Wang et al. 2020, eq. 12: the odd number that is nearest."""
    assert EfficientChannelGate(channels).kernel.kernel_size == (size,)


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
    slots, missing = MASKS["padding"], [0.0] * BATCH
    for b in range(BATCH):
        for j in range(KEY):
            looked = sum(weights[b, i, j].item() for i in range(QUERY) if real[b, i])
            missing[b] += (1 - looked) ** 2 * slots[b, j].item()
    assert doubly_stochastic_loss(weights, real, memory_mask=slots).tolist() == pytest.approx(missing, abs=1e-12)
    shares, lost = torch.rand(BATCH, QUERY, KEY, dtype=torch.float64), [0.0] * BATCH
    for b in range(BATCH):
        for i in range(QUERY):
            lost[b] += abs(1 - sum(shares[b, i].tolist())) * real[b, i].item()
    assert quantity_loss(shares, real).tolist() == pytest.approx(lost, abs=1e-12)
    gram = weights @ weights.mT - torch.eye(QUERY)
    torch.testing.assert_close(redundancy_penalty(weights), (gram**2).sum((1, 2)))
    chances, reward = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    loss = reinforce_loss(chances, reward, 0.5)
    loss.backward()
    torch.testing.assert_close(chances.grad, -(reward.detach() - 0.5) / 5)
    assert reward.grad is None


def pool(x: Tensor, **options: Tensor) -> object:
    return ContextVectorPooling(KEY_DIM, 11)(x, **options)


def gate(x: Tensor) -> object:
    return SqueezeExcitation(KEY_DIM, 4)(x)


def sca(query: Tensor) -> object:
    return SpatialChannelAttention(11, KEY_DIM, 3)(torch.zeros(2, KEY_DIM, 7, 5), query)


def linear_step(x: Tensor, state: object, causal: bool = True) -> object:
    return LinearAttention(14, heads=2, causal=causal)(x, state=state)


WRONG = {
    "x must be [batch, key, 13]; got [2, 7, 12]": lambda: pool(torch.zeros(2, 7, 12)),
    "mask must be [batch, key] = [2, 7]; got [2, 3, 7]": lambda: pool(
        torch.zeros(2, 7, 13), mask=torch.ones(2, 3, 7).bool()
    ),
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": lambda: pool(
        torch.zeros(2, 7, 13), mask=torch.tensor([7, 3])
    ),
    "hops must be at least 1; got 0": lambda: StructuredSelfAttention(3, 5, 0),
    "hops must be at least 1; got -1": lambda: MultiHopPooling(3, -1),
    "hidden_dim must be at least 1; got 0": lambda: BagPooling(3, 0),
    "x must be [batch, 13, height, width]; got [2, 7, 5, 13], channels last: x.permute(0, 3, 1, 2) puts them second": (
        lambda: gate(torch.zeros(2, 7, 5, 13))
    ),
    "x must be [batch, 13, height, width]; got [2, 12, 7, 5]": lambda: gate(torch.zeros(2, 12, 7, 5)),
    "x must have at least one place; got [2, 13, 0, 5]": lambda: gate(torch.zeros(2, 13, 0, 5)),
    "reduction must be at least 1; got 0": lambda: SqueezeExcitation(3, 0),
    "x must be torch.float32, as the weights of SqueezeExcitation; got torch.float64": lambda: gate(
        torch.zeros(2, 13, 7, 5).double()
    ),
    "x must be [batch, channels, height, width]; got [2, 7, 5]": lambda: SpatialGate()(torch.zeros(2, 7, 5)),
    "kernel_size must be odd, so that it has a middle; got 4": lambda: SpatialGate(4),
    "kernel_size must be odd, so that it has a middle; got 0": lambda: ConvolutionalBlockAttention(8, kernel_size=0),
    "query must be [batch, query_dim] = [2, 11]; got [3, 11]": lambda: sca(torch.zeros(3, 11)),
    "order must be channel-spatial or spatial-channel; got 'both'": lambda: SpatialChannelAttention(
        3, 3, 3, order="both"
    ),
    "pairs must be gaussian, embedded, dot or concatenation; got 'sum'": lambda: NonLocalBlock(3, pairs="sum"),
    "x must be [batch, 13, height, width]; got [2, 7, 5, 13]": lambda: NonLocalBlock(13)(torch.zeros(2, 7, 5, 13)),
    "x must be [batch, channels, height, width]; got [2, 12]": lambda: regions(torch.zeros(2, 12)),
    "heads must divide dim = 7; got 2": lambda: LinearAttention(7, heads=2),
    "x must be [batch, query, 14]; got [2, 14]": lambda: linear_step(torch.zeros(2, 14), None),
    "a step must be [batch, 14], or several [batch, steps, 14]; got [2, 3, 13]": lambda: linear_step(
        torch.zeros(2, 3, 13), LinearAttention(14, heads=2).initial(2)
    ),
    "state must be a LinearState of [2, 2, 7, 7]; got [3, 2, 7, 7]": lambda: linear_step(
        torch.zeros(2, 14), LinearAttention(14, heads=2).initial(3)
    ),
    "state must be a LinearState of [2, 2, 7, 7]; got tuple": lambda: linear_step(torch.zeros(2, 14), (1, 2)),
    "a state is for causal attention; got one for LinearAttention(causal=False)": lambda: linear_step(
        torch.zeros(2, 14), LinearState(torch.zeros(2, 2, 7, 7), torch.zeros(2, 2, 7)), causal=False
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
