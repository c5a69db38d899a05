"""Aligned texts in words, Pharaoh lines and links that people drew, whole and broken."""

import gzip
import json
import random
from pathlib import Path

import pytest

from saccade.data.aligned import parse_pharaoh, pharaoh, read_gold, read_pharaoh, word_pairs
from saccade.errors import DataError
from saccade.metrics import alignment_scores


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def gold(path: Path, **changes: object) -> Path:
    record = {"src": ["a", "b"], "tgt": ["x"], "sure": [[0, 0]], "possible": [[1, 0]], **changes}
    return written(path, json.dumps({name: value for name, value in record.items() if value is not ...}) + "\n")


def test_pharaoh_round_trip(tmp_path):
    rng = random.Random(1)
    sizes = [(rng.randint(1, 13), rng.randint(1, 11)) for _ in range(50)]
    links = [{(rng.randrange(s), rng.randrange(t)) for _ in range(rng.randint(0, 9))} for s, t in sizes]
    assert any(not some for some in links)
    file = written(tmp_path / "links", "".join(f"{pharaoh(some)}\n" for some in links))
    assert list(read_pharaoh(file, sizes)) == links
    written(tmp_path / "links.gz", gzip.compress(file.read_bytes()))
    assert list(read_pharaoh(tmp_path / "links.gz", sizes)) == links


def test_pharaoh_lines_are_in_order_and_may_be_read_in_any():
    assert pharaoh({(10, 0), (2, 1), (2, 0)}) == "2-0 2-1 10-0"
    assert pharaoh(set()) == ""
    assert parse_pharaoh("  2-1\t0-0 2-1 ", (3, 2), "here") == {(0, 0), (2, 1)}


LINES = {
    "0-0 1:1": "got '1:1'",
    "0-0 1": "got '1'",
    "-1-0": "got '-1-0'",
    "0--1": "got '0--1'",
    "0-0-0": "got '0-0-0'",
    "٠-٠": "got '٠-٠'",
    "0-" + "9" * 5000: "got '0-" + "9" * 38 + "'",
}


@pytest.mark.parametrize("line", LINES)
def test_what_is_no_link_is_named(tmp_path, line):
    file = written(tmp_path / "links", f"0-0\n{line}\n")
    with pytest.raises(DataError) as caught:
        list(read_pharaoh(file, [(2, 2)] * 2))
    expected = "expected links as 0-1, source and target word counted from 0"
    assert str(caught.value) == f"{file}:2: {expected}; {LINES[line]}"


def test_links_beyond_the_words_and_lines_beyond_the_pairs(tmp_path):
    file = written(tmp_path / "links", "0-0\n1-2\n")
    assert list(read_pharaoh(file, [(1, 1), (2, 3)])) == [{(0, 0)}, {(1, 2)}]
    for sizes in ([1, 1], [2, 2]), ([1, 1], [1, 3]):
        with pytest.raises(DataError) as caught:
            list(read_pharaoh(file, map(tuple, sizes)))
        s, t = sizes[1]
        expected = f"expected links between {s} source and {t} target words, counted from 0"
        assert str(caught.value) == f"{file}:2: {expected}; got 1-2"
    with pytest.raises(DataError, match=r"links: expected a line for each pair; it ends before line 3$"):
        list(read_pharaoh(file, [(5, 5)] * 3))
    with pytest.raises(DataError, match=r"links:2: expected a line for each of 1 pairs; got another$"):
        list(read_pharaoh(file, [(5, 5)]))


def test_word_pairs(tmp_path):
    source = written(tmp_path / "s.gz", gzip.compress(b"one  two\r\nthree\n"))
    target = written(tmp_path / "t", " eins\tzwei \ndrei")
    pairs = list(word_pairs(source, target))
    assert pairs == [(("one", "two"), ("eins", "zwei")), (("three",), ("drei",))]


def test_word_pairs_that_are_none(tmp_path):
    source, target = written(tmp_path / "s", "a\nb\n"), written(tmp_path / "t", "x\ny\nz\n")
    for one, other in ((source, target), (target, source)):
        with pytest.raises(DataError) as caught:
            list(word_pairs(one, other))
        assert str(caught.value) == f"{source}: expected as many lines as its partner; it ends before line 3"
    written(source, "a\n \nc\n")
    for one, other in ((source, target), (target, source)):
        with pytest.raises(DataError) as caught:
            list(word_pairs(one, other))
        assert str(caught.value) == f"{source}:2: expected a word at least; the line is empty"
    with pytest.raises(DataError, match="expected sentences, one a line; the file is empty"):
        list(word_pairs(written(source, ""), written(target, "")))


def test_gold(tmp_path):
    (found,) = read_gold(gold(tmp_path / "gold.jsonl"))
    assert found.words == (("a", "b"), ("x",))
    assert (found.sure, found.possible) == ({(0, 0)}, {(1, 0)})
    assert found.where == f"{tmp_path / 'gold.jsonl'}:1"


GOLD = {
    "src": (["", "b"], "expected a list of words named 'src'; got ['', 'b']"),
    "tgt": ("x y", "expected a list of words named 'tgt'; got 'x y'"),
    "sure": ([[0, 0], [2, 0]], "expected links between 2 source and 1 target words, counted from 0; got 2-0"),
    "possible": ([[0, -1]], "expected links between 2 source and 1 target words, counted from 0; got 0--1"),
}


@pytest.mark.parametrize("name", GOLD)
def test_broken_gold(tmp_path, name):
    value, expected = GOLD[name]
    with pytest.raises(DataError) as caught:
        list(read_gold(gold(tmp_path / "gold.jsonl", **{name: value})))
    assert str(caught.value) == f"{tmp_path / 'gold.jsonl'}:1: {expected}"
    with pytest.raises(DataError, match=rf"named '{name}'; got only (\w+, ){{2}}\w+$"):
        list(read_gold(gold(tmp_path / "gold.jsonl", **{name: ...})))


@pytest.mark.parametrize("links", [[[0]], [[0, True]], [[0, "0"]], [0, 0], {"0": 0}])
def test_gold_links_that_are_none(tmp_path, links):
    with pytest.raises(DataError, match=r"gold.jsonl:1: expected a list of \[source, target\] named 'sure'; got "):
        list(read_gold(gold(tmp_path / "gold.jsonl", sure=links)))


def test_gold_without_a_pair(tmp_path):
    with pytest.raises(DataError, match="expected pairs with their links; the file is empty"):
        list(read_gold(written(tmp_path / "gold.jsonl", "\n\n")))


def test_the_hansards(shared_data, tmp_path):
    path = shared_data / "wordalign_enfr_hansards" / "test.jsonl"
    if not path.is_file():
        pytest.skip(f"needs real data: {path} is not there")
    found = list(read_gold(path))
    sure, possible = [one.sure for one in found], [one.possible for one in found]
    assert (len(found), sum(map(len, sure)), sum(map(len, possible))) == (447, 4038, 13400)
    sizes = [(len(one.words.source), len(one.words.target)) for one in found]
    assert [sum(side) for side in zip(*sizes, strict=True)] == [7020, 7761]
    file = written(tmp_path / "sure", "".join(f"{pharaoh(links)}\n" for links in sure))
    assert list(read_pharaoh(file, sizes)) == sure
    # People agree with themselves; the diagonal is a poor guess.
    assert alignment_scores(sure, sure, possible).aer == 0
    diagonal = [{(t * s // n, t) for t in range(n)} for s, n in sizes]
    assert 0.5 < alignment_scores(diagonal, sure, possible).aer < 0.8
