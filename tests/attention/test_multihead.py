"""What only attention of several heads has: masks and biases of heads, patterns, sinks, PyTorch's module both ways."""

import re

import pytest
import torch
from laws import BATCH, KEY, KEY_DIM, MASKS, QUERY, QUERY_DIM, VALUE_DIM, every_mask, full, heads, mechanism
from torch import Tensor, nn

from saccade import masks
from saccade.attention import fused
from saccade.attention.additive import AdditiveAttention
from saccade.attention.contentheads import ContentHeadAttention
from saccade.attention.multihead import MultiHeadAttention
from saccade.attention.multiplicative import DotAttention
from saccade.attention.positions import Alibi, BucketedBias, RelativeVectors, Rotary, rotate
from saccade.attention.windows import LocalMonotonic
from saccade.masks import Pattern
from saccade.normalizers import Gumbel

DIM, HEADS, LONG = 22, 2, 41


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    shapes = (BATCH, QUERY, DIM), (BATCH, KEY, KEY_DIM), (BATCH, KEY, VALUE_DIM)
    query, key, value = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return query, key, value


def several(x: Tensor) -> Tensor:
    """`[batch, heads, ...]` as PyTorch's module takes it."""
    return x.expand(BATCH, HEADS, QUERY, KEY).flatten(0, 1)


TORCH = {
    "other widths": {"kdim": KEY_DIM, "vdim": VALUE_DIM},
    "no bias": {"bias": False, "kdim": KEY_DIM, "vdim": VALUE_DIM},
    "a learned slot": {"add_bias_kv": True, "kdim": KEY_DIM, "vdim": VALUE_DIM},
    "a slot of zeros": {"add_zero_attn": True, "kdim": KEY_DIM, "vdim": VALUE_DIM},
    "both, without bias": {
        "bias": False,
        "add_bias_kv": True,
        "add_zero_attn": True,
        "kdim": KEY_DIM,
        "vdim": VALUE_DIM,
    },
    "one width": {},
}


