"""The commands for captioners, readers of lines and recognisers, as a person uses them, from a list to answers."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from made import CAPTION, LINES, TRANSCRIBE, draw_line, paint, tones
from PIL import Image

from saccade.cli import main, parse
from saccade.cli.compare import names
from saccade.runs import Run
from saccade.tasks.load import load

soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'saccade[audio]'")


def typed(options: dict[str, object], *left_out: str) -> list[object]:
    """Options as they are typed."""
    pairs = ((f"--{name.replace('_', '-')}", value) for name, value in options.items() if name not in left_out)
    return [part for pair in pairs for part in pair]


TINY = {"caption": typed(CAPTION), "transcribe": typed(TRANSCRIBE)}


@pytest.fixture
def ask(capsys):
    """Run a command that must succeed; its lines on standard output and on standard error."""

    def run(*arguments: object) -> tuple[list[str], list[str]]:
        assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def say(capsys):
    """Run a command that must fail; the one line that it says of the mistake."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capsys.readouterr()
        assert status in (1, 2)
        *before, last = captured.err.splitlines()
        assert not any(line.startswith("saccade: ") or "Traceback" in line for line in before), captured.err
        return last.removeprefix("saccade: ")

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """One input of each kind."""
    folder = tmp_path_factory.mktemp("files")
    made = {"caption": folder / "a.png", "lines": folder / "b.png", "transcribe": folder / "c.wav"}
    Image.fromarray(paint("red", "blue")).save(made["caption"])
    Image.fromarray(draw_line("dabc")).save(made["lines"])
    soundfile.write(made["transcribe"], tones(["mid", "low"]), 8000)
    return made


@pytest.fixture(scope="module")
def runs(caption_run, line_run, transcribe_run) -> dict[str, Path]:
    return {"caption": caption_run, "lines": line_run, "transcribe": transcribe_run}


@pytest.fixture(scope="module")
def lists(painted, lines_of_text, sounds) -> dict[str, Path]:
    return {"caption": painted, "lines": lines_of_text, "transcribe": sounds}


SAID = {"caption": "red left blue right", "lines": "dabc", "transcribe": "mid low"}
each = pytest.mark.parametrize("kind", SAID)


@pytest.mark.parametrize("task", ["caption", "transcribe"])
def test_train_resume_fine_tune_and_describe(ask, tmp_path, lists, task):
    run, child = tmp_path / "run", tmp_path / "child"
    out, said = ask("train", task, "--train", lists[task], "--out", run, *TINY[task], "--epochs", 1)
    assert out == []
    assert said[-1].startswith(f"{run}: best validation loss ")
    assert "errors" in said[-1]
    _, said = ask("train", task, "--out", run, "--resume")
    assert f"{run}: this training is finished; nothing to resume" in said
    ask("train", task, "--from", run, "--train", lists[task], "--out", child, "--epochs", 1)
    assert Run(child).read_config()["options"]["hidden"] == 16
    described = "\n".join(ask("describe", child)[0])
    noun = {"caption": "images", "transcribe": "recordings"}[task]
    for part in ("Total params", "attention", f"training_{noun}", "error_rate", "left_out"):
        assert part in described


@each
def test_predict(ask, runs, files, lists, tmp_path, kind):
    run, file = runs[kind], files[kind]
    trained = load(run)
    assert ask("predict", run, file) == ([SAID[kind]], [])
    (line,), _ = ask("predict", run, file, "--scores")
    assert line == f"{SAID[kind]}\t{trained(file).score:.4f}"
    lines, _ = ask("predict", run, file, "--beam", 3, "--nbest", 2, "--scores")
    best, second = (float(line.rsplit("\t", 1)[1]) for line in lines)
    assert best >= second
    lines, _ = ask("predict", run, "--data", lists[kind], "--attention", tmp_path / "a.jsonl")
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    rows = [row.split("\t") for row in lists[kind].read_text().splitlines()]
    assert [Path(record["file"]).name for record in records] == [name for name, _ in rows]
    assert [record["answers"][0]["text"] for record in records] == lines
    assert sum(line == text for line, (_, text) in zip(lines, rows, strict=True)) > 0.8 * len(rows)
    for record in records:
        (answer,) = record["answers"]
        weights = np.array(answer["weights"])
        assert weights.ndim == (3 if kind == "caption" else 2)
        assert len(weights) == len(answer["target_tokens"])
        assert (weights.reshape(len(weights), -1).sum(1) <= 1 + 1e-4).all()
    names_alone = tmp_path / "names.tsv"
    names_alone.write_text("".join(f"{lists[kind].parent / name}\n" for name, _ in rows[:3]))
    assert ask("predict", run, "--data", names_alone)[0] == lines[:3]


