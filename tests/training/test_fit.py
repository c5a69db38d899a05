"""Training: plans, runs, resuming after any death, fine-tuning."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import load_file

from saccade.data.pairs import PairFile
from saccade.errors import OptionError, RunError
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.load import load
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit
from saccade.training.module import Plan, plan
from saccade.training.schedules import learning_rate_factor

SMALL = TranslateOptions(level="char", embedding=8, hidden=16, epochs=60, batch_size=16, dropout=0.2, patience=3)

# Trains in a process of its own, about five rounds of 210 steps, each of which opens, renames and removes files of the
# run. It dies at the last of so many of them, or so many seconds later, wherever the training is then; where it comes
# to the end, it says how many there were.
PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
from saccade.data.pairs import PairFile
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit
from saccade.tasks.base import Start
pairs, folder, last, later = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
touched = 0
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def watch(event, arguments):
    global touched
    if event in ("open", "os.mkdir", "os.rename", "os.remove") and str(arguments[0]).startswith(folder):
        touched += 1
        if touched == last:
            threading.Timer(later, die).start() if later else die()
sys.addaudithook(watch)
options = TranslateOptions(level="char", embedding=8, hidden=16, epochs=42, batch_size=16, dropout=0.2)
fit(Path(folder), options, Start(PairFile((Path(pairs),)), None, resume=True), device="cpu")
print(touched)
"""


def train(folder: Path, pairs: Path, options: TranslateOptions = SMALL, said: list[str] | None = None, **start):
    said = [] if said is None else said
    return fit(folder, options, Start(PairFile((pairs,)), None, **start), device="cpu", say=said.append)


def until_killed(pairs: Path, folder: Path, last: int = 0, later: float = 0.0) -> subprocess.CompletedProcess[str]:
    """Train, or go on with a training, up to a file that it touches and some seconds more."""
    command = [sys.executable, "-c", PROGRAM, *map(str, (pairs, folder, last, later))]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_plans_cover_the_epochs():
    for per_epoch in (1, 13, 199, 200, 997, 1000, 31337):
        for epochs in (1, 2, 7, 200):
            course = plan(TranslateOptions(epochs=epochs), per_epoch)
            assert epochs * per_epoch <= course.total < epochs * per_epoch + course.rounds
            assert course.steps <= 1500 or course.rounds > 1
    assert learning_rate_factor(0, 1) <= 1
    assert max(learning_rate_factor(step, 500) for step in range(500)) == 1


