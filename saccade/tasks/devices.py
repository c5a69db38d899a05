"""Where a model runs, and in what it calculates."""

import torch

from saccade.errors import OptionError


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, and the CPU else.

    Raises:
        OptionError: a device that this machine lacks.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(name.split(":")[0], False):
        have = ", ".join(kind for kind, there in present.items() if there)
        raise OptionError(f"--device must be auto or one that is here ({have}); got {name}")
    return torch.device(name)


def calculating(device: torch.device, precision: str) -> torch.autocast:
    """A context in which products are calculated in float32 or bfloat16.

    >>> with calculating(torch.device("cpu"), "bfloat16"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
