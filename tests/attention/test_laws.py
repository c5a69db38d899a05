"""The laws of attention, over every mechanism and every kind of mask."""

import importlib
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import BATCH, KEY, LOOKING, QUERY, VALUE_DIM, inputs, masks_of_every_kind, mechanism
from torch import Tensor
from twins import attend as twin

from saccade import masks
from saccade.attention.base import Attended, Attention
from saccade.attention.build import build
from saccade.attention.catalogue import MECHANISMS

MASKS = masks_of_every_kind()
every_mechanism = pytest.mark.parametrize("name", LOOKING)
every_mask = pytest.mark.parametrize("kind", MASKS)


def full(mask: Tensor) -> Tensor:
    """The mask with all three axes written out."""
    return (mask[:, None] if mask.dim() == 2 else mask).expand(BATCH, QUERY, KEY)


@every_mechanism
@every_mask
def test_equals_the_loops_of_the_paper(name, kind):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    context, weights, state = attend(query, key, value, mask=MASKS[kind])
    parameters = {n: p.tolist() for n, p in attend.named_parameters()}
    for b in range(BATCH):
        expected = twin(name, *(x[b].tolist() for x in (query, key, value, full(MASKS[kind]))), parameters)
        torch.testing.assert_close(context[b], torch.tensor(expected[0], dtype=torch.float64), rtol=0, atol=1e-10)
        torch.testing.assert_close(weights[b], torch.tensor(expected[1], dtype=torch.float64), rtol=0, atol=1e-10)
    assert state is None


@every_mechanism
@every_mask
def test_gradients_are_right_to_the_second_order(name, kind):
    attend, mask = mechanism(name), MASKS[kind]

    def both(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return attend(*tensors, mask=mask)[:2]

    assert torch.autograd.gradcheck(both, inputs(attend))
    assert torch.autograd.gradgradcheck(both, inputs(attend))


@every_mechanism
def test_masking_equals_deleting(name):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    kept = torch.tensor([0, 2, 3, 6])
    mask = torch.zeros(BATCH, KEY, dtype=torch.bool)
    mask[:, kept] = True
    masked, deleted = attend(query, key, value, mask=mask), attend(query, key[:, kept], value[:, kept])
    torch.testing.assert_close(masked.context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.weights[:, :, kept], deleted.weights, rtol=0, atol=1e-12)
    assert (masked.weights.sum((0, 1))[~mask[0]] == 0).all()


@every_mechanism
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@every_mask
def test_a_query_that_may_look_nowhere_gets_nothing(name, dtype, kind):
    attend, tensors = mechanism(name, dtype), inputs(mechanism(name), dtype)
    nowhere = ~full(MASKS[kind]).any(-1)
    with torch.no_grad():
        tensors[0][nowhere] = float("nan")
    context, weights, _ = attend(*tensors, mask=MASKS[kind])
    assert context.dtype == weights.dtype == dtype
    assert (context[nowhere] == 0).all()
    assert (weights[nowhere] == 0).all()
    (context.square().sum() + weights.square().sum()).backward()
    assert (tensors[0].grad[nowhere] == 0).all()
    for tensor in (*tensors, *attend.parameters()):
        assert tensor.grad.isfinite().all()


@every_mechanism
@every_mask
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nothing_leaks_from_under_a_mask(name, kind, poison):
    attend, mask = mechanism(name), full(MASKS[kind])
    clean, dirty = inputs(attend), inputs(attend)
    slot = 4
    with torch.no_grad():
        dirty[1][:, slot], dirty[2][:, slot] = poison, poison
    before, after = attend(*clean, mask=mask), attend(*dirty, mask=mask)
    blind = ~mask[:, :, slot]
    torch.testing.assert_close(after.context[blind], before.context[blind], rtol=0, atol=0)
    torch.testing.assert_close(after.weights[blind], before.weights[blind], rtol=0, atol=0)
    assert after.context[~blind].isnan().all(), "NaN that is attended to must come out"
    (after.context[blind].square().sum() + after.weights[blind].square().sum()).backward()
    (before.context[blind].square().sum() + before.weights[blind].square().sum()).backward()
    torch.testing.assert_close(dirty[0].grad[blind], clean[0].grad[blind], rtol=0, atol=0)


@every_mechanism
@every_mask
def test_slots_that_nobody_may_attend_are_not_seen_at_all(name, kind):
    attend, mask = mechanism(name), MASKS[kind]
    results = []
    for poison in (0.0, float("nan")):
        attend.zero_grad()
        query, key, value = inputs(attend)
        with torch.no_grad():
            for tensor in (key, value):
                tensor[~full(mask).any(1)] = poison
        context, weights, _ = attend(query, key, value, mask=mask)
        (context.square().sum() + weights.square().sum()).backward()
        gradients = [tensor.grad for tensor in (query, key, value)] + [p.grad.clone() for p in attend.parameters()]
        results.append([context, weights, *gradients])
    for clean, dirty in zip(*results, strict=True):
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)