@pytest.mark.parametrize("option", TORCH)
@pytest.mark.parametrize("masked", ["not at all", "padding", "by query", "by head", "added", "added by head"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_pytorch_s_module_both_ways(option, masked, need_weights):
    torch.manual_seed(1)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True, **TORCH[option]).double().eval()
    for parameter in theirs.parameters():  # biases begin as zeros, which say nothing
        nn.init.normal_(parameter, std=0.5)
    ours = MultiHeadAttention.from_torch(theirs)
    query, key, value = tensors()
    if option == "one width":
        key = value = torch.randn(BATCH, KEY, DIM, dtype=torch.float64)
    mine, other = {}, {}
    match masked:
        case "padding":
            mine, other = {"mask": MASKS["padding"]}, {"key_padding_mask": ~MASKS["padding"]}
        case "by query":
            mask = MASKS["causal"]
            mine, other = {"mask": mask}, {"attn_mask": ~mask[0]}
        case "by head":
            mask = torch.rand(BATCH, HEADS, QUERY, KEY) < 0.7
            mask[..., 3] = True
            mine, other = {"mask": mask}, {"attn_mask": ~several(mask)}
        case "added":
            bias = torch.randn(1, QUERY, KEY, dtype=torch.float64)
            mine, other = {"bias": bias}, {"attn_mask": bias[0]}
        case "added by head":
            bias = torch.randn(1, HEADS, QUERY, KEY, dtype=torch.float64)
            mine, other = {"bias": bias}, {"attn_mask": several(bias)}
    context, weights = theirs(query, key, value, need_weights=need_weights, average_attn_weights=False, **other)
    back = ours.to_torch()
    again = back(query, key, value, need_weights=need_weights, average_attn_weights=False, **other)
    found = ours(query, key, value, need_weights=need_weights, **mine)
    for one in (found[0], again[0]):
        torch.testing.assert_close(one, context, rtol=0, atol=1e-12)
    if need_weights:
        torch.testing.assert_close(found.weights, weights, rtol=0, atol=1e-12)
    assert {n: p.shape for n, p in back.named_parameters()} == {n: p.shape for n, p in theirs.named_parameters()}


def test_a_slot_of_its_own_can_be_looked_at_where_nothing_else_can():
    ours = MultiHeadAttention(DIM, KEY_DIM, heads=HEADS, value_dim=VALUE_DIM, sinks=["learned"]).double()
    query, key, value = tensors()
    for need_weights in (True, False):
        attended = ours(query, key, value, mask=torch.zeros(BATCH, KEY, dtype=torch.bool), need_weights=need_weights)
        torch.testing.assert_close(attended.context, ours.output(ours.sink_value).expand(BATCH, QUERY, -1))
    empty = ours(query, key[:, :0], value[:, :0])
    assert (empty.weights == 1).all()
    with_pattern = ours.remember(key, value, mask=Pattern(after=0))
    assert with_pattern.mask.shape == (1, KEY, KEY + 1)


@every_mask
@pytest.mark.parametrize("name", ["multi-head", "grouped heads", "content heads"])
def test_masks_and_biases_may_differ_by_head(name, kind):
    """Each head alone, under its own mask and bias, is what all of them are together."""
    attend, count = heads(name).double(), 4 if name == "grouped heads" else 2
    query, key, value = (
        torch.randn(BATCH, n, d, dtype=torch.float64) for n, d in ((QUERY, QUERY_DIM), (KEY, KEY_DIM), (KEY, VALUE_DIM))
    )
    own = torch.rand(BATCH, count, QUERY, KEY) < 0.7
    mask, bias = own & full(MASKS[kind])[:, None], torch.randn(BATCH, count, QUERY, KEY, dtype=torch.float64)
    for need_weights in (True, False):
        together = attend(query, key, value, mask=mask, bias=bias, need_weights=need_weights)
        parts = []
        for h in range(count):
            alone = attend(query, key, value, mask=mask[:, h], bias=bias[:, h])
            if need_weights:
                torch.testing.assert_close(together.weights[:, h], alone.weights[:, h], rtol=0, atol=1e-12)
            only = nn.Linear(attend.output.in_features, attend.query_dim).double()
            only.weight.data.zero_()
            mine = slice(h * attend.value_head_dim, (h + 1) * attend.value_head_dim)
            only.weight.data[:, mine] = attend.output.weight.data[:, mine]
            only.bias.data = attend.output.bias.data / count
            whole, attend.output = attend.output, only
            parts.append(attend(query, key, value, mask=mask[:, h], bias=bias[:, h]).context)
            attend.output = whole
        torch.testing.assert_close(together.context, sum(parts), rtol=0, atol=1e-10)


def test_what_is_hidden_from_one_head_has_no_influence_on_it():
    """NaN in a slot that the first head may not attend and the second may."""
    attend, found, (query, key, value) = heads("multi-head").double(), [], tensors()
    query = query[..., :QUERY_DIM].detach()
    mask = torch.ones(1, 2, 1, KEY, dtype=torch.bool)
    mask[:, 0, :, 4] = False
    slot = (torch.arange(KEY) == 4)[:, None]
    for poison in (1.0, float("nan")):
        weights = attend(query, *(torch.where(slot, poison, x.detach()) for x in (key, value)), mask=mask).weights
        (learned,) = torch.autograd.grad(weights[:, 0].square().sum(), attend.query.weight)
        found.append((weights[:, 0], learned[: attend.head_dim]))  # the rows that project for this head
    assert weights[:, 1].isnan().all()
    for clean, dirty in zip(*found, strict=True):
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)


def documents() -> Tensor:
    return torch.tensor([0] * 11 + [1] * 7 + [2] * (LONG - 18)).expand(BATCH, -1)


