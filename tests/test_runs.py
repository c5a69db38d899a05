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
from saccade.runs import FORMAT, Run, moved, renamed
from saccade.tasks.base import Start
from saccade.tasks.load import task_of
from saccade.tasks.translate.options import TranslateOptions
from saccade.training.fit import fit


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
    assert saccade.load(copy)("123").text == saccade.load(run_folder)("123").text  # with weights of today's names, too
    (copy / "config.json").write_text(json.dumps({**config, "format": FORMAT + 1}))
    with pytest.raises(
        RunError, match=rf"config\.json: expected format {FORMAT} or older; got {FORMAT + 1}, of a newer"
    ):
        saccade.load(copy)


FORMAT_1 = ["source_embedding", "target_embedding", "encoder", "attention", "cells", "start", "attentional", "output"]


def as_of_format_1(folder: Path, like: Path, **config: object) -> Run:
    """A copy of a translator's run as the first version left it: the decoder's parts beside the encoder."""
    shutil.copytree(like, folder)
    run = Run(folder)
    weights = run.read_weights()
    olds = {name: name.replace("decoder.embedding", "target_embedding").removeprefix("decoder.") for name in weights}
    old = {olds[name]: tensor for name, tensor in weights.items()}
    tops = {name.partition(".")[0] for name in old}
    assert tops == {*FORMAT_1}
    run.write_weights(old)
    (folder / "config.json").write_text(json.dumps({**run.read_config(), **config, "format": 1}))
    return run


def test_a_translator_of_format_1_answers_as_ever(tmp_path, run_folder):
    old = as_of_format_1(tmp_path / "run", run_folder)
    expected, found = (saccade.load(folder)("quarter past") for folder in (run_folder, old.folder))
    assert found.text == expected.text
    assert (found.weights == expected.weights).all()


def test_parts_are_renamed_in_translators_of_format_1_alone():
    parts = moved({"format": 1, "task": "translate"})
    weights = {"target_embedding.weight": 1, "attention.v": 2, "encoder.output.bias": 3}
    today = {"decoder.embedding.weight": 1, "decoder.attention.v": 2, "encoder.output.bias": 3}
    assert renamed(weights, parts) == renamed(today, parts) == today
    assert moved({"format": FORMAT, "task": "translate"}) == moved({"format": 1, "task": "tag"}) == {}


def test_a_training_of_format_1_is_not_gone_on_with(tmp_path, run_folder):
    old = as_of_format_1(tmp_path / "run", run_folder, finished=False)
    config = old.read_config()
    options, (train,) = TranslateOptions(**config["options"]), config["data"]["train"]
    task = task_of(options)
    start = Start(task.files((Path(train),), tuple(config["data"]["columns"]), options), None, resume=True)
    with pytest.raises(RunError, match=rf"^{old}: expected a training of format 2 to go on with; got one of format 1"):
        fit(old.folder, options, start, device="cpu", say=lambda line: None)
    assert old.read_config() == config


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
    run.write_weights({**weights, "decoder.output.bias": torch.zeros(3)})
    with pytest.raises(
        RunError, match=r"weights\.safetensors: expected decoder\.output\.bias of shape \[\d+\]; got \[3\]"
    ):
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