@each
def test_evaluate(ask, runs, lists, kind):
    (line,), _ = ask("evaluate", runs[kind], "--data", lists[kind], "--json")
    scores = json.loads(line)
    figures = "wer cer exact_match substitutions deletions insertions words recordings left_out seconds"
    if kind != "transcribe":
        figures = "exact_match bleu1 bleu2 bleu3 bleu4 bleu_signature cider cer wer images left_out seconds"
    assert list(scores) == figures.split()
    assert scores["cer"] < 0.1
    table = "\n".join(ask("evaluate", runs[kind], "--data", lists[kind], "--beam", 2)[0])
    assert "exact_match" in table


@each
@pytest.mark.parametrize("heads", [(), ("--heads",)])
def test_show(ask, runs, files, tmp_path, kind, heads):
    lines, _ = ask("show", runs[kind], files[kind], *heads)
    drawn = "\n".join(lines)
    assert str(files[kind]) in drawn
    assert SAID[kind] in drawn
    for token in load(runs[kind])(files[kind]).target:
        assert any(line.startswith(token) for line in lines) or kind == "caption"
    written = ("--png", tmp_path / "a.png", "--page", tmp_path / "a.html")
    assert ask("show", runs[kind], files[kind], *heads, *written)[0] == []
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "a.html").read_text("utf-8")
    drawing = "layers" if heads else {"caption": "image"}.get(kind, "strip")
    assert f'"kind":"{drawing}"' in page


def test_show_one_of_a_list(ask, runs, lists, say):
    shown, _ = ask("show", runs["caption"], "--data", lists["caption"], "--item", 2)
    assert str(lists["caption"].parent / "1.png") in shown[0]
    assert "--item must be one of the inputs" in say("show", runs["caption"], "--data", lists["caption"], "--item", 99)


def test_heads_of_a_transformer_that_writes(ask, tmp_path, lists, files):
    for task in ("caption", "transcribe"):
        run = tmp_path / task
        options = ("--decoder", "transformer", "--heads", 2, "--layers", 2, "--epochs", 1)
        ask("train", task, "--train", lists[task], "--out", run, *TINY[task], *options)
        answer = load(run)(files[task])
        shown, _ = ask("show", run, files[task], "--heads")
        drawn = "\n".join(shown)
        assert "memory_attention, head 1" in drawn or "cross" in drawn, drawn
        assert answer.text in drawn


def test_what_looks_at_nothing_says_so(say, ask, tmp_path, lists, files):
    run = tmp_path / "run"
    ask(
        "train",
        "caption",
        "--train",
        lists["caption"],
        "--out",
        run,
        *TINY["caption"],
        "--attention",
        "none",
        "--epochs",
        1,
    )
    line = f"{run}: expected a model and an input with something to look at; it looks at nothing (--attention none)"
    assert say("show", run, files["caption"]) == line
    assert say("show", run, files["caption"], "--heads") == line


def test_doubts_go_to_standard_error(ask, runs, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    _, said = ask("predict", runs["caption"], tmp_path / "dot.png")
    assert said == [f"saccade: {str(tmp_path / 'dot.png')[:60]!r}: tiny: 1 x 1 pixels, enlarged 16 times"]
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 8000)
    _, said = ask("predict", runs["transcribe"], tmp_path / "a.wav")
    assert said[0].endswith("silent: all samples are 0")


