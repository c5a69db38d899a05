"""Word vectors out of text files, with a header and without; every mistake is named with file and line."""

import gzip
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.vectors import read_vectors
from saccade.errors import DataError

ROWS = {"the": [0.5, -1.25, 3e-3], "狗": [1.0, 2.0, 3.0], ". .": [7.0, 8.0, 9.0], "Paris": [4.0, 5.0, 6.0]}
GLOVE = "".join(" ".join([word, *map(str, row)]) + "\n" for word, row in ROWS.items())
FORMATS = {
    "glove.txt": GLOVE,
    "word2vec.txt": "4 3\n" + GLOVE.replace("\n", " \n"),
    "crlf.vec": "\ufeff4 3\r\n" + GLOVE.replace("\n", "\r\n") + "\r\n",
    "bom": "\ufeff" + GLOVE,
}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_format_gives_the_same_vectors(tmp_path, name, zipped):
    words = ["Paris", "no", ". .", "狗", "the"]
    values, found = read_vectors(write(tmp_path / f"{name}{zipped}", FORMATS[name]), words)
    assert (values.dtype, found.dtype) == (np.float32, np.bool_)
    assert found.tolist() == [True, False, True, True, True]
    expected = np.array([ROWS.get(word, [0, 0, 0]) for word in words], np.float32)
    np.testing.assert_array_equal(values, expected)


def test_lower_case_where_the_word_itself_is_not_there(tmp_path):
    path = write(tmp_path / "a", "dog 1 1\nDog 2 2\ncat 3 3\nPARIS 4 4\ndog 5 5\n")
    values, found = read_vectors(path, ["Dog", "DOG", "dog", "Cat", "cat", "paris", "Cat"])
    assert values[:, 0].tolist() == [2, 1, 1, 3, 3, 0, 3]
    assert found.tolist() == [True, True, True, True, True, False, True]


MISTAKES = {
    b"": ": expected word vectors; the file is empty",
    b"\n": ": expected word vectors; the file is empty",
    b"9 3\n": ": expected word vectors; the file is empty",
    b"the\n": ":1: expected a word and its numbers; got 0",
    b"the 1 2\na 1\n": ":2: expected a word and 2 numbers; got 1",
    b"the 1 2\na 1 2 3\n": ":2: expected a word and 2 numbers; got 3",
    b"the 1 2\n\nthe 1  2\n": ":3: expected a word and 2 numbers; got 3",
    b"2 3\nthe 1 2\n": ":2: expected a word and 3 numbers; got 2",
    b"the 1 2\na 1 x\n": ":2: expected a finite number; got 'x'",
    b"not a vector\n": ":1: expected a finite number; got 'a'",
    b"the 1 2\na 1 nan\n": ":2: expected a finite number; got 'nan'",
    b"the 1 2\na -inf 1\n": ":2: expected a finite number; got '-inf'",
    b"the 1 2\na 1 1e39\n": ":2: expected a finite number; got '1e39'",
    b"the 1 2\n\xff 1 2\n": ":2: expected UTF-8 text; got byte 0xff at column 1",
    b"b 1 2\nB 1 2\n": ": expected a vector of at least one of 2 words; none is in its 2 rows",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("data", MISTAKES)
def test_mistakes_name_file_and_line(tmp_path, data):
    path = write(tmp_path / "vectors.txt", data)
    with pytest.raises(DataError) as error:
        read_vectors(path, ["a", "the"] if b"the" in data else ["a", "A"])
    assert str(error.value) == f"{path}{MISTAKES[data]}"


def test_files_that_are_not_there_or_not_whole(tmp_path):
    with pytest.raises(DataError, match=r"no: expected a readable file; got No such file or directory$"):
        read_vectors(tmp_path / "no", ["a"])
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(GLOVE.encode())[:-9])
    with pytest.raises(DataError, match=r"a.gz: expected a whole gzip file; got Compressed file ended before"):
        read_vectors(path, ["the"])


def test_only_wanted_rows_are_kept(tmp_path):
    path = write(tmp_path / "a", "".join(f"w{i}" + f" {i}.5" * 29 + "\n" for i in range(5000)))
    tracemalloc.start()
    try:
        values, found = read_vectors(path, ["w4999", "w7"])
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()
    assert found.all()
    np.testing.assert_array_equal(values, np.repeat([[4999.5], [7.5]], 29, 1))
    assert read_vectors(write(path, "a 1 2\nb 3 no\n"), ["a"]).values.tolist() == [[1, 2]]


WORD = st.text(st.characters(exclude_characters="\0 \n\r\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=5)
NUMBER = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(WORD, st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=7), st.booleans())
def test_what_is_written_is_read(rows, header):
    text = f"{len(rows)} 3\n" * header + "".join(f"{word} {a!r} {b!r} {c!r}\n" for word, (a, b, c) in rows.items())
    with TemporaryDirectory() as folder:
        values, found = read_vectors(write(Path(folder) / "a", text), list(rows))
    assert found.all()
    np.testing.assert_array_equal(values, np.array(list(rows.values()), np.float32))
