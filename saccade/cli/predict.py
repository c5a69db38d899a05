"""saccade predict."""

import json
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO

from saccade.cli.options import Predict
from saccade.data.pairs import decoded
from saccade.errors import DataError
from saccade.tasks.translate import Answer, Translator, load

_AT_ONCE = 256


def predict(command: Predict) -> None:
    """Answer the inputs, in order, as soon as they are there."""
    translator = load(command.run, device=command.device)
    with ExitStack() as stack:
        file = stack.enter_context(open(command.attention, "w", encoding="utf-8")) if command.attention else None
        for texts in _arguments(command.texts) if command.texts else waiting_lines(_standard_input()):
            _answer(translator, texts, command, file)


def _standard_input() -> IO[bytes]:
    # A reader of our own: Python dies at exit if a thread still waits inside sys.stdin.
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _answer(translator: Translator, texts: list[str], command: Predict, file: IO[str] | None) -> None:
    found = translator.answer(texts, beam=command.beam, nbest=command.nbest)
    for text, answers in zip(texts, found, strict=True):
        for doubt in translator.doubts(text):
            print(f"saccade: {text[:60]!r}: {doubt}", file=sys.stderr)
        lines = [_line(answer, command.scores) for answer in answers]
        print("\n".join(lines + [""] * (command.nbest - len(lines))))
        if file is not None:
            file.write(json.dumps(_record(text, answers), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _line(answer: Answer, scores: bool) -> str:
    # One answer, one line: an answer learnt from JSON or CSV may hold line breaks.
    text = (
        answer.text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        if "\n" in answer.text
        else answer.text
    )
    return f"{text}\t{answer.score:.4f}" if scores else text


def _record(text: str, answers: list[Answer]) -> dict[str, object]:
    return {
        "source": text,
        "source_tokens": answers[0].source,
        "answers": [
            {
                "answer": answer.text,
                "score": round(answer.score, 6),
                "answer_tokens": answer.target,
                "weights": None
                if answer.weights is None
                else [[round(w, 6) for w in row] for row in answer.weights.tolist()],
            }
            for answer in answers
        ],
    }


def _arguments(texts: tuple[str, ...]) -> Iterator[list[str]]:
    rest = iter(texts)
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
