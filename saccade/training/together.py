"""The processes that train one model together: which one this is, and what they tell each other."""

import os
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.distributed as dist
from lightning.fabric.utilities import move_data_to_device
from numpy.typing import NDArray
from torch import Tensor

from saccade.errors import RunError

# The first process reads and encodes the files while the others wait: hours, for large ones.
_PATIENCE = timedelta(days=7)


class Place(NamedTuple):
    """Where a process stands among those that train together.

    rank:  its number among all, from 0.
    size:  how many there are.
    local: its number among those of its machine, from 0.
    neighbours: how many its machine has, itself counted.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    neighbours: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes the run folder and speaks."""
        return self.rank == 0

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Its part of a batch: each index has one process, and those in order of length are dealt out in turn.

        >>> [Place(rank, 2).rows(np.array([7, 5, 9])).tolist() for rank in (0, 1)]
        [[7, 9], [5]]
        """
        return indices[self.rank :: self.size]


ALONE = Place()


def found() -> Place:
    """The place that torchrun gave this process; alone without it."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        return ALONE
    return Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))


class Together(AbstractContextManager["Together"]):
    """Talk between the processes of a training, from `with` to its end; of one process alone, with itself.

    >>> with Together(ALONE, torch.device("cpu")) as together:
    ...     together.told("this"), together.gathered(7), together.summed(torch.ones(2)).tolist()
    ('this', [7], [1.0, 1.0])
    """

    def __init__(self, place: Place, device: torch.device):
        self.place, self.device = place, device
        self._waiting: Any = None
        if place.size > 1 and device.type == "cuda":
            self.device = torch.device("cuda", place.local)

    def __enter__(self) -> Self:
        """Meet the others."""
        if self.place.size > 1:
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            self._waiting = dist.new_group(backend="gloo", timeout=_PATIENCE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Part from them; where they are gone, or were stopped too, the first that tells of it is enough.

        Raises:
            RunError: the others are gone.
            SystemExit: a person stopped all of them, and this is not the first.
        """
        if self.place.size == 1:
            return
        if error is None:
            dist.destroy_process_group()
        elif isinstance(error, KeyboardInterrupt) and not self.place.first:
            raise SystemExit(130) from None
        elif _is_parting(error):
            # What started the processes of this machine ends them all once one has ended, and names that one. Who is
            # still here after that has lost one of another machine.
            time.sleep(10)
            raise RunError(
                f"process {self.place.rank} of {self.place.size} lost the others: one of them has ended, "
                "or cannot be reached (start all again with --resume)"
            ) from error

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a copy of a model has the same companions."""
        return self

    def told(self, value: Any) -> Any:
        """What the first process has; of the others any value will do. They wait for it as long as it takes."""
        if self.place.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, group=self._waiting)
        return box[0]

    def wait(self) -> None:
        """Until all are here, as long as it takes."""
        if self.place.size > 1:
            dist.barrier(group=self._waiting)

    def gathered(self, value: Any) -> list[Any]:
        """What each process has, in their order and on the CPU; nothing, where this is not the first."""
        if self.place.size == 1:
            return [value]
        box: list[Any] = [None] * self.place.size
        dist.gather_object(move_data_to_device(value, torch.device("cpu")), box if self.place.first else None, 0)
        return box if self.place.first else []

    def summed(self, x: Tensor) -> Tensor:
        """The sum over all processes, on the CPU."""
        if self.place.size == 1:
            return x.clone()
        x = x.to(self.device, copy=True)
        dist.all_reduce(x)
        return x.cpu()


def _is_parting(error: BaseException | None) -> bool:
    """Whether an error is that of a connection that was closed."""
    if isinstance(error, dist.DistError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in said for part in ("gloo", "nccl", "connection closed"))
