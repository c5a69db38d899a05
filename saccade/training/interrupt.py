"""Ctrl-C, obeyed wherever it falls."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

import lightning.pytorch as pl


class Interruptible(pl.Callback):
    """Sees to it that an interrupt ends the training, between two steps at the latest.

    Python raises an interrupt wherever it is just then, and where that is a destructor or a function that C calls, it
    is printed and forgotten, and the training goes on. Here it is remembered too.

    >>> with Interruptible() as callback:
    ...     callback.came
    False
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Listen, if nobody else does and signals come to this thread."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the signal as it was."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """End what should have ended."""
        if self.came:
            raise KeyboardInterrupt