@every_mechanism
def test_a_value_alone_that_is_nan_comes_out_only_where_it_is_seen(name):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    poisoned = value.detach().clone()
    poisoned[:, 4, 2] = float("nan")
    mask = torch.ones(1, QUERY, KEY, dtype=torch.bool)
    mask[:, 0, 4] = False
    context = attend(query, key, poisoned, mask=mask).context
    expected = torch.zeros(BATCH, QUERY, VALUE_DIM, dtype=torch.bool)
    expected[:, 1:, 2] = True
    assert (context.isnan() == expected).all()


@every_mechanism
@every_mask
def test_weights_sum_to_one_and_are_zero_under_the_mask(name, kind):
    attend, mask = mechanism(name), full(MASKS[kind])
    weights = attend(*inputs(attend), mask=mask).weights
    torch.testing.assert_close(weights.sum(-1), mask.any(-1).double())
    assert (weights[~mask] == 0).all()


@every_mechanism
def test_permuting_the_memory_permutes_the_weights(name):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    straight, permuted = attend(query, key, value), attend(query, key[:, order], value[:, order])
    torch.testing.assert_close(permuted.weights, straight.weights[:, :, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(permuted.context, straight.context, rtol=0, atol=1e-12)


@every_mechanism
@every_mask
def test_step_by_step_equals_all_at_once(name, kind):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    mask = MASKS[kind]
    whole = attend(query, key, value, mask=mask)
    for i in range(QUERY):
        memory = attend.remember(key, value, mask=mask if mask.dim() == 2 or mask.shape[1] == 1 else mask[:, i : i + 1])
        context, weights, _ = attend.read(query[:, i], memory)
        torch.testing.assert_close(context, whole.context[:, i], rtol=0, atol=1e-12)
        torch.testing.assert_close(weights, whole.weights[:, i], rtol=0, atol=1e-12)


@every_mechanism
@every_mask
def test_a_batch_equals_its_singles(name, kind):
    attend, tensors = mechanism(name), inputs(mechanism(name))
    whole = attend(*tensors, mask=MASKS[kind])
    for b in range(BATCH):
        mask = MASKS[kind][b : b + 1] if len(MASKS[kind]) > 1 else MASKS[kind]
        single = attend(*(x[b : b + 1] for x in tensors), mask=mask)
        torch.testing.assert_close(single.context[0], whole.context[b], rtol=0, atol=1e-12)


@every_mechanism
def test_a_bias_is_added_to_the_scores(name):
    attend, tensors = mechanism(name), inputs(mechanism(name))
    bias = torch.randn(1, QUERY, KEY, dtype=torch.float64)
    plain, biased = attend(*tensors).weights, attend(*tensors, bias=bias).weights
    torch.testing.assert_close(biased, (plain.log() + bias).softmax(-1))
    closed = bias.masked_fill(torch.arange(KEY) > 3, -float("inf"))
    masked = attend(*tensors, bias=bias, mask=(torch.arange(KEY) <= 3)[None, None])
    torch.testing.assert_close(attend(*tensors, bias=closed).weights, masked.weights)


@every_mechanism
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_float32_inside(name, dtype):
    attend, tensors = mechanism(name, dtype), inputs(mechanism(name), dtype)
    projected = attend.remember(tensors[1], tensors[2])
    context, weights, _ = attend(*tensors)
    query = attend.query(tensors[0]) if name == "additive" else None
    if name == "additive":
        scores = torch.tanh(query.float()[:, :, None] + projected.key.float()[:, None]) @ attend.v.float()
        torch.testing.assert_close(weights, scores.softmax(-1).to(dtype), rtol=0, atol=0)
    assert context.dtype == weights.dtype == dtype
    exact = attend.double()(*(x.double() for x in tensors))
    torch.testing.assert_close(weights.double(), exact.weights, rtol=0.05, atol=0.02)


@every_mechanism
def test_autocast_keeps_scores_and_sums_in_float32(name):
    attend, tensors = mechanism(name, torch.float32), inputs(mechanism(name), torch.float32)
    # Keys and queries far apart and close together at once: bfloat16 scores would round the difference away.
    with torch.autocast("cpu", torch.bfloat16):
        memory = attend.remember(tensors[1], tensors[2])
        context, weights, _ = attend.read(tensors[0], memory)
    assert weights.dtype == context.dtype == torch.float32
    torch.testing.assert_close(context, weights @ tensors[2], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, QUERY), rtol=0, atol=1e-6)


@every_mechanism
def test_compiles_whole(name):
    attend, tensors = mechanism(name, torch.float32), inputs(mechanism(name), torch.float32)
    mask = MASKS["padding"]
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors, mask=mask).context, attend(*tensors, mask=mask).context)


