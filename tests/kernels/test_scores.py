"""Every way to additive scores equals the formula, and the door leads to the right one."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saccade import kernels
from saccade.kernels import choice, chunked, cpu, pool, reference, scores

SIZES = [(2, 3, 5, 7), (3, 1, 11, 65), (2, 5, 19, 1), (1, 40, 70, 257), (2, 33, 530, 4), (64, 1, 3, 32)]

EPS = torch.finfo(torch.float32).eps


def made(batch: int, queries: int, keys: int, dim: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    shapes = (batch, queries, dim), (batch, keys, dim), (dim,)
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def by_cpu(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    return scores.CpuScores.apply(query, key, v, None, None)


def remembered(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    made = cpu.exponentials(key)
    return scores.CpuScores.apply(query, key, v, *(torch.from_numpy(x) for x in made))


def in_pieces(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    return chunked.additive_scores(query, key, v, limit=2000)


def in_crumbs(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    return chunked.additive_scores(query, key, v, limit=1)


WAYS = {"cpu": by_cpu, "remembered": remembered, "pieces": in_pieces, "unrolled": chunked.unrolled}
WAYS["operator"] = scores.compiled_scores
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture(autouse=True)
def _kernels_for_small_calls(monkeypatch):
    monkeypatch.setattr(choice, "SMALL", {"cpu": 0, "cuda": 0})


def same_gradients(way, inputs: list[Tensor], tolerance: float) -> None:
    """Forward and backward equal to the formula in float64."""
    exact = [x.detach().double().requires_grad_() for x in inputs]
    found, expected = way(*inputs), reference.additive_scores(*exact)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=4 * EPS * float(exact[2].detach().abs().sum()))
    toward = torch.randn_like(found)
    ours = torch.autograd.grad(found, inputs, toward)
    theirs = torch.autograd.grad(expected, exact, toward.double())
    for mine, their, of in zip(ours, theirs, inputs, strict=True):
        assert mine.dtype == of.dtype
        assert mine.shape == of.shape
        torch.testing.assert_close(mine.double(), their, rtol=tolerance, atol=tolerance * float(their.abs().max()))


@every_way
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_scores_and_gradients_equal_the_formula(way, sizes):
    same_gradients(way, made(*sizes), 1e-5)


@every_way
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_float32_inside(way, dtype):
    same_gradients(way, made(2, 5, 19, 33, dtype), 1e-2)


@every_way
@pytest.mark.parametrize("sizes", [(0, 3, 5, 4), (2, 0, 5, 4), (2, 3, 0, 4)], ids=str)
def test_of_nothing_there_is_nothing(way, sizes):
    inputs = made(*sizes)
    found = way(*inputs)
    assert found.shape == sizes[:3]
    for gradient in torch.autograd.grad(found.sum(), inputs):
        assert not gradient.any()


def test_crumbs_are_pieces_too():
    same_gradients(in_crumbs, made(2, 3, 5, 7), 3e-6)


@every_way
def test_any_strides(way):
    query, key, v = made(4, 6, 8, 10)
    query = query.detach().transpose(0, 1)[:3].requires_grad_()
    key = key.detach()[0, 0].expand(3, 5, 10).requires_grad_()
    v = v.detach().repeat_interleave(2)[::2].requires_grad_()
    assert not any(x.is_contiguous() for x in (query, key, v))
    same_gradients(way, [query[:, :4], key, v], 3e-6)


@pytest.mark.parametrize("way", [by_cpu, remembered], ids=["cpu", "remembered"])
@pytest.mark.parametrize("scale", [1.0, 4.0, 30.0, 100.0])
@pytest.mark.parametrize("dim", [64, 256, 1024])
def test_as_exact_as_plain_float32(way, scale, dim):
    query, key, v = (x.detach() for x in made(2, 17, 70, dim))
    query, key = query * scale, key * scale
    exact = reference.additive_scores(query.double(), key.double(), v.double())
    error, plain = ((f(query, key, v) - exact).abs().max() for f in (way, reference.additive_scores))
    assert error <= 2 * plain


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e-3, 0.1])
def test_small_inputs_lose_a_few_units_of_the_whole(scale):
    query, key, v = (x.detach() for x in made(2, 17, 70, 256))
    exact = reference.additive_scores(scale * query.double(), scale * key.double(), v.double())
    error = (by_cpu(scale * query, scale * key, v) - exact).abs().max()
    assert error <= 4 * EPS * v.abs().sum()


@pytest.mark.parametrize("pair", [(100.0, -100.0), (100.0, -99.5), (60.0, -50.0), (-43.5, 34.5), (1e30, 3.0)])
@pytest.mark.parametrize("way", [by_cpu, remembered], ids=["cpu", "remembered"])
def test_large_inputs_of_opposite_signs(way, pair):
    query, key, v = made(2, 5, 9, 33)
    with torch.no_grad():
        query[:, 2, 5], key[:, 4, 5] = pair
        query[1, 3, 7], key[1, 1, 7] = -pair[0], -pair[1]
    same_gradients(way, [query, key, v], 3e-6)


@every_way
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_what_is_not_finite_stays_in_its_row_and_column(way, value):
    query, key, v = (x.detach() for x in made(2, 5, 9, 33))
    calm = way(query, key, v)
    query[0, 2, 5] = value
    key[1, 3, 7] = value
    found, expected = way(query, key, v), reference.additive_scores(query, key, v)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, equal_nan=True)
    touched = torch.zeros(2, 5, 9, dtype=torch.bool)
    touched[0, 2], touched[1, :, 3] = True, True
    torch.testing.assert_close(found[~touched], calm[~touched], rtol=0, atol=0)


def test_a_large_value_is_seen_beside_nan():
    query, key, v = (x.detach() for x in made(1, 2, 3, 4))
    query[0, 0, 0], key[0, 0, 0], key[0, 1, 0] = 100.0, float("nan"), -60.0
    found, expected = by_cpu(query, key, v), reference.additive_scores(query, key, v)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("queries", [1, 3, 50])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, queries):
    monkeypatch.setattr(cpu, "_STEPS", 1)
    inputs = made(3, queries, 70, 65)
    toward = torch.randn(3, queries, 70)
    results = []
    before = torch.get_num_threads()
    for threads, openmp in ((1, True), (2, True), (5, True), (2, False), (5, False)):
        torch.set_num_threads(threads)
        with monkeypatch.context() as patch:
            patch.setattr(pool, "_forked", not openmp)
            found = by_cpu(*inputs)
            results.append([found, *torch.autograd.grad(found, inputs, toward)])
    torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(result, results[0], strict=True))


def test_an_error_in_a_thread_is_raised(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    for forked in (False, True):
        monkeypatch.setattr(pool, "_forked", forked)

        def fail(start: int, stop: int) -> None:
            if start:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            pool.share(fail, 9, 3)
    torch.set_num_threads(before)


def test_calls_from_eight_threads():
    many = [made(2, 20, 60, 64) for _ in range(8)]
    expected = [by_cpu(*inputs) for inputs in many]
    wrong = []

    def work(i: int) -> None:
        for _ in range(20):
            found = by_cpu(*many[i])
            found.sum().backward()
            if not torch.equal(found, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(x.grad.isfinite().all() for inputs in many for x in inputs)


FORKED = """
import os, sys, torch
from saccade import kernels
from saccade.kernels import cpu
torch.set_num_threads(2)
cpu._STEPS = 1
def ask():
    torch.manual_seed(0)
    inputs = [torch.randn(4, 40, 64, requires_grad=True), torch.randn(4, 50, 64), torch.randn(64)]
    found = kernels.additive_scores(*inputs)
    found.sum().backward()
    return found.detach(), inputs[0].grad
