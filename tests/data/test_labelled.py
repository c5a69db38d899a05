"""Labelled texts out of files: every format gives the same examples, and every mistake is named with file and line."""

import csv
import gzip
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.labelled import Labelled, LabelledFile, sentences_of
from saccade.errors import DataError

ROWS = [("pos", "ein Hund"), ("1", "下午三点 "), ("very bad", ' say "x", y')]
EXAMPLES = [Labelled((label,), (text,)) for label, text in ROWS]
TSV = "".join(f"{label}\t{text}\n" for label, text in ROWS)
CSV = 'id,label,text\n1,pos,ein Hund\n2,1,下午三点 \n3,very bad," say ""x"", y"\n'
FORMATS = {
    "a.tsv": TSV,
    "a": TSV.replace("\n", "\r\n"),
    "bom.txt": "\ufeff" + TSV.replace("pos", " pos "),
    "a.csv": CSV,
    "crlf.CSV": "\ufeff" + CSV.replace("\n", "\r\n"),
    "a.jsonl": "".join(json.dumps({"label": label, "text": text, "more": 1}) + "\n" for label, text in ROWS),
    "a.json": "".join(json.dumps({"label": label, "sentences": [" ", text, ""]}) + "\n" for label, text in ROWS),
}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(file: LabelledFile) -> list[Labelled]:
    """What is in a file, without where it stands."""
    return [one._replace(where="") for one in file]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_format_gives_the_same_examples(tmp_path, name, zipped):
    file = LabelledFile((write(tmp_path / f"{name}{zipped}", FORMATS[name]),))
    assert read(file) == read(file) == EXAMPLES
    assert file.skipped == 0
    assert str(file) == str(tmp_path / f"{name}{zipped}")


def test_several_files_are_read_in_turn(tmp_path):
    paths = [write(tmp_path / name, text) for name, text in FORMATS.items()]
    file = LabelledFile((*paths, write(tmp_path / "b", "\n\na\tb\n \n")))
    assert read(file) == EXAMPLES * len(paths) + [Labelled(("a",), ("b",))]
    assert file.skipped == 3
    list(file)
    assert file.skipped == 3
    assert str(file) == " + ".join(map(str, file.paths))


def test_where_an_example_stands(tmp_path):
    texts = {"a.tsv": "\na\tb\n\nc\td\n", "a.csv": 'text,label\n"b\n\nb",a\nd,c\n', "a.jsonl": FORMATS["a.jsonl"]}
    file = LabelledFile(tuple(write(tmp_path / name, text) for name, text in texts.items()))
    lines = [("a.tsv", 2), ("a.tsv", 4), ("a.csv", 2), ("a.csv", 5), ("a.jsonl", 1), ("a.jsonl", 2), ("a.jsonl", 3)]
    assert [example.where for example in file] == [f"{tmp_path / name}:{line}" for name, line in lines]


def test_documents(tmp_path):
    text = '{"sentences": ["One.", "", "Two two."], "label": "x"}\n\n{"text": "One.", "label": "y"}\n'
    file = LabelledFile((write(tmp_path / "a.jsonl", text),))
    assert [example.sentences for example in file] == [("One.", "Two two."), ("One.",)]
    assert [example.text for example in file] == ["One. Two two.", "One."]
    assert file.skipped == 1


def test_other_columns(tmp_path):
    table = write(tmp_path / "a.csv", 'stars,review\n5,"two\nlines"\n,\n4,fine\n')
    lines = write(tmp_path / "a.jsonl", '{"stars": 5, "review": "two\\nlines"}\n{"stars": 4, "review": ["fine"]}\n')
    for path in (table, lines):
        file = LabelledFile((path,), ("review", "stars"))
        assert read(file) == [Labelled(("5",), ("two\nlines",)), Labelled(("4",), ("fine",))]


def test_numbers_and_truth_values_are_labels(tmp_path):
    values = [3, 0, -1, 2.5, True, False]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps({"text": "x", "label": value}) + "\n" for value in values))
    assert [example.labels for example in LabelledFile((path,))] == [
        (label,) for label in ("3", "0", "-1", "2.5", "true", "false")
    ]


def test_several_labels(tmp_path):
    texts = {
        "a.tsv": "a, b c,a\tx\nd\ty\n",
        "a.csv": 'text,label\nx,"a, b c,a"\ny,d\n',
        "a.jsonl": '{"text": "x", "label": ["a", " b c", "a"]}\n{"text": "y", "label": "d"}\n',
    }
    for name, text in texts.items():
        file = LabelledFile((write(tmp_path / name, text),), several=True)
        assert read(file) == [Labelled(("a", "b c"), ("x",)), Labelled(("d",), ("y",))]
    assert next(iter(LabelledFile((tmp_path / "a.tsv",)))).labels == ("a, b c,a",)
    path = write(tmp_path / "b.jsonl", '{"text": "x", "label": ["a,b", 1]}\n')
    assert next(iter(LabelledFile((path,), several=True))).labels == ("a,b", "1")


