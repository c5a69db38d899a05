"""Pairs out of files: every format gives the same pairs, and every mistake is named with file and line."""

import gzip
import json
from pathlib import Path

import pytest

from saccade.data.pairs import Pair, PairFile, to_tsv
from saccade.errors import DataError

PAIRS = [Pair("ein Hund", "a dog"), Pair("下午三点", "15:00"), Pair(" a  b ", 'say "x", y')]
CSV = 'id,target,source\n1,a dog,ein Hund\n2,15:00,下午三点\n3,"say ""x"", y", a  b \n'
FORMATS = {
    "pairs.tsv": to_tsv(PAIRS),
    "pairs.txt": to_tsv(PAIRS).replace("\n", "\r\n"),
    "bom.tsv": "\ufeff" + to_tsv(PAIRS),
    "pairs.csv": CSV,
    "crlf.CSV": "\ufeff" + CSV.replace("\n", "\r\n"),
    "pairs.jsonl": "".join(json.dumps({**pair._asdict(), "more": 1}) + "\n" for pair in PAIRS),
}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_format_gives_the_same_pairs(tmp_path, name, zipped):
    file = PairFile((write(tmp_path / f"{name}{zipped}", FORMATS[name]),))
    assert list(file) == list(file) == PAIRS
    assert file.skipped == 0


@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_aligned_files(tmp_path, zipped):
    source = write(tmp_path / f"a.de{zipped}", "eins\n\nzwei\ndrei\n\n")
    target = write(tmp_path / f"a.en{zipped}", "one\n\ntwo\n\nfour")
    file = PairFile((source, target))
    assert list(file) == [Pair("eins", "one"), Pair("zwei", "two")]
    assert file.skipped == 3


def test_other_columns_and_line_breaks_in_cells(tmp_path):
    path = write(tmp_path / "a.csv", 'de,en\n"ein\nHund","a\ndog"\n\n,\nx,y\n')
    file = PairFile((path,), ("de", "en"))
    assert list(file) == [Pair("ein\nHund", "a\ndog"), Pair("x", "y")]
    assert file.skipped == 2


def test_empty_lines_are_skipped_and_counted(tmp_path):
    file = PairFile((write(tmp_path / "a.tsv", "\n a\tb\n\n  \nc\td\n"),))
    assert len(list(file)) == 2
    assert file.skipped == 3
    list(file)
    assert file.skipped == 3


MISTAKES = {
    ("a.tsv", b""): ": expected pairs of source and target; the file is empty",
    ("a.tsv", b"\n\n"): ": expected pairs of source and target; the file is empty",
    ("a.csv", b""): ": expected pairs of source and target; the file is empty",
    ("a.csv", b"source,target\n"): ": expected pairs of source and target; the file is empty",
    ("a.tsv", b"a\tb\nab\n"): ":2: expected source TAB target; got no TAB",
    ("a.tsv", b"a\tb\tc\n"): ":1: expected source TAB target; got 3 columns",
    ("a.tsv", b"a\t\n"): ":1: expected a target text; it is empty",
    ("a.tsv", b"a\tb\nc\xe9\td\n"): ":2: expected UTF-8 text; got byte 0xe9 at column 2",
    ("a.tsv.gz", b"a\tb\n"): ": expected a whole gzip file; got Not a gzipped file (b'a\\t')",
    (
        "a.tsv.gz",
        gzip.compress(b"a\tb\n" * 99, mtime=0)[:-9],
    ): ": expected a whole gzip file; got Compressed file ended before",
    ("a.csv", b"a,b\n1,2\n"): ":1: expected a column named 'source'; got a, b (choose with --columns)",
    ("a.csv", b"source,target\n1,2\n3\n"): ":3: expected 2 columns, as in the header; got 1",
    ("a.csv", b'source,target\n1,"2"x\n'): ":2: expected CSV; got ",
    ("a.jsonl", b'{"source": "a", "target": "b"}\n{"source"\n'): ":2: expected a JSON object; got ",
    ("a.jsonl", b"[1]\n"): ":1: expected a JSON object; got list",
    ("a.jsonl", b'{"source": 1, "target": "b"}\n'): ":1: expected a text named 'source'; got a int there",
    ("a.jsonl", b'{"de": "a", "en": "b"}\n'): ":1: expected a text named 'source'; got only de, en (choose with",
}


@pytest.mark.parametrize(("name", "data"), MISTAKES)
def test_mistakes_name_file_and_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        list(PairFile((tmp_path / name,)))
    assert str(error.value).startswith(f"{tmp_path / name}{MISTAKES[name, data]}")
    assert "\n" not in str(error.value)


def test_files_that_are_not_there(tmp_path):
    for path, reason in ((tmp_path / "no.tsv", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=f"{path}: expected a readable file; got {reason}"):
            list(PairFile((path,)))
    paths = (write(tmp_path / "a", "x\ny\n"), write(tmp_path / "b", "x\n"))
    with pytest.raises(DataError, match=r"b: expected as many lines as its partner; it ends before line 2"):
        list(PairFile(paths))
    with pytest.raises(DataError, match=r"b: expected as many lines as its partner; it ends before line 2"):
        list(PairFile(paths[::-1]))
    with pytest.raises(DataError, match="expected one file of pairs or two aligned text files; got 0 files"):
        PairFile(())


def test_a_file_is_read_a_line_at_a_time(tmp_path):
    file = PairFile((write(tmp_path / "a.tsv", "a\tb\n" * 100_000 + "broken\n"),))
    assert next(iter(file)) == Pair("a", "b")
    with pytest.raises(DataError, match=":100001: expected source TAB target"):
        list(file)


@pytest.mark.parametrize(("encoding", "got"), [("latin-1", "0xfc at column 2"), ("utf-16", "0xff at column 1")])
def test_a_partner_in_another_encoding_is_named_with_its_line(tmp_path, encoding, got):
    source, target = write(tmp_path / "a.en", "for\nover\n"), tmp_path / "a.de.gz"
    write(target, "für\nüber\n".encode(encoding))
    with pytest.raises(DataError, match=rf"^{target}:1: expected UTF-8 text; got byte {got}$"):
        list(PairFile((source, target)))
