"""saccade predict."""

import json
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

from saccade import decoding
from saccade.cli.given import columns, exported_folder, joined, manner, reading
from saccade.cli.options import Predict
from saccade.data.records import decoded
from saccade.errors import DataError, OptionError
from saccade.export.folder import load, read
from saccade.runs import Run
from saccade.tasks.base import Trained
from saccade.tasks.devices import calculating
from saccade.tasks.load import task_in, task_named

_AT_ONCE = 256


def predict(command: Predict) -> None:
    """Answer the inputs, in order, as soon as they are there."""
    if command.texts and command.data:
        raise OptionError("--data cannot be given together with texts")
    if command.folder is not None and not command.data:
        raise OptionError(f"--folder goes with --data; got --folder {command.folder} alone")
    how = manner(command, max(command.beam, 1 if command.sample else command.nbest))
    if (exported := exported_folder(command)) is not None:
        names = columns(command.columns) if command.columns else tuple(read(exported)["columns"])
        _predict(command, load(exported), how, lambda: task_named("translate").inputs(command.data, names, None))
        return
    if command.stream:
        from saccade.cli.stream import stream

        stream(command)
        return
    task = task_in(command.run)
    trained = joined(task.load(command.run, device=command.device), command.run, command.ensemble, command.device)

    def files() -> Any:
        names, options = reading(task, Run(command.run), command.columns, command.folder)
        return task.inputs(command.data, names, options)

    _predict(command, trained, how, files)


def _predict(command: Predict, trained: Trained[Any], how: decoding.Manner, files: Callable[[], Any]) -> None:
    with ExitStack() as stack:
        file = stack.enter_context(open(command.attention, "w", encoding="utf-8")) if command.attention else None
        if command.data:
            batches: Iterable[list[Any]] = some_at_once(trained.each(files()))
        elif command.texts:
            batches = some_at_once(trained.parse(text) for text in command.texts)
        else:
            batches = parsed(trained, waiting_lines(_standard_input()))
        for some in batches:
            _answer(trained, some, command, how, file)


def _standard_input() -> IO[bytes]:
    # A reader of our own: Python dies at exit if a thread still waits inside sys.stdin.
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _answer(
    trained: Trained[Any], inputs: list[Any], command: Predict, how: decoding.Manner, file: IO[str] | None
) -> None:
    with calculating(trained.device, command.precision):
        answers = trained.answers(inputs, beam=command.beam, nbest=command.nbest, manner=how)
    for given, found in zip(inputs, answers, strict=True):
        for doubt in trained.doubts(given):
            print(f"saccade: {trained.readable(given)[:60]!r}: {doubt}", file=sys.stderr)
        lines = [answer.line(command.scores) for answer in found]
        print("\n".join(lines + [""] * (command.nbest - len(lines))))
        if file is not None:
            file.write(json.dumps(trained.record(given, found), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def parsed(trained: Trained[Any], lines: Iterable[list[str]]) -> Iterator[list[Any]]:
    """The inputs in lines of standard input.

    Raises:
        DataError: a line that is no input, after those before it have been given.
    """
    number = 0
    for some in lines:
        inputs: list[Any] = []
        for line in some:
            number += 1
            try:
                inputs.append(trained.parse(line))
            except DataError as error:
                if inputs:
                    yield inputs
                raise DataError(f"standard input:{number}: {error}") from None
        yield inputs


def some_at_once(inputs: Iterable[Any]) -> Iterator[list[Any]]:
    """Inputs in lists of at most 256."""
    rest = iter(inputs)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def waiting_lines(stream: IO[bytes]) -> Iterator[list[str]]:
    """The lines of a stream: at least one, and all that are waiting, so that a slow writer is answered at once and a
    fast one in batches.

    Raises:
        DataError: a line that is not UTF-8, after the lines before it have been given.
    """
    lines: queue.Queue[bytes | None] = queue.Queue(4 * _AT_ONCE)

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    number, line = 0, lines.get()
    while line is not None:
        some: list[str] = []
        while line is not None:
            number += 1
            try:
                some.append(decoded(line, f"standard input:{number}"))
            except DataError:
                if some:
                    yield some
                raise
            if len(some) == _AT_ONCE or lines.empty():
                break
            line = lines.get()
        if some:
            yield some
        if line is not None:
            line = lines.get()
