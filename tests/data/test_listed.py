"""Lists of files and their texts: every format gives the same examples; files that are not there are said at once."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from saccade.data.listed import Listed, ListFile
from saccade.errors import DataError

COLUMNS = ("file", "text")
ROWS = [("a.png", "ein Hund"), ("in/b c.jpg", "下午三点 "), ("a.png", ' say "x", y')]
TSV = "".join(f"{name}\t{text}\n" for name, text in ROWS)
TABLE = "id\ttext\tyear\tfile\n" + "".join(f"1\t{text}\t\t{name}\n" for name, text in ROWS)
CSV = 'id,text,file\n1,ein Hund,a.png\n2,下午三点 ,in/b c.jpg\n3," say ""x"", y",a.png\n'
FORMATS = {
    "l.tsv": TSV,
    "l": TSV.replace("\n", "\r\n"),
    "bom.txt": "\ufeff" + TSV.replace("a.png", " a.png "),
    "named.tsv": "file\ttext\n" + TSV,
    "table.tsv": TABLE,
    "table": "\ufeff" + TABLE.replace("\n", "\r\n"),
    "l.csv": CSV,
    "crlf.CSV": "\ufeff" + CSV.replace("\n", "\r\n"),
    "l.jsonl": "".join(json.dumps({"text": text, "file": name, "more": 1}) + "\n" for name, text in ROWS),
    "l.json": "".join(json.dumps({"text": [" ", text, ""], "file": name}) + "\n" for name, text in ROWS),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    for name, _ in ROWS:
        (tmp_path / name).touch()
    return tmp_path


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(file: ListFile) -> list[tuple[Path, tuple[str, ...]]]:
    """What is in a list, without where it stands."""
    return [one[:2] for one in file]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_format_gives_the_same_examples(folder, name, zipped):
    file = ListFile((write(folder / f"{name}{zipped}", FORMATS[name]),), COLUMNS)
    assert read(file) == read(file) == [(folder / name, (text,)) for name, text in ROWS]
    assert (file.skipped, file.missing, str(file)) == (0, 0, str(folder / f"{name}{zipped}"))
    file = ListFile(file.paths, COLUMNS, unlabelled=True)
    assert read(file) == [(folder / name, ()) for name, _ in ROWS]


def test_where_an_example_stands(folder):
    texts = {
        "l.tsv": "\na.png\tb\n \na.png\td\n",
        "t.tsv": "text\tfile\n\nb\ta.png\nd\ta.png\n",
        "l.csv": 'text,file\n"b\n\nb",a.png\nd,a.png\n',
        "l.jsonl": '\n{"file": "a.png", "text": "b"}\n',
    }
    file = ListFile(tuple(write(folder / name, text) for name, text in texts.items()), COLUMNS)
    lines = [("l.tsv", 2), ("l.tsv", 4), ("t.tsv", 3), ("t.tsv", 4), ("l.csv", 2), ("l.csv", 5), ("l.jsonl", 2)]
    for _ in range(2):
        assert [one.where for one in file] == [f"{folder / name}:{line}" for name, line in lines]
        assert file.skipped == 4
    assert str(file) == " + ".join(map(str, file.paths))


def test_files_are_beside_their_list_or_in_the_folder(folder):
    inner = write(folder / "in" / "l.tsv", "b c.jpg\tb\n")
    outer = write(folder / "l.tsv", "a.png\ta\n")
    assert [one.path for one in ListFile((inner, outer), COLUMNS)] == [folder / "in" / "b c.jpg", folder / "a.png"]
    both = ListFile((inner,), COLUMNS, folder / "in")
    assert [one.path for one in both] == [folder / "in" / "b c.jpg"]
    absolute = write(folder / "in" / "m.tsv", f"{folder / 'a.png'}\ta\n")
    assert [one.path for one in ListFile((absolute,), COLUMNS)] == [folder / "a.png"]
    with pytest.raises(DataError, match=rf"l.tsv: expected the files it names in {folder}/in; got 1 of 1 .*: a.png \("):
        list(ListFile((outer,), COLUMNS, folder / "in"))
    with pytest.raises(DataError, match="nowhere: expected a folder; there is none"):
        list(ListFile((outer,), COLUMNS, folder / "nowhere"))


def test_several_texts_of_a_file(folder):
    records = [{"image": "a.png", "says": ["one", " ", "two"]}, {"image": "a.png", "says": "x"}]
    path = write(folder / "l.jsonl", "\n".join(map(json.dumps, records)))
    assert [one.texts for one in ListFile((path,), ("image", "says"))] == [("one", "two"), ("x",)]


@pytest.mark.parametrize("header", ["picture\tsays\tyear", "says\tpicture"])
def test_other_columns(folder, header):
    cells = {"picture": "a.png", "says": "picture", "year": "says"}
    path = write(folder / "l.tsv", f"{header}\n" + "\t".join(cells[name] for name in header.split("\t")) + "\n")
    assert read(ListFile((path,), ("picture", "says"))) == [(folder / "a.png", ("picture",))]


def test_a_text_that_reads_like_a_column_makes_no_header(folder):
    path = write(folder / "l.tsv", "a.png\tfile\na.png\ttext\n")
    assert [one.texts for one in ListFile((path,), COLUMNS)] == [("file",), ("text",)]


def test_files_alone(folder):
    texts = {
        "a.tsv": "a.png\n\na.png\tsome text\n",
        "b.tsv": "file\na.png\na.png\n",
        "c.tsv": "year\tfile\tauthor\n1\ta.png\tx\n2\ta.png\ty\n",
        "a.csv": "file\na.png\na.png\n",
        "a.jsonl": '{"file": "a.png"}\n{"file": "a.png", "text": 3}\n',
    }
    for name, text in texts.items():
        file = ListFile((write(folder / name, text),), COLUMNS, unlabelled=True)
        assert read(file) == [(folder / "a.png", ())] * 2


def missing_list(folder: Path) -> Path:
    lines = [f"{'a' if number % 2 else f'gone{number}'}.png\tx\n" for number in range(1, 21)]
    return write(folder / "l.tsv", "".join(lines) + "gone4.png\tx\n" + "n" * 300 + "\tx\nin\tx\nout\tx\n")


def test_files_that_are_not_there_are_said_in_one_message(folder):
    path = missing_list(folder)
    some = ", ".join(f"gone{number}.png ({path}:{number})" for number in (2, 4, 6, 8, 10))
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            next(iter(ListFile((path,), COLUMNS)))
        assert str(caught.value) == f"{path}: expected the files it names; got 14 of 24 that are not there: {some}, ..."
    once = write(folder / "m.tsv", "a.png\tx\nb.png\ty\nb.png\tz\n")
    with pytest.raises(DataError) as caught:
        list(ListFile((once,), COLUMNS))
    said = f"{once}: expected the files it names; got 2 of 3 that are not there: b.png ({once}:2)"
    assert str(caught.value) == f"{said}, ..."


def test_files_that_are_not_there_are_left_out_where_bad_ones_may_be(folder):
    file = ListFile((missing_list(folder), write(folder / "m.tsv", "a.png\ty\n\n")), COLUMNS, skip_bad=True)
    for _ in range(2):
        assert [one.path for one in file] == [folder / "a.png"] * 11
        assert (file.missing, file.skipped) == (14, 1)
    (folder / "gone2.png").touch()
    assert len(list(file)) == 11, "what is read does not change between passes"
    with pytest.raises(DataError, match=r"got 1 of 1 that are not there: z.png \("):
        list(ListFile((write(folder / "n.tsv", "z.png\ty\n"),), COLUMNS, skip_bad=True))


NAMED = "a first line that names the columns 'file' and 'text' (choose with --columns)"
MISTAKES = {
    "no TAB": ("l.tsv", "a.png\tx\na.png x\n", f"l.tsv:2: expected file TAB text, or {NAMED}; got no TAB"),
    "more TABs": ("l.tsv", "a.png\tx\ty\n", f"l.tsv:1: expected file TAB text, or {NAMED}; got 3 columns"),
    "header": (
        "l.tsv",
        "file\tcaption\na.png\tx\n",
        "l.tsv:1: expected a column named 'text'; got file, caption (choose with --columns)",
    ),
    "long header": (
        "l.tsv",
        "id\tfile\tcaption\n1\ta.png\tx\n",
        "l.tsv:1: expected a column named 'text'; got id, file, caption (choose with --columns)",
    ),
    "CSV header": ("l.csv", "a,b\n", "l.csv:1: expected a column named 'file'; got a, b (choose with --columns)"),
    "short row": ("l.tsv", "id\tfile\ttext\n1\ta.png\n", "l.tsv:2: expected 3 columns, as in the header; got 2"),
    "short CSV row": ("l.csv", "id,file,text\n1,a.png\n", "l.csv:2: expected 3 columns, as in the header; got 2"),
    "no name": ("l.tsv", "a.png\tx\n \tx\n", "l.tsv:2: expected the name of a file; it is empty"),
    "no text": ("l.tsv", "a.png\tx\na.png\t \n", "l.tsv:2: expected a text; it is empty"),
    "no texts": ("l.jsonl", '{"file": "a.png", "text": ["", " "]}', "l.jsonl:1: expected a text; it is empty"),
    "numbers": (
        "l.jsonl",
        '{"file": "a.png", "text": [3]}',
        "l.jsonl:1: expected a text or a list of texts named 'text'; got a list there (choose with --columns)",
    ),
    "no file": (
        "l.jsonl",
        '{"image": "a.png", "text": "x"}',
        "l.jsonl:1: expected a text named 'file'; got only image, text (choose with --columns)",
    ),
    "JSON": ("l.jsonl", "a.png\tx\n", "l.jsonl:1: expected a JSON object; got Expecting value at 1"),
    "bytes": ("l.tsv", b"a.png\tx\na.png\t\xff\n", "l.tsv:2: expected UTF-8 text; got byte 0xff at column 7"),
    "empty": ("l.tsv", "", "l.tsv: expected files and their texts; the list is empty"),
    "empty lines": ("l.csv", "file,text\n\n,\n", "l.csv: expected files and their texts; the list is empty"),
    "header alone": ("l.tsv", "file\ttext\n", "l.tsv: expected files and their texts; the list is empty"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line_that_says_where(folder, mistake):
    name, text, said = MISTAKES[mistake]
    for skip_bad in (False, True):
        with pytest.raises(DataError) as caught:
            next(iter(ListFile((write(folder / name, text),), COLUMNS, skip_bad=skip_bad)))
        assert str(caught.value) == f"{folder}/{said}"


def test_no_list():
    with pytest.raises(DataError, match="expected at least one list of files; got none"):
        ListFile((), COLUMNS)
    with pytest.raises(DataError, match=r"gone\.tsv: expected a readable file; got No such file"):
        list(ListFile((Path("gone.tsv"),), COLUMNS))


def test_photographs_with_five_captions(shared_data, tmp_path):
    with zipfile.ZipFile(shared_data / "coco_mini" / "images.zip") as archive:
        archive.extractall(tmp_path)
    file = ListFile((shared_data / "coco_mini" / "captions.jsonl",), ("file", "captions"), tmp_path)
    found = list(file)
    assert (len(found), sum(len(one.texts) for one in found)) == (51, 255)
    assert all(isinstance(one, Listed) and one.path.stat().st_size for one in found)
