"""saccade predict --stream: words while the sound comes in."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np

from saccade.cli.options import Predict
from saccade.data.arrays import Array
from saccade.data.recordings import kind_of, read_recording
from saccade.data.resampling import resampled
from saccade.errors import DataError, OptionError
from saccade.runs import Run
from saccade.tasks.base import say
from saccade.tasks.load import task_in
from saccade.tasks.transcribe.spelling import Heard
from saccade.tasks.transcribe.stream import Listening, check_streams
from saccade.tasks.transcribe.task import Transcribe

_PIECE = 0.1  # seconds that are heard at a time
_HEADERS = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg"}


def stream(command: Predict) -> None:
    """Hear recordings, or raw sound from standard input, and print each word as soon as it is written.

    Raises:
        OptionError: a run of another task, or one that has to hear the end first; an option that asks for more.
        DataError: what cannot be heard.
    """
    asked = command.data or command.columns or command.attention or command.scores
    if asked or (command.beam, command.nbest) != (1, 1):
        raise OptionError("--stream goes without --data, --columns, --beam, --nbest, --scores and --attention")
    if command.sample or command.length_penalty or command.ensemble or command.precision != "float32":
        raise OptionError("--stream goes without --sample, --length-penalty, --ensemble and --precision")
    task, run = task_in(command.run), Run(command.run)
    if not isinstance(task, Transcribe):
        raise OptionError(f"--stream is for runs of transcribe; got one of {task.name}")
    check_streams(task.read_options(run, run.read_config()))
    transcriber = task.load(command.run, device=command.device)
    rate, printing = transcriber.options.rate, Printing()
    try:
        for path in [transcriber.parse(text) for text in command.texts]:
            printing.hear(Listening(transcriber), pieces(path, rate))
        if not command.texts:
            printing.hear(Listening(transcriber, endless=True), raw_sound(_standard_input(), rate))
    finally:  # after Ctrl-C too
        if printing.seconds:
            say(printing.summary())


def _standard_input() -> IO[bytes]:
    # Without a buffer, which would wait until it is full.
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def pieces(path: Path, rate: int) -> Iterator[Array]:
    """The samples of a recording at this rate, a tenth of a second at a time.

    Raises:
        DataError: what cannot be read, or is no sound.
    """
    if kind_of([path]) != "recordings":
        raise DataError(f"{path}: expected a recording to hear; got features")
    recording = read_recording(path)
    samples, size = resampled(recording.samples, recording.rate, rate), round(rate * _PIECE)
    return (samples[begin : begin + size] for begin in range(0, len(samples), size))


def raw_sound(input: IO[bytes], rate: int) -> Iterator[Array]:
    """The samples of raw sound of 16 bits, low byte first, as soon as there are some.

    Raises:
        DataError: nothing comes, or a file with a header.
    """
    expected, rest, begun = f"standard input: expected raw 16-bit mono samples, {rate} a second", b"", False
    while more := input.read(2 * round(rate * _PIECE)):
        rest += more
        if not begun and rest[:4] in _HEADERS:
            raise DataError(f"{expected}; got a {_HEADERS[rest[:4]]} file, whose path can be given as an argument")
        whole = len(rest) // 2 * 2
        if whole:
            yield np.frombuffer(rest[:whole], "<i2").astype(np.float32) * np.float32(2**-15)
            rest, begun = rest[whole:], True
    # Half a sample may be left: a recorder that is stopped stops anywhere.
    if not begun:
        raise DataError(f"{expected}; got nothing")


class Printing:
    """Words on standard output, a line for each recording or utterance, and how late they were.

    delays:  of each word, seconds of audio between the end of what it was heard in and its being written.
    seconds: how much audio was heard.
    work:    how many seconds that took, the waiting for it left out.
    """

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.seconds = self.work = 0.0
        self._open = False

    def hear(self, listening: Listening, sound: Iterable[Array]) -> None:
        """Print what is heard; what was printed stays a line where it is interrupted."""
        self._open = not listening.endless
        try:
            for samples in sound:
                began = time.perf_counter()
                heard = listening.push(samples)
                self.work += time.perf_counter() - began
                self._print(heard)
            began = time.perf_counter()
            heard = listening.finish()
            self.work += time.perf_counter() - began
            self._print(heard)
        finally:
            self.seconds += listening.seconds
            if self._open:
                print(flush=True)

    def _print(self, heard: list[Heard]) -> None:
        for word in heard:
            if word.text.strip():
                self.delays.append(word.after - word.at)
            self._open = not word.ended
            print(word.text, end="\n" if word.ended else "", flush=True)

    def summary(self) -> str:
        """One line of all that was heard."""
        late = ""
        if self.delays:
            late = f", {median(self.delays):.2f} s late in the median and {max(self.delays):.2f} s at most"
        return f"{len(self.delays)} words{late}; {self.work / self.seconds:.3f} s of work for each second heard"
