"""The door under everything that PyTorch does to functions: derivatives of any order, vmap, compile, export."""

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from saccade import kernels
from saccade.kernels import choice, chunked, reference, scores

KERNELS = [torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", KERNELS, ids=["kernel", "plain"])


@pytest.fixture(autouse=True)
def _kernels_and_pieces_for_small_calls(monkeypatch):
    monkeypatch.setattr(choice, "SMALL", {"cpu": 0, "cuda": 0})
    monkeypatch.setattr(chunked, "LIMIT", 1000)


def made(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    query, key, v = (torch.randn(shape, dtype=dtype) for shape in ((2, 3, 7), (2, 5, 7), (7,)))
    return query.requires_grad_(), key.requires_grad_(), v.requires_grad_()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=2e-5)


def test_gradcheck_through_the_door():
    assert torch.autograd.gradcheck(kernels.additive_scores, made())
    assert torch.autograd.gradgradcheck(kernels.additive_scores, made())


def test_gradcheck_of_attention_through_the_door():
    mask = torch.tensor([[[True] * 5, [True, False] * 2 + [True], [False] * 5]] * 2)
    value = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)

    def attention(*inputs: Tensor) -> Tensor:
        return kernels.additive_attention(*inputs, mask, need_weights=False)[0]

    assert torch.autograd.gradcheck(attention, (*made(), value))
    assert torch.autograd.gradgradcheck(attention, (*made(), value))


@every_dtype
def test_a_gradient_of_a_gradient(dtype):
    inputs = made(dtype)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    seconds = []
    for function, given in ((kernels.additive_scores, inputs), (reference.additive_scores, exact)):
        firsts = torch.autograd.grad(function(*given).sin().sum(), given, create_graph=True)
        seconds.append(torch.autograd.grad(sum(first.square().sum() for first in firsts), given))
    for found, expected in zip(*seconds, strict=True):
        close(found, expected)


@pytest.mark.parametrize("wanted", range(3))
def test_a_gradient_of_a_gradient_of_one_input(wanted):
    inputs = [x.detach().requires_grad_(i == wanted) for i, x in enumerate(made(torch.float32))]
    (first,) = torch.autograd.grad(kernels.additive_scores(*inputs).square().sum(), inputs[wanted], create_graph=True)
    first.square().sum().backward()
    exact = [x.detach().double().requires_grad_(x.requires_grad) for x in inputs]
    (first,) = torch.autograd.grad(reference.additive_scores(*exact).square().sum(), exact[wanted], create_graph=True)
    first.square().sum().backward()
    close(inputs[wanted].grad, exact[wanted].grad)


@every_dtype
def test_forward_mode(dtype):
    inputs = [x.detach() for x in made(dtype)]
    along = [torch.randn_like(x) for x in inputs]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, t) for x, t in zip(inputs, along, strict=True)]
        found = forward_ad.unpack_dual(kernels.additive_scores(*duals)).tangent
    _, expected = torch.func.jvp(reference.additive_scores, tuple(inputs), tuple(along))
    close(found, expected)
    close(torch.func.jvp(kernels.additive_scores, tuple(inputs), tuple(along))[1], expected)


@every_dtype
def test_vmap_and_gradients_of_each_sentence(dtype):
    query, key, v = (x.detach() for x in made(dtype))

    def one(query: Tensor, key: Tensor) -> Tensor:
        return kernels.additive_scores(query[None], key[None], v)[0]

    whole = kernels.additive_scores(query, key, v)
    close(torch.func.vmap(one)(query, key), whole)
    each = torch.func.vmap(torch.func.grad(lambda q, k: one(q, k).sin().sum()))(query, key)
    together = torch.func.grad(lambda q: kernels.additive_scores(q, key, v).sin().sum())(query)
    close(each, together)