def test_same_seed_same_weights_and_another_seed_others(tmp_path, digits, monkeypatch):
    monkeypatch.setattr("saccade.training.fit.plan", lambda options, batches: Plan(3, 30, batches))
    options = TranslateOptions(level="char", embedding=8, hidden=16, batch_size=16)
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, digits, TranslateOptions(**{**vars(options), "seed": seed}))
        weights.append(load_file(tmp_path / name / "weights.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert any(not torch.equal(weights[0][key], weights[2][key]) for key in weights[0])


@pytest.mark.slow
@pytest.mark.parametrize("latest", [0.0, 1.0], ids=["touching a file", "soon after"])
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path, digits, latest):
    whole, killed, chance, kills = tmp_path / "whole", tmp_path / "killed", random.Random(0), 0
    done = until_killed(digits, whole)
    assert done.returncode == 0
    most = int(done.stdout.split()[-1])
    while True:
        done = until_killed(digits, killed, chance.randint(1, most // 2), chance.uniform(0, latest))
        if done.returncode != -signal.SIGKILL:
            break
        kills += 1
        assert kills < 60
        if (killed / "weights.safetensors").exists():
            load(killed)  # whatever was there when it died can be used
    assert done.returncode == 0
    assert kills
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert (killed / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    assert not [path for path in killed.iterdir() if path.name.startswith("scratch")]


def test_a_run_holds_what_it_should(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert names == {
        "config.json",
        "tokenizer-source.json",
        "tokenizer-target.json",
        "weights.safetensors",
        "metrics.jsonl",
        "checkpoints",
        "tensorboard",
    }
    lines = Run(run_folder).read_metrics()
    best = min(lines, key=lambda line: line["loss"])
    config = Run(run_folder).read_config()
    assert config["scores"] == best
    assert config["data"]["training_pairs"] + config["data"]["validation_pairs"] == 400
    assert any(path.name.startswith("events.") for path in (run_folder / "tensorboard").iterdir())
    assert best["exact_match"] > 0.8


def test_no_pickle_is_needed_or_trusted_to_resume(run_folder):
    torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_it_stops_early_and_keeps_the_best(tmp_path, digits):
    said: list[str] = []
    options = TranslateOptions(
        level="char", embedding=8, hidden=16, epochs=200, batch_size=16, patience=1, learning_rate=0.3
    )
    train(tmp_path / "run", digits, options, said)
    lines = Run(tmp_path / "run").read_metrics()
    assert "stopped early: no validation was better for 1 in a row" in said
    assert lines[-1]["loss"] >= min(line["loss"] for line in lines[:-1])
    assert len(lines) < plan(options, 24).rounds
    best = Run(tmp_path / "run").read_config()["scores"]
    assert best["loss"] == min(line["loss"] for line in lines)


def test_a_loss_that_is_no_number_is_said_to_be_one(tmp_path, digits):
    options = TranslateOptions(level="char", embedding=8, hidden=16, epochs=9, batch_size=16, learning_rate=1e30)
    with pytest.raises(OptionError, match=r"--learning-rate must be lower: with 1e\+30 the loss is not finite at step"):
        train(tmp_path / "run", digits, options)


def test_resume_without_a_checkpoint_starts_from_the_beginning_and_says_so(tmp_path, digits):
    said: list[str] = []
    options = TranslateOptions(level="char", embedding=8, hidden=16, epochs=1, batch_size=16)
    train(tmp_path / "run", digits, options, said, resume=True)
    assert said[0] == f"{tmp_path / 'run'}: no complete checkpoint to resume from; starting from the beginning"
    said.clear()
    train(tmp_path / "run", digits, options, said, resume=True)
    assert said[-1] == f"{tmp_path / 'run'}: this training is finished; nothing to resume"


def test_resume_refuses_other_options_and_other_pairs(tmp_path, digits, run_folder):
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    with pytest.raises(OptionError, match=r"--hidden must stay 32, with which .* began; got 64"):
        train(copy, digits, TranslateOptions(hidden=64), resume=True)
    other = tmp_path / "other.tsv"
    other.write_text(digits.read_text().replace("123\t", "124 \t"))
    with pytest.raises(RunError, match="expected the pairs it began with"):
        train(copy, other, TranslateOptions(), resume=True)


def test_a_run_is_never_overwritten(tmp_path, digits, run_folder):
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"expected a new folder; it holds a run already \(go on with --resume"):
        train(run_folder, digits)
    assert before == {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    begun = tmp_path / "begun"
    shutil.copytree(run_folder, begun)
    (begun / "scratch").mkdir()  # of a training that is at work there
    with pytest.raises(RunError, match="it holds a run already"):
        train(begun, digits)
    assert (begun / "scratch").is_dir()
    shutil.rmtree(begun)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunError, match=r"expected a new or empty folder; it holds holiday\.jpg"):
        train(tmp_path, digits)


def test_fine_tuning_starts_from_the_parent_and_leaves_it_alone(tmp_path, digits, run_folder):
    before = (run_folder / "weights.safetensors").read_bytes()
    said: list[str] = []
    options = TranslateOptions(epochs=1, learning_rate=1e-7)
    child = train(tmp_path / "child", digits, options, said, parent=run_folder)
    assert (run_folder / "weights.safetensors").read_bytes() == before
    assert child("123") == load(run_folder)("123")._replace(
        score=pytest.approx(child("123").score), weights=pytest.approx(child("123").weights, abs=1e-3)
    )
    config = Run(tmp_path / "child").read_config()
    assert config["from"] == str(run_folder)
    assert config["options"]["hidden"] == 32
    with pytest.raises(OptionError, match=r"--attention must stay additive, with which .* was made; got dot"):
        train(tmp_path / "other", digits, TranslateOptions(attention="dot"), parent=run_folder)
    assert not (tmp_path / "other").exists()


def test_a_mistake_leaves_no_folder_behind(tmp_path):
    empty = tmp_path / "empty.tsv"
    empty.touch()
    with pytest.raises(ValueError, match="the file is empty"):
        train(tmp_path / "run", empty)
    assert not (tmp_path / "run").exists()


def test_skipped_and_long_pairs_are_reported(tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{n}\tb\n\n" for n in range(60)) + "".join(f"{n:030}\ty\n" for n in range(20)))
    said: list[str] = []
    train(tmp_path / "run", pairs, TranslateOptions(level="char", hidden=4, embedding=4, epochs=1, max_length=20), said)
    assert f"{pairs}: skipped 60 empty lines" in said
    left_out = [int(line.split("left out ")[1].split()[0]) for line in said if "longer than 20 tokens" in line]
    assert sum(left_out) == 20
    assert Run(tmp_path / "run").read_config()["data"]["skipped_empty_lines"] == 60


@pytest.mark.skipif(os.name == "nt", reason="needs a process limit of POSIX")
class Swallowed(pl.Callback):
    """An interrupt that falls where nobody hears it."""

    steps = 0

    def on_train_batch_start(self, trainer, *rest):
        self.steps += 1
        if self.steps == 5:
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_that_was_swallowed_is_obeyed_between_steps(tmp_path, digits):
    watch, before = Swallowed(), signal.getsignal(signal.SIGINT)
    start = Start(PairFile((digits,)), None)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", SMALL, start, device="cpu", say=lambda line: None, watch=[watch])
    assert watch.steps == 5
    assert signal.getsignal(signal.SIGINT) == before


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, digits):
    """A limit on file size stands in for a full disk: weights and checkpoint cannot be written."""
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
    program += "from saccade.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    arguments = ["train", "translate", "--train", digits, "--out", tmp_path / "run", "--level", "char", "--hidden", 32]
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("saccade: ")
    assert "File too large" in done.stderr.splitlines()[-1]
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix == ".ckpt" or path.name.startswith(".")]


def test_a_disk_that_fills_later_leaves_the_checkpoint_before(tmp_path, digits, monkeypatch, capsys):
    """No room for the second checkpoint: one line that names it, and the training goes on from the first."""
    from saccade import files
    from saccade.cli import main
    from saccade.training import callbacks

    monkeypatch.setattr("saccade.training.fit.plan", lambda options, batches: Plan(3, 5, batches))
    arguments = ["train", "translate", "--train", digits, "--level", "char", "--hidden", 16, "--device", "cpu"]
    written: list[Path] = []

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(path: Path, data: bytes) -> None:
        written.append(path)
        with monkeypatch.context() as patch:
            if len(written) == 2:
                patch.setattr(files.os, "fsync", no_room)
            files.write_atomic(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_atomic", write)
        assert main([*map(str, arguments), "--out", str(tmp_path / "full")]) == 1
    last = tmp_path / "full" / "checkpoints" / "last.ckpt"
    hint = "No space left on device (nothing that was complete is lost; make room and go on)"
    assert capsys.readouterr().err.splitlines()[-1] == f"saccade: {last}: {hint}"
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]
    assert torch.load(last, weights_only=True)["global_step"] == 5
    for name, more in (("full", ["--resume"]), ("whole", [])):
        assert main([*map(str, arguments), "--out", str(tmp_path / name), *more]) == 0
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (tmp_path / "full" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
