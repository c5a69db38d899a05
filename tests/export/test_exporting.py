"""saccade export and predict --engine: whole or not at all, verified, used alone."""

import json
import shutil
from pathlib import Path

import pytest
from untrained import ASKED, HALVES, TEXTS, as_run, untrained

import saccade
from saccade.errors import ExportError
from saccade.export.exporting import export
from saccade.export.folder import load
from saccade.export.verify import SENTENCES, made_up
from saccade.tasks.translate.options import TranslateOptions

pytest.importorskip("ctranslate2", reason="needs CTranslate2: pip install 'saccade[export]'")


@pytest.fixture
def run(tmp_path) -> Path:
    options = TranslateOptions(**HALVES)
    return as_run(untrained(options), options, tmp_path / "run")


def broken(monkeypatch) -> None:
    """An engine that reads the norms otherwise."""

    def norm(spec, norm):
        spec.gamma, spec.beta = norm.weight.detach() * 1.5, norm.bias.detach()

    monkeypatch.setattr("saccade.export.spec._norm", norm)


def test_exported_and_answered_by_the_folder_alone(run, command, tmp_path):
    expected = [answer.text for (answer,) in saccade.load(run).answer(ASKED)]
    said = command("export", run, "--to", "ctranslate2")
    assert said == (
        0,
        [f"{run / 'ctranslate2'}: 4 sentences of {tmp_path / 'train.tsv'} come out as the run writes them"],
        [],
    )
    assert command("predict", run, *ASKED, "--engine", "ctranslate2").lines == expected
    alone = tmp_path / "elsewhere"
    (run / "ctranslate2").rename(alone)
    shutil.rmtree(run)
    assert command("predict", alone, *ASKED).lines == expected
    said = json.loads((alone / "export.json").read_text("utf-8"))
    assert (said["format"], said["engine"], said["task"]) == (1, "ctranslate2", "translate")
    assert said["versions"].keys() == {"saccade", "torch", "ctranslate2"}
    assert said["verified"] == {"sentences": 4, "from": str(tmp_path / "train.tsv"), "search": "greedy"}
    assert said["limits"] == {"positions": 1024}
    assert {path.suffix for path in alone.iterdir()} == {".json", ".bin"}


def test_files_beams_and_weights_as_for_a_run(run, command, tmp_path):
    export(run, "ctranslate2")
    columns, file = ("--columns", "s,t"), tmp_path / "some.csv"
    file.write_text("t,s\n" + "".join(f"x,{text!r}\n".replace("'", '"') for text in TEXTS), "utf-8")
    one = command("predict", run, "--data", file, *columns, "--engine", "ctranslate2")
    assert one.lines == command("predict", run, "--data", file, *columns).lines
    many = command("predict", run, TEXTS[0], "--engine", "ctranslate2", "--beam", 3, "--nbest", 2, "--scores")
    assert len(many.lines) == 2
    assert all("\t-" in line for line in many.lines)
    looked = []
    for engine in "saccade", "ctranslate2":
        assert command("predict", run, TEXTS[0], "--engine", engine, "--attention", tmp_path / engine).status == 0
        (answer,) = json.loads((tmp_path / engine).read_text("utf-8"))["answers"]
        looked.append((answer["answer_tokens"], len(answer["weights"]), len(answer["weights"][0])))
    assert looked[0] == looked[1]


def test_nothing_is_left_of_an_export_that_answers_otherwise(run, command, monkeypatch, tmp_path):
    before = sorted(path.name for path in run.iterdir())
    broken(monkeypatch)
    said = command("export", run, "--to", "ctranslate2")
    assert said.status == 1
    (line,) = said.errors
    first = saccade.load(run).answer(TEXTS[:1])[0][0].target[0]
    assert line.startswith(f"saccade: {run / 'ctranslate2'}: sentence 1 ('abc def ghij'), token 1: expected {first!r}")
    assert ", as the run writes; got '" in line
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_former_export_is_replaced_by_a_good_one_alone(run, monkeypatch, tmp_path):
    out = tmp_path / "out"
    export(run, "ctranslate2", out=out)
    (out / "export.json").touch()
    with monkeypatch.context() as patched:
        broken(patched)
        with pytest.raises(ExportError):
            export(run, "ctranslate2", out=out)
    assert load(out).answer(TEXTS)[0][0].text == saccade.load(run).answer(TEXTS)[0][0].text
    before = (out / "model.bin").stat().st_ino
    export(run, "ctranslate2", out=out)
    assert (out / "model.bin").stat().st_ino != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run", "train.tsv"]


