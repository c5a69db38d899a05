"""One training of a comparison, in a process of its own: what it costs is its own, and its death is nobody else's."""

import _thread
import json
import os
import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

import saccade
from saccade.data.labelled import Labelled
from saccade.data.listed import Listed
from saccade.data.pairs import Pair
from saccade.data.seriescorpus import SeriesFile
from saccade.data.tagged import Tagged
from saccade.data.windows import parts
from saccade.errors import RunError, SaccadeError
from saccade.files import write_atomic
from saccade.runs import CONFIG, Run
from saccade.tasks.base import Start, Task, Trained
from saccade.tasks.course import Course
from saccade.tasks.load import task_in, task_named
from saccade.training.entropy import entropy_of
from saccade.training.fit import fit

TRIAL = "trial.json"
SAMPLE, STOPPED = 200, 130


@dataclass(frozen=True)
class Trial:
    """What one training is told; all of it can be written as JSON.

    `test` are the files to measure on; without them it is the part to validate on.
    """

    folder: str
    task: str
    options: dict[str, Any]
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    columns: tuple[str, ...]
    device: str

    @property
    def kind(self) -> Task[Any, Any, Any, Any]:
        """Its task."""
        return task_named(self.task)

    @property
    def course(self) -> Course:
        """Its options."""
        options: Course = self.kind.options(**self.options)
        return options

    def files(self, paths: Iterable[str]) -> Any:
        """Labelled examples."""
        return self.kind.files(tuple(map(Path, paths)), tuple(self.columns), self.course)

    def measured(self) -> dict[str, Any] | None:
        """What was measured, where it is finished and was measured on these files."""
        found = read_trial(Path(self.folder))
        return found if found.get("measured_on") == self.measured_on else None

    @property
    def measured_on(self) -> list[str]:
        """The files that quality is measured on; for a table without any, the end that was held out."""
        return list(self.test or self.valid)


def read_trial(folder: Path) -> dict[str, Any]:
    """What is known of a training so far: nothing before its end.

    Raises:
        RunError: a broken file.
    """
    path = folder / TRIAL
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: expected JSON; got {error}") from None
    return found


class Cost(pl.Callback):
    """Writes down what a training took: seconds with its validations, and the most memory.

    Both go into the checkpoints, so that a resumed training counts what the killed one had done, and nothing twice.
    """

    def __init__(self, folder: Path):
        self.folder, self.before, self.memory = folder, 0.0, 0.0
        self.began = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock starts."""
        self.began = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it down."""
        cost = self.state_dict()
        write_atomic(self.folder / TRIAL, json.dumps({**cost, "memory": cost["memory"] or None}) + "\n")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know."""
        memory = max(self.memory, peak_memory() or 0.0)
        return {"seconds": self.before + time.perf_counter() - self.began, "memory": memory}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.before, self.memory = state_dict["seconds"], state_dict["memory"]


def peak_memory() -> float | None:
    """MiB: what PyTorch held at most on the GPU where it held any, else the most this process had in memory.

    That includes Python and the libraries. None where the system does not tell (Windows).
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    # On Linux the largest size that getrusage knows of a process begins with that of its parent; this one is its own.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:
        return None
    # macOS counts bytes, the others KiB.
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / (2**20 if sys.platform == "darwin" else 2**10)


