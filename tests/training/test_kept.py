"""A training that was killed takes up what it had encoded, if nothing has changed; else it encodes anew, as ever."""

import json
import os
from pathlib import Path

import pytest

from saccade.data.pairs import PairFile
from saccade.errors import DataError, RunError
from saccade.runs import SCRATCH, Run
from saccade.tasks.base import Start
from saccade.tasks.classify.options import ClassifyOptions
from saccade.tasks.classify.task import Classify
from saccade.tasks.translate.options import TranslateOptions
from saccade.tasks.translate.task import Translate
from saccade.training.fit import fit
from saccade.training.module import TrainingModule
from saccade.training.prepare import Prepared, prepare

OPTIONS = TranslateOptions(level="char", embedding=4, hidden=8, epochs=4, batch_size=16)


@pytest.fixture
def pairs(tmp_path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{n:03d}\t{n:03d}\n" for n in range(400)), "utf-8")
    return path


def prepared(run: Run, pairs: Path, said: list[str] | None = None, options=OPTIONS, **start) -> Prepared:
    """As a training prepares itself, up to its first step; then it is killed."""
    if not run.exists():
        run.create()
    begin = Start(PairFile((pairs,)), None, resume=run.exists(), **start)
    return prepare(run, Translate(), options, begin, [].append if said is None else said.append, going_on=False)


def encoded(run: Run) -> dict[str, tuple[int, bytes]]:
    paths = sorted(run.path(SCRATCH).iterdir())
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in paths}


TOOK_UP = "took up 380 training and 20 validation pairs encoded before"


@pytest.mark.parametrize("more", [{}, {"copy": True}, {"level": "bpe", "vocab_size": 300}], ids=str)
def test_what_was_encoded_is_taken_up(tmp_path, pairs, more):
    run, said = Run(tmp_path / "run"), []
    options = TranslateOptions(**{**vars(OPTIONS), **more})
    first = prepared(run, pairs, options=options)
    before = encoded(run)
    second = prepared(run, pairs, said, options)
    assert said == [f"{run}: {TOOK_UP}"]
    assert encoded(run) == before
    assert second.config == first.config | {"format": 2}
    for one, other in zip(first[3:5], second[3:5], strict=True):
        assert (one.fingerprint, len(one)) == (other.fingerprint, len(other))


def test_a_source_that_was_touched_is_encoded_anew_and_goes_on(tmp_path, pairs):
    run, said = Run(tmp_path / "run"), []
    prepared(run, pairs)
    times = pairs.stat()
    pairs.write_bytes(pairs.read_bytes())
    os.utime(pairs, ns=(times.st_atime_ns, times.st_mtime_ns))
    prepared(run, pairs, said)
    assert said[-1] == "training on 380 pairs, validating on 20"
    prepared(run, pairs, said)
    assert said[-1] == f"{run}: {TOOK_UP}"


def test_a_source_that_has_changed_is_noticed_as_ever(tmp_path, pairs):
    run = Run(tmp_path / "run")
    prepared(run, pairs)
    times, text = pairs.stat(), pairs.read_text("utf-8")
    pairs.write_text(text.replace("007\t007", "007\t008"), "utf-8")
    os.utime(pairs, ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(RunError, match=rf"^{run}: expected the pairs it began with; {pairs} or the validation"):
            prepared(run, pairs)
    pairs.write_text(text, "utf-8")
    prepared(run, pairs)
    pairs.unlink()
    with pytest.raises(DataError, match=r"pairs\.tsv: expected a readable file; got No such file or directory"):
        prepared(run, pairs)


FILES = ["training.source", "training.target.lengths", "validation.source.begins", "training.json", "sources.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["cut", "emptied", "removed", "flipped"])
def test_a_half_written_file_is_never_taken(tmp_path, pairs, file, how):
    run, said = Run(tmp_path / "run"), []
    prepared(run, pairs)
    before, path = encoded(run), run.path(SCRATCH) / file
    whole = path.read_bytes()
    if how == "removed":
        path.unlink()
    elif how == "flipped":
        path.write_bytes(whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    else:
        path.write_bytes(whole[:-8] if how == "cut" else b"")
    prepared(run, pairs, said)
    after = encoded(run)
    assert {name: data for name, (_, data) in after.items()} == {name: data for name, (_, data) in before.items()}
    assert said[-1] == "training on 380 pairs, validating on 20"


def test_killed_while_it_encodes_it_encodes_anew(tmp_path, pairs, monkeypatch):
    run, said, corpus = Run(tmp_path / "run"), [], Translate.corpus
    prepared(run, pairs)
    os.utime(pairs, ns=(1, 1))

    def killed(self, folder, name, *given):
        if name == "validation":
            raise MemoryError
        return corpus(self, folder, name, *given)

    monkeypatch.setattr(Translate, "corpus", killed)
    with pytest.raises(MemoryError):
        prepared(run, pairs)
    assert not (run.path(SCRATCH) / "sources.json").exists()
    monkeypatch.undo()
    prepared(run, pairs, said)
    assert said[-1] == "training on 380 pairs, validating on 20"


def test_another_tokenizer_is_noticed_as_ever(tmp_path, pairs):
    run = Run(tmp_path / "run")
    prepared(run, pairs)
    path = run.path("tokenizer-source.json")
    parts = json.loads(path.read_text("utf-8"))
    words = parts["model"]["vocab"]
    words["1"], words["2"] = words["2"], words["1"]
    path.write_text(json.dumps(parts), "utf-8")
    with pytest.raises(RunError, match="expected the pairs it began with"):
        prepared(run, pairs)


def test_a_training_that_died_ends_with_the_same_bits_and_leaves_nothing(tmp_path, pairs, monkeypatch):
    start = Start(PairFile((pairs,)), None)
    fit(tmp_path / "whole", OPTIONS, start, device="cpu", say=[].append)
    run, said, begin = Run(tmp_path / "run"), [], TrainingModule.on_train_batch_start

    def die(self, batch, batch_idx):
        if self.global_step == 40:
            raise MemoryError
        begin(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", die)
    with pytest.raises(MemoryError):
        fit(run.folder, OPTIONS, start, device="cpu", say=said.append)
    monkeypatch.undo()
    assert encoded(run)
    resumed = Start(PairFile((pairs,)), None, resume=True)
    monkeypatch.setattr(Translate, "corpus", None)
    fit(run.folder, OPTIONS, resumed, device="cpu", say=said.append)
    assert f"{run}: {TOOK_UP}" in said
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert run.path(name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not run.path(SCRATCH).exists()
    assert not (tmp_path / "whole" / SCRATCH).exists()


def test_what_cannot_be_taken_up_is_not_kept(tmp_path, films, monkeypatch):
    def die(self, batch, batch_idx):
        raise MemoryError

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", die)
    options = ClassifyOptions(embedding=4, hidden=4, epochs=1)
    start = Start(Classify().files((films,), Classify.columns, options), None)
    with pytest.raises(MemoryError):
        fit(tmp_path / "run", options, start, device="cpu", say=[].append)
    assert (tmp_path / "run" / "config.json").exists()
    assert not (tmp_path / "run" / SCRATCH).exists()


def test_a_mistake_before_it_has_begun_leaves_nothing(tmp_path, pairs):
    pairs.write_text("one\n", "utf-8")
    with pytest.raises(DataError):
        fit(tmp_path / "run", OPTIONS, Start(PairFile((pairs,)), None), device="cpu", say=[].append)
    assert not (tmp_path / "run").exists()
