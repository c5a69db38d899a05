"""What the tests of tasks share: trainings of a few steps, and one that dies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from saccade.tasks.base import Start
from saccade.tasks.course import Course
from saccade.tasks.load import task_of
from saccade.training.fit import fit
from saccade.training.module import Plan, TrainingModule


class Died(BaseException):
    """A process that was killed."""


def _train(
    folder: Path,
    options: Course,
    *paths: Path,
    valid: tuple[Path, ...] = (),
    columns: tuple[str, ...] = (),
    said: list[str] | None = None,
    parent: Path | None = None,
    resume: bool = False,
) -> Any:
    task = task_of(options)
    files, held_out = (task.files(some, columns or task.columns, options) if some else None for some in (paths, valid))
    said = [] if said is None else said
    return fit(folder, options, Start(files, held_out, parent, resume), device="cpu", say=said.append)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train three rounds of five steps; further arguments are the files to train on."""
    monkeypatch.setattr("saccade.training.fit.plan", lambda options, per_epoch: Plan(3, 5, per_epoch))
    return _train


@pytest.fixture
def resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]) -> Callable[..., None]:
    """Train; train again, die inside the second round, go on without the file `gone`: it ends with the same bits.

    A round has so many `steps`.
    """

    def check(options: Course, *paths: Path, gone: Path | None = None, steps: int = 5) -> None:
        monkeypatch.setattr("saccade.training.fit.plan", lambda options, per_epoch: Plan(3, steps, per_epoch))
        train(tmp_path / "whole", options, *paths)
        original = TrainingModule.on_train_batch_start

        def die(self: TrainingModule, batch: Any, batch_idx: int) -> None:
            if self.global_step == steps + 3:
                raise Died
            original(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingModule, "on_train_batch_start", die)
            with pytest.raises(Died):
                train(tmp_path / "killed", options, *paths)
        assert (tmp_path / "killed" / "checkpoints" / "last.ckpt").exists()
        torch.rand(7)  # whatever the process did in between
        if gone is not None:
            gone.unlink()
        train(tmp_path / "killed", options, *paths, resume=True)
        for name in ("weights.safetensors", "metrics.jsonl"):
            assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    return check
