"""saccade kernels."""

from rich.console import Console
from rich.table import Table

from saccade.cli.options import Kernels
from saccade.errors import OptionError

_WHAT = {
    "reference": "the formula as it is written: small calls on a GPU",
    "chunked": "plain PyTorch in pieces: any device, float64, torch.func, derivatives of derivatives",
    "unrolled": "plain PyTorch by hidden units: torch.export",
    "cpu": "compiled loops on all threads (Numba): CPU",
    "cuda": "Triton: NVIDIA GPUs",
    "fused": "the same, with softmax and sum in one kernel, where nobody wants the weights",
}


def kernels(command: Kernels) -> None:
    """Print what there is for additive scores on this machine, and what would be chosen for some sizes."""
    import torch

    from saccade.kernels import available, choose, usable

    for name in ("batch", "queries", "keys", "dim"):
        if getattr(command, name) < 1:
            raise OptionError(f"--{name} must be at least 1; got {getattr(command, name)}")
    console = Console(highlight=False, markup=False)
    table = Table(title="kernels for additive scores", title_justify="left", box=None, pad_edge=False)
    for column in ("kernel", "what", "here"):
        table.add_column(column, header_style="dim")
    for name, what in _WHAT.items():
        table.add_row(name, what, available("cuda" if name == "fused" else name) or "yes")
    console.print(table)
    sizes = (command.batch, command.queries, command.keys, command.dim)
    steps = command.batch * command.queries * command.keys * command.dim
    dtype = getattr(torch, command.dtype)
    chosen = choose(command.device, dtype, steps, need_weights=not command.context_alone, usable=usable())
    asked = f"{list(sizes)} (batch, query, key, dim), {command.dtype} on {command.device}"
    console.print(f"\nscores {asked}: {chosen}", soft_wrap=True)
    if command.device == "cpu":
        console.print(f"threads: {torch.get_num_threads()}")
