"""The run folder and the atomic writes under it: whole or not at all, JSON and safetensors only."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

import saccade
from saccade.errors import RunError
from saccade.files import write_atomic
from saccade.runs import FORMAT, Run


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def crash(*_):
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        monkeypatch.setattr(os, step, crash)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(path, "new")
        monkeypatch.undo()
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    write_atomic(path, b"new")
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_files_can_be_read_by_those_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_an_older_run_is_read_and_a_newer_one_refused_by_name(tmp_path, run_folder):
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    config = Run(copy).read_config()
    assert config["format"] == FORMAT
    older = {**config, "format": FORMAT - 1, "options": {k: v for k, v in config["options"].items() if k != "patience"}}
    (copy / "config.json").write_text(json.dumps(older))
    assert saccade.load(copy)("123").text == saccade.load(run_folder)("123").text
    (copy / "config.json").write_text(json.dumps({**config, "format": FORMAT + 1}))
    with pytest.raises(
        RunError, match=rf"config\.json: expected format {FORMAT} or older; got {FORMAT + 1}, of a newer"
    ):
        saccade.load(copy)


DAMAGE = {
    "config.json": [b"", b"{", b"[]", b"{}", b'{"format": 1, "task": "translate", "options": {}}'],
    "weights.safetensors": [b"", b"\x00" * 9, None],
    "tokenizer-source.json": [b"", b"{}", None],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_names_the_file(tmp_path, run_folder, name):
    for index, data in enumerate(DAMAGE[name]):
        copy = tmp_path / str(index)
        shutil.copytree(run_folder, copy)
        (copy / name).unlink() if data is None else (copy / name).write_bytes(data)
        with pytest.raises(RunError) as error:
            saccade.load(copy)
        assert name in str(error.value)
        assert str(copy) in str(error.value)
        assert "\n" not in str(error.value)


def test_weights_of_another_model_are_refused(tmp_path, run_folder):
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    run = Run(copy)
    weights = run.read_weights()
    run.write_weights({**weights, "output.bias": torch.zeros(3)})
    with pytest.raises(RunError, match=r"weights\.safetensors: expected output\.bias of shape \[\d+\]; got \[3\]"):
        saccade.load(copy)


class Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_loading_never_unpickles(tmp_path, run_folder):
    copy, trace = tmp_path / "run", tmp_path / "trace"
    shutil.copytree(run_folder, copy)
    bomb = pickle.dumps(Bomb(trace))
    (copy / "checkpoints" / "last.ckpt").write_bytes(bomb)
    saccade.load(copy)("123")
    for name in ("weights.safetensors", "config.json", "tokenizer-target.json"):
        (copy / name).write_bytes(bomb)
        with pytest.raises(RunError):
            saccade.load(copy)
    assert not trace.exists()
    pickle.loads(bomb)
    assert trace.exists(), "the bomb must work, or this shows nothing"
