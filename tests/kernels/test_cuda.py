"""The Triton kernels obey the formula: on a GPU where there is one, else in Triton's interpreter, which is slow."""

import pytest
import torch
from torch import Tensor

from saccade import kernels
from saccade.kernels import choice, reference, scores

pytest.importorskip("triton", reason="Triton is not installed: it comes with PyTorch for CUDA, and for Linux on PyPI")
from saccade.kernels import cuda

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [(2, 3, 5, 7), (1, 33, 65, 4), (3, 1, 70, 1), (1, 40, 2, 9), (1, 2, 3, 257)]
EPS = torch.finfo(torch.float32).eps


def made(batch: int, queries: int, keys: int, dim: int, width: int | None = None) -> list[Tensor]:
    shapes = [(batch, queries, dim), (batch, keys, dim), (dim,)] + ([(batch, keys, width)] if width else [])
    return [torch.randn(shape).to(DEVICE) for shape in shapes]


def plainly(mask: Tensor | None, *inputs: Tensor) -> Tensor:
    return scores.separate(reference.additive_scores, *inputs, mask)[0]


def same(found: Tensor, expected: Tensor, within: float = 1e-5) -> None:
    size = float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(
        found.double(), expected.detach(), rtol=within, atol=within * size + 1e-6, equal_nan=True
    )


def check_scores(inputs: list[Tensor], within: float = 1e-5) -> None:
    exact = [x.detach().double().requires_grad_() for x in inputs]
    expected, found = reference.additive_scores(*exact), cuda.scores(*inputs)
    assert (found - expected).abs().max() <= 4 * EPS * exact[2].abs().sum()
    toward = torch.randn(expected.shape).to(DEVICE)
    gradients = cuda.scores_backward(toward, *inputs)
    assert [x.dtype for x in gradients] == [x.dtype for x in inputs]
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, exact, toward.double()), strict=True):
        same(mine, theirs, within)


def check_attention(inputs: list[Tensor], mask: Tensor | None, within: float = 1e-5) -> None:
    exact = [x.detach().double().requires_grad_() for x in inputs]
    expected, (found, log_sum) = plainly(mask, *exact), cuda.attention(*inputs, mask)
    same(found, expected, within)
    toward = torch.randn(expected.shape).to(DEVICE)
    gradients = cuda.attention_backward(toward.to(found.dtype), found, log_sum, *inputs, mask)
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, exact, toward.double()), strict=True):
        same(mine, theirs, max(within, 1e-4))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_scores_and_gradients_equal_the_formula(sizes):
    check_scores(made(*sizes))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_float32_inside(dtype):
    inputs = [x.to(dtype) for x in made(2, 5, 9, 12, 6)]
    check_scores(inputs[:3], within=1e-2)
    check_attention(inputs, None, within=1e-2)


@pytest.mark.parametrize("sizes", [(0, 3, 5, 4), (2, 0, 5, 4), (2, 3, 0, 4)], ids=str)
def test_of_nothing_there_is_nothing(sizes):
    inputs = made(*sizes, 6)
    grad = torch.ones(sizes[:3]).to(DEVICE)
    assert cuda.scores(*inputs[:3]).shape == sizes[:3]
    assert not any(x.any() for x in cuda.scores_backward(grad, *inputs[:3]))
    context, log_sum = cuda.attention(*inputs, None)
    assert not context.any()
    assert not any(x.any() for x in cuda.attention_backward(torch.ones_like(context), context, log_sum, *inputs, None))


def test_any_strides():
    query, key, v, value = made(6, 4, 8, 10, 12)
    inputs = [query.transpose(0, 1)[:3], key[:1, :1].expand(3, 5, 10), v.repeat_interleave(2)[::2]]
    check_scores(inputs)
    check_attention([*inputs, value[:3, :5, ::3]], None)


@pytest.mark.parametrize(
    ("reach", "largest"), [(0, (5.0, -5.2)), (1, (11.0, -11.0)), (1, (50.0, 20.0)), (2, (44.0, -35.0))]
)
def test_each_path_obeys_the_formula(reach, largest):
    inputs = made(2, 5, 9, 6)
    inputs[0][:, 2, 5], inputs[1][:, 4, 5] = largest
    assert cuda._ready(*inputs).reach.tolist() == [reach, reach]
    check_scores(inputs)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("pair", [(60.0, 20.0), (20.0, 60.0), (100.0, -100.0)])
