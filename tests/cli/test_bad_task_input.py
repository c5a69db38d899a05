"""Every mistake with a task's files, options and runs is one clear line, an exit status, and leaves nothing behind."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from saccade.cli import main, one_line


@pytest.fixture
def say(capsys):
    """Run a command that must fail; the last line that it says, which is about the mistake."""

    def run(*arguments: object) -> str:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capsys.readouterr()
        *before, last = captured.err.splitlines()
        assert status in (1, 2)
        assert captured.out == ""
        assert last.startswith("saccade: ")
        assert not any(line.startswith("saccade: ") or "Traceback" in line for line in before), captured.err
        return last.removeprefix("saccade: ")

    return run


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


EPOCH = {
    "classify": ("--epochs", 1, "--embedding", 6, "--hidden", 8),
    "tag": ("--epochs", 1, "--embedding", 6, "--hidden", 8, "--character-hidden", 4),
    "regress": ("--epochs", 1, "--hidden", 8),
}
GARBAGE = bytes(range(255, -1, -1)) * 9
GOOD = {
    "classify": "a\tone two\nb\ttwo three\n" * 20,
    "tag": "one N\ntwo V\n\n" * 20,
    "regress": "a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(60)),
}
NAMES = {"classify": "t.tsv", "tag": "t.conll", "regress": "t.csv"}
AHEAD = ("--horizon", 3, "--window", 7)


FILES = [
    ("classify", "t.tsv", "", "{file}: expected labelled texts; the file is empty"),
    ("classify", "t.tsv", "\n\n", "{file}: expected labelled texts; the file is empty"),
    ("classify", "t.tsv", GARBAGE, "{file}:1: expected UTF-8 text; got byte 0xff at column 1"),
    ("classify", "t.tsv", "a\tb\nno tab\n", "{file}:2: expected label TAB text; got no TAB"),
    ("classify", "t.tsv", "a\tb\n\tc\n", "{file}:2: expected a label; it is empty"),
    ("classify", "t.tsv", "a\tb\nc\t \n", "{file}:2: expected a text; it is empty"),
    ("classify", "t.tsv", "a\tb\na\tc\n", "{file}: expected at least two labels; got 'a' alone"),
    ("classify", "t.csv", "label,words\na,b\n", "{file}:1: expected a column named 'text'; got label, words"),
    ("classify", "t.jsonl", '{"label": "a", "text": []}\n', "{file}:1: expected a document with a sentence in it"),
    ("classify", "t.jsonl", '{"label": "a", "text": ["", " "]}\n', "{file}:1: expected a document with a sentence in"),
    ("classify", "t.jsonl", '{"label": ["a", "b"], "text": "c"}\n', "{file}:1: expected one label; got a list of 2"),
    ("classify", "t.jsonl", '{"label": "a", "text": "\\ud800"}\n', "{file}:1: expected a JSON object; got"),
    ("classify", "t.jsonl", "[" * 100_000, "{file}:1: expected a JSON object; got lists or objects too deep"),
    ("classify", "t.tsv.gz", b"no gzip", "{file}: expected a whole gzip file"),
    ("tag", "t.conll", "", "{file}: expected tagged words; the file is empty"),
    ("tag", "t.conll", GARBAGE, "{file}:1: expected UTF-8 text"),
    ("tag", "t.conll", "one N\ntwo\n", "{file}:2: expected 2 columns, as before; got 1"),
    ("tag", "t.conll", "one\ntwo\n", "{file}:1: expected a word and its tag; got 1 column"),
    ("tag", "t.conll", "one N\n\ntwo N\n", "{file}: expected at least two tags; got N alone"),
    ("tag", "t.conllu", "one N\n", "{file}:1: expected the 10 columns of CoNLL-U; got 1"),
    (
        "tag",
        "t.jsonl",
        '{"words": ["a", "b"], "tags": ["N"]}\n',
        "{file}:1: expected as many tags as words; got 1 tags",
    ),
    ("tag", "t.jsonl", '{"words": [], "tags": []}\n', "{file}:1: expected a sentence with a word in it; it is empty"),
    ("tag", "t.jsonl", '{"text": "a"}\n', "{file}:1: expected a list of texts named 'words'; got only text"),
    ("regress", "t.csv", "", "{file}: expected CSV with a header; the file is empty"),
    ("regress", "t.csv", GARBAGE, "{file}:1: expected UTF-8 text"),
    ("regress", "t.csv", "a,b\n1,2\n3,NaN\n", "{file}:3: expected a number in column 'b'; got a gap, 'NaN'"),
    ("regress", "t.csv", "a,b\n1,2\n3,\n", "{file}:3: expected a number in column 'b'; got a gap, ''"),
    ("regress", "t.csv", "a,b\n1,2\n3,four\n", "{file}:3: expected a number in column 'b'; got 'four'"),
    ("regress", "t.csv", "a,b\n1,2\n3\n", "{file}:3: expected 2 columns, as in the header; got 1"),
    ("regress", "t.csv", "a,b\n1,inf\n", "{file}:2: expected a number in column 'b'; got inf, which is infinite"),
    (
        "regress",
        "t.csv",
        "a,b\n" + "1,2\n" * 9,
        "{file}: --window + --horizon must fit the series: got 7 + 3 steps for 7",
    ),
    ("regress", "t.npy", GARBAGE, "{file}: expected an array of numbers; got"),
    ("regress", "t.txt", "1 2\n", "{file}: expected a table, .csv or .npy; got another kind of file"),
]


@pytest.mark.parametrize(("task", "name", "data", "line"), FILES)
def test_files(say, tmp_path, task, name, data, line):
    file = write(tmp_path / name, data)
    ahead = AHEAD if task == "regress" else ()
    said = say("train", task, "--train", file, "--out", tmp_path / "run", *EPOCH[task], *ahead)
    assert said.startswith(line.format(file=file)), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", EPOCH)
def test_files_that_are_not_there(say, tmp_path, task):
    ahead = AHEAD if task == "regress" else ()
    file, good = tmp_path / "no" / NAMES[task], write(tmp_path / NAMES[task], GOOD[task])
    for options in (("--train", file), ("--train", good, "--valid", file)):
        said = say("train", task, *options, "--out", tmp_path / "run", *EPOCH[task], *ahead)
        assert said == f"{file}: expected a readable file; got No such file or directory"
        assert not (tmp_path / "run").exists()
    assert say("train", task, "--out", tmp_path / "run").startswith("--train must name the training ")


UNSEEN = {
    "classify": ("c\tfour\n", "{file}:1: expected a label of the training (a, b); got 'c'"),
    "tag": ("one N\n\ntwo X\n", "{file}:3: expected tags of the training (N, V); got 'X'"),
    "regress": ("a,c\n" + "1,2\n" * 20, "{file}: expected the variables of the training, a, b; got a, c"),
}


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory) -> dict[str, Path]:
    """A run of each task on few labels."""
    folder, runs = tmp_path_factory.mktemp("small"), {}
    for task, options in EPOCH.items():
        file = write(folder / NAMES[task], GOOD[task])
        ahead = AHEAD if task == "regress" else ()
        runs[task] = folder / task
        arguments = ["train", task, "--train", file, "--out", runs[task], *options, *ahead]
        assert main(list(map(str, arguments))) == 0
    return runs


@pytest.mark.parametrize("task", EPOCH)
def test_what_was_never_seen_in_training(say, tmp_path, small_runs, task):
    train = write(tmp_path / NAMES[task], GOOD[task])
    data, line = UNSEEN[task]
    other = write(tmp_path / f"other-{NAMES[task]}", data)
    line = line.format(file=other)
    ahead = AHEAD if task == "regress" else ()
    out = ("--out", tmp_path / "run", "--epochs", 1)
    assert say("train", task, "--train", train, "--valid", other, *out, *ahead).startswith(line)
    assert say("train", task, "--from", small_runs[task], "--train", other, "--valid", other, *out).startswith(line)
    assert not (tmp_path / "run").exists()
    if task != "tag":  # what was never seen of some tags is counted as wrong
        assert say("evaluate", small_runs[task], "--data", other).startswith(line)


WRONG = {
    ("classify", "tag"): "{file}:1: expected label TAB text; got no TAB",
    ("classify", "regress"): "{file}:1: expected a column named 'text'; got a, b",
    ("tag", "classify"): "{file}:1: expected tags of the training (N, V); got none of them, but one two, two three",
    ("tag", "regress"): "{file}:1: expected a word and its tag; got 1 column",
    ("regress", "classify"): "{file}: expected a table, .csv or .npy; got another kind of file",
    ("regress", "tag"): "{file}: expected a table, .csv or .npy; got another kind of file",
}


@pytest.mark.parametrize(("task", "kind"), WRONG)
def test_data_of_another_task(say, tmp_path, small_runs, task, kind):
    file = write(tmp_path / NAMES[kind], GOOD[kind])
    assert say("evaluate", small_runs[task], "--data", file).startswith(WRONG[task, kind].format(file=file))


@pytest.mark.parametrize("task", EPOCH)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_garbage_and_nothing_to_measure_or_answer(say, tmp_path, small_runs, task, command):
    for name, data in (("garbage", GARBAGE), ("nothing", b"")):
        file = write(tmp_path / f"{name}{Path(NAMES[task]).suffix}", data)
        assert say(command, small_runs[task], "--data", file).startswith(f"{file}:")


def test_answers_for_what_is_no_input(say, tmp_path, small_runs):
    wide = write(tmp_path / "t.tsv", "a\tb\tc\n")
    line = f"{wide}:1: expected a text alone, or label TAB text; got 3 columns"
    assert say("predict", small_runs["classify"], "--data", wide) == line
    assert say("predict", small_runs["tag"], "[1]").startswith("expected a text, or a JSON list of words; got '[1]'")
    run = small_runs["regress"]
    assert say("predict", run, "[[1, 2]]").startswith("expected numbers of [time, variable] = [7, 2]")
    short = write(tmp_path / "s.csv", "a,b\n1,2\n")
    assert say("predict", run, "--data", short) == f"{short}: expected at least --window 7 rows; got 1"
    for task, folder in small_runs.items():
        assert say("predict", folder, "x", "--data", "y") == "--data cannot be given together with texts"
        text = json.dumps([[1, 2]] * 7) if task == "regress" else "one"
        assert say("predict", folder, text, "--beam", 2).startswith("--beam and --nbest are for runs that write texts")
    assert say("predict", small_runs["tag"], "\udcff") == r"expected arguments in UTF-8; got '\udcff'"


OPTIONS = [
    ("classify", ("--attention", "bahdanau"), "--attention must be of ", "got 'bahdanau'"),
    ("classify", ("--self-attention", "bahdanau"), "--self-attention must be of ", "got 'bahdanau'"),
    ("classify", ("--attention", "last", "--encoder", "none"), "--attention last needs ", "--encoder none"),
    ("classify", ("--penalty", 1), "--penalty needs --attention structured-self-attention", "got context-vector"),
    ("classify", ("--hidden", 7), "--hidden must be even, half for each direction of the encoder; got 7", ""),
    ("classify", ("--copy",), "", "--copy"),
    ("classify", ("--columns", "text"), "--columns must be two names, text,label; got 'text'", ""),
    ("classify", ("--columns", "a,,b"), "--columns must be names with commas between; got 'a,,b'", ""),
    ("classify", ("--vectors", "nowhere.txt"), "nowhere.txt: expected a readable file; got No such file", ""),
    ("classify", ("--device", "tpu"), "--device must be auto or one that is here (cpu", "got tpu"),
    ("classify", ("--from", "nowhere"), "nowhere: expected a run folder; there is none", ""),
    ("tag", ("--attention", "context-vector"), "--attention must be of none, multi-head", "got 'context-vector'"),
    ("tag", ("--attention", "multi-head", "--heads", 3), "--hidden must be a multiple of --heads; got 8 and 3", ""),
    ("tag", ("--character-hidden", 5), "--character-hidden must be even, half for each direction; got 5", ""),
    ("tag", ("--columns", "a,b"), "--columns: expected the numbers of two columns, from 1; got 'a'", ""),
    ("tag", ("--columns", "1"), "--columns must be two, of words and of tags; got '1'", ""),
    ("tag", ("--columns", "1,5"), "{file}:1: expected a tag in column 5; got 2 columns (choose with --columns)", ""),
    ("tag", ("--output", "hmm"), "invalid choice 'hmm' for argument '--output'.", "crf"),
    ("tag", ("--max-length", 1), "--max-length must leave some training sentences; got 1, which leaves none", ""),
    ("regress", ("--attention", "bahdanau"), "--attention must be of self, ", "'bahdanau'"),
    ("regress", ("--attention", "reinforce"), "--attention must learn without a reward; got 'reinforce'", ""),
    ("regress", ("--encoder", "transformer", "--heads", 3), "--hidden must be a multiple of --heads; got 8 and 3", ""),
    ("regress", ("--window", 99), "{file}: --window + --horizon must fit the series: got 99 + 3 steps for 48 rows", ""),
    ("regress", ("--window", 0), "--window must be at least 1; got 0", ""),
    ("regress", ("--horizon", 40), "{file}: --", "must fit"),
    ("regress", ("--horizon", 0), "{file}: expected sequences, .npy or .npz; a table is forecast with --horizon", ""),
    ("regress", ("--validation", 60), "--validation + --test must leave rows for training; got 60", ""),
    ("regress", ("--validation", 0), "{file}: --horizon must fit each part of the series: got 3 steps for the 0", ""),
    ("regress", ("--columns", "c"), "--columns must be of a, b; got 'c'", ""),
    ("regress", ("--columns", "a,a"), "--columns must name a variable once; got a, a", ""),
    ("regress", ("--time", "when"), "--time must be a column of {file}: a, b; got 'when'", ""),
]


@pytest.mark.parametrize(("task", "options", "begins", "holds"), OPTIONS)
def test_options(say, tmp_path, task, options, begins, holds):
    file = write(tmp_path / NAMES[task], GOOD[task])
    ahead = AHEAD if task == "regress" else ()
    said = say("train", task, "--train", file, "--out", tmp_path / "run", *EPOCH[task], *ahead, *options)
    assert said.startswith(begins.format(file=file)), said
    assert holds in said
    assert not (tmp_path / "run").exists()


def test_arrays(say, tmp_path):
    x, y = np.ones((9, 5, 2)), np.ones(9)
    wrong = [
        ((x, y[:8]), "y.npy: expected targets of 9 sequences; got 8"),
        (
            (np.where(np.arange(5)[:, None] == 3, np.nan, x), y),
            "x.npy: expected finite numbers; got nan at sequence 0, time 3",
        ),
        ((np.array([["a"]]), y), "x.npy: expected an array of numbers; got one of <U1"),
        ((x[0, 0], y), "x.npy: expected numbers of [sequence, time, variable]; got an array of [2]"),
    ]
    for arrays, line in wrong:
        paths = [tmp_path / "x.npy", tmp_path / "y.npy"]
        for path, array in zip(paths, arrays, strict=True):
            np.save(path, array)
        assert line in say("train", "regress", "--train", *paths, "--out", tmp_path / "run", *EPOCH["regress"])
        assert not (tmp_path / "run").exists()
    assert "expected two .npy files" in say("train", "regress", "--train", paths[0], "--out", tmp_path / "run")
    line = say("train", "regress", "--train", *paths, "--columns", "a", "--out", tmp_path / "run")
    assert line == "--columns is for tables, which are forecast with --horizon; got sequences"


@pytest.mark.parametrize("task", EPOCH)
def test_a_run_of_another_task_and_other_shapes(say, tmp_path, small_runs, task):
    file = write(tmp_path / NAMES[task], GOOD[task])
    ahead = AHEAD if task == "regress" else ()
    for other, folder in small_runs.items():
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        options = ahead if other == task else ("--hidden", 8)
        said = say("train", task, "--from", folder, "--train", file, "--out", tmp_path / "run", "--hidden", 12, *ahead)
        if other == task:
            assert said == f"--hidden must stay 8, with which {folder} was made; got 12"
        else:
            assert said == f"{folder}: expected a run of the task {task}; got {other}"
        assert "it holds a run already" in say("train", task, "--train", file, "--out", folder, *options)
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", EPOCH)
def test_broken_runs(say, tmp_path, small_runs, task):
    folder = tmp_path / "run"
    shutil.copytree(small_runs[task], folder)
    mine = {"config.json", "weights.safetensors", "metrics.jsonl"}
    for path in [path for path in folder.iterdir() if path.is_file() and path.name not in mine]:
        whole = path.read_bytes()
        for data in (b"", b"{}", GARBAGE, gzip.compress(whole)):
            path.write_bytes(data)
            said = say("describe", folder)
            assert said.startswith(f"{path}: expected "), said
        path.unlink()
        assert say("describe", folder).startswith(f"{path}: expected ")
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "frame", ["╭─ Title ─╮\n│ {} │\n│ ───── │\n│ Help │\n╰───╯\n", " Title\n -----\n  {}\n  -----\n  Help\n\n"]
)
def test_one_line_of_a_box_with_and_without_unicode(frame):
    assert one_line(frame.format("Error parsing x: --a-b must be\n  more; got -1")) == "--a-b must be more; got -1"
    both = frame.replace("Help", "Available: a")
    assert one_line(both.format("no x")) == "no x; Available: a"