@every_mechanism
@every_mask
def test_exports_and_reloads(name, kind, tmp_path):
    attend, tensors = mechanism(name, torch.float32).eval(), inputs(mechanism(name), torch.float32)
    tensors = tuple(x.detach() for x in tensors)
    program = torch.export.export(attend, tensors, {"mask": MASKS[kind]})
    torch.export.save(program, tmp_path / "attend.pt2")
    reloaded = torch.export.load(tmp_path / "attend.pt2").module()(*tensors, mask=MASKS[kind])
    expected = attend(*tensors, mask=MASKS[kind])
    assert isinstance(reloaded, Attended)
    torch.testing.assert_close(reloaded.context, expected.context)
    torch.testing.assert_close(reloaded.weights, expected.weights)


@every_mechanism
def test_the_keys_are_projected_once(name, monkeypatch):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    calls = []
    original = type(attend).project_key
    monkeypatch.setattr(type(attend), "project_key", lambda self, k: calls.append(1) or original(self, k))
    memory = attend.remember(key, value)
    for i in range(QUERY):
        attend.read(query[:, i], memory)
    assert len(calls) == 1


@every_mechanism
def test_a_memory_of_no_slots_gives_nothing(name):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    context, weights, _ = attend(query, key[:, :0], value[:, :0])
    assert (context == 0).all()
    assert weights.shape == (BATCH, QUERY, 0)


@every_mechanism
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_mask_at_all(name, data):
    attend, (query, key, value) = mechanism(name), inputs(mechanism(name))
    bits = data.draw(st.lists(st.booleans(), min_size=BATCH * QUERY * KEY, max_size=BATCH * QUERY * KEY))
    mask = torch.tensor(bits).view(BATCH, QUERY, KEY)
    context, weights, _ = attend(query, key, value, mask=mask)
    parameters = {n: p.tolist() for n, p in attend.named_parameters()}
    expected = twin(name, *(x[0].tolist() for x in (query, key, value, mask)), parameters)
    torch.testing.assert_close(context[0].tolist(), expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(weights[0].tolist(), expected[1], rtol=0, atol=1e-10)


def test_scaled_dot_equals_torch():
    attend, tensors = mechanism("scaled-dot"), inputs(mechanism("scaled-dot"))
    for mask in MASKS.values():
        expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=full(mask))
        context = attend(*tensors, mask=mask).context
        torch.testing.assert_close(context, expected, rtol=0, atol=1e-12)


