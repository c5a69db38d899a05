"""Parquet files and data sets by name give the pairs that text files give, and every mistake is one line."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from saccade.data import tables
from saccade.data.pairs import Pair, PairFile
from saccade.data.tables import named, revision
from saccade.errors import DataError, MissingExtraError

pytest.importorskip("datasets", reason="needs datasets: pip install 'saccade[datasets]'")

import pyarrow as pa
import pyarrow.parquet as pq

PAIRS = [Pair("ein Hund", "a dog"), Pair("下午三点", "15:00"), Pair(" a  b ", 'say "x"\ny')]
SIDES = {"de": [pair.source for pair in PAIRS], "en": [pair.target for pair in PAIRS]}
NESTED = {"id": [1, 2, 3], "translation": [dict(zip(SIDES, pair, strict=True)) for pair in PAIRS]}


@pytest.fixture(autouse=True)
def _no_memory():
    revision.cache_clear()


def write(path: Path, columns: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("columns", [SIDES, {"more": [1.5] * 3, **SIDES}, NESTED])
@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "with [1]* ?.parquet"])
def test_parquet_gives_the_same_pairs_at_each_pass(tmp_path, columns, name):
    file = PairFile((write(tmp_path / name, columns),), ("de", "en"))
    assert list(file) == list(file) == PAIRS
    assert file.skipped == 0


def test_columns_of_other_kinds_of_text(tmp_path):
    kinds = {"de": pa.array(SIDES["de"], pa.large_string()), "en": pa.array(SIDES["en"]).dictionary_encode()}
    assert list(PairFile((write(tmp_path / "a.parquet", kinds),), ("de", "en"))) == PAIRS


def test_a_folder_is_a_data_set_with_splits_and_configurations(tmp_path):
    for split, count in (("train", 3), ("test", 2), ("validation", 1)):
        part = {name: column[:count] for name, column in NESTED.items()}
        write(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet", part)
    for rest, count in (("", 3), (":test", 2), (":validation", 1), (":default:test", 2)):
        assert list(PairFile((Path(f"hf:{tmp_path}/set{rest}"),), ("de", "en"))) == PAIRS[:count]
    with pytest.raises(
        DataError, match=r"^hf:.*:dev: expected a data set that can be read; got Bad split: dev\. Avail"
    ):
        list(PairFile((Path(f"hf:{tmp_path}/set:dev"),), ("de", "en")))
    with pytest.raises(DataError, match=r"got BuilderConfig 'x' not found"):
        list(PairFile((Path(f"hf:{tmp_path}/set:x:test"),), ("de", "en")))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"expected a data set that can be read; got The directory at .* doesn't cont"):
        list(PairFile((Path(f"hf:{tmp_path}/none"),), ("de", "en")))


def test_a_folder_of_other_files_and_of_several(tmp_path):
    (tmp_path / "train.csv").write_text("de,en\nein Hund,a dog\n", "utf-8")
    assert list(PairFile((Path(f"hf:{tmp_path}"),), ("de", "en"))) == PAIRS[:1]
    shards = tmp_path / "shards"
    for place in range(3):
        part = {name: column[place : place + 1] for name, column in SIDES.items()}
        write(shards / f"train-{place:05d}-of-00003.parquet", part)
    assert list(PairFile((Path(f"hf:{shards}"),), ("de", "en"))) == PAIRS


def test_rows_with_an_empty_side_are_skipped_and_counted(tmp_path):
    columns = {"source": ["a", None, "b", " ", "c"], "target": ["x", "y", "", "z", "w"]}
    file = PairFile((write(tmp_path / "a.parquet", columns),))
    assert list(file) == [Pair("a", "x"), Pair("c", "w")]
    assert file.skipped == 3
    with pytest.raises(DataError, match="expected pairs of source and target; the file is empty"):
        list(PairFile((write(tmp_path / "b.parquet", {"source": [""], "target": ["x"]}),)))
    none = pa.array([], pa.string())
    path = write(tmp_path / "c.parquet", {"source": none, "target": none})
    with pytest.raises(DataError, match="expected pairs of source and target; the file is empty"):
        list(PairFile((path,)))


MISTAKES = {
    "other columns": (SIDES, ": expected a column named 'source'; got de, en (choose with --columns)"),
    "nested": (NESTED, ": expected a column named 'source'; got id, translation.de, translation.en (choose with"),
    "numbers": ({"source": [1], "target": ["x"]}, ": expected texts in the column 'source'; got a int there"),
    "lists": ({"source": [["a"]], "target": ["x"]}, ": expected texts in the column 'source'; got a list there"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(tmp_path, name):
    columns, line = MISTAKES[name]
    path = write(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError) as error:
        list(PairFile((path,)))
    assert str(error.value).startswith(f"{path}{line}")
    assert "\n" not in str(error.value)


def test_broken_files(tmp_path):
    path = write(tmp_path / "a.parquet", {"source": ["a"] * 5000, "target": [f"{n}" for n in range(5000)]})
    whole = path.read_bytes()
    for data in (b"", b"no Parquet", whole[: len(whole) // 2], whole[: len(whole) // 2] + whole[-200:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=f"^{path}: expected a table that can be read; got ") as error:
            list(PairFile((path,)))
        assert "\n" not in str(error.value)
    latin = pa.array([b"f\xfcr"], pa.binary()).view(pa.string())
    with pytest.raises(DataError, match="expected UTF-8 text; got byte 0xfc after row 0"):
        list(PairFile((write(tmp_path / "l.parquet", {"source": latin, "target": ["x"]}),)))
    with pytest.raises(DataError, match=r"no\.parquet: expected a readable file; got No such file or directory"):
        list(PairFile((tmp_path / "no.parquet",)))
    with pytest.raises(DataError, match="expected a text file of a sentence a line; a table holds both sides"):
        list(PairFile((path, tmp_path / "a.en")))


@pytest.mark.parametrize("text", ["hf:", "hf:a:", "hf::train", "hf:a:b:c:d"])
def test_names_that_are_none(text):
    with pytest.raises(DataError, match="expected hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT; got something else"):
        named(Path(text))


def test_without_a_network_it_says_so_at_once(monkeypatch):
    constants = pytest.importorskip("huggingface_hub").constants
    pair = PairFile((Path("hf:wmt/wmt14:de-en:test"),), ("de", "en"))
    expected = "^hf:wmt/wmt14: expected a folder or a data set of the Hugging Face hub; got no such folder, and "
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(DataError, match=expected + r"no answer of the hub \(.*refused"):
            list(pair)
        server.listen()  # and never answers
        monkeypatch.setattr(tables, "_PATIENCE", 0.2)
        with pytest.raises(DataError, match=expected + r"no answer of the hub \(.*timed out"):
            list(pair)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=expected + r"the hub is switched off \(HF_HUB_OFFLINE\)"):
        list(pair)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", SIDES)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(
        MissingExtraError, match=r"^this needs datasets, which is not installed: pip install 'saccade\[d"
    ):
        list(PairFile((path,)))


def test_translations_within_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"translation": {"de": "ein Hund", "en": "a dog"}}\n', "utf-8")
    assert list(PairFile((path,), ("de", "en"))) == PAIRS[:1]
    with pytest.raises(DataError, match=r":1: expected a text named 'source'; got only de, en, translation"):
        list(PairFile((path,)))


COMMIT = "a" * 40
CARD = b"---\nconfigs:\n- config_name: de-en\n  data_files:\n  - split: test\n    path: de-en/test-*\n---\n"


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[str]:
    """The address of a server that answers as the Hugging Face hub does, of one data set, `wmt/wmt14`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, found = self.path.partition("?")[0], None
            within = path.removeprefix(f"/datasets/wmt/wmt14/resolve/{COMMIT}/")
            tree = path.removeprefix(f"/api/datasets/wmt/wmt14/tree/{COMMIT}").strip("/")
            if path in ("/api/datasets/wmt/wmt14", f"/api/datasets/wmt/wmt14/revision/{COMMIT}"):
                found = json.dumps({"id": "wmt/wmt14", "sha": COMMIT, "private": False, "gated": False, "tags": []})
            elif path.startswith("/api/datasets/wmt/wmt14/tree/"):
                inside = [name for name in files if name.rpartition("/")[0] == tree]
                entries = [{"type": "file", "path": n, "size": len(files[n]), "oid": "b" * 40} for n in inside]
                found = json.dumps(entries + [{"type": "directory", "path": "de-en", "oid": "c" * 40}] * (not tree))
            elif within in files:
                return self.reply(files[within])
            return self.reply(b"{}", 404) if found is None else self.reply(found.encode())

        do_HEAD = do_GET  # noqa: N815

        def reply(self, data: bytes, status: int = 200) -> None:
            whole, asked = len(data), self.headers.get("Range")
            if asked and status == 200:
                first, last = asked.removeprefix("bytes=").split("-")
                begin, end = int(first), min(int(last or whole), whole - 1)
                data, status = data[begin : end + 1], 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{end}/{whole}")
            where = "EntryNotFound" if "/resolve/" in self.path else "RepoNotFound"
            headers = {"X-Error-Code": where} if status == 404 else {"ETag": '"x"', "X-Repo-Commit": COMMIT}
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


FROM_THE_HUB = """
from pathlib import Path
from saccade.data.pairs import PairFile
for name in ("wmt/wmt14:de-en:test", "wmt/wmt14:de-en:train", "no/no"):
    try:
        file = PairFile((Path("hf:" + name),), ("de", "en"))
        assert list(file) == list(file)
        print(*file, sep="\\n")
    except ValueError as error:
        print(error)
"""


def test_a_data_set_is_streamed_from_the_hub(tmp_path):
    part = write(tmp_path / "a.parquet", NESTED).read_bytes()
    with hub({"README.md": CARD, "de-en/test-00000-of-00001.parquet": part}) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", FROM_THE_HUB]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    *pairs, split, name = done.stdout.splitlines()
    assert pairs == [repr(pair) for pair in PAIRS]
    expected = (
        "hf:wmt/wmt14:de-en:train: expected a data set that can be read; got Bad split: train. Available splits: "
    )
    assert split == f"{expected}['test']"
    expected = "hf:no/no: expected a folder or a data set of the Hugging Face hub; got neither, or a set that needs "
    assert name == f"{expected}`hf auth login`"
    assert done.stderr == ""
    assert not list((tmp_path / "home").rglob("*.parquet"))
