"""Many trainings, each in a process of its own with one thread, some side by side; what is done is not done again."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from provenance import provenance

from saccade.errors import SaccadeError
from saccade.tasks.base import Searching, Start
from saccade.tasks.course import Course
from saccade.tasks.load import task_of

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data"


def arguments(description: str, out: str) -> argparse.Namespace:
    """The command line that the benchmarks of tasks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=HERE / "results" / out)
    parser.add_argument("--work", type=Path, default=HERE / "work" / out.removesuffix(".json"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="trainings side by side")
    parser.add_argument(
        "--only", default="", help="only trials whose name holds this; the table is written when all are done"
    )
    parser.add_argument("--trial", help=argparse.SUPPRESS)
    return parser.parse_args()


def train(
    options: Course,
    train: Sequence[Path],
    valid: Sequence[Path],
    tests: Mapping[str, Sequence[Path]],
    columns: Sequence[str] = (),
    *,
    beam: int = 1,
    measure: Callable[[Any], dict[str, Any]] | None = None,
    folder: Path | None = None,
    parent: Path | None = None,
) -> dict[str, Any]:
    """Train as the command line would, and measure on each test: figures, seconds and peak memory of this process.

    `cpu_seconds` are those that a core was busy, which trainings side by side and a busy machine change little.

    Args:
        beam: hypotheses that are kept while a text is searched for.
        measure: measures something else on the trained model.
        folder: where the run is kept; None: it is not.
        parent: a run whose weights are trained further.
    """
    import torch

    torch.set_num_threads(1)
    task = task_of(options)
    names = tuple(columns) or task.columns

    def files(paths: Sequence[Path]) -> Any:
        return task.files(tuple(paths), names, options) if paths else None

    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run" if folder is None else folder
        trained, spent = timed(run, options, Start(files(train), files(valid), parent))
        config = json.loads((run / "config.json").read_text())
        how = {"beam": beam} if isinstance(trained, Searching) else {}
        figures = {name: vars(trained.evaluate(files(paths), **how)) for name, paths in tests.items()}
        more = {} if measure is None else {"measured": measure(trained)}
    return {"validation": config["scores"], "tests": figures, **more, **spent, **size(trained)}


def timed(run: Path, options: Course, start: Start) -> tuple[Any, dict[str, float]]:
    """A training, and its seconds: of the clock, and of this process."""
    from saccade.training.fit import fit

    started, busy = time.perf_counter(), time.process_time()
    trained = fit(run, options, start, device="cpu")
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    return trained, {"seconds": round(seconds, 1), "cpu_seconds": round(busy, 1)}


def size(trained: Any) -> dict[str, int]:
    """The most memory that this process has held so far, and the numbers of a model."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    return {"peak_mib": round(megabytes), "parameters": parameters}


def run(
    given: argparse.Namespace, trials: Mapping[str, Callable[[], dict[str, Any]]]
) -> dict[str, dict[str, Any]] | None:
    """Every trial's result, by name; None while some are missing.

    Called again in each trial's own process with `--trial NAME`, where it runs that one and ends.
    """
    given.work.mkdir(parents=True, exist_ok=True)
    if given.trial:
        try:
            result = trials[given.trial]()
        except SaccadeError as error:
            sys.exit(f"{given.trial}: {error}")
        place(given, given.trial).write_text(json.dumps({**result, **provenance()}))
        sys.exit(0)
    missing = [name for name in trials if given.only in name and not place(given, name).exists()]
    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(lambda name: _apart(given, name), missing))
    found = {name: json.loads(place(given, name).read_text()) for name in trials if place(given, name).exists()}
    for name in trials.keys() - found.keys():
        print(f"not measured: {name}", file=sys.stderr)
    return found if len(found) == len(trials) else None


def in_stages(
    given: argparse.Namespace, *stages: Mapping[str, Callable[[], dict[str, Any]]]
) -> dict[str, dict[str, Any]] | None:
    """The same, where what a stage leaves is needed by those behind it."""
    known: dict[str, Callable[[], dict[str, Any]]] = {}
    found: dict[str, dict[str, Any]] | None = {}
    for stage in stages:
        known |= stage
        if given.trial and given.trial not in known:
            continue
        found = run(given, known)
        if found is None:
            return None
    return found


def place(given: argparse.Namespace, name: str) -> Path:
    """Where the result of a trial is kept."""
    path: Path = given.work / f"{name.replace('/', '-').replace(' ', '_')}.json"
    return path


def _apart(given: argparse.Namespace, name: str) -> None:
    log = place(given, name).with_suffix(".log")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *sys.argv, "--trial", name]
    with open(log, "w") as file:
        status = subprocess.run(command, stdout=file, stderr=file, env=environment).returncode
    print(f"{name}: {'done' if status == 0 else f'failed, see {log}'}", file=sys.stderr, flush=True)


def write(given: argparse.Namespace, found: dict[str, dict[str, Any]], results: dict[str, Any]) -> None:
    """Write results with what they were measured on; `trained_at` are the commits of the trainings."""
    commits = sorted({result["commit"] for result in found.values()})
    given.out.write_text(json.dumps({**provenance(), "trained_at": commits, **results}, indent=1) + "\n")
