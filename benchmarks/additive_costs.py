"""What the additive kernels cost beside time: memory, exactness, a first call, growth; the processor's own limit."""

import ctypes
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llvmlite.binding as llvm
import torch
from torch import Tensor

from saccade import kernels

EPS = torch.finfo(torch.float32).eps


CHAINS = 12
"""Multiply-adds under way at once: two a clock, four clocks each, leave room."""


def operations() -> Callable[[int], float]:
    """A loop of `CHAINS` independent multiply-adds of 16 numbers, in registers: nothing is loaded or stored."""
    row = "<16 x float>"
    phis = "".join(f"  %x{i} = phi {row} [ zeroinitializer, %entry ], [ %y{i}, %loop ]\n" for i in range(CHAINS))
    steps = "".join(f"  %y{i} = call {row} @llvm.fma.v16f32({row} %x{i}, {row} %a, {row} %a)\n" for i in range(CHAINS))
    sums = "".join(f"  %z{i + 1} = fadd {row} %z{i}, %y{i}\n" for i in range(CHAINS))
    text = f"""
declare {row} @llvm.fma.v16f32({row}, {row}, {row})
define float @operations(i64 %times, float %value) {{
entry:
  %one = insertelement {row} undef, float %value, i32 0
  %a = shufflevector {row} %one, {row} undef, <16 x i32> zeroinitializer
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phis}{steps}  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %end
end:
  %z0 = fadd {row} %a, %a
{sums}  %first = extractelement {row} %z{CHAINS}, i32 0
  ret float %first
}}"""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)(
        engine.get_function_address("operations")
    )
    function.engine = engine  # the code lives as long as this
    return lambda times: function(times, 0.5)


def limit(threads: int, rounds: int) -> dict[str, float]:
    """Inner steps a second forward at [16, 256, 256, 256], and of a loop of five operations for 16 of them."""
    torch.set_num_threads(threads)
    loop, times = operations(), 2_000_000
    sizes = (16, 256, 256, 256)
    q, k, v = torch.randn(16, 256, 256), torch.randn(16, 256, 256), torch.randn(256)
    rates: dict[str, list[float]] = {"limit": [], "ours": []}
    kernels.additive_scores(q, k, v)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            begin = time.perf_counter()
            list(pool.map(loop, [times] * threads))
            rates["limit"].append(threads * times * CHAINS * 16 / 5 / (time.perf_counter() - begin))
            begin = time.perf_counter()
            kernels.additive_scores(q, k, v)
            rates["ours"].append(math.prod(sizes) / (time.perf_counter() - begin))
    found = {name: statistics.median(some) for name, some in rates.items()}
    return found | {"share": found["ours"] / found["limit"], "goal": 0.6}


FIRST = """
import time, torch
q, k, v = torch.randn(8, 50, 64), torch.randn(8, 50, 64), torch.randn(64)
import saccade, sys
assert "numba" not in sys.modules
from saccade import kernels
begin = time.perf_counter()
kernels.additive_scores(q, k, v)
print(time.perf_counter() - begin)
"""


def first_call() -> dict[str, Any]:
    """Seconds of the first call in a process, once an earlier process has compiled."""
    spent = [float(subprocess.check_output([sys.executable, "-c", FIRST], text=True)) for _ in range(6)][1:]
    return {"seconds": statistics.median(spent), "goal": 0.3}


MEMORY = """
import resource, torch
from saccade import kernels
torch.set_num_threads(2)
def call(batch, rows, dim):
    inputs = [torch.randn(batch, rows, dim).requires_grad_() for _ in range(2)] + [torch.randn(dim).requires_grad_()]
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    scores = kernels.additive_scores(*inputs)
    toward = torch.ones_like(scores)
    torch.autograd.grad(scores, inputs, toward)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
call(1, 64, 256)
print(call(4, 4096, 256))
"""


def memory() -> dict[str, Any]:
    """Most bytes beyond the inputs at [4, 4096, 4096, 256], forward and backward: scores and gradient are 512 MiB."""
    grown = int(subprocess.check_output([sys.executable, "-c", MEMORY], text=True))
    return {"mebibytes": grown / 2**20, "goal": 512 + 128}


def exactness() -> dict[str, Any]:
    """Errors against float64: beside eager float32's, and for tiny inputs in units of `4 eps sum |v|`."""
    large, tiny = {}, {}
    for dim in (64, 256, 1024):
        for name in ("normal", "4 times", "100 times", "opposite signs"):
            large[f"{name}, {dim}"] = _worst(name, dim)
        for scale in (1e-3, 1e-2, 1e-1):
            q, k, v = _made(dim)
            error, _ = _errors(scale * q, scale * k, v)
            tiny[f"{scale:g} times, {dim}"] = error / float(4 * EPS * v.abs().sum())
    return {
        "of_eager": {"worst": max(large.values()), "goal": 2, "all": large},
        "of_4_eps_sum_v": {"worst": max(tiny.values()), "goal": 1, "all": tiny},
    }


def _made(dim: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(4, 128, dim), torch.randn(4, 128, dim), torch.randn(dim)


def _worst(name: str, dim: int) -> float:
    """Largest error of ours as a multiple of eager's largest, the median of five draws."""
    ratios = []
    for seed in range(5):
        torch.manual_seed(seed)
        q, k, v = _made(dim)
        scale = {"4 times": 4.0, "100 times": 100.0}.get(name, 1.0)
        q, k = q * scale, k * scale
        if name == "opposite signs":
            q, k = 100 + q, -100 + k
        ours, eager = _errors(q, k, v)
        ratios.append(ours / eager)
    return statistics.median(ratios)


def _errors(q: Tensor, k: Tensor, v: Tensor) -> tuple[float, float]:
    exact = torch.tanh(q.double()[:, :, None] + k.double()[:, None]) @ v.double()
    eager = torch.tanh(q[:, :, None] + k[:, None]) @ v
    return tuple(float((x - exact).abs().max()) for x in (kernels.additive_scores(q, k, v), eager))


def growth(rounds: int) -> dict[str, dict[str, float]]:
    """Nanoseconds of an inner step, forward and backward, as queries and keys grow: a flat curve."""
    curves: dict[str, dict[str, float]] = {"as many queries as keys": {}, "64 queries": {}}
    for keys in (512, 1024, 2048, 4096, 8192, 16384):
        for name, queries in (("as many queries as keys", keys), ("64 queries", 64)):
            if queries * keys > 2**25:
                continue
            made = [torch.randn(1, queries, 128), torch.randn(1, keys, 128), torch.randn(128)]
            given, toward = [x.requires_grad_() for x in made], torch.randn(1, queries, keys)
            spent = []
            for _ in range(rounds):
                begin = time.perf_counter()
                torch.autograd.grad(kernels.additive_scores(*given), given, toward)
                spent.append(time.perf_counter() - begin)
            curves[name][str(keys)] = statistics.median(spent) / (queries * keys * 128) * 1e9
    return curves