@each
def test_inputs_that_are_none(say, runs, tmp_path, kind):
    line = f"expected the path of a file; got {str(tmp_path / 'no')!r}, which is not there"
    assert say("predict", runs[kind], tmp_path / "no") == line
    assert say("show", runs[kind], tmp_path / "no") == line
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert say("predict", runs[kind], tmp_path / "a.png").startswith(f"{tmp_path / 'a.png'}: expected ")
    missing = tmp_path / "list.tsv"
    missing.write_text("a.png\nb.png\nc.png\n")
    got = f"got 2 of 3 that are not there: b.png ({missing}:2), c.png ({missing}:3)"
    assert say("predict", runs[kind], "--data", missing) == f"{missing}: expected the files it names; {got}"


@each
def test_files_that_lie_elsewhere(ask, say, runs, lists, tmp_path, kind):
    apart = tmp_path / "apart.tsv"
    apart.write_bytes(lists[kind].read_bytes())
    here, _ = ask("predict", runs[kind], "--data", lists[kind])
    there, _ = ask("predict", runs[kind], "--data", apart, "--folder", lists[kind].parent)
    assert here == there
    figures = []
    for given in (("--data", lists[kind]), ("--data", apart, "--folder", lists[kind].parent)):
        out, _ = ask("evaluate", runs[kind], "--json", *given)
        figures.append(json.loads("".join(out)) | {"seconds": 0})
    assert figures[0] == figures[1]
    drawn, _ = ask("show", runs[kind], "--data", apart, "--folder", lists[kind].parent, "--item", 2)
    assert drawn == ask("show", runs[kind], "--data", lists[kind], "--item", 2)[0]
    said = say("predict", runs[kind], "a.png", "--folder", tmp_path)
    assert said == f"--folder goes with --data; got --folder {tmp_path} alone"


OPTIONS = [
    ("caption", ("--attention", "bahdanau"), "--attention must be of visual, sca-cnn", "got 'bahdanau'"),
    ("caption", ("--ctc", 0.5), "--ctc needs slots in order: --read columns; got --ctc 0.5 with regions", ""),
    ("caption", ("--read", "rows"), "invalid choice 'rows' for argument '--read'.", "columns"),
    ("caption", ("--columns", "image"), "--columns must be two names, image,caption; got 'image'", ""),
    ("caption", ("--folder", "nowhere"), "nowhere: expected a folder; there is none", ""),
    ("caption", ("--max-length", 1), "expected some training images that can be used; got none", ""),
    ("transcribe", ("--attention", "visual+local-p"), "--attention must join visual", "got 'visual+local-p'"),
    ("transcribe", ("--streaming",), "--streaming needs --attention monotonic or mocha; got location-sensitive", ""),
    ("transcribe", ("--halvings", 2), "--halvings must be below --encoder-layers, between which they lie; got 2", ""),
    ("transcribe", ("--columns", "a,,b"), "--columns must be names with commas between; got 'a,,b'", ""),
    ("transcribe", ("--normalize", "all"), "invalid choice 'all' for argument '--normalize'.", "recording"),
]


@pytest.mark.parametrize(("task", "options", "begins", "holds"), OPTIONS)
def test_options_that_cannot_be(say, tmp_path, lists, task, options, begins, holds):
    said = say("train", task, "--train", lists[task], "--out", tmp_path / "run", *TINY[task], *options)
    assert said.startswith(begins), said
    assert holds in said
    assert not (tmp_path / "run").exists()


LISTS = [
    ("a.tsv", "", "{file}: expected files and their texts; the list is empty"),
    ("a.tsv", "no tab\n", "{file}:1: expected file TAB text, or a first line that names the columns"),
    ("a.tsv", "\ttext\n", "{file}:1: expected the name of a file; it is empty"),
    ("a.csv", "a,b\nc,d\n", "{file}:1: expected a column named '"),
    ("a.jsonl", "{}\n", "{file}:1: expected a text"),
    (
        "a.tsv",
        "gone.png\tred\n",
        "{file}: expected the files it names; got 1 of 1 that are not there: gone.png ({file}:1)",
    ),
]


