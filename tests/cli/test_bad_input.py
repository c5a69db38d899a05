"""Every mistake gets one clear line on standard error, a non-zero exit, no traceback, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saccade.cli import main
from saccade.tasks.load import TASKS


@pytest.fixture
def say(capsys):
    """Run a command that must fail; what it says, and how it exits."""

    def run(*arguments: object) -> tuple[str, int]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        assert status != 0
        return lines[0], status

    return run


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


TRAIN = ("train", "translate", "--level", "char", "--epochs", 1, "--hidden", 4)

FILES = {
    b"": "{file}: expected pairs of source and target; the file is empty",
    b"one\ttwo\nthree four\n": "{file}:2: expected source TAB target; got no TAB",
    b"a\tb\na\tb\tc\n": "{file}:2: expected source TAB target; got 3 columns",
    b"a\tb\n\xff\tc\n": "{file}:2: expected UTF-8 text; got byte 0xff at column 1",
}


@pytest.mark.parametrize("data", FILES)
def test_files(say, tmp_path, data):
    file = written(tmp_path / "pairs.tsv", data)
    line, status = say(*TRAIN, "--train", file, "--out", tmp_path / "run")
    assert line == "saccade: " + FILES[data].format(file=file)
    assert status == 1
    assert not (tmp_path / "run").exists()


OPTIONS = {
    ("--attention", "bahdanau"): ["--attention", "'bahdanau'", "additive", "concat", "none"],
    ("--attention", "coverage+local-m"): ["--attention must join content scores", "got 'coverage+local-m'"],
    ("--attention", "none", "--copy"): ["--copy needs weights to copy with; got --attention none"],
    ("--half-width", "0"): ["--half-width must be at least 1; got 0"],
    ("--hidden", "7"): ["--hidden must be even, half for each direction of the encoder; got 7"],
    ("--hidden", "wide"): ["--hidden", "'wide'"],
    ("--dropout", "1"): ["--dropout must be at least 0 and below 1; got 1.0"],
    ("--learning-rate", "-1"): ["--learning-rate must be above 0; got -1.0"],
    ("--seed", "2147483648"): ["--seed must be below 2147483648; got 2147483648"],
    ("--batch-size", "0"): ["--batch-size must be at least 1; got 0"],
    ("--columns", "de"): ["--columns must be two names, source,target; got 'de'"],
    ("--device", "tpu"): ["--device must be auto or one that is here (cpu", "got tpu"],
    ("--atention", "dot"): ["--atention"],
    ("--train", "a", "b", "c"): ["expected one file of pairs or two aligned text files; got 3 files"],
    ("--from", "nowhere"): ["nowhere: expected a run folder; there is none"],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(say, tmp_path, digits, option):
    line, _ = say("train", "translate", "--train", digits, "--out", tmp_path / "run", *option)
    for part in OPTIONS[option]:
        assert part in line
    assert not (tmp_path / "run").exists()


def test_commands(say, tmp_path, digits):
    line = say("paint")[0]
    for command in ("demo", "train translate", "train classify", "evaluate", "predict", "show", "describe"):
        assert f"{command}, " in line
    assert "--out" in say("train", "translate", "--train", digits)[0]
    assert say("train", "translate", "--out", tmp_path / "r")[0].startswith("saccade: --train must name the training")
    assert say("sample", "times", "--count", 0)[0].startswith("saccade: count must be between 1 and ")


@pytest.mark.parametrize("command", ["evaluate", "predict", "show", "describe"])
def test_runs(say, tmp_path, digits, run_folder, command):
    rest = {"evaluate": ["--data", digits], "predict": ["123"], "show": ["123"], "describe": []}[command]
    assert (
        say(command, tmp_path / "no", *rest)[0] == f"saccade: {tmp_path / 'no'}: expected a run folder; there is none"
    )
    assert "it holds no config.json" in say(command, tmp_path, *rest)[0]
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    whole = (copy / "weights.safetensors").read_bytes()
    written(copy / "weights.safetensors", whole[: len(whole) // 2])
    line = say(command, copy, *rest)[0]
    assert line.startswith(f"saccade: {copy / 'weights.safetensors'}: expected a whole safetensors file; got ")
    written(copy / "weights.safetensors", whole)
    config = json.loads((copy / "config.json").read_text())
    written(copy / "config.json", json.dumps({**config, "format": 99}).encode())
    assert "expected format 2 or older; got 99, of a newer saccade" in say(command, copy, *rest)[0]
    written(copy / "config.json", json.dumps({**config, "task": "paint"}).encode())
    assert f"expected a run of {', '.join(TASKS)}; got paint" in say(command, copy, *rest)[0]


def test_another_run_is_left_alone(say, tmp_path, digits, run_folder):
    before = (run_folder / "config.json").read_bytes()
    line, _ = say(*TRAIN, "--train", digits, "--out", run_folder)
    assert "it holds a run already (go on with --resume, or choose another)" in line
    line, _ = say("demo", "--out", run_folder)
    assert "expected a new folder or a former demo's; it holds something else" in line
    assert (run_folder / "config.json").read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    assert "it holds something else" in say("demo", "--out", tmp_path)[0]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folders_that_cannot_be_written(say, tmp_path, digits, run_folder):
    file = written(tmp_path / "file", b"")
    assert (
        f"{file / 'run'}: expected a folder that can be written; got Not a directory"
        in say(*TRAIN, "--train", digits, "--out", file / "run")[0]
    )
    for option in ("--png", "--page"):
        line = say("show", run_folder, "123", option, tmp_path / "no" / "map.png")[0]
        assert str(tmp_path / "no") in line
        assert "No such file or directory" in line
    assert ".png, .svg, .pdf; got " in say("show", run_folder, "123", "--png", tmp_path / "map.gif")[0]
    assert str(tmp_path / "no" / "x") in say("predict", run_folder, "1", "--attention", tmp_path / "no" / "x")[0]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to mount a small disk")
def test_a_full_disk(tmp_path, digits):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a small disk")
    try:
        command = [sys.executable, "-m", "saccade.cli", *map(str, TRAIN), "--hidden", "64"]
        done = subprocess.run([*command, "--train", digits, "--out", disk / "run"], capture_output=True, text=True)
        last = done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert "No space left on device" in last
        assert last.startswith("saccade: ")
        assert done.returncode == 1
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_while_training_says_how_to_go_on(tmp_path, digits):
    command = [sys.executable, "-m", "saccade.cli", "train", "translate", "--level", "char", "--epochs", "200"]
    command += ["--train", digits, "--out", tmp_path / "run", "--hidden", "16", "--patience", "99"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert f"stopped; go on with: saccade train translate --out {tmp_path / 'run'} --resume" in said
    assert said.splitlines()[-1] == "saccade: interrupted"
    from saccade.tasks.load import load

    load(tmp_path / "run")