@pytest.mark.parametrize("several", [False, True])
def test_texts_without_labels(tmp_path, several):
    texts = {
        "a.txt": "x, y\n\nz\n",
        "a.csv": 'id,text\n1,"x, y"\n,\n2,z\n',
        "a.jsonl": '{"text": "x, y", "label": []}\n\n{"sentences": ["z"]}\n',
    }
    for name, text in texts.items():
        file = LabelledFile((write(tmp_path / name, text),), several=several, unlabelled=True)
        assert read(file) == [Labelled((), ("x, y",)), Labelled((), ("z",))]
        assert file.skipped == 1
    with_labels = LabelledFile((write(tmp_path / "b", "pos\tx\n"),), several=several, unlabelled=True)
    assert read(with_labels) == [Labelled((), ("x",))]
    with pytest.raises(DataError, match=r"b:1: expected a text alone, or label TAB text; got 3 columns$"):
        list(LabelledFile((write(tmp_path / "b", "pos\tx\ty\n"),), several=several, unlabelled=True))
    with pytest.raises(DataError, match=r"c: expected texts; the file is empty$"):
        list(LabelledFile((write(tmp_path / "c", "\n"),), several=several, unlabelled=True))


ONE = b'{"text": "x", "label": "a"}\n'
MISTAKES = {
    ("a.tsv", b""): ": expected labelled texts; the file is empty",
    ("a.tsv", b"\n \n"): ": expected labelled texts; the file is empty",
    ("a.csv", b"text,label\n"): ": expected labelled texts; the file is empty",
    ("a.jsonl", b""): ": expected labelled texts; the file is empty",
    ("a.tsv", b"a\tx\nb x\n"): ":2: expected label TAB text; got no TAB",
    ("a.tsv", b"a\tx\ty\n"): ":1: expected label TAB text; got 3 columns",
    ("a.tsv", b"a\tx\n\n \tx\n"): ":3: expected a label; it is empty",
    ("a.tsv", b"a\tx\nb\t \n"): ":2: expected a text; it is empty",
    ("a.csv", b"text,label\nx,\n"): ":2: expected a label; it is empty",
    ("a.csv", b"text,label\n,a\n"): ":2: expected a text; it is empty",
    ("a.csv", b"text,stars\nx,5\n"): ":1: expected a column named 'label'; got text, stars (choose with --columns)",
    ("a.csv", b'text,label\n"x\ny",a\n3\n'): ":4: expected 2 columns, as in the header; got 1",
    ("a.tsv", b"a\tx\nb\t\xe9\n"): ":2: expected UTF-8 text; got byte 0xe9 at column 3",
    ("a.tsv.gz", b"a\tb\n"): ": expected a whole gzip file; got Not a gzipped file (b'a\\t')",
    (
        "a.tsv.gz",
        gzip.compress(b"a\tb\n" * 99, mtime=0)[:-9],
    ): ": expected a whole gzip file; got Compressed file ended before",
    (
        "a.tsv.gz",
        gzip.compress(b"a\tb\n", mtime=0)[:10] + b"\xff" * 9,
    ): ": expected a whole gzip file; got Error -3 while",
    ("a.jsonl", ONE + b"x\n"): ":2: expected a JSON object; got Expecting value at 1",
    ("a.jsonl", b'"x"\n'): ":1: expected a JSON object; got str",
    ("a.jsonl", ONE + b'{"text": "x"}\n'): ":2: expected a label named 'label'; got only text (choose with --columns)",
    ("a.jsonl", b'{"text": "x", "label": null}\n'): ":1: expected a label named 'label'; got a NoneType there (choose",
    ("a.jsonl", b'{"text": "x", "label": {}}\n'): ":1: expected a label named 'label'; got a dict there (choose",
    ("a.jsonl", b'{"text": "x", "label": ["a", "b"]}\n'): ":1: expected one label; got a list of 2",
    ("a.jsonl", b'{"text": "x", "label": " "}\n'): ":1: expected a label; it is empty",
    ("a.jsonl", b'{"text": "", "label": "a"}\n'): ":1: expected a text; it is empty",
    ("a.jsonl", b'{"text": 1, "label": "a"}\n'): ":1: expected a text or a list of sentences named 'text'; got a int",
    ("a.jsonl", b'{"body": "x", "label": "a"}\n'): ":1: expected a text or a list of sentences named 'text' or "
    "'sentences'; got only body, label (choose with --columns)",
    ("a.jsonl", b'{"sentences": "x", "label": "a"}\n' * 2 + b'{"sentences": ["x", 1], "label": "a"}\n'): ":3: expected "
    "a text or a list of sentences named 'text' or 'sentences'; got a list there",
    ("a.jsonl", b'{"sentences": ["", " "], "label": "a"}\n'): ":1: expected a document with a sentence in it; it is",
    ("a.jsonl", b'{"sentences": [], "label": "a"}\n'): ":1: expected a document with a sentence in it; it is empty",
}


