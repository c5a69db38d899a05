"""predict --stream, as a person uses it."""

import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from saccade.cli import main
from saccade.data.recordings import read_recording
from saccade.tasks.load import load

LATE = r"(\d+) words, (\d+\.\d\d) s late in the median and (\d+\.\d\d) s at most"
LATE += r"; \d+\.\d{3} s of work for each second heard"


def raw(path: Path) -> bytes:
    """A recording as a recorder gives it: 16 bits, low byte first, no header."""
    return (read_recording(path).samples * 32768).round().astype("<i2").tobytes()


class Recorder(io.BytesIO):
    """Standard input that gives a few bytes at a time, an odd number of them."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 777, 777))


@pytest.fixture
def hear(capsys, monkeypatch):
    """Predict with --stream, of files or of standard input; the exit status and what is said."""

    def run(folder: Path, *arguments: object, said: bytes = b"") -> tuple[int, str, list[str]]:
        monkeypatch.setattr("saccade.cli.stream._standard_input", lambda: Recorder(said))
        capsys.readouterr()  # what the trainings of runs said
        status = main(["predict", str(folder), *map(str, arguments), "--stream"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err.splitlines()

    return run


def test_a_line_for_each_recording_and_how_late_it_was(hear, stream_run, sounds):
    paths = [sounds.parent / f"{number}.wav" for number in range(4)]
    status, out, said = hear(stream_run, *paths)
    answers = load(stream_run).answer(paths)
    assert (status, out) == (0, "".join(f"{answer.text}\n" for answer in answers))
    found = re.fullmatch(LATE, said[-1])
    assert found
    assert int(found[1]) == sum(len(answer.text.split()) for answer in answers) > 0
    assert 0 <= float(found[2]) <= float(found[3])
    assert len(said) == 1


def test_standard_input_is_a_line_for_each_utterance(hear, stream_run, sounds):
    spoken = raw(sounds.parent / "1.wav")
    status, out, said = hear(stream_run, said=spoken)
    assert status == 0
    assert out.endswith("\n")
    assert out.strip()
    assert re.fullmatch(LATE, said[-1])
    # Half a sample at the end is left out.
    assert hear(stream_run, said=spoken + b"\x00")[:2] == (0, out)
    assert hear(stream_run, said=b"\x00")[2][0].endswith("8000 a second; got nothing")


def test_words_come_while_the_recorder_runs_and_stay_after_ctrl_c(stream_run, sounds):
    command = [sys.executable, "-m", "saccade.cli", "predict", str(stream_run), "--stream"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(raw(sounds.parent / "1.wav"))
        process.stdin.flush()
        first = process.stdout.read(3)  # the pipe is still open
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert first.strip()
    assert (first + out).endswith(b"\n")
    *_, summary, last = said.decode().splitlines()
    assert re.fullmatch(LATE, summary)
    assert last == "saccade: interrupted"
    assert b"Traceback" not in said


REFUSED = [
    ("translate", ["123"], "--stream is for runs of transcribe; got one of translate"),
    ("transcribe", [], "expected a run of --streaming --attention mocha --normalize training; got an encoder of both"),
    ("stream", ["none.wav"], "expected the path of a file; got 'none.wav', which is not there"),
    ("stream", ["--beam", 2], "--stream goes without --data, --columns, --beam, --nbest, --scores and --attention"),
    ("stream", ["--scores"], "--stream goes without --data, --columns, --beam, --nbest, --scores and --attention"),
    ("stream", [], "standard input: expected raw 16-bit mono samples, 8000 a second; got nothing"),
]


@pytest.mark.parametrize(("kind", "arguments", "expected"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_heard_is_refused_in_one_line(request, hear, kind, arguments, expected):
    name = {"translate": "run_folder", "transcribe": "transcribe_run", "stream": "stream_run"}[kind]
    status, out, said = hear(request.getfixturevalue(name), *arguments)
    assert (status, out, len(said)) == (1, "", 1)
    assert said[0].startswith(f"saccade: {expected}")


def test_files_of_other_kinds_are_refused(hear, stream_run, sounds, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((9, 16), np.float32))
    status, _, said = hear(stream_run, tmp_path / "x.npy")
    assert (status, said) == (1, [f"saccade: {tmp_path / 'x.npy'}: expected a recording to hear; got features"])
    status, _, said = hear(stream_run, said=(sounds.parent / "0.wav").read_bytes())
    assert status == 1
    assert said[0].endswith("8000 a second; got a WAV file, whose path can be given as an argument")
