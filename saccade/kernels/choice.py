"""Which kernel: one pure function, and what it has to know of this machine."""

import gc
import importlib
import importlib.util
from functools import cache

import torch
from torch import Tensor

from saccade.kernels import chunked

LOW = (torch.float32, torch.bfloat16, torch.float16)
"""What the kernels take; float64 is for checking, in plain PyTorch."""
SMALL = {"cpu": 1, "cuda": 4_000_000}
"""Inner steps (batch * query * key * dim) below which going to a kernel costs what it saves. On the CPU that is 15 µs
at the least sizes, and is paid: otherwise a sentence would have other last bits in a small batch than in a large one.
"""
FUSED = 2**30
"""Inner steps from which the fused kernel is taken: its programs go over all keys, and few of them leave a GPU idle."""


def choose(
    device: str, dtype: torch.dtype, steps: int, *, need_weights: bool = True, within: str = "", usable: frozenset[str]
) -> str:
    """The kernel for tensors of a device and dtype.

    Args:
        steps: inner steps, batch * query * key * dim.
        need_weights: whether anybody wants the weights, or the context alone.
        within: what is at work: "compile", "export", "transform" (torch.func, forward mode), or nothing.
        usable: which of "cpu" and "cuda" are available.

    Returns:
        "reference", "chunked", "unrolled", "cpu", "cuda", "fused" (CUDA, with softmax and sum), or "operator", which
        looks again once a program is compiled.

    >>> choose("cpu", torch.float32, 10**6, usable=frozenset({"cpu"}))
    'cpu'
    >>> choose("mps", torch.float32, 10**6, usable=frozenset({"cpu"}))
    'chunked'
    """
    if within == "export":
        return "unrolled"
    if within == "compile":
        return "operator" if device in ("cpu", "cuda") and dtype in LOW else "reference"
    if within == "transform" or dtype not in LOW or device not in usable:
        return "chunked"
    if steps < SMALL[device]:
        return "reference"
    if device == "cuda" and not need_weights and steps >= FUSED:
        return "fused"
    return device


@cache
def available(kernel: str) -> str:
    """Why a kernel cannot be used here; empty if it can.

    >>> available("chunked")
    ''
    """
    package = {"cpu": "numba", "cuda": "triton"}.get(kernel)
    if package is None:
        return ""
    if kernel == "cuda" and not torch.cuda.is_available():
        return "PyTorch sees no CUDA device"
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    collecting = gc.isenabled()
    gc.disable()  # Numba makes thousands of objects that stay: looking through them again and again doubles the time
    try:
        importlib.import_module(f"saccade.kernels.{kernel}").load()
    except Exception as error:  # a package that is broken, or does not fit the others, is as good as missing
        return f"{package} cannot be used: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    finally:
        if collecting:
            gc.enable()
    return ""


@cache
def usable() -> frozenset[str]:
    """Which of "cpu" and "cuda" are available here."""
    return frozenset(kernel for kernel in ("cpu", "cuda") if not available(kernel))


def chosen(query: Tensor, key: Tensor, v: Tensor, *, need_weights: bool = True) -> str:
    """The kernel for these tensors, here and now."""
    device, dtype = query.device.type, torch.promote_types(query.dtype, key.dtype)
    if torch.compiler.is_compiling():
        within = "export" if torch.compiler.is_exporting() else "compile"
        return choose(device, dtype, 0, within=within, usable=frozenset())
    within = "transform" if chunked.transformed(query, key, v) else ""
    steps = query.numel() * key.shape[1]
    return choose(device, dtype, steps, need_weights=need_weights, within=within, usable=usable())