def patterns() -> dict[str, Pattern]:
    padding = torch.arange(LONG) < torch.tensor([[LONG], [23]])
    left = torch.arange(LONG) >= torch.tensor([[0], [17]])
    return {
        "everything": Pattern(),
        "causal": Pattern(after=0),
        "causal, padding": Pattern(after=0, padding=padding),
        "causal, padding on the left": Pattern(after=0, padding=left),
        "strictly before": Pattern(after=-1),
        "a causal window": Pattern(before=5, after=0),
        "a window on both sides": Pattern(before=3, after=9),
        "a window, strictly before": Pattern(before=5, after=-1),
        "a window, padding": Pattern(before=3, after=2, padding=padding),
        "a window, padding on the left": Pattern(before=3, after=0, padding=left),
        "documents": Pattern(documents=documents()),
        "causal documents": Pattern(after=0, documents=documents()),
        "a window in documents": Pattern(before=5, after=3, documents=documents(), padding=padding),
        "only itself": Pattern(before=0, after=0),
        "a window wider than all": Pattern(before=100, after=100),
    }


every_pattern = pytest.mark.parametrize("name", patterns())


@pytest.fixture(params=[8, 128], ids=["blocks of 8", "one block"])
def _block(request, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", request.param)


def expected_mask(pattern: Pattern) -> Tensor:
    """The rule in scalars."""
    mask = torch.zeros(BATCH, LONG, LONG, dtype=torch.bool)
    for b in range(BATCH):
        for i in range(LONG):
            for j in range(LONG):
                may = pattern.before is None or j >= i - pattern.before
                may &= pattern.after is None or j <= i + pattern.after
                may &= pattern.padding is None or bool(pattern.padding[b, j])
                may &= pattern.documents is None or bool(pattern.documents[b, i] == pattern.documents[b, j])
                mask[b, i, j] = may
    return mask


@every_pattern
def test_a_pattern_written_out_is_the_rule(name):
    pattern = patterns()[name]
    expected = expected_mask(pattern)
    assert (pattern.dense(LONG).expand(BATCH, -1, -1) == expected).all()
    last = pattern.dense(5, LONG).expand(BATCH, -1, -1)
    assert (last == expected[:, -5:]).all()


def sequence(requires_grad: bool = True) -> Tensor:
    torch.manual_seed(3)
    return torch.randn(BATCH, LONG, KEY_DIM, dtype=torch.float64, requires_grad=requires_grad)


def own(name: str = "multi-head") -> MultiHeadAttention:
    torch.manual_seed(1)
    shape = {"multi-head": 2, "grouped": (4, 2)}[name]
    return MultiHeadAttention(KEY_DIM, KEY_DIM, heads=shape, head_dim=(6, 4), positions=Rotary(4)).double()


@every_pattern
@pytest.mark.parametrize("shape", ["multi-head", "grouped"])
@pytest.mark.usefixtures("_block")
def test_a_pattern_is_the_mask_that_it_stands_for(name, shape):
    attend, pattern, found = own(shape), patterns()[name], []
    for mask, need_weights in ((pattern, False), (pattern, True), (expected_mask(pattern), True)):
        x = sequence()
        context, weights, _ = attend(x, x, x, mask=mask, need_weights=need_weights)
        assert (weights is None) != need_weights
        found.append((context, *torch.autograd.grad(context.square().sum(), [x, *attend.parameters()])))
    for one in found[:2]:
        for mine, other in zip(one, found[2], strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["causal", "a window on both sides", "a window, padding", "documents"])
@pytest.mark.usefixtures("_block")
def test_gradients_under_a_pattern_are_right_to_the_second_order(name):
    attend, pattern = own(), patterns()[name]

    def context(x: Tensor) -> Tensor:
        return attend(x, x, x, mask=pattern, need_weights=False).context

    assert torch.autograd.gradcheck(context, sequence(), fast_mode=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # the only one with a second order
        assert torch.autograd.gradgradcheck(context, sequence(), fast_mode=True)


@every_pattern
def test_flexible_attention_is_told_the_same(name):
    """What runs on CUDA, here uncompiled."""
    pattern = patterns()[name]
    query, key, value = (torch.randn(BATCH, h, LONG, 8) for h in (4, 2, 2))
    expected = fused.fused_multihead(query, key, value, expected_mask(pattern))
    torch.testing.assert_close(fused.flexible(query, key, value, pattern), expected, rtol=1e-4, atol=1e-5)


class Whole(nn.Module):
    def __init__(self, attend: nn.Module):
        super().__init__()
        self.attend = attend

    def forward(self, x: Tensor, pattern: Pattern) -> Tensor:
        return self.attend(x, x, x, mask=pattern, need_weights=False).context


@pytest.mark.parametrize("name", ["causal", "a causal window", "a window, padding", "causal documents"])
def test_patterns_compile_whole_export_and_reload(name, tmp_path):
    pattern, x = patterns()[name], sequence(requires_grad=False).float()
    module = Whole(own().float())
    expected = module(x, pattern)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")(x, pattern)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)
    torch.export.save(torch.export.export(module, (x, pattern)), tmp_path / "module.pt2")
    reloaded = torch.export.load(tmp_path / "module.pt2").module()(x, pattern)
    torch.testing.assert_close(reloaded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["causal", "a causal window", "a window, padding", "documents"])
def test_patterns_in_low_precision_and_under_autocast(name):
    pattern, x = patterns()[name], sequence().float().detach()
    exact = own()(x.double(), x.double(), x.double(), mask=pattern).context
    with torch.autocast("cpu", torch.bfloat16):
        cast = own().float()(x, x, x, mask=pattern, need_weights=False).context
    given = x.bfloat16().requires_grad_()
    low = own().bfloat16()(given, given, given, mask=pattern, need_weights=False).context
    low.square().sum().backward()
    assert given.grad.isfinite().all()
    for found in (cast, low):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.double(), exact, rtol=0.05, atol=0.05)


def test_patterns_work_under_vmap_and_in_forward_mode():
    attend, pattern = own(), Pattern(before=5, after=2)
    x, toward = sequence(requires_grad=False), torch.randn(BATCH, LONG, KEY_DIM, dtype=torch.float64)

    def context(x: Tensor) -> Tensor:
        return attend(x, x, x, mask=pattern, need_weights=False).context

    each = torch.func.vmap(lambda row: context(row[None])[0])(x)
    torch.testing.assert_close(each, context(x), rtol=0, atol=1e-10)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        _, along = torch.func.jvp(context, (x,), (toward,))
    step = 1e-6
    numeric = (context(x + step * toward) - context(x - step * toward)) / (2 * step)
    torch.testing.assert_close(along, numeric, rtol=1e-5, atol=1e-7)


def test_any_mechanism_takes_a_pattern():
    query, key, value = (torch.randn(BATCH, KEY, d, dtype=torch.float64) for d in (QUERY_DIM, KEY_DIM, VALUE_DIM))
    for name in ("additive", "general+local-m", "coverage", "content heads"):
        attend, pattern = mechanism(name).attend, Pattern(before=2, after=1, padding=MASKS["padding"])
        by_mask = attend(query, key, value, mask=pattern.dense(KEY))
        torch.testing.assert_close(attend(query, key, value, mask=pattern).context, by_mask.context, rtol=0, atol=0)
        remembered = attend.read(query, attend.remember(key, value, mask=pattern))
        torch.testing.assert_close(remembered.context, by_mask.context, rtol=0, atol=1e-12)


def test_dropped_weights_are_given_as_they_were():
    for attend in (
        MultiHeadAttention(
            KEY_DIM, KEY_DIM, heads=2, head_dim=64, dropout=0.5, positions=RelativeVectors(64, furthest=3)
        ),
        ContentHeadAttention(KEY_DIM, KEY_DIM, DotAttention(64), heads=2, head_dim=64, dropout=0.5),
    ):
        attend, x = attend.double(), sequence(requires_grad=False)
        calm = attend.eval()(x, x, x)
        attend.train()
        contexts = []
        for _ in range(400):
            stirred = attend(x, x, x)
            torch.testing.assert_close(stirred.weights, calm.weights, rtol=0, atol=0)
            contexts.append(stirred.context)
        # Kept weights are scaled up, so that their mean is what it was.
        assert (torch.stack(contexts).mean(0) - calm.context).abs().max() < 0.2
        assert (contexts[0] - calm.context).abs().max() > 0.05


@pytest.mark.parametrize("pattern", [None, Pattern(before=4, after=0), Pattern(after=0)])
def test_the_fused_path_drops_too(pattern):
    attend = MultiHeadAttention(KEY_DIM, KEY_DIM, heads=2, head_dim=8, dropout=0.5)
    x = sequence(requires_grad=False).float()
    one, other = (attend(x, x, x, mask=pattern, need_weights=False).context for _ in range(2))
    assert (one - other).abs().max() > 0.01
    attend.eval()
    one, other = (attend(x, x, x, mask=pattern, need_weights=False).context for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_noise_reaches_every_head():
    attend = ContentHeadAttention(KEY_DIM, KEY_DIM, DotAttention(8, normalizer=Gumbel()), heads=2, head_dim=8)
    x = sequence(requires_grad=False).float()
    noise = torch.randn(BATCH, LONG, LONG)
    one, other = attend(x, x, x, noise=noise), attend(x, x, x, noise=noise)
    torch.testing.assert_close(one.weights, other.weights, rtol=0, atol=0)
    assert (attend(x, x, x, noise=-noise).weights != one.weights).any()


def test_what_heads_know_of_places_is_float32_under_autocast():
    query = torch.randn(1, 2, QUERY, 6)
    for positions in (Alibi(), BucketedBias(2, buckets=8, furthest=5), RelativeVectors(6, furthest=2)):
        exact = positions.bias(query, KEY, 0)
        with torch.autocast("cpu", torch.bfloat16):
            cast = positions.bias(query, KEY, 0)
            read = positions.read(exact.softmax(-1), 0)
        torch.testing.assert_close(cast, exact, rtol=0, atol=0)
        assert cast.dtype == torch.float32
        assert read is None or read.dtype == torch.float32


def test_rotated_scores_depend_on_distances_alone():
    q, k = torch.randn(1, 1, 1, 8, dtype=torch.float64), torch.randn(1, 1, 1, 8, dtype=torch.float64)
    for layout in ("halves", "neighbours"):
        scores = [
            (rotate(q, torch.tensor([[m]]), layout=layout) * rotate(k, torch.tensor([[m - 5]]), layout=layout)).sum()
            for m in (5, 6, 400)
        ]
        torch.testing.assert_close(scores[0], scores[1])
        torch.testing.assert_close(scores[0], scores[2])
    # At places beyond what low precision can count.
    x = torch.randn(1, 1, 2, 8)
    far = rotate(x.bfloat16(), torch.tensor([[4096, 4097]]))
    torch.testing.assert_close(far.float(), rotate(x, torch.tensor([[4096, 4097]])), rtol=0.02, atol=0.02)


WRONG = {
    "heads must divide query_dim = 22; got 3": lambda: MultiHeadAttention(DIM, KEY_DIM, heads=3),
    "heads of keys must divide those of queries, 4; got 3": lambda: MultiHeadAttention(8, KEY_DIM, heads=(4, 3)),
    "head_dim must be at least 1; got 0": lambda: MultiHeadAttention(8, 8, heads=2, head_dim=0),
    "dropout must be at least 0 and below 1; got 1.0": lambda: MultiHeadAttention(8, 8, heads=2, dropout=1.0),
    "sinks must be of learned and zero, each once; got ('one',)": lambda: MultiHeadAttention(
        8, 8, heads=2, sinks=["one"]
    ),
    "sinks have no place, so there are none beside positions; got Alibi": lambda: MultiHeadAttention(
        8, 8, heads=2, sinks=["zero"], positions=Alibi()
    ),
    "rotary positions turn pairs, so dim must be even; got 3": lambda: Rotary(3),
    "rotary positions turn 6 numbers of each head; got heads of 4": lambda: MultiHeadAttention(
        8, 8, heads=2, positions=Rotary(6)
    ),
    "layout must be halves or neighbours; got 'pairs'": lambda: Rotary(4, layout="pairs"),
    "positions must be those of 2 heads; got 3": lambda: MultiHeadAttention(8, 8, heads=2, positions=BucketedBias(3)),
    "positions must be those of heads of 4; got 5": lambda: MultiHeadAttention(
        8, 8, heads=2, positions=RelativeVectors(5, furthest=2)
    ),
    "furthest must be at least 1; got 0": lambda: RelativeVectors(5, furthest=0),
    "furthest must lie beyond the buckets of one distance; got 4 and 32": lambda: BucketedBias(2, furthest=4),
    "value must be [batch, key, 5]; got [2, 7, 4]": lambda: heads("multi-head")(
        torch.zeros(2, 3, QUERY_DIM), torch.zeros(2, 7, KEY_DIM), torch.zeros(2, 7, 4)
    ),
    "mask must be [batch, heads, query, key] = [2, 2, 3, 7]; got [2, 3, 3, 7]": lambda: called(
        mask=torch.ones(2, 3, 3, 7, dtype=torch.bool)
    ),
    "bias must be [batch, heads, query, key] = [2, 2, 3, 7]; got [2, 2, 7, 3]": lambda: called(
        bias=torch.zeros(2, 2, 7, 3)
    ),
    "mask must be [batch, query, key] = [2, 3, 7]; got [2, 2, 3, 7]": lambda: AdditiveAttention(11, 13, 5)(
        torch.zeros(2, 3, 11), torch.zeros(2, 7, 13), torch.zeros(2, 7, 5), mask=torch.ones(2, 2, 3, 7).bool()
    ),
    "before must be at least 0, or None for no limit; got -1": lambda: called(mask=Pattern(before=-1)),
    "after must be at least -1, or None for no limit; got -2": lambda: called(mask=Pattern(after=-2)),
    "mask must be [batch, key] = [2, 7]; got [2, 1, 7]": lambda: called(
        mask=Pattern(padding=torch.ones(2, 1, 7, dtype=torch.bool))
    ),
    "documents must be integers [batch, key] = [2, 7]; got torch.float32 [2, 7]": lambda: called(
        mask=Pattern(documents=torch.zeros(2, 7))
    ),
    "an additive mask must hold 0 and -inf alone; with other numbers it is a bias": lambda: masks.from_additive(
        torch.tensor([0.0, -1.0])
    ),
    "an additive mask must be a floating-point tensor; got torch.bool": lambda: masks.from_additive(
        torch.tensor([True])
    ),
    "MultiHeadAttention draws nothing, so it takes no noise": lambda: called(noise=torch.zeros(2, 3, 7)),
    "inner must be one mechanism, or one for each of 2 heads; got 3": lambda: ContentHeadAttention(
        8, 8, [DotAttention(4)] * 3, heads=2
    ),
    "inner must have query_dim = key_dim = 4, a head's; got 5 and 5": lambda: ContentHeadAttention(
        8, 8, DotAttention(5), heads=2
    ),
    "nn.MultiheadAttention has heads of query_dim / heads, none shared, no positions": lambda: heads(
        "multi-head"
    ).to_torch(),
}


def called(**options: object) -> object:
    attend = MultiHeadAttention(QUERY_DIM, KEY_DIM, heads=2, value_dim=VALUE_DIM, head_dim=4)
    given = torch.zeros(2, 3, QUERY_DIM), torch.zeros(2, 7, KEY_DIM), torch.zeros(2, 7, VALUE_DIM)
    return attend(*given, **options)


@pytest.mark.parametrize("message", WRONG)
def test_mistakes(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()


def test_a_window_cannot_be_inside_a_head():
    with pytest.raises(ValueError, match=r"^inner must be without a window or a draw to reinforce; got DotAttention"):
        ContentHeadAttention(8, 8, DotAttention(4, window=LocalMonotonic(2)), heads=2)
