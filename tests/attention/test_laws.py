"""The laws of attention, over every mechanism and every kind of mask; what is free from one stands in `laws.py`."""

import importlib
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds_twins import multi_head
from laws import (
    BATCH,
    CASES,
    FREE_FROM,
    HALF_WIDTH,
    HEADS,
    KEY,
    MASKS,
    NORMALIZERS,
    QUERY,
    SCORES,
    SLOTS,
    VALUE_DIM,
    WINDOWS,
    Case,
    every_mask,
    every_mechanism,
    full,
    inputs,
    looked,
    mechanism,
    obeying,
    parts_of,
)
from torch import Tensor
from twins import attend as twin

from saccade.attention.catalogue import MECHANISMS
from saccade.attention.results import Attended, Memory, Windowed
from saccade.decoding.steps import select

SOME_MASKS = ("padding", "holes", "a query that may look nowhere")
TRAILING = ("padding", "empty sentence", "one for all queries")


def scalars(x: Tensor) -> list | Tensor:
    """Nested lists of tensors without axes, which still know their gradient."""
    return [scalars(row) for row in x.unbind()] if x.dim() else x


def twin_of(name: str, case: Case, tensors: tuple[Tensor, ...], mask: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Contexts and weights by the loops, sentence by sentence."""
    weights = {n: scalars(p) for n, p in case.attend.named_parameters()}
    noise = torch.zeros(BATCH, QUERY, KEY).double() if case.noise is None else case.noise
    found: tuple[list, list] = ([], [])
    for b in range(BATCH):
        rows = [scalars(x[b]) for x in tensors]
        if name in HEADS:
            contexts, several = multi_head(name, *rows, mask[b].tolist(), scalars(bias[b]), weights)
            average = [[sum(some) / len(some) for some in zip(*a, strict=True)] for a in zip(*several, strict=True)]
            loops: tuple[list, list] = (contexts, average)
        else:
            loops = twin(name, *rows, mask[b].tolist(), scalars(bias[b]), scalars(noise[b]), weights, HALF_WIDTH)
        for side, matrix in zip(found, loops, strict=True):
            side.append(torch.stack([torch.stack([x + torch.zeros(()) for x in row]) for row in matrix]))
    return torch.stack(found[0]), torch.stack(found[1])


def projects(attend: torch.nn.Module) -> bool:
    """Whether what was read passes through an output projection, a gate, or weights of channels."""
    return any(getattr(attend, name, None) is not None for name in ("combine", "output", "gate", "weigh"))


def seen_mask(name: str, mask: Tensor) -> Tensor:
    """The slots that are really open: `location` and `fixed-slot` know only the first few."""
    return mask & (torch.arange(KEY) < SLOTS) if {"location", "fixed-slot"} & set(parts_of(name)) else mask


@every_mechanism
@pytest.mark.parametrize("kind", SOME_MASKS)
def test_equals_the_loops_of_the_paper_forward_and_backward(name, kind):
    case, tensors = mechanism(name), inputs(mechanism(name))
    mask = MASKS[kind]
    with_bias = not any(part in FREE_FROM["a bias is added to the scores"] for part in parts_of(name))
    bias = torch.randn(BATCH, QUERY, KEY, dtype=torch.float64) * with_bias
    ours = case(*tensors, mask=mask, bias=bias if with_bias else None)
    loops = twin_of(name, case, tensors, full(seen_mask(name, full(mask))), bias)
    toward = [torch.randn_like(x) for x in loops]
    learned = [*tensors, *case.attend.parameters()]
    gradients = []
    for context, weights in ((ours.context, looked(ours)), loops):
        torch.testing.assert_close(context, loops[0], rtol=0, atol=1e-10)
        torch.testing.assert_close(weights, loops[1], rtol=0, atol=1e-10)
        total = (context * toward[0]).sum() + (weights * toward[1]).sum()
        gradients.append(torch.autograd.grad(total, learned, allow_unused=True))
    for mine, theirs, of in zip(*gradients, learned, strict=True):
        mine, theirs = (torch.zeros_like(of) if g is None else g for g in (mine, theirs))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@obeying("the gradient is the derivative")
@pytest.mark.parametrize("kind", SOME_MASKS)
def test_gradients_are_right_to_the_second_order(name, kind):
    case, mask = mechanism(name), MASKS[kind]

    def both(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        attended = case(*tensors, mask=mask)
        return attended.context, looked(attended)

    assert torch.autograd.gradcheck(both, inputs(case), fast_mode=True)
    assert torch.autograd.gradgradcheck(both, inputs(case), fast_mode=True)


@obeying("masking equals deleting, for any mask")
def test_masking_equals_deleting(name):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    kept = torch.tensor([0, 2, 3, 6])
    mask = torch.zeros(BATCH, KEY, dtype=torch.bool)
    mask[:, kept] = True
    masked = case(query, key, value, mask=mask)
    if case.noise is not None:
        case.noise = case.noise[:, :, kept]
    deleted = case(query, key[:, kept], value[:, kept])
    torch.testing.assert_close(masked.context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(looked(masked)[:, :, kept], looked(deleted), rtol=0, atol=1e-12)
    assert (looked(masked).sum((0, 1))[~mask[0]] == 0).all()


@every_mechanism
@pytest.mark.parametrize("length", [1, 4, 6])
def test_padding_equals_deleting(name, length):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    masked = case.read(query, case.attend.remember(key, value, mask=(torch.arange(KEY) < length).expand(BATCH, -1)))
    if case.noise is not None:
        case.noise = case.noise[:, :, :length]
    deleted = case.read(query, case.attend.remember(key[:, :length], value[:, :length]))
    torch.testing.assert_close(masked.context, deleted.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(looked(masked)[:, :, :length], looked(deleted), rtol=0, atol=1e-12)
    assert (looked(masked)[:, :, length:] == 0).all()


@every_mechanism
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@every_mask
def test_a_query_that_may_look_nowhere_gets_nothing(name, dtype, kind):
    case = mechanism(name, dtype)
    tensors = inputs(case, dtype)
    nowhere = ~full(MASKS[kind]).any(-1)
    with torch.no_grad():
        tensors[0][nowhere] = float("nan")
    attended = case(*tensors, mask=MASKS[kind])
    context, weights = attended.context, looked(attended)
    assert context.dtype == weights.dtype == dtype
    if not any(part in FREE_FROM["a query that may look nowhere gets a context of zeros"] for part in parts_of(name)):
        assert (context[nowhere] == 0).all()
    assert (weights[nowhere] == 0).all()
    (context.square().sum() + weights.square().sum()).backward()
    assert tensors[0].grad is None or (tensors[0].grad[nowhere] == 0).all()
    for tensor in (*tensors, *case.attend.parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all()


@every_mechanism
@every_mask
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nothing_leaks_from_under_a_mask(name, kind, poison):
    case, mask = mechanism(name), full(MASKS[kind])
    clean, dirty = inputs(case), inputs(case)
    slot = 4
    with torch.no_grad():
        dirty[1][:, slot], dirty[2][:, slot] = poison, poison
    before, after = case(*clean, mask=mask), case(*dirty, mask=mask)
    # What a query that saw the slot carries on is spoilt for those after it, and rightly.
    blind = ~mask[:, :, slot]
    if after.state is not None:
        blind = blind.cummin(1).values
    torch.testing.assert_close(after.context[blind], before.context[blind], rtol=0, atol=0)
    torch.testing.assert_close(looked(after)[blind], looked(before)[blind], rtol=0, atol=0)
    seen = mask[:, :, slot] & (looked(before)[:, :, slot] != 0)
    assert after.context[seen].isnan().any(-1).all(), "NaN that is attended to must come out"
    for attended in (after, before):
        (attended.context[blind].square().sum() + looked(attended)[blind].square().sum()).backward()
    # A later query that saw the poison spoils the gradient of the state that it was given.
    if clean[0].grad is not None and (after.state is None or not seen.any()):
        torch.testing.assert_close(dirty[0].grad[blind], clean[0].grad[blind], rtol=0, atol=0)


@every_mechanism
@every_mask
def test_slots_that_nobody_may_attend_are_not_seen_at_all(name, kind):
    case, mask = mechanism(name), MASKS[kind]
    results = []
    for poison in (0.0, float("nan")):
        case.attend.zero_grad()
        tensors = inputs(case)
        with torch.no_grad():
            for tensor in tensors[1:]:
                tensor[~full(mask).any(1)] = poison
        attended = case(*tensors, mask=mask)
        (attended.context.square().sum() + looked(attended).square().sum()).backward()
        learned = [*tensors, *case.attend.parameters()]
        results.append([attended.context, looked(attended), *(x.grad for x in learned if x.grad is not None)])
    for clean, dirty in zip(*results, strict=True):
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)


@every_mechanism
def test_a_value_alone_that_is_nan_comes_out_only_where_it_is_seen(name):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    poisoned = value.detach().clone()
    poisoned[:, 3, 2] = float("nan")
    mask = torch.ones(1, QUERY, KEY, dtype=torch.bool)
    mask[:, 0, 3] = False
    attended = case(query, key, poisoned, mask=mask)
    seen = looked(attended)[:, :, 3] != 0
    assert attended.context[..., 2][seen].isnan().all()
    assert attended.context[:, 0].isfinite().all()


@obeying("weights sum to one")
@every_mask
def test_weights_sum_to_one_and_are_zero_under_the_mask(name, kind):
    case, mask = mechanism(name), full(MASKS[kind])
    weights = looked(case(*inputs(case), mask=mask))
    torch.testing.assert_close(weights.sum(-1), mask.any(-1).double())


@every_mechanism
@every_mask
def test_weights_are_positive_and_zero_under_the_mask(name, kind):
    case, mask = mechanism(name), full(MASKS[kind])
    weights = looked(case(*inputs(case), mask=mask))
    assert weights.shape == (BATCH, QUERY, KEY)
    assert (weights >= 0).all()
    assert (weights[~mask] == 0).all()
    assert weights.sum() > 0


@obeying("permuting the memory permutes the weights")
def test_permuting_the_memory_permutes_the_weights(name):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    straight = case(query, key, value)
    if case.noise is not None:
        case.noise = case.noise[:, :, order]
    permuted = case(query, key[:, order], value[:, order])
    torch.testing.assert_close(looked(permuted), looked(straight)[:, :, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(permuted.context, straight.context, rtol=0, atol=1e-12)


def same_state(one: object, other: object, within: float = 1e-12) -> None:
    if isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=within)
    elif one is not None:
        assert type(one) is type(other)
        for part, counterpart in zip(one, other, strict=True):
            same_state(part, counterpart, within)


@every_mechanism
@every_mask
def test_step_by_step_equals_all_at_once(name, kind):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    mask = MASKS[kind]
    whole, state = case(query, key, value, mask=mask), None
    for i in range(QUERY):
        row = mask if mask.dim() == 2 or mask.shape[1] == 1 else mask[:, i : i + 1]
        context, weights, state = case.read(query[:, i], case.attend.remember(key, value, mask=row), state, at=i)
        weights = weights.dense() if isinstance(weights, Windowed) else weights
        weights = weights.mean(1) if weights.dim() == 3 else weights
        torch.testing.assert_close(context, whole.context[:, i], rtol=0, atol=1e-12)
        torch.testing.assert_close(weights, looked(whole)[:, i], rtol=0, atol=1e-12)
    same_state(state, whole.state)


@every_mechanism
@every_mask
def test_a_batch_equals_its_singles(name, kind):
    case, tensors = mechanism(name), inputs(mechanism(name))
    mask, noise = MASKS[kind], case.noise
    whole = case(*tensors, mask=mask)
    for b in range(BATCH):
        case.noise = None if noise is None else noise[b : b + 1]
        single = case(*(x[b : b + 1] for x in tensors), mask=mask[b : b + 1] if len(mask) > 1 else mask)
        torch.testing.assert_close(single.context[0], whole.context[b], rtol=0, atol=1e-12)
        torch.testing.assert_close(looked(single)[0], looked(whole)[b], rtol=0, atol=1e-12)
        same_state(single.state, select(whole.state, torch.tensor([b]), BATCH))


@every_mechanism
def test_reordered_beams_go_on_as_if_each_were_alone(name):
    """Three beams share a memory by expansion; after a step, beams 2, 0 and 0 of the first go on."""
    case, (query, key, value) = mechanism(name), inputs(mechanism(name), batch=3)
    key, value = (x[:1].expand(3, -1, -1) for x in (key, value))
    mask, origin = torch.arange(KEY) < 5, torch.tensor([2, 0, 0])
    noise = None if case.noise is None else torch.randn(3, QUERY, KEY, dtype=torch.float64)

    def step(rows: Tensor, query: Tensor, state: object, at: int) -> Attended:
        memory = case.attend.remember(key[rows], value[rows], mask=mask.expand(len(rows), -1))
        return case.attend.read(
            query, memory, state, noise=None if noise is None else noise[:, at : at + 1][rows], need_weights=False
        )

    everyone = torch.arange(3)
    first = step(everyone, query[:, 0], None, 0)
    second = step(everyone, query[:, 1], select(first.state, origin, 3), 1)
    for beam, came_from in enumerate(origin):
        alone = step(everyone[came_from : came_from + 1], query[came_from : came_from + 1, 0], None, 0)
        alone = step(everyone[beam : beam + 1], query[beam : beam + 1, 1], alone.state, 1)
        torch.testing.assert_close(alone.context[0], second.context[beam], rtol=0, atol=1e-12)


@obeying("a bias is added to the scores")
def test_a_bias_of_minus_infinity_is_a_mask(name):
    case, tensors = mechanism(name), inputs(mechanism(name))
    open_ = torch.arange(KEY) < 4
    closed = torch.zeros(1, 1, KEY, dtype=torch.float64).masked_fill(~open_, -float("inf"))
    masked, biased = case(*tensors, mask=open_[None, None]), case(*tensors, bias=closed)
    # A mask shortens the sentence and so moves the centre, and takes slots from the means of channels; a bias does not.
    if {"local-p", "sca-cnn"} & set(parts_of(name)):
        assert (looked(biased)[:, :, ~open_] == 0).all()
    else:
        torch.testing.assert_close(looked(biased), looked(masked), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FREE_FROM["a bias is added to the scores"])
def test_what_has_no_scores_refuses_a_bias(name):
    case = mechanism(name)
    with pytest.raises(ValueError, match=r"has no scores and draws nothing, so it takes no bias$"):
        case(*inputs(case), bias=torch.zeros(1, 1, KEY))


def test_a_bias_is_added_before_softmax():
    case, tensors = mechanism("additive"), inputs(mechanism("additive"))
    bias = torch.randn(1, QUERY, KEY, dtype=torch.float64)
    plain, biased = case(*tensors).weights, case(*tensors, bias=bias).weights
    torch.testing.assert_close(biased, (plain.log() + bias).softmax(-1))


@obeying("exact in float32")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_float32_inside(name, dtype):
    case = mechanism(name, dtype)
    tensors = inputs(case, dtype)
    attended = case(*tensors)
    exact = case.attend.double(), tuple(x.double() for x in tensors)
    expected = Case(exact[0], case.noise)(*exact[1])
    torch.testing.assert_close(looked(attended).double(), looked(expected), rtol=0.05, atol=0.02)


def test_sums_of_low_precision_are_taken_in_float32():
    """The very numbers, not a tolerance: scores, softmax and sums in float32, rounded once at the end."""
    for name in ("additive", "dot"):
        case = mechanism(name, torch.bfloat16)
        query, key, value = inputs(case, torch.bfloat16)
        projected = case.attend.remember(key, value).key.float()
        if name == "dot":
            scores = query.float() @ projected.mT
        else:
            scores = torch.tanh(case.attend.query(query).float()[:, :, None] + projected[:, None])
            scores = scores @ case.attend.v.float()
        context, weights, _ = case(query, key, value)
        torch.testing.assert_close(weights, scores.softmax(-1).bfloat16(), rtol=0, atol=0)
        torch.testing.assert_close(context, (scores.softmax(-1) @ value.float()).bfloat16(), rtol=0, atol=0)


@every_mechanism
def test_autocast_keeps_scores_and_sums_in_float32(name):
    case = mechanism(name, torch.float32)
    tensors = inputs(case, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        attended = case(*tensors)
    if not projects(case.attend):  # an output projection gives what autocast gives
        assert attended.context.dtype == torch.float32
        torch.testing.assert_close(attended.context, looked(attended) @ tensors[2], rtol=1e-6, atol=1e-6)
    if name in ("additive", "dot", "pointer"):
        torch.testing.assert_close(looked(attended).sum(-1), torch.ones(BATCH, QUERY), rtol=0, atol=1e-6)


@pytest.mark.slow  # that no mechanism breaks the graph, quick exports show
@every_mechanism
def test_compiles_whole(name):
    case = mechanism(name, torch.float32)
    tensors, mask = inputs(case, torch.float32), MASKS["padding"]
    torch.compiler.reset()  # every mechanism here compiles the one `forward` anew, which has a limit
    compiled = torch.compile(case.attend, fullgraph=True, backend="aot_eager")
    noise = None if case.noise is None else case.noise.float()
    torch.testing.assert_close(
        compiled(*tensors, mask=mask, noise=noise).context, case(*tensors, mask=mask).context, rtol=1e-5, atol=1e-5
    )


@every_mechanism
def test_exports_and_reloads(name, tmp_path):
    case = mechanism(name, torch.float32)
    tensors = tuple(x.detach() for x in inputs(case, torch.float32))
    options = {"mask": MASKS["padding"], "noise": None if case.noise is None else case.noise.float()}
    torch.export.save(torch.export.export(case.attend, tensors, options), tmp_path / "attend.pt2")
    reloaded = torch.export.load(tmp_path / "attend.pt2").module()(*tensors, **options)
    expected = case.attend(*tensors, **options)
    assert isinstance(reloaded, Attended)
    torch.testing.assert_close(reloaded.context, expected.context)
    torch.testing.assert_close(looked(reloaded), looked(expected))
    same_state(reloaded.state, expected.state, within=1e-6)


class OneStep(torch.nn.Module):
    """A decoder's step, as it would be exported: query, memory and state in, context and state out."""

    def __init__(self, attend: torch.nn.Module):
        super().__init__()
        self.attend = attend

    def forward(self, query: Tensor, memory: Memory, state: object) -> Attended:
        return self.attend.read(query, memory, state)


@pytest.mark.parametrize("name", ["additive", "local-p", "coverage", "gaussian-mixture", "mocha, hard"])
def test_a_step_with_its_state_exports_and_reloads(name, tmp_path):
    attend = mechanism(name, torch.float32).attend.eval()
    query, key, value = (x.detach() for x in inputs(mechanism(name), torch.float32))
    memory = attend.remember(key, value, mask=MASKS["padding"])
    memory = memory._replace(key=memory.key.detach())
    state = attend.read(query[:, 0], memory).state
    program = torch.export.export(OneStep(attend), (query[:, 1], memory, state))
    torch.export.save(program, tmp_path / "step.pt2")
    reloaded = torch.export.load(tmp_path / "step.pt2").module()(query[:, 2], memory, state)
    expected = attend.read(query[:, 2], memory, state)
    torch.testing.assert_close(reloaded.context, expected.context)
    same_state(reloaded.state, expected.state, within=1e-6)


@every_mechanism
def test_the_keys_are_projected_once(name, monkeypatch):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    calls = []
    original = type(case.attend).project_key
    monkeypatch.setattr(type(case.attend), "project_key", lambda self, k: calls.append(1) or original(self, k))
    memory, state = case.attend.remember(key, value), None
    for i in range(QUERY):
        state = case.read(query[:, i], memory, state, at=i).state
    assert len(calls) == 1


@every_mechanism
def test_a_memory_of_no_slots_gives_nothing(name):
    case, (query, key, value) = mechanism(name), inputs(mechanism(name))
    shape = case(query, key, value).context.shape
    case.noise = None if case.noise is None else case.noise[:, :, :0]
    attended = case(query, key[:, :0], value[:, :0])
    assert attended.context.shape == shape
    assert looked(attended).shape == (BATCH, QUERY, 0)
    if not projects(case.attend):
        assert (attended.context == 0).all()


@every_mechanism
def test_without_weights_the_context_is_the_same(name):
    case, tensors = mechanism(name), inputs(mechanism(name))
    without = case(*tensors, need_weights=False)
    assert without.weights is None
    # Several heads take a kernel of PyTorch's then, which rounds otherwise.
    within = 1e-12 if name in HEADS else 0
    torch.testing.assert_close(without.context, case(*tensors).context, rtol=0, atol=within)


@settings(max_examples=60, deadline=None)
@given(
    score=st.sampled_from(SCORES),
    normalizer=st.sampled_from(NORMALIZERS),
    window=st.sampled_from(("", *WINDOWS)),
    data=st.data(),
)
def test_any_score_with_any_normalizer_window_and_mask(score, normalizer, window, data):
    window = "" if score in ("location", "fixed-slot") else window
    name = "+".join(filter(None, (score, normalizer, window)))
    case, tensors = mechanism(name), inputs(mechanism(name))
    bits = data.draw(st.lists(st.booleans(), min_size=BATCH * QUERY * KEY, max_size=BATCH * QUERY * KEY))
    mask, bias = torch.tensor(bits).view(BATCH, QUERY, KEY), torch.zeros(BATCH, QUERY, KEY).double()
    attended = case(*tensors, mask=mask)
    context, weights = twin_of(name, case, tensors, seen_mask(name, mask), bias)
    torch.testing.assert_close(attended.context, context, rtol=0, atol=1e-10)
    torch.testing.assert_close(looked(attended), weights, rtol=0, atol=1e-10)


def test_scaled_dot_equals_torch():
    case, tensors = mechanism("scaled-dot"), inputs(mechanism("scaled-dot"))
    for mask in MASKS.values():
        expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=full(mask))
        torch.testing.assert_close(case(*tensors, mask=mask).context, expected, rtol=0, atol=1e-12)