if sys.argv[1] == "after":
    ask()
child = os.fork()
if child == 0:
    found, gradient = ask()
    torch.save([found, gradient], sys.argv[2])
    os._exit(0)
status = os.waitpid(child, 0)[1]
assert status == 0, status
assert all(torch.equal(a, b) for a, b in zip(ask(), torch.load(sys.argv[2])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU, PyTorch's backward pass refuses to fork")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_forked_process_is_right_too(tmp_path, when):
    command = [sys.executable, "-c", FORKED, when, str(tmp_path / "child.pt")]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "2"})


def test_without_a_place_for_the_cache_it_compiles_anew(monkeypatch):
    from saccade.kernels import compiled

    asked = []

    def njit(*, cache: bool = False, **options: object):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", njit)
    assert compiled._compiled()(len) is len
    assert asked == [True, False]


def test_importing_saccade_compiles_nothing():
    code = "import saccade, sys; saccade.AdditiveAttention; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(0, 40), st.integers(0, 90), st.integers(1, 70), st.sampled_from([0.1, 1.0, 20.0]))
def test_the_door_equals_the_formula(batch, queries, keys, dim, scale):
    query, key, v = (x.detach() for x in made(batch, queries, keys, dim))
    found = kernels.additive_scores(scale * query, scale * key, v, prepared=kernels.prepare(scale * key))
    expected = reference.additive_scores(scale * query, scale * key, v)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6 * max(1.0, float(v.abs().sum())))


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((2, 3), (2, 5, 4), (4,)), r"got query \[2, 3\], key \[2, 5, 4\], v \[4\]"),
        (((2, 3, 4), (3, 5, 4), (4,)), r"expected query \[3, query, 4\] and v \[4\], to go with the key"),
        (((2, 3, 4), (2, 5, 4), (3,)), r"got query \[2, 3, 4\], key \[2, 5, 4\], v \[3\]"),
    ],
)
def test_shapes_that_do_not_fit(shapes, said):
    with pytest.raises(ValueError, match=said):
        kernels.additive_scores(*(torch.zeros(shape) for shape in shapes))


def test_two_devices():
    query, key = torch.zeros(2, 3, 4), torch.zeros(2, 5, 4, device="meta")
    with pytest.raises(ValueError, match="must be on one device; got cpu, meta and cpu"):
        kernels.additive_scores(query, key, torch.zeros(4))


def test_float64_beside_float32_stays_float64():
    query, key, v = torch.randn(2, 3, 4), torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    assert kernels.additive_scores(query, key, v).dtype == torch.float64
    assert kernels.additive_scores(key, query, v).dtype == torch.float64
