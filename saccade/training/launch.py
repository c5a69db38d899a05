"""Several processes on this machine that train together, watched over by torch's elastic agent, as torchrun does it."""

import logging
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from saccade.errors import OptionError, RunError, SaccadeError
from saccade.tasks.course import Strategy
from saccade.training.together import Place, found

# Read when torch is loaded. DDP is asked to look for unused parameters, and warns once where it finds none.
QUIET = ("TORCH_CPP_LOG_LEVEL", "ERROR")


def check_processes(processes: int, place: Place, device: torch.device, strategy: Strategy) -> None:
    """Refuse what cannot train together.

    Raises:
        OptionError: naming the option.
    """
    if processes < 1:
        raise OptionError(f"--processes must be at least 1; got {processes}")
    if processes > 1 and place.size > 1:
        raise OptionError(f"--processes is for a training that torchrun did not start; got {processes} beside it")
    if strategy == "fsdp" and max(processes, place.size) == 1:
        raise OptionError("--strategy fsdp needs several processes (--processes, or torchrun); got 1")
    if place.size % place.neighbours:
        raise OptionError(
            f"torchrun must start as many processes on every machine; got {place.neighbours} of {place.size} here"
        )
    here = max(processes, place.neighbours)
    if here == 1:
        return
    if device.type == "mps" or device.index is not None:
        raise OptionError(f"--device must be cpu or cuda for {here} processes; got {device}")
    if device.type == "cuda" and here > (there := torch.cuda.device_count()):
        raise OptionError(f"--processes must be at most the number of GPUs here, {there}; got {here}")


def launch(processes: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run `work` with the same arguments in so many processes, until all are done or one of them has ended.

    Raises:
        SaccadeError, OSError: what one of them raised.
        RunError: one of them was killed.
        RuntimeError: one of them failed in another way, with its traceback.
        KeyboardInterrupt: the person stopped them.
    """
    os.environ.setdefault(*QUIET)
    with tempfile.TemporaryDirectory() as folder, _quiet_agent():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            run_id=Path(folder).name,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        mistakes = Path(folder) / "mistakes"
        mistakes.mkdir()
        try:
            elastic_launch(config, _worker)(mistakes, work, arguments)
        except ChildFailedError as failed:
            rank, failure = failed.get_first_failure()
            told = sorted(mistakes.iterdir())
            # Of one that was killed the others only tell that they have lost it.
            if told and failure.exitcode >= 0:
                raise pickle.loads(told[0].read_bytes()) from None
            raise _ended(rank, failure, processes) from None
        except SignalException as stopped:
            if stopped.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise RunError(f"stopped by {stopped.sigval.name}; go on with --resume") from None


def _ended(rank: int, failure: ProcessFailure, processes: int) -> Exception:
    which = f"process {rank} of {processes}"
    if failure.exitcode < 0:
        killed = f"{which} was killed ({failure.signal_name()})"
        return RunError(f"{killed}, and the others were ended; go on from the last checkpoint with --resume")
    return RuntimeError(f"{which} failed:\n{failure.error_file_data['message']['extraInfo']['py_callstack']}")


def _worker(mistakes: Path, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """One of the processes: a person's mistake goes into a file, for the one that waits to say."""
    place = found()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))  # Lightning would only note it
    share = str(max((os.cpu_count() or 1) // place.neighbours, 1))
    torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", share)))
    try:
        work(*arguments)
    except (SaccadeError, OSError) as error:
        told = error if isinstance(error, OSError) and error.errno else SaccadeError(str(error))
        (mistakes / str(place.rank)).write_bytes(pickle.dumps(told))
        raise SystemExit(1) from None


@contextmanager
def _quiet_agent() -> Iterator[None]:
    """Without the agent's own reports, and with the signals as they were afterwards."""
    loggers = [logging.getLogger(f"torch.{name}") for name in ("distributed.elastic", "multiprocessing")]
    levels = [logger.level for logger in loggers]
    handled = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT
    before = [signal.getsignal(number) for number in handled]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