def test_a_sentence_with_nan_keeps_its_other_rows_exact(pair, at):
    inputs = made(1, 5, 9, 6)
    inputs[0][:, 2], inputs[1][:, 4] = pair
    expected = reference.additive_scores(*(x.double() for x in inputs))
    inputs[at][0, 0, 0] = float("nan")
    found = cuda.scores(*inputs)
    torch.testing.assert_close(found[:, 1:, 1:].double(), expected[:, 1:, 1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pair", [(100.0, -100.0), (60.0, -50.0), (-43.5, 34.5), (1e30, 3.0)])
def test_large_inputs_of_opposite_signs(pair):
    inputs = made(2, 5, 9, 6)
    inputs[0][:, 2, 5], inputs[1][:, 4, 5] = pair
    check_scores(inputs)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_what_is_not_finite_stays_in_its_row_and_column(value):
    query, key, v = made(2, 5, 9, 6)
    calm = cuda.scores(query, key, v)
    query[0, 2, 5], key[1, 3, 4] = value, value
    found, expected = cuda.scores(query, key, v), reference.additive_scores(query, key, v)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, equal_nan=True)
    touched = torch.zeros(2, 5, 9, dtype=torch.bool)
    touched[0, 2], touched[1, :, 3] = True, True
    torch.testing.assert_close(found[~touched], calm[~touched], rtol=0, atol=0)


def masks() -> dict[str, Tensor | None]:
    padding = torch.arange(70)[None, None] < torch.tensor([70, 3])[:, None, None]
    each = torch.rand(2, 35, 70) > 0.4
    each[:, 4] = False
    shared = each[:1].clone()
    of = {"none": None, "padding": padding, "each": each, "shared": shared, "nothing": torch.zeros(2, 35, 70) > 0}
    return {name: None if mask is None else mask.to(DEVICE) for name, mask in of.items()}


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("width", [6, 20])
def test_attention_equals_scores_softmax_and_sum(name, width, monkeypatch):
    monkeypatch.setattr(cuda, "_VALUES", 16)  # so that 20 values are read in two parts
    monkeypatch.setattr(cuda, "_CHUNK", 16)
    check_attention(made(2, 35, 70, 5, width), masks()[name])


def test_what_a_mask_hides_has_no_influence():
    mask = masks()["each"]
    query, key, v, value = made(2, 35, 70, 5, 6)
    mask[0, 1:, 7] = False  # one query sees it, the others do not
    mask[0, 1:, 8] = False
    mask[0, 0, 7:9] = True
    calm, _ = cuda.attention(query, key, v, value, mask)
    key[0, 7], value[0, 8] = float("nan"), float("inf")
    found, log_sum = cuda.attention(query, key, v, value, mask)
    assert found[0, 0].isnan().all()
    torch.testing.assert_close(found[0, 1:], calm[0, 1:], rtol=0, atol=0)
    torch.testing.assert_close(found[1], calm[1], rtol=0, atol=0)
    toward = torch.randn_like(found)
    toward[0, 0] = 0
    gradients = cuda.attention_backward(toward, found.nan_to_num(), log_sum, query, key, v, value, mask)
    assert gradients[0][0, 1:].isfinite().all()
    assert gradients[1][1].isfinite().all()


def test_the_same_inputs_give_the_same_bits():
    inputs, mask = made(2, 35, 70, 5, 6), masks()["each"]
    runs = []
    for _ in range(2):
        context, log_sum = cuda.attention(*inputs, mask)
        runs.append([context, *cuda.attention_backward(torch.ones_like(context), context, log_sum, *inputs, mask)])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_the_door_leads_here(monkeypatch):
    """On a GPU by itself; here the choice is told, so that the operators around the kernels run too."""
    if DEVICE == "cpu":
        monkeypatch.setattr(choice, "choose", lambda *_, need_weights, **__: "cuda" if need_weights else "fused")
    inputs, mask = [x.requires_grad_() for x in made(2, 3, 5, 4, 6)], torch.rand(2, 3, 5).to(DEVICE) > 0.3
    mask[0, 1] = False
    exact = [x.detach().double().requires_grad_() for x in inputs]
    context, weights = kernels.additive_attention(*inputs, mask, need_weights=False)
    expected = plainly(mask, *exact)
    assert weights is None
    same(context, expected)
    firsts = torch.autograd.grad(context.square().sum(), inputs, create_graph=True)
    exact_firsts = torch.autograd.grad(expected.square().sum(), exact, create_graph=True)
    seconds = torch.autograd.grad(sum(x.square().sum() for x in firsts), inputs)
    exact_seconds = torch.autograd.grad(sum(x.square().sum() for x in exact_firsts), exact)
    for mine, theirs in zip((*firsts, *seconds), (*exact_firsts, *exact_seconds), strict=True):
        same(mine, theirs, 1e-4)
    found = kernels.additive_scores(*inputs[:3])
    for mine, theirs in zip(
        torch.autograd.grad(found.sum(), inputs[:3]),
        torch.autograd.grad(reference.additive_scores(*exact[:3]).sum(), exact[:3]),
        strict=True,
    ):
        same(mine, theirs)