def test_no_attention_gives_the_summary_to_every_query():
    attend, summary = build("none", query_dim=3, key_dim=5, hidden_dim=1), torch.randn(2, 1, 5)
    context, weights, state = attend(torch.randn(2, 4, 3), summary, summary)
    assert weights is None
    assert state is None
    assert (context == summary).all()
    with pytest.raises(ValueError, match=r"memory must hold one slot, the summary; got 7"):
        attend(torch.randn(2, 3), torch.randn(2, 7, 5), torch.randn(2, 7, 5))


def test_the_catalogue_names_what_there_is():
    for name, entry in MECHANISMS.items():
        module, kind = entry.where.split(":")
        assert type(mechanism(name)) is getattr(importlib.import_module(f"saccade.attention.{module}"), kind)


def test_need_weights_false_gives_the_same_context():
    attend, tensors = mechanism("additive"), inputs(mechanism("additive"))
    context, weights, _ = attend(*tensors, need_weights=False)
    assert weights is None
    assert (context == attend(*tensors).context).all()


WRONG = {
    "query must be [batch, query, query_dim] = [2, query, 11] or [2, 11]; got [2, 3, 5]": {
        "query": torch.zeros(2, 3, 5)
    },
    "query must be [batch, query, query_dim] = [2, query, 11] or [2, 11]; got [3, 11]": {"query": torch.zeros(3, 11)},
    "key must be [batch, key, 13]; got [2, 7, 12]": {"key": torch.zeros(2, 7, 12)},
    "key must be [batch, key, 13]; got [7, 13]": {"key": torch.zeros(7, 13)},
    "value must be [batch, key, value_dim] = [2, 7, value_dim]; got [2, 6, 5]": {"value": torch.zeros(2, 6, 5)},
    "mask must be [batch, key] = [2, 7]; got [7, 2]": {"mask": torch.ones(7, 2, dtype=torch.bool)},
    "mask must be [batch, query, key] = [2, 3, 7]; got [2, 7, 3]": {"mask": torch.ones(2, 7, 3, dtype=torch.bool)},
    "mask must be boolean, True = may attend; got torch.float32 (added terms are bias)": {"mask": torch.ones(2, 7)},
    "mask must be boolean, True = may attend; got lengths: use masks.padding(lengths, size)": {
        "mask": torch.tensor([7, 2])
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes_say_what_was_expected_and_what_came(message):
    attend = mechanism("additive", torch.float32)
    right = {"query": torch.zeros(2, 3, 11), "key": torch.zeros(2, 7, 13), "value": torch.zeros(2, 7, 5), "mask": None}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        attend(**(right | WRONG[message]))


def test_mistakes_in_building():
    with pytest.raises(ValueError, match=r"attention must be one of additive, dot, .*, none; got 'bahdanau'"):
        build("bahdanau", query_dim=3, key_dim=3, hidden_dim=3)
    with pytest.raises(ValueError, match="dot attention needs query_dim = key_dim; got 3 and 5"):
        build("dot", query_dim=3, key_dim=5, hidden_dim=3)
    with pytest.raises(ValueError, match="key_dim must be at least 1; got 0"):
        build("additive", query_dim=3, key_dim=0, hidden_dim=3)
    with pytest.raises(TypeError, match="Attention defines no score"):
        Attention(3, 5)(torch.zeros(1, 3), torch.zeros(1, 2, 5), torch.zeros(1, 2, 5))


def test_lengths_become_masks():
    assert masks.padding(torch.tensor([1, 3])).tolist() == [[True, False, False], [True, True, True]]
    for wrong in (torch.tensor([[1]]), torch.tensor([1.0]), torch.tensor([True])):
        with pytest.raises(ValueError, match="lengths must be integers"):
            masks.padding(wrong)
    with pytest.raises(ValueError, match="lengths must be at most size = 2; got 3"):
        masks.padding(torch.tensor([1, 3]), 2)
    with pytest.raises(ValueError, match="key_padding_mask must be boolean"):
        masks.from_torch_padding(torch.zeros(1, 2))