@pytest.mark.slow
@every_dtype
def test_compiles_whole_in_another_model(dtype):
    inputs = made(dtype)

    def model(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
        return kernels.additive_scores(query.tanh(), 2 * key, v).softmax(-1)

    compiled = torch.compile(model, fullgraph=True)
    toward = torch.randn(2, 3, 5, dtype=dtype)
    found, expected = compiled(*inputs), model(*inputs)
    close(found, expected)
    gradients = torch.autograd.grad(found, inputs, toward), torch.autograd.grad(expected, inputs, toward)
    for one, other in zip(*gradients, strict=True):
        close(one, other)


def test_the_operator_keeps_the_rules_of_operators():
    torch.library.opcheck(scores.compiled_scores, made(torch.float32))
    torch.library.opcheck(scores.compiled_gradients, (torch.randn(2, 3, 5), *(x.detach() for x in made(torch.float32))))


class Drop(torch.nn.Module):
    """Somebody's module."""

    def forward(self, query: Tensor, key: Tensor, v: Tensor) -> Tensor:
        return kernels.additive_scores(query, key, v)


def test_exports_for_any_sizes(tmp_path):
    inputs = tuple(x.detach() for x in made(torch.float32))
    batch, queries, keys = (torch.export.Dim(name, min=1, max=64) for name in ("batch", "queries", "keys"))
    sizes = {"query": {0: batch, 1: queries}, "key": {0: batch, 1: keys}, "v": {}}
    torch.export.save(torch.export.export(Drop(), inputs, dynamic_shapes=sizes), tmp_path / "drop.pt2")
    program = torch.export.load(tmp_path / "drop.pt2").module()
    longer = torch.randn(4, 9, 7), torch.randn(4, 11, 7), torch.randn(7)
    close(program(*longer), kernels.additive_scores(*longer))


def test_autocast_does_not_lower_the_scores():
    query, key, v = (x.detach() for x in made(torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert kernels.additive_scores(query.bfloat16(), key.bfloat16(), v).dtype == torch.float32


@pytest.mark.parametrize("limit", [1 << 16, 1 << 20])
@pytest.mark.parametrize("backward", [False, True])
def test_pieces_stay_within_the_limit(limit, backward):
    """Beyond inputs, scores and their gradients, no more bytes than allowed are alive at once."""
    batch, queries, keys, dim = 3, 64, 128, 32
    query, key, v = (
        torch.randn(shape, requires_grad=backward) for shape in ((batch, queries, dim), (batch, keys, dim), (dim,))
    )
    with torch.profiler.profile(profile_memory=True) as profile:
        found = chunked.additive_scores(query, key, v, limit=limit)
        if backward:
            found.sum().backward()
    alive = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    known = 4 * (batch * queries * keys * 3 + 3 * (query.numel() + key.numel() + v.numel()))
    assert 0 < most <= known + limit
    assert batch * queries * keys * dim * 4 > known + limit or limit > 1 << 16


CHOICES = [
    (("cpu", torch.float32, 10**6, ""), "cpu"),
    (("cpu", torch.bfloat16, 10**6, ""), "cpu"),
    (("cpu", torch.float32, -1, ""), "reference"),
    (("cpu", torch.float64, 10**6, ""), "chunked"),
    (("cpu", torch.float32, 10**6, "transform"), "chunked"),
    (("cpu", torch.float32, 10**6, "export"), "unrolled"),
    (("cpu", torch.float32, 10**6, "compile"), "operator"),
    (("cpu", torch.float64, 10**6, "compile"), "reference"),
    (("cuda", torch.float16, 10**6, ""), "cuda"),
    (("cuda", torch.float16, -1, ""), "reference"),
    (("cuda", torch.float16, 10**6, "no weights"), "cuda"),
    (("cuda", torch.float16, 10**10, "no weights"), "fused"),
    (("cpu", torch.float16, 10**6, "no weights"), "cpu"),
    (("mps", torch.float32, 10**6, ""), "chunked"),
    (("mps", torch.float32, 10**6, "compile"), "reference"),
]


@pytest.mark.parametrize(("call", "kernel"), CHOICES, ids=str)
def test_the_choice(call, kernel):
    device, dtype, steps, within = call
    asked = {"need_weights": False} if within == "no weights" else {"within": within}
    assert kernels.choose(device, dtype, steps, **asked, usable=frozenset({"cpu", "cuda"})) == kernel


def test_without_kernels_everything_goes_in_pieces(monkeypatch):
    monkeypatch.setattr(choice, "usable", frozenset)
    inputs = made(torch.float32)
    monkeypatch.setattr(scores.CpuScores, "apply", None)
    close(kernels.additive_scores(*inputs), reference.additive_scores(*inputs))
    assert kernels.prepare(inputs[1]) is None


@pytest.mark.parametrize(
    ("name", "why"), [("numba", "numba is not installed"), ("broken", "numba cannot be used: ImportError: needs NumPy")]
)
def test_a_missing_or_broken_package_is_told(monkeypatch, name, why):
    if name == "numba":
        monkeypatch.setattr(choice.importlib.util, "find_spec", lambda package: None)
    else:

        def fail(module: str) -> None:
            raise ImportError("needs NumPy\nand more")

        monkeypatch.setattr(choice.importlib, "import_module", fail)
    assert choice.available.__wrapped__("cpu") == why