def test_a_window_of_everything_is_no_window():
    for name in ("general", "additive+sparsemax"):
        tensors = inputs(mechanism(name))
        whole, local = mechanism(name), mechanism(f"{name}+local-m")
        local.attend.window.half_width = KEY
        torch.testing.assert_close(looked(local(*tensors)), looked(whole(*tensors)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["local-m", "local-p", "additive+local-p"])
def test_a_long_memory_projects_only_what_is_read(name, monkeypatch):
    """65 slots and two windows of five: ten keys a sentence are projected, and the result is that of all of them."""
    case = mechanism(name)
    attend, slots = case.attend, 65
    query = torch.randn(BATCH, 2, attend.query_dim, dtype=torch.float64)
    key, value = (torch.randn(BATCH, slots, d, dtype=torch.float64) for d in (attend.key_dim, VALUE_DIM))
    mask = torch.arange(slots) < torch.tensor([[slots], [3]])
    key[~mask], rows = float("nan"), []
    expected = attend.read(query, attend.remember(key, value, mask=mask))
    original = type(attend).project_key
    monkeypatch.setattr(
        type(attend), "project_key", lambda self, k: rows.append(k.shape[:-1].numel()) or original(self, k)
    )
    attended = attend(query, key, value, mask=mask)
    torch.testing.assert_close(attended.context, expected.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(looked(attended), looked(expected), rtol=0, atol=1e-12)
    assert rows == [BATCH * 2 * (2 * HALF_WIDTH + 1)]


def test_what_was_drawn_is_remembered_for_reinforce():
    case, (query, key, value) = mechanism("reinforce"), inputs(mechanism("reinforce"))
    mask = MASKS["a query that may look nowhere"]
    attended = case(query, key, value, mask=mask)
    chances = mechanism("additive")(query, key, value, mask=mask).weights
    drawn = (chances * attended.weights).sum(-1)
    expected = drawn.log().masked_fill(drawn == 0, 0.0).sum(1)
    torch.testing.assert_close(attended.state.drawn.log_probability, expected)
    entropy = -torch.special.xlogy(chances, chances).sum((1, 2))
    torch.testing.assert_close(attended.state.drawn.entropy, entropy)
    attended.state.drawn.log_probability.sum().backward()
    assert query.grad.abs().sum() > 0


def test_the_catalogue_names_what_there_is():
    for name, entry in MECHANISMS.items():
        module, kind = entry.where.split(":")
        here = getattr(importlib.import_module(f"saccade.{module}"), kind)
        if name == "none":
            continue
        attend = mechanism(name).attend
        part = {"normalizer": "normalizer", "window": "window"}.get(entry.family)
        assert type(getattr(attend, part) if part else attend) is here
        assert all(entry), f"{name} leaves something out"
    assert set(itertools.chain(*FREE_FROM.values())) <= {part for name in CASES for part in parts_of(name)}


def test_long_windows_give_start_and_values():
    attend = mechanism("local-m", torch.float32).attend
    query, key = torch.randn(1, 64, attend.query_dim), torch.randn(1, 10_000, attend.key_dim)
    weights = attend(query, key, key).weights
    assert isinstance(weights, Windowed)
    assert weights.values.shape == (1, 64, 2 * HALF_WIDTH + 1)
    assert weights.start.tolist() == [[i - HALF_WIDTH for i in range(64)]]
    assert weights.dense().shape == (1, 64, 10_000)
    assert math.isclose(weights.dense().sum().item(), 64, rel_tol=1e-5)
