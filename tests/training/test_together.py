"""Several processes that train together: the same training as one, whatever becomes of them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import saccade
from saccade.data.pairs import PairFile
from saccade.errors import OptionError
from saccade.runs import Run
from saccade.tasks.base import Start
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.load import task_of
from saccade.tasks.tag.options import TagOptions
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit
from saccade.training.launch import check_processes
from saccade.training.module import Part, Plan, TrainingModule, ValidationBatches, plan
from saccade.training.sharded import sharding
from saccade.training.together import Place, Together

SACCADE = [sys.executable, "-m", "saccade"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "saccade"]
SMALL = ["--level", "char", "--embedding", "8", "--hidden", "16", "--dropout", "0", "--device", "cpu"]
ROOT = str(Path(saccade.__file__).parents[1])
COURSE, CPU = ["--epochs", "22", "--batch-size", "17"], torch.device("cpu")


def start(command: list[str], *arguments: object, **options: object) -> subprocess.Popen[str]:
    """A command in a session of its own, so that nothing of it can be left behind."""
    given = [*command, "train", "translate", *map(str, arguments), *SMALL]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(given, start_new_session=True, env={**os.environ, "PYTHONPATH": ROOT}, **pipes, **options)


def done(process: subprocess.Popen[str]) -> list[str]:
    """What it said, once it has ended well."""
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said.splitlines()


def until(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    """Wait while a process works."""
    while not there():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def kill(process: subprocess.Popen[str], run: Path, rounds: int) -> None:
    """Kill it with all that it started, once it has come so far."""
    until(process, lambda: (run / "checkpoints" / "last.ckpt").exists() and len(figures(run)) >= rounds)
    for pid in [process.pid, *workers(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def workers(parent: int) -> list[int]:
    """The processes that train, in their order: those that a process started, but for what Python starts beside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if above == parent and "resource_tracker" not in command:
            found.append(int(folder.name))
    return sorted(found)


def figures(run: Path) -> list[dict[str, float]]:
    return Run(run).read_metrics()


def same(one: Path, other: Path, tolerance: float = 1e-5) -> None:
    """Two trainings are the same up to rounding: every figure, and the best weights.

    But for the biases of keys: weights do not depend on them, so that nothing but rounding moves them.
    """
    assert len(figures(one)) == len(figures(other)) > 1
    for mine, theirs in zip(figures(one), figures(other), strict=True):
        assert mine == pytest.approx(theirs, abs=tolerance)
    weights, others = (load_file(run / "weights.safetensors") for run in (one, other))
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(tensor, others[name], rtol=0, atol=100 * tolerance)


@given(st.integers(1, 40), st.integers(1, 9))
def test_every_row_has_one_process_and_the_first_has_one_if_there_is_any(rows, size):
    batch = np.random.default_rng(rows).permutation(100)[:rows]
    parts = [Place(rank, size).rows(batch) for rank in range(size)]
    assert sorted(np.concatenate(parts)) == sorted(batch)
    assert len(parts[0]) > 0
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Numbers:
    """A corpus whose batches are the indices themselves."""

    def batch(self, indices):
        return indices.tolist()


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 7))
def test_every_validation_batch_has_one_process_and_all_have_as_many(batches, size, rows):
    indices = np.array_split(np.arange(batches * rows), batches)
    parts = [list(ValidationBatches(Numbers(), indices, Place(rank, size))) for rank in range(size)]
    assert len({len(part) for part in parts}) == 1
    in_order = [part for turn in zip(*parts, strict=True) for part in turn]
    assert [batch for batch, real in in_order if real] == [some.tolist() for some in indices]


class Losses(pl.Callback):
    """The loss of every step, the mean over all that is counted in it."""

    def __init__(self):
        self.found, self.before = [], torch.zeros(2)

    def on_train_batch_end(self, trainer, pl_module, *rest):
        if trainer.global_step > len(self.found):
            loss, counted = pl_module.sums - self.before
            self.found.append(float(loss / counted))
            self.before = pl_module.sums.clone()