def test_sentences_of_a_file_or_of_the_vocabulary(run, command, tmp_path):
    given = tmp_path / "given.txt"
    given.write_text("\n".join(["hello", "", *TEXTS * 30]), "utf-8")
    assert export(run, "ctranslate2", text=given)[1:] == (SENTENCES, str(given))
    (tmp_path / "train.tsv").unlink()
    assert export(run, "ctranslate2")[1:] == (SENTENCES, "the vocabulary")
    texts = made_up(saccade.load(run))
    assert texts == made_up(saccade.load(run))
    assert {1, 20} <= {len(text) for text in texts}
    given.write_text("\n\n", "utf-8")
    said = command("export", run, "--to", "ctranslate2", "--text", given)
    assert said == (1, [], [f"saccade: {given}: expected a text at least; the file is empty"])
    assert command("export", run, "--to", "ctranslate2", "--text", tmp_path / "no").errors[0].startswith("saccade: ")


def test_a_longer_text_than_there_are_places_for(run, command):
    export(run, "ctranslate2")
    said = command("predict", run, "a" * 1024, "--engine", "ctranslate2")
    limit = "expected an input of at most 1024 tokens, to which its places were exported; got 1025"
    assert (said.status, said.errors[-1]) == (1, f"saccade: {limit}")


def test_what_does_not_go(run, command, tmp_path, classify_run):
    place = run / "ctranslate2"
    make = "(make one: saccade export)"
    assert command("predict", run, "a", "--engine", "onnx").errors == [
        f"saccade: {run / 'onnx'}: expected an exported run; it holds no export.json {make}"
    ]
    export(run, "ctranslate2")
    for arguments, error in (
        (
            ("predict", place, "a", "--engine", "onnx"),
            f"--engine must be ctranslate2, to which {place} was exported; got onnx",
        ),
        (
            ("predict", place, "a", "--engine", "saccade"),
            f"--engine must be ctranslate2, to which {place} was exported; got saccade",
        ),
        (
            ("predict", place, "a", "--ensemble", run),
            "--ensemble is for our own models; got it with --engine ctranslate2",
        ),
        (("predict", place, "--stream"), "--stream is for our own models; got it with --engine ctranslate2"),
        (("predict", place, "a", "--device", "cuda"), "--device must be cpu with exported runs; got cuda"),
        (("predict", place, "a", "--sample"), "--sample draws as our own engine draws; got --engine ctranslate2"),
        (
            ("export", classify_run, "--to", "onnx"),
            f"{classify_run}: expected a run of translate to export; got one of classify",
        ),
        (
            ("export", run, "--to", "pt2", "--out", run),
            f"{run}: expected a new folder or a former export's; it holds something else (see --out)",
        ),
    ):
        said = command(*arguments)
        assert (said.status, said.errors[-1]) == (1, f"saccade: {error}")
    (place / "export.json").write_text('{"format": 9, "engine": "onnx"}')
    came = "expected format 1 or older of ctranslate2, onnx, pt2; got format 9 of onnx"
    assert command("predict", place, "a").errors == [f"saccade: {place / 'export.json'}: {came}"]


def test_a_recurrent_run_is_refused_and_leaves_nothing(tmp_path, command):
    options = TranslateOptions(level="char", hidden=8, embedding=4)
    run = as_run(untrained(options), options, tmp_path / "run")
    before = sorted(path.name for path in run.iterdir())
    said = command("export", run, "--to", "ctranslate2")
    assert said == (1, [], ["saccade: --to ctranslate2 needs Transformers on both sides; got --encoder lstm"])
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_missing_engine_is_named(run, command, monkeypatch):
    export(run, "ctranslate2")
    monkeypatch.setitem(__import__("sys").modules, "ctranslate2", None)
    for verb in ("export", run, "--to", "ctranslate2"), ("predict", run, "a", "--engine", "ctranslate2"):
        said = command(*verb)
        assert said.status == 1
        assert said.errors[-1].endswith("which is not installed: pip install 'saccade[export]'")
