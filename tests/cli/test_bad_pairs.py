"""Whatever is wrong with a translator's files is one line that says where; nothing is cut in silence."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import torch

from saccade.cli import main
from saccade.runs import Run

LINES = "".join(f"{n:03d}\t{n:03d}\n" for n in range(60))
GOOD = LINES.encode()
TRAIN = ("train", "translate", "--level", "char", "--epochs", 1, "--hidden", 4, "--embedding", 4)


@pytest.fixture
def run(capsys):
    """Run a command: its exit status, what it answered, and the lines that it said."""

    def run(*arguments: object) -> tuple[int, str, list[str]]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = int(exit.code)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err.splitlines()

    return run


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


SOURCES, TARGETS = ("".join(f"{n:03d}\n" for n in range(60)).encode() for _ in range(2))
CUT = gzip.compress(GOOD, mtime=0)
PARQUET = b"PAR1" + bytes(90) + b"PAR1"
# What stands in the files, which of them is named, and what is said of it.
BAD = {
    "a file ends before its partner": ({"a.de": SOURCES, "a.en": TARGETS[:-4]}, 1, ": expected as many lines as its p"),
    "a file goes on behind its partner": ({"a.de": SOURCES[:-8], "a.en": TARGETS}, 0, ": expected as many lines as it"),
    "an empty target": ({"a.tsv": GOOD + b"1\t\n"}, 0, ":61: expected a target text; it is empty"),
    "an empty source": ({"a.tsv": b" \t1\n" + GOOD}, 0, ":1: expected a source text; it is empty"),
    "an empty cell": ({"a.csv": b"source,target\n1,\n"}, 0, ":2: expected a target text; it is empty"),
    "only empty lines": ({"a.de": b"\n" * 9, "a.en": b"\n" * 9}, None, ": expected pairs of source and target; the fi"),
    "a line of latin-1": ({"a.tsv": GOOD + b"f\xfcr\t1\n"}, 0, ":61: expected UTF-8 text; got byte 0xfc at column 2"),
    "latin-1 in a partner": (
        {"a.de": SOURCES, "a.en": b"\xe9\n" + TARGETS[4:]},
        1,
        ":1: expected UTF-8 text; got by",
    ),
    "latin-1 zipped": (
        {"a.tsv.gz": gzip.compress(GOOD + b"\xfc\t1\n")},
        0,
        ":61: expected UTF-8 text; got byte 0xfc a",
    ),
    "UTF-16": ({"a.tsv": LINES.encode("utf-16")}, 0, ":1: expected UTF-8 text; got byte "),
    "UTF-16 without a mark": ({"a.tsv": LINES.encode("utf-16-le")}, 0, ":1: expected UTF-8 text; got byte 0x00 at col"),
    "a NUL": ({"a.tsv": GOOD + b"1\t1\x001\n"}, 0, ":61: expected UTF-8 text; got byte 0x00 at column 4"),
    "NULs alone": ({"a.de": SOURCES, "a.en": bytes(240)}, 1, ":1: expected UTF-8 text; got byte 0x00 at column 1"),
    "ends of lines of old": (
        {"a.tsv": GOOD.replace(b"\n", b"\r")},
        0,
        ":1: expected source TAB target; got 61 columns",
    ),
    "a zip that was cut off": ({"a.tsv.gz": CUT[:-9]}, 0, ": expected a whole gzip file; got Compressed file ended b"),
    "a partner that was cut off": ({"a.de": SOURCES, "a.en.gz": CUT[:40]}, 1, ": expected a whole gzip file; got "),
    "a zip that was changed": ({"a.tsv.gz": CUT[:-6] + b"\0\1\2\3\4\5"}, 0, ": expected a whole gzip file; got "),
    "no zip": ({"a.tsv.gz": GOOD}, 0, ": expected a whole gzip file; got Not a gzipped file (b'00')"),
    "no Parquet": ({"a.parquet": PARQUET}, 0, ": expected a table that can be read; got "),
    "a table beside a text": (
        {"a.parquet": PARQUET, "a.en": TARGETS},
        0,
        ": expected a text file of a sentence",
    ),
    "other columns": ({"a.csv": b"de,en\n1,1\n"}, 0, ":1: expected a column named 'source'; got de, en (choose wit"),
}


@pytest.mark.parametrize("name", BAD)
def test_training_says_what_is_wrong_with_a_file_and_leaves_nothing(run, tmp_path, name):
    if "Parquet" in name:
        pytest.importorskip("datasets", reason="needs datasets: pip install 'saccade[datasets]'")
    files, named, line = BAD[name]
    paths = write(tmp_path, files)
    where = " + ".join(map(str, paths)) if named is None else str(paths[named])
    (good,) = write(tmp_path, {"good.tsv": GOOD})
    for given in (("--train", *paths), ("--train", good, "--valid", *paths)):
        status, out, said = run(*TRAIN, *given, "--out", tmp_path / "run")
        assert (status, out) == (1, "")
        assert said[-1].startswith(f"saccade: {where}{line}"), said
        assert not any(line.startswith("saccade: ") for line in said[:-1])
        assert not (tmp_path / "run").exists()


def test_parquet_without_the_columns(run, tmp_path):
    pytest.importorskip("datasets", reason="needs datasets: pip install 'saccade[datasets]'")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"translation": [{"de": f"{n}", "en": f"{n}"} for n in range(30)]}), path)
    status, _, said = run(*TRAIN, "--train", path, "--out", tmp_path / "run")
    assert status == 1
    names = "translation.de, translation.en (choose with --columns)"
    assert said == [f"saccade: {path}: expected a column named 'source'; got {names}"]
    assert not (tmp_path / "run").exists()
    assert run(*TRAIN, "--train", path, "--columns", "de,en", "--out", tmp_path / "run")[0] == 0
    assert run("predict", tmp_path / "run", "--data", path)[0] == 0
    status, _, said = run("evaluate", tmp_path / "run", "--data", path, "--columns", "fr,en")
    assert (status, said[0]) == (1, f"saccade: {path}: expected a column named 'fr'; got {names}")


FINE = {
    "CRLF": {"a.tsv": GOOD.replace(b"\n", b"\r\n")},
    "a mark of UTF-8": {"a.tsv": b"\xef\xbb\xbf" + GOOD},
    "marks and CRLF in partners": {"a.de": b"\xef\xbb\xbf" + SOURCES.replace(b"\n", b"\r\n"), "a.en": TARGETS},
    "no end of the last line": {"a.tsv": GOOD.rstrip()},
    "zipped": {"a.tsv.gz": b"".join(gzip.compress(GOOD[i : i + 80]) for i in range(0, len(GOOD), 80))},
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_trains_the_same_model(run, tmp_path, name):
    plain = write(tmp_path, {"plain.tsv": GOOD})
    for out, paths in (("one", plain), ("two", write(tmp_path, FINE[name]))):
        assert run(*TRAIN, "--train", *paths, "--out", tmp_path / out)[0] == 0
    for file in ("weights.safetensors", "tokenizer-source.json", "tokenizer-target.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (file,) = write(folder, {"good.tsv": GOOD})
    assert main([*map(str, TRAIN), "--train", str(file), "--out", str(folder / "run")]) == 0
    return folder / "run"


LONG = "12 " * 10_000


def test_a_line_of_ten_thousand_words_in_training_is_left_out_and_counted(run, tmp_path):
    long = f"{LONG}\t1\n1\t{LONG}\n".encode()
    good, other = write(tmp_path, {"long.tsv": GOOD + long, "valid.tsv": GOOD[:80] + long[: len(LONG) + 3]})
    status, _, said = run(*TRAIN, "--train", good, "--valid", other, "--out", tmp_path / "run")
    assert status == 0
    assert "left out 2 training pairs longer than 1000 tokens (--max-length)" in said
    assert "left out 1 validation pair longer than 1000 tokens (--max-length)" in said
    assert Run(tmp_path / "run").read_config()["data"]["too_long"] == 2


def test_a_line_of_ten_thousand_words_is_answered_with_nothing_and_said_so(run, tmp_path, trained, monkeypatch):
    """No model is given it: that would take minutes, or all memory."""
    embed = torch.nn.Embedding.forward

    def watched(table: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        assert ids.numel() < 1000
        return embed(table, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", watched)
    status, out, said = run("predict", trained, "12", LONG, "7", "--attention", tmp_path / "looked.jsonl")
    assert (status, len(out.split("\n"))) == (0, 4)
    assert out.split("\n")[1] == ""
    line = "too long to be read, and its answer is empty: 30001 tokens, at most 1000"
    assert said == [f"saccade: {LONG[:60]!r}: {line}"]
    records = [json.loads(line) for line in (tmp_path / "looked.jsonl").read_text("utf-8").splitlines()]
    assert [len(record["source_tokens"]) for record in records] == [3, 0, 2]
    (file,) = write(tmp_path, {"long.tsv": GOOD + f"{LONG}\t1\n1\t{LONG}\n".encode()})
    status, out, said = run("evaluate", trained, "--data", file, "--json")
    assert status == 0
    scores = json.loads(out)
    assert (scores["examples"], scores["too_long"]) == (62, 2)
    assert "2 pairs are too long to be read: answers are empty, losses are of the others" in said
    (alone,) = write(tmp_path, {"alone.tsv": f"{LONG}\t1\n".encode()})
    status, _, said = run("evaluate", trained, "--data", alone)
    assert (status, said) == (1, ["saccade: expected pairs of at most 1000 tokens on a side; got none of 1"])
    status, _, said = run("show", trained, LONG, "--page", tmp_path / "map.html")
    assert (status, said[0]) == (1, f"saccade: {line}")
    assert not (tmp_path / "map.html").exists()


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("command", ["predict", "evaluate", "show", "describe", "fine-tune"])
def test_a_vocabulary_of_other_weights_is_named_with_both_sizes(run, tmp_path, trained, side, command):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    path = copy / f"tokenizer-{side}.json"
    parts = json.loads(path.read_text("utf-8"))
    size = len(parts["model"]["vocab"])
    parts["model"]["vocab"] |= {"ü": size, "é": size + 1}
    path.write_text(json.dumps(parts), "utf-8")
    (good,) = write(tmp_path, {"good.tsv": GOOD})
    rest = {"predict": ["12"], "evaluate": ["--data", good], "show": ["12"], "describe": []}
    arguments = (command, copy, *rest[command]) if command in rest else (*TRAIN[:2], "--from", copy, "--train", good)
    arguments = arguments if command in rest else (*arguments, "--epochs", 1, "--out", tmp_path / "run")
    status, out, said = run(*arguments)
    assert (status, out) == (1, "")
    expected = f"saccade: {path}: expected the vocabulary of the weights, {size} tokens; got {size + 2}"
    assert said[-1] == expected
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [("--tied", "all", "--shared"), ("--tied", "target"), ("--encoder", "transformer")])
def test_tied_vocabularies_of_other_weights_are_named_too(run, tmp_path, shape):
    (good,) = write(tmp_path, {"good.tsv": GOOD})
    assert run(*TRAIN, *shape, "--train", good, "--out", tmp_path / "run")[0] == 0
    for side in ("source", "target"):
        path = tmp_path / "run" / f"tokenizer-{side}.json"
        whole = path.read_text("utf-8")
        parts = json.loads(whole)
        parts["model"]["vocab"] |= {"ü": len(parts["model"]["vocab"])}
        path.write_text(json.dumps(parts), "utf-8")
        status, _, said = run("predict", tmp_path / "run", "12")
        assert status in (1, 2)
        assert len(said) == 1
        assert str(path) in said[0] or "--tied all needs one vocabulary" in said[0]
        path.write_text(whole, "utf-8")


def test_empty_sides_of_partners_are_skipped_and_counted(run, tmp_path):
    paths = write(tmp_path, {"a.de": b"\n" + SOURCES[4:], "a.en": TARGETS[:-4] + b" \n"})
    status, _, said = run(*TRAIN, "--train", *paths, "--out", tmp_path / "run")
    assert status == 0
    assert f"{paths[0]} + {paths[1]}: skipped 2 empty lines" in said


def test_what_is_typed_may_hold_what_files_may_not(run, trained):
    status, out, said = run("predict", trained, "1\x002", "1\r", "\ufeff1")
    assert (status, len(out.splitlines())) == (0, 3)
    assert all("never seen in training" in line for line in said)
    assert len(said) == 3
