"""A GPU gives what a CPU gives, whatever kernel it takes; skipped where there is none."""

import copy

import pytest
import torch
from kinds import KINDS
from laws import MASKS, every_mechanism, inputs, mechanism, obeying
from torch import Tensor, nn

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def moved(x: Tensor | None) -> Tensor | None:
    """The same on a GPU, asking for a gradient of its own."""
    return None if x is None else x.detach().cuda().requires_grad_(x.requires_grad)


def gradients(outputs: tuple[Tensor, ...], module: nn.Module, given: tuple[Tensor, ...]) -> list[Tensor]:
    """Of everything that learns, from fixed numbers."""
    torch.manual_seed(4)
    total = sum(((x * torch.randn(x.shape, dtype=x.dtype).to(x.device)).sum() for x in outputs), torch.zeros(()))
    learned = [*given, *module.parameters()]
    found = torch.autograd.grad(total, learned, allow_unused=True)
    return [torch.zeros_like(of) if g is None else g for g, of in zip(found, learned, strict=True)]


def check(name: str, kind: str, dtype: torch.dtype, within: float) -> None:
    case, mask, found = mechanism(name, dtype), MASKS[kind], []
    tensors = inputs(case, dtype)
    for place in ("cpu", "cuda"):
        if place == "cuda":
            tensors, mask = tuple(map(moved, tensors)), moved(mask)
            case.attend, case.noise = copy.deepcopy(case.attend).cuda(), moved(case.noise)
        for need_weights in (True, False):  # other kernels
            context, weights, _ = case(*tensors, mask=mask, need_weights=need_weights)
            outputs = (context,) if weights is None or not torch.is_tensor(weights) else (context, weights)
            assert all(x.device.type == place for x in outputs)
            found.append([*outputs, *gradients(outputs, case.attend, tensors)])
    for here, there in ((found[0], found[2]), (found[1], found[3])):
        for one, other in zip(here, there, strict=True):
            size = float(one.detach().abs().max()) if one.numel() else 0.0
            torch.testing.assert_close(other.cpu(), one, rtol=within, atol=within * max(size, 1.0))


@every_mechanism
@pytest.mark.parametrize("kind", ["padding", "a query that may look nowhere"])
def test_mechanisms_in_float64(name, kind):
    check(name, kind, torch.float64, 1e-10)


@obeying("exact in float32")
@pytest.mark.parametrize("kind", ["padding", "a query that may look nowhere"])
def test_mechanisms_in_float32(name, kind):
    check(name, kind, torch.float32, 1e-4)


@every_mechanism
def test_mechanisms_under_autocast(name):
    case = mechanism(name, torch.float32)
    tensors, mask = tuple(map(moved, inputs(case, torch.float32))), moved(MASKS["padding"])
    case.attend, case.noise = case.attend.cuda(), moved(case.noise)
    with torch.autocast("cuda", torch.bfloat16):
        context = case(*tensors, mask=mask).context
    assert all(gradient.isfinite().all() for gradient in gradients((context,), case.attend, tensors))


@pytest.mark.parametrize("name", KINDS)
def test_the_other_kinds(name):
    module, given = KINDS[name].module(), KINDS[name].given()
    found = []
    for place in ("cpu", "cuda"):
        if place == "cuda":
            module, given = copy.deepcopy(module).cuda(), tuple(map(moved, given))
        outputs = tuple(x for x in module(*given) if torch.is_tensor(x))
        assert all(x.device.type == place for x in outputs)
        found.append([*outputs, *gradients(outputs, module, given)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-9, atol=1e-9)
