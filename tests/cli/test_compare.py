"""saccade compare, as a person uses it."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saccade.cli import main, parse
from saccade.cli.compare import names
from saccade.tasks.load import load

SACCADE = [sys.executable, "-m", "saccade.cli"]
SMALL = ["--level", "char", "--embedding", "8", "--hidden", "8", "--batch-size", "16", "--device", "cpu"]


def said(capsys, *arguments: object) -> tuple[str, int]:
    """What a command that must fail says, and how it exits."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as exit:
        status = int(exit.code)
    lines = capsys.readouterr().err.splitlines()
    assert status != 0
    assert len(lines) == 1, lines
    return lines[0], status


MISTAKES = {
    ("--attention", "additive,bahdanau"): ["--attention must be", "'bahdanau'", "additive, additive-normed", "none"],
    ("--attention", "additive,,none"): ["--attention must be names with commas between; got 'additive,,none'"],
    ("--attention", "none,additive, none"): ["--attention must name each attention once; got none twice"],
    ("--seeds", "0"): ["--seeds must be at least 1; got 0"],
    ("--hidden", "7"): ["--hidden must be even"],
    ("--columns", "de"): ["--columns must be two names, source,target; got 'de'"],
    ("--test", "no.tsv"): ["no.tsv"],
    ("--from", "run"): ["--from"],
}


@pytest.mark.parametrize("option", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_trained(capsys, tmp_path, digits, option):
    line, _ = said(capsys, "compare", "translate", "--train", digits, "--out", tmp_path / "c", *option)
    for part in MISTAKES[option]:
        assert part in line
    assert not (tmp_path / "c").exists()


def test_a_mistake_in_the_names_of_each_task_lists_the_choices(capsys, tmp_path, digits):
    for task, choice in (("classify", "context-vector"), ("tag", "multi-head"), ("regress", "self")):
        line, _ = said(
            capsys, "compare", task, "--train", digits, "--out", tmp_path / "c", "--attention", f"{choice},x"
        )
        assert line.startswith("saccade: --attention must be of ")
        assert choice in line
        assert "'x'" in line


def test_it_needs_files_and_a_folder_of_its_own(capsys, tmp_path, digits):
    assert (
        said(capsys, "compare", "tag", "--out", tmp_path / "c")[0]
        == "saccade: --train must name the training sentences"
    )
    (tmp_path / "mine.txt").touch()
    line, status = said(capsys, "compare", "translate", "--train", digits, "--out", tmp_path)
    assert line == f"saccade: {tmp_path}: expected a new or empty folder; it holds mine.txt"
    assert status == 1
    (tmp_path / "mine.txt").unlink()
    (tmp_path / "comparison.json").write_text("[]")
    line, _ = said(capsys, "compare", "translate", "--out", tmp_path, "--resume")
    assert line.startswith(f"saccade: {tmp_path / 'comparison.json'}: expected a comparison; got ")


def test_compare_is_a_command_of_two_words(capsys):
    for arguments in (["compare"], ["compare", "--help"], ["compare", "classify", "--help"]):
        with pytest.raises(SystemExit) as exit:
            parse(arguments)
        assert exit.value.code == 0
    assert "--attention" in capsys.readouterr().out
    assert "compare regress" in said(capsys, "compare", "paint")[0]


def test_what_is_compared_where_nobody_says_can_be_trained():
    for task in ("translate", "classify", "tag", "regress"):
        command = parse(["compare", task, "--out", "x"])
        options = type(command.training).__mro__[1]  # whose check refuses an unknown name
        for name in names(command.training.attention):
            options(attention=name)


@pytest.mark.slow
def test_a_comparison_stopped_and_taken_up_again(tmp_path, digits):
    folder = tmp_path / "c"
    command = [*SACCADE, "compare", "translate", "--train", digits, "--out", folder, *SMALL, "--epochs", "20"]
    command += ["--attention", "additive,none", "--seeds", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (folder / "none-0" / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert error.splitlines()[-2:] == [
        f"stopped; go on with: saccade compare translate --out {folder} --resume",
        "saccade: interrupted",
    ]
    first = (folder / "additive-0" / "weights.safetensors").stat()
    done = subprocess.run(
        [*SACCADE, "compare", "translate", "--out", folder, "--resume"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "[1/4] additive, seed 0: finished before" in done.stderr
    assert (folder / "additive-0" / "weights.safetensors").stat().st_mtime_ns == first.st_mtime_ns
    assert re.search(r"the differences|is best|has the best", done.stdout)
    check_folder(folder)


def check_folder(folder: Path) -> None:
    found = json.loads((folder / "comparison.json").read_text())
    assert found["plan"]["options"]["epochs"] == 20
    prints = {
        json.loads((folder / f"{name}-{seed}" / "config.json").read_text())["data"]["fingerprint"]
        for name in ("additive", "none")
        for seed in range(2)
    }
    assert len(prints) == 1
    rows = {one["attention"]: one for one in found["rows"]}
    assert 0 < rows["additive"]["entropy"] < 1
    assert rows["none"]["entropy"] is None
    assert all(one["seconds"] > 0 and one["memory"] > 50 and len(one["runs"]) == 2 for one in rows.values())
    (block,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', (folder / "comparison.html").read_text(), re.DOTALL
    )
    kinds = {
        row[0]: example["kind"]
        for row, example in zip(*(json.loads(block)["table"]["rows"], json.loads(block)["examples"]), strict=True)
    }
    assert kinds == {"additive": "map", "none": "none"}
    run = load(folder / "additive-1")
    assert rows["additive"]["parameters"] == sum(parameter.numel() for parameter in run.model.parameters())