@pytest.mark.parametrize(("name", "data", "line"), LISTS)
@pytest.mark.parametrize("task", ["caption", "transcribe"])
def test_lists_that_are_none(say, tmp_path, runs, task, name, data, line):
    file = tmp_path / name
    file.write_text(data)
    expected = line.format(file=file)
    said = say("train", task, "--train", file, "--out", tmp_path / "run", *TINY[task])
    assert said.startswith(expected), said
    assert not (tmp_path / "run").exists()
    assert say("evaluate", runs[task], "--data", file).startswith(expected)
    assert say("train", task, "--out", tmp_path / "run").startswith("--train must name the training ")


def test_runs_of_other_tasks(say, tmp_path, runs, lists):
    for task, other in (("caption", "transcribe"), ("transcribe", "caption")):
        out = ("--train", lists[task], "--out", tmp_path / "run")
        line = f"{runs[other]}: expected a run of the task {task}; got {other}"
        assert say("train", task, "--from", runs[other], *out) == line


def test_a_missing_library_is_one_line(say, tmp_path, runs, files, lists, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    line = "this needs soundfile, which is not installed: pip install 'saccade[audio]'"
    assert say("predict", runs["transcribe"], files["transcribe"]) == line
    assert say("train", "transcribe", "--train", lists["transcribe"], "--out", tmp_path / "run") == line
    assert not (tmp_path / "run").exists()
    monkeypatch.setitem(sys.modules, "jiwer", None)
    line = "this needs jiwer, which is not installed: pip install 'saccade[train]'"
    assert say("evaluate", runs["caption"], "--data", lists["caption"]) == line


def test_help_names_what_there_is(capsys):
    for task in ("caption", "transcribe"):
        with pytest.raises(SystemExit) as caught:
            main(["train", task, "--help"])
        assert caught.value.code in (0, None)
        said = capsys.readouterr().out
        for part in ("--train", "--attention", "--ctc", "--decoder", "--folder", "--skip-bad", "--from", "--resume"):
            assert part in said


def test_what_is_compared_where_nobody_says_can_be_trained():
    for task in ("caption", "transcribe"):
        command = parse(["compare", task, "--out", "x"])
        options = type(command.training).__mro__[1]
        for name in names(command.training.attention):
            options(attention=name)


COMPARED = {
    "caption": ["visual", "none"],
    "transcribe": ["additive", "none"],
}


@pytest.mark.slow
@pytest.mark.parametrize("task", COMPARED)
def test_compare_from_a_list_to_a_table(ask, tmp_path, lists, task, monkeypatch):
    """From another folder, with a part that is held out: lists of absolute paths that every training reads."""
    shutil.copytree(lists[task].parent, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    given = ("--train", "data/list.tsv", "--seeds", 1, "--epochs", 1, "--device", "cpu", *TINY[task])
    ask("compare", task, "--out", "c", *given, "--attention", ",".join(COMPARED[task]))
    found = json.loads(Path("c/comparison.json").read_text())
    rows = {row["attention"]: row for row in found["rows"]}
    assert set(rows) == set(COMPARED[task])
    assert 0 < rows[COMPARED[task][0]]["entropy"] <= 1
    assert rows["none"]["entropy"] is None
    assert all(row["seconds"] > 0 and not row["failed"] and len(row["runs"]) == 1 for row in rows.values())
    held = [json.loads(line) for line in Path("c/parts/validation.jsonl").read_text().splitlines()]
    kept = [json.loads(line) for line in Path("c/parts/training.jsonl").read_text().splitlines()]
    first = {"caption": "image", "transcribe": "audio"}[task]
    names_of = [{one[first] for one in part} for part in (held, kept)]
    assert not names_of[0] & names_of[1]
    assert len(names_of[0] | names_of[1]) == 90
    assert all(Path(name).is_absolute() and Path(name).is_file() for part in names_of for name in part)
    page = Path("c/comparison.html").read_text("utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    kinds = {example["kind"] for example in json.loads(block)["examples"]}
    assert kinds == {{"caption": "image", "transcribe": "strip"}[task], "none"}


def test_lines_train_with_ctc_from_the_command(ask, tmp_path, lists):
    options = typed({**CAPTION, **LINES})
    ask("train", "caption", "--train", lists["lines"], "--out", tmp_path / "run", *options, "--epochs", 1)
    assert load(tmp_path / "run").model.ctc is not None