def test_batches_of_one_step_are_one_large_batch(tmp_path):
    """Four of 8 texts of unlike lengths make the step that one of the same 32 makes: every token counts once."""
    pairs, valid, found, weights = tmp_path / "pairs.tsv", tmp_path / "valid.tsv", [], []
    pairs.write_text("".join(f"{n}\t{'ab' * (n % 7 + 1)}\n" for n in range(32)))
    valid.write_text("3\tab\n40\tabab\n")
    for size, accumulate in ((32, 1), (8, 4)):
        shape = {"level": "char", "embedding": 8, "hidden": 16, "dropout": 0.0, "epochs": 12}
        options = TranslateOptions(batch_size=size, accumulate=accumulate, **shape)
        folder, files, watch = tmp_path / str(size), Start(PairFile((pairs,)), PairFile((valid,))), Losses()
        fit(folder, options, files, device="cpu", say=lambda line: None, watch=[watch])
        found.append(watch.found)
        weights.append(load_file(folder / "weights.safetensors"))
        assert [(line["step"], line["epoch"]) for line in figures(folder)] == [(12, 12.0)]
    assert len(found[0]) == 12
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["classify", "tag"])
def test_so_they_are_in_other_tasks(tmp_path, monkeypatch, films, names, kind):
    """Where each label, or each word, counts; a label of few texts for more."""
    file, end = (films, "\n") if kind == "classify" else (names, "\n\n")
    examples = [some + end for some in file.read_text("utf-8").split(end)]
    for name, some in (("train", examples[:32]), ("valid", examples[:5])):
        (tmp_path / name).with_suffix(file.suffix).write_text("".join(some), "utf-8")
    found = []
    monkeypatch.setattr("saccade.training.fit.plan", lambda options, batches: Plan(1, 6, batches))
    for size, accumulate in ((32, 1), (5, 7)):
        course = {"batch_size": size, "accumulate": accumulate, "dropout": 0.0, "word_dropout": 0.0, "hidden": 8}
        options = ClassifyOptions(**course, balance=True) if kind == "classify" else TagOptions(**course)
        folder, watch, task = tmp_path / str(size), Losses(), task_of(options)
        given = (task.files((tmp_path / f"{name}{file.suffix}",), task.columns, options) for name in ("train", "valid"))
        fit(folder, options, Start(*given), device="cpu", say=lambda line: None, watch=[watch])
        found.append(watch.found)
    assert found[1] == pytest.approx(found[0], abs=2e-6)


def test_chance_is_that_of_seed_step_and_part(tmp_path):
    """With dropout two processes' parts, and the batches of a step, draw each their own; a resumed one the same."""
    drawn = {}
    for rank, size, accumulate in ((0, 1, 1), (0, 2, 1), (1, 2, 1), (0, 1, 2)):
        options = TranslateOptions(accumulate=accumulate)
        module = TrainingModule(torch.nn.Module(), options, plan(options, 100), Together(Place(rank, size), CPU))
        module.learner.at = lambda share: None
        for batch in range(accumulate):
            module.on_train_batch_start(Part(None, True), batch)
            drawn[rank, size, accumulate, batch] = torch.rand(3).tolist()
    assert drawn[0, 1, 1, 0] == drawn[0, 2, 1, 0] == drawn[0, 1, 2, 0]
    assert len({tuple(some) for some in drawn.values()}) == 3 - (drawn[1, 2, 1, 0] == drawn[0, 1, 2, 1])


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Pairs of which 392 are trained on: in batches of 17, the last batch of an epoch has one row."""
    path = tmp_path_factory.mktemp("together") / "digits.tsv"
    path.write_text("".join(f"{n:03d}\t{'-'.join(reversed(f'{n:03d}'))}\n" for n in range(412)), "utf-8")
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory, digits) -> Path:
    """What one process makes of the digits."""
    run = tmp_path_factory.mktemp("together") / "one"
    done(start(SACCADE, "--train", digits, "--out", run, *COURSE))
    return run


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, digits, one):
    """Also in the batches of one row, of which the second has none."""
    assert Run(one).read_config()["data"]["training_pairs"] % 17 == 1
    said = done(start(SACCADE, "--train", digits, "--out", tmp_path / "two", *COURSE, "--processes", 2))
    same(one, tmp_path / "two")
    assert sum(line.startswith("step ") for line in said) == len(figures(one))  # one speaks
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in one.iterdir()}
    assert len(list((tmp_path / "two" / "tensorboard").glob("events.*"))) == 1


@pytest.mark.slow
def test_torchrun_is_found_and_another_number_of_processes_goes_on(tmp_path, digits, one):
    """Killed under torchrun with two, resumed with one: the same curve as one process from the beginning."""
    run, command = tmp_path / "run", ["--train", digits, "--out", tmp_path / "run", *COURSE]
    kill(start(TORCHRUN, *command), run, 1)
    assert len(figures(run)) < len(figures(one))
    done(start(SACCADE, *command, "--resume"))
    same(one, run)


@pytest.mark.slow
def test_more_processes_than_before_go_on_and_a_killed_one_is_named(tmp_path, digits, one):
    """Begun with one and killed; gone on with two, of which one is killed; gone on with three."""
    run, command = tmp_path / "run", ["--train", digits, "--out", tmp_path / "run", *COURSE]
    kill(start(SACCADE, *command), run, 1)
    begun = len(figures(run))
    process = start(SACCADE, *command, "--resume", "--processes", 2)
    until(process, lambda: len(figures(run)) > begun)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 1
    ending = "and the others were ended; go on from the last checkpoint with --resume"
    assert said[-1] == f"saccade: process 1 of 2 was killed (SIGKILL), {ending}"
    assert sum(line.startswith("saccade: ") for line in said) == 1
    assert not [line for line in said if "Traceback" in line]
    done(start(SACCADE, *command, "--resume", "--processes", 3))
    same(one, run)


@pytest.mark.slow
def test_machines_without_a_shared_disk_go_on_together(tmp_path, digits, one):
    """Two agents of torchrun in two folders stand in for two machines, of which one alone has the run."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    command = ["--train", digits, "--out", "run", *COURSE]
    kill(start(SACCADE, *command, cwd=first), first / "run", 1)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"localhost:{free.getsockname()[1]}"
    agent = [*TORCHRUN[:3], "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint={where}"]
    processes = [
        start([*agent, "--rdzv-id=7", "--local-addr=localhost", *TORCHRUN[-2:]], *command, "--resume", cwd=folder)
        for folder in (first, second)
    ]
    for process in processes:
        done(process)
    same(one, first / "run")
    assert not list(second.iterdir())