@pytest.mark.parametrize(("name", "data"), MISTAKES)
def test_mistakes_name_file_and_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        list(LabelledFile((tmp_path / name,)))
    assert str(error.value).startswith(f"{tmp_path / name}{MISTAKES[name, data]}")
    assert "\n" not in str(error.value)


SEVERAL = {
    ("a.tsv", "a\tx\nb,,c\tx\n"): ":2: expected a label; it is empty",
    ("a.csv", 'text,label\nx,"a,"\n'): ":2: expected a label; it is empty",
    ("a.jsonl", '{"text": "x", "label": []}\n'): ":1: expected a label; got an empty list",
    (
        "a.jsonl",
        '{"text": "x", "label": ["a", null]}\n',
    ): ":1: expected a label named 'label'; got a list there (choose",
    ("a.jsonl", '{"text": "x", "label": ["a", ""]}\n'): ":1: expected a label; it is empty",
}


@pytest.mark.parametrize(("name", "text"), SEVERAL)
def test_mistakes_in_several_labels(tmp_path, name, text):
    with pytest.raises(DataError) as error:
        list(LabelledFile((write(tmp_path / name, text),), several=True))
    assert str(error.value).startswith(f"{tmp_path / name}{SEVERAL[name, text]}")


def test_files_that_are_not_there(tmp_path):
    whole = write(tmp_path / "a", "a\tx\n")
    with pytest.raises(DataError, match=r"no: expected a readable file; got No such file or directory$"):
        list(LabelledFile((whole, tmp_path / "no")))
    with pytest.raises(DataError, match=r"b: expected labelled texts; the file is empty$"):
        list(LabelledFile((whole, write(tmp_path / "b", ""))))
    with pytest.raises(DataError, match=r"^expected at least one file of texts; got none$"):
        LabelledFile(())


def test_a_file_is_read_a_line_at_a_time(tmp_path):
    file = LabelledFile((write(tmp_path / "a.tsv", "a\tb\n" * 30_000 + "broken\n"),))
    assert next(iter(file)) == Labelled(("a",), ("b",), f"{tmp_path}/a.tsv:1")
    with pytest.raises(DataError, match=":30001: expected label TAB text"):
        list(file)


def _filled(alphabet):
    return st.text(alphabet, min_size=1, max_size=7).filter(str.strip)


LINE = st.characters(exclude_characters="\0\t\n\r\ufeff", exclude_categories=["Cs"])
ANY = st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_filled(LINE), _filled(LINE)), min_size=1, max_size=5))
def test_what_is_written_as_tsv_is_read(rows):
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tsv.gz", "".join(f"{label}\t{text}\n" for label, text in rows))
        assert read(LabelledFile((path,))) == [Labelled((label.strip(),), (text,)) for label, text in rows]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_filled(ANY), _filled(ANY)), min_size=1, max_size=5))
def test_what_is_written_as_csv_and_json_is_read(rows):
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([("label", "text"), *rows])
    lines = "".join(json.dumps({"label": label, "text": text}, ensure_ascii=False) + "\n" for label, text in rows)
    with TemporaryDirectory() as folder:
        for name, text in (("a.csv", table.getvalue()), ("a.jsonl", lines)):
            file = LabelledFile((write(Path(folder) / name, text),))
            assert read(file) == [Labelled((label.strip(),), (text,)) for label, text in rows]


def test_sentences():
    assert sentences_of("") == sentences_of(" \n\n ") == ()
    assert sentences_of("no stop") == ("no stop",)
    assert sentences_of("a.b 3.14 c!d") == ("a.b 3.14 c!d",)
    assert sentences_of("a.  b?!\tc") == ("a.", "b?!", "c")
    assert sentences_of("one\ntwo\r\n\r\nthree.") == ("one", "two", "three.")
    assert sentences_of('He said "Go." (Then left.) So.') == ('He said "Go."', "(Then left.)", "So.")
    assert sentences_of("“好。”他说！真的？是") == ("“好。”", "他说！", "真的？", "是")


@given(st.text('ab .!?。？"”)\n', max_size=30))
def test_sentences_keep_every_character_but_spaces(text):
    found = sentences_of(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(one == one.strip() != "" and "\n" not in one for one in found)


def test_sentences_of_many_stops_take_linear_time():
    assert sentences_of("." * 200_000 + "a") == ("." * 200_000 + "a",)