def held_out_inputs(folder: Path, measured_on: Sequence[str], trained: Trained[Any]) -> list[Any]:
    """At most 200 inputs that a run was not trained on, by chance: the same for all runs on the same examples.

    Args:
        folder: of the run.
        measured_on: the files; none: the windows that forecast the end of the table, which was held out.
        trained: the run in use.
    """
    run, task = Run(folder), task_in(folder)
    config = run.read_config()
    options, data = task.read_options(run, config), config["data"]
    paths, columns = tuple(map(Path, measured_on or data["train"])), tuple(data["columns"])
    files = task.files(paths, columns, options)
    if not isinstance(files, SeriesFile):
        # Not `task.inputs`, which takes a line for a text without a label.
        return _some(map(_input, files), SAMPLE)
    inputs: Iterable[Any] = trained.each(files)
    if not measured_on:
        rows = len(files.table().values)
        inputs = islice(inputs, 1 + len(parts(rows, validation=options.validation).validation) // options.horizon)
    return _some(inputs, SAMPLE)


def _input(example: Any) -> Any:
    match example:
        case Pair():
            return example.source
        case Labelled():
            return example.sentences
        case Tagged():
            return example.words
        case Listed():
            return example.path
    raise TypeError(f"an example must be a Pair, a Labelled, a Tagged or a Listed; got {type(example).__name__}")


def _some(inputs: Iterable[Any], count: int) -> list[Any]:
    """So many by chance in one pass (Vitter 1985, algorithm R)."""
    chance, chosen = random.Random(0), []
    for place, given in enumerate(inputs):
        if place < count:
            chosen.append(given)
        elif (drawn := chance.randrange(place + 1)) < count:
            chosen[drawn] = given
    return chosen


def first_answers(trained: Trained[Any], inputs: list[Any]) -> list[Any]:
    """The best answer to each input: a translator gives several."""
    return [found[0] if isinstance(found, list) else found for found in trained.answer(inputs)]


def train_and_measure(trial: Trial) -> None:
    """Train, or go on, and write down what it took and how good it is."""
    folder, options = Path(trial.folder), trial.course
    train, valid = (trial.files(paths) if paths else None for paths in (trial.train, trial.valid))
    start = Start(train, valid, resume=(folder / CONFIG).is_file())
    trained = fit(folder, options, start, device=trial.device, watch=[Cost(folder)])
    if trial.measured_on:
        found = asdict(trained.evaluate(trial.files(trial.measured_on)))
    else:
        found = Run(folder).read_config()["scores"]
    figures = {name: value for name, value in found.items() if isinstance(value, float) and name != "seconds"}
    known = {"seconds": None, "memory": None, **read_trial(folder)}
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    entropy = entropy_of(first_answers(trained, held_out_inputs(folder, trial.measured_on, trained)))
    known |= {"figures": figures, "parameters": parameters, "entropy": entropy, "measured_on": trial.measured_on}
    write_atomic(folder / TRIAL, json.dumps(known, indent=2) + "\n")


def run_trial(trial: Trial) -> str | None:
    """Train and measure in a process of its own, which writes its progress on standard error.

    Returns:
        None, or a line about why this training failed: it crashed, was killed, or diverged.

    Raises:
        SaccadeError: a mistake in the files or options, which every other training would stumble over too.
        KeyboardInterrupt: the person stopped it; its last checkpoint is there.
    """
    with _started() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(trial)) + "\n")
            process.stdin.flush()
            said = process.stdout.read()
            status = process.wait()
        except BrokenPipeError:
            said, status = "", process.wait()
        except KeyboardInterrupt:
            _stop(process)
            raise
    if status == STOPPED:
        raise KeyboardInterrupt
    if status == 0:
        return None
    answer: dict[str, str] = json.loads(said.splitlines()[-1]) if said.strip() else {}
    run = Run(trial.folder)
    if "mistake" in answer and (not run.exists() or run.read_config().get("finished")):
        raise SaccadeError(answer["mistake"])
    ended = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return next(iter(answer.values()), ended)


def _started() -> "subprocess.Popen[str]":
    package = str(Path(saccade.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        # Without -P a person's own file named as a library would be imported in its place.
        [sys.executable, "-P", "-m", "saccade.training.trial"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A group of its own: Ctrl-C reaches us alone, and we end it in good order.
        process_group=0 if os.name == "posix" else None,
    )


def _stop(process: "subprocess.Popen[str]") -> None:
    """Ask a training to end by closing its standard input; where it does not hear, end it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> int:
    """The process of one training: it is told on standard input, and answers a mistake on standard output.

    It stops where its standard input ends: then whoever began it has stopped, or is no more.
    """
    # A reader of our own, without a buffer: Python dies at exit if a thread still waits inside sys.stdin.
    told = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - to the end
    trial = Trial(**json.loads(told.readline()))

    def listen() -> None:
        told.read()
        _thread.interrupt_main()

    threading.Thread(target=listen, daemon=True).start()
    try:
        train_and_measure(trial)
    except KeyboardInterrupt:
        return STOPPED
    except (SaccadeError, OSError) as error:
        print(json.dumps({"mistake": str(error)}))
        return 1
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"crash": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