@pytest.mark.slow
def test_a_model_in_shares_trains_as_a_whole_one(tmp_path, digits):
    """Begun in two shares and killed, gone on with whole and killed, gone on with in three shares."""
    half = ["--encoder", "transformer", "--decoder", "transformer", "--heads", 2]
    command = ["--train", digits, *COURSE, *half, "--learning-rate", 0.002]
    done(start(SACCADE, *command, "--out", tmp_path / "one"))
    run, ways = (
        tmp_path / "run",
        (["--processes", 2, "--strategy", "fsdp"], [], ["--processes", 3, "--strategy", "fsdp"]),
    )
    for rounds, way in enumerate(ways[:2], 1):
        kill(start(SACCADE, *command, *way, "--out", run, *["--resume"][: rounds - 1]), run, rounds)
    done(start(SACCADE, *command, *ways[2], "--out", run, "--resume"))
    same(tmp_path / "one", run)


@pytest.mark.slow
def test_an_interrupt_ends_all(tmp_path, digits):
    process = start(SACCADE, "--train", digits, "--out", tmp_path / "run", *COURSE, "--processes", 2)
    until(process, lambda: (tmp_path / "run" / "metrics.jsonl").exists())
    trained = workers(process.pid)
    assert len(trained) >= 2
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130
    assert said[-2:] == [
        f"stopped; go on with: saccade train translate --out {tmp_path / 'run'} --resume",
        "saccade: interrupted",
    ]
    assert not any(Path(f"/proc/{pid}").exists() for pid in trained)


@pytest.mark.slow
def test_a_mistake_is_one_line_of_the_first(tmp_path):
    empty = tmp_path / "empty.tsv"
    empty.touch()
    process = start(SACCADE, "--train", empty, "--out", tmp_path / "run", "--processes", 2)
    said = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 1
    assert said == [f"saccade: {empty}: expected pairs of source and target; the file is empty"]
    assert not (tmp_path / "run").exists()


def test_processes_that_cannot_be_are_refused():
    for processes, place, device, message in (
        (1, Place(0, 3, 0, 2), "cpu", "torchrun must start as many processes on every machine; got 2 of 3 here"),
        (0, Place(), "cpu", "--processes must be at least 1; got 0"),
        (2, Place(0, 2, 0, 2), "cpu", "--processes is for a training that torchrun did not start; got 2 beside it"),
        (2, Place(), "mps", "--device must be cpu or cuda for 2 processes; got mps"),
        (2, Place(), "cuda:1", "--device must be cpu or cuda for 2 processes; got cuda:1"),
    ):
        with pytest.raises(OptionError, match=re.escape(message)):
            check_processes(processes, place, torch.device(device), "ddp")
    with pytest.raises(OptionError, match="--strategy fsdp needs several processes"):
        check_processes(1, Place(), CPU, "fsdp")
    for model in (torch.nn.LSTM(2, 2), torch.nn.Linear(2, 2)):
        with pytest.raises(OptionError, match="--strategy fsdp is for Transformers, encoder and decoder"):
            sharding(model, 2)
    with pytest.raises(OptionError, match="--accumulate must be at least 1; got 0"):
        TranslateOptions(accumulate=0)
