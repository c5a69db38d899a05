"""Threads for kernels that let go of the interpreter: PyTorch's own where they can be had, else some of ours.

PyTorch's threads wait for their next work by spinning, for milliseconds. Threads beside them get half a core each
(measured: two threads then are as slow as one), so on Linux, where PyTorch brings GNU's OpenMP, its threads are used.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

Work = Callable[[int, int], None]
_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_forked = False
"""Whether this process is a fork, which has none of its parent's threads: GNU's OpenMP would wait for them forever."""
_own: ThreadPoolExecutor | None = None


def share(work: Work, units: int, workers: int) -> None:
    """Call `work(start, stop)` so that all of `units` are done, on at most `torch.get_num_threads()` threads.

    What is computed must not depend on how the units are shared.
    """
    workers = min(workers, units, torch.get_num_threads())
    if workers <= 1:
        work(0, units)
        return
    ranges = iter([(units * i // workers, units * (i + 1) // workers) for i in range(workers)])
    errors: list[BaseException] = []
    openmp = None if _forked else _openmp()
    if openmp is None:
        _run_on_ours(work, ranges, errors, workers)
    else:
        openmp.GOMP_parallel(_Body(lambda _: _run(work, ranges, errors)), None, workers, 0)
    if errors:
        raise errors[0]


def _run(work: Work, ranges: Iterator[tuple[int, int]], errors: list[BaseException]) -> None:
    """Do ranges until none is left: a thread that comes late leaves its part to the others."""
    try:
        for start, stop in ranges:
            work(start, stop)
    except BaseException as error:  # nothing may be raised into OpenMP, an interrupt from the keyboard neither
        errors.append(error)


def _run_on_ours(work: Work, ranges: Iterator[tuple[int, int]], errors: list[BaseException], workers: int) -> None:
    global _own
    if _own is None:
        _own = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="saccade")
    others = [_own.submit(_run, work, ranges, errors) for _ in range(workers - 1)]
    _run(work, ranges, errors)
    for other in others:
        other.result()


@cache
def _openmp() -> ctypes.CDLL | None:
    """GNU's OpenMP as PyTorch has loaded it, or None."""
    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        return ctypes.CDLL(str(path))
    return None


def _in_child() -> None:
    global _forked, _own
    _forked, _own = True, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
