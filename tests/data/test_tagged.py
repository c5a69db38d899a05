"""Tagged words out of files: every format gives the same sentences, and every mistake is named with file and line."""

import gzip
import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.tagged import Tagged, TaggedFile, is_span_scheme, words_of
from saccade.errors import DataError, OptionError

SENTENCES = [Tagged(("Ein", "#", "rennt"), ("DET", "SYM", "VERB")), Tagged(("下午",), ("NOUN",))]
TABS = "Ein\tDET\n#\tSYM\nrennt\tVERB\n\n下午\tNOUN\n"
CONLLU = """# newdoc
# text = Ein # rennt
1\tEin\tein\tDET\tART\t_\t3\tdet\t_\t_
2-3\t#rennt\t_\t_\t_\t_\t_\t_\t_\t_
2\t#\t_\tSYM\tSYM\t_\t3\tdep\t_\t_
3\trennt\trennen\tVERB\tVVFIN\t_\t0\troot\t_\t_
3.1\tx\tx\tX\tX\t_\t_\t_\t_\t_

# text = 下午
1\t下午\t下午\tNOUN\tNN\t_\t0\troot\t_\t_
"""
NODE = "\t_" * 8
FORMATS = {
    "a.tsv": TABS,
    "crlf.conll": "-DOCSTART-\tO\r\n\r\n" + TABS.replace("\n", "\r\n"),
    "bom": "\ufeff" + TABS.replace("\n\n", "\n\n\t\n \n") + "\n\n",
    "spaces.txt": TABS.replace("\t", "  "),
    "comments": "# id 1 of 2\n" + TABS.replace("\n\n", "\n\n# a comment\n-DOCSTART- -X- -X- O\n\n"),
    "four.conll": TABS.replace("\t", " x y "),
    "a.conllu": CONLLU,
    "crlf.CONLLU": "\ufeff" + CONLLU.replace("\n", "\r\n"),
    "a.jsonl": "\n".join(json.dumps({**one._asdict(), "more": 1}) + "\n" for one in SENTENCES),
}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(file: TaggedFile) -> list[Tagged]:
    """What is in a file, without where it stands."""
    return [one._replace(where="") for one in file]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_every_format_gives_the_same_sentences(tmp_path, name, zipped):
    path = write(tmp_path / f"{name}{zipped}", FORMATS[name])
    file = TaggedFile((path,))
    assert read(file) == read(file) == SENTENCES
    assert str(file) == str(path)
    words = [Tagged(one.words, ()) for one in SENTENCES]
    assert read(TaggedFile((path,), unlabelled=True)) == words


def test_several_files_are_read_in_turn(tmp_path):
    file = TaggedFile(tuple(write(tmp_path / name, text) for name, text in FORMATS.items()))
    assert read(file) == SENTENCES * len(FORMATS)
    assert str(file) == " + ".join(map(str, file.paths))


def test_where_a_sentence_stands(tmp_path):
    """Its first word."""
    names = ("a.tsv", "comments", "a.conllu", "a.jsonl")
    file = TaggedFile(tuple(write(tmp_path / name, FORMATS[name]) for name in names))
    lines = zip(("a.tsv", "a.tsv", "comments", "comments", "a.conllu", "a.conllu"), (1, 5, 2, 9, 3, 10), strict=True)
    expected = [*lines, ("a.jsonl", 1), ("a.jsonl", 3)]
    assert [sentence.where for sentence in file] == [f"{tmp_path / name}:{line}" for name, line in expected]


def test_other_columns(tmp_path):
    path = write(tmp_path / "a.conllu", CONLLU)
    rows = {
        ("form", "xpos"): [("Ein", "#", "rennt"), ("ART", "SYM", "VVFIN")],
        ("lemma", "deprel"): [("ein", "_", "rennen"), ("det", "dep", "root")],
        ("upos", "form"): [("DET", "SYM", "VERB"), ("Ein", "#", "rennt")],
    }
    for columns, expected in rows.items():
        assert next(iter(TaggedFile((path,), columns)))[:2] == tuple(expected)
    path = write(tmp_path / "a.conll", "1 Ein DET ART\n2 Hund NOUN NN\n")
    assert read(TaggedFile((path,), ("2", "3"))) == [Tagged(("Ein", "Hund"), ("DET", "NOUN"))]
    assert read(TaggedFile((path,), ("4", "2"))) == [Tagged(("ART", "NN"), ("Ein", "Hund"))]
    path = write(tmp_path / "a.jsonl", '{"tokens": ["a"], "pos": ["X"]}\n')
    assert read(TaggedFile((path,), ("tokens", "pos"))) == [Tagged(("a",), ("X",))]


def test_words_without_tags(tmp_path):
    texts = {
        "a.txt": "# one line of comment\nEin\n#\n\nHund\n",
        "a.jsonl": '{"words": ["Ein", "#"]}\n{"words": ["Hund"], "tags": [1]}\n',
        "a.conllu": f"1\tEin{NODE}\n2\t#{NODE}\n\n1\tHund{NODE}\n",
    }
    for name, text in texts.items():
        file = TaggedFile((write(tmp_path / name, text),), unlabelled=True)
        assert read(file) == [Tagged(("Ein", "#"), ()), Tagged(("Hund",), ())]


def test_what_begins_with_a_hash(tmp_path):
    """As many columns as the words have: a word; else a comment, if a space follows."""
    tabs = "# text = a # b\n# two\n#\tSYM\n#tag\tX\n# x\tY\n# text\n#\tSYM\n"
    assert read(TaggedFile((write(tmp_path / "tabs", tabs),))) == [
        Tagged(("#", "#tag", "# x", "#"), ("SYM", "X", "Y", "SYM"))
    ]
    spaces = "# O\n# id of three\na O\n# O\n# id\n#tag O\n"
    file = TaggedFile((write(tmp_path / "spaces", spaces.replace("# id\n", "")),))
    assert read(file) == [Tagged(("#", "a", "#", "#tag"), ("O",) * 4)]
    file = TaggedFile((write(tmp_path / "spaces", spaces),))
    assert read(file) == [Tagged(("#", "a", "#", "#", "#tag"), ("O", "O", "O", "id", "O"))]
    with pytest.raises(DataError, match=r"tag:2: expected 2 columns, as before; got 1$"):
        list(TaggedFile((write(tmp_path / "tag", "a\tO\n#tag\n"),)))


def test_spaces_that_do_not_break_are_words(tmp_path):
    words = ("\u00a0", "10\u00a0000", "\u3000")
    for gap in ("\t", " "):
        path = write(tmp_path / "a", "".join(f"{word}{gap}X\n" for word in words))
        assert read(TaggedFile((path,))) == [Tagged(words, ("X",) * 3)]
    path = write(tmp_path / "b", "New York \t B-location \n")
    assert read(TaggedFile((path,))) == [Tagged(("New York",), ("B-location",))]


MISTAKES = {
    ("a", b""): ": expected tagged words; the file is empty",
    ("a", b"\n\t\n# no word\n-DOCSTART- O\n"): ": expected tagged words; the file is empty",
    ("a.conllu", b"# no word\n\n"): ": expected tagged words; the file is empty",
    ("a.jsonl", b"\n"): ": expected tagged words; the file is empty",
    ("a", b"a\tO\n\nb\tx\tO\n"): ":3: expected 2 columns, as before; got 3",
    ("a", b"a x O\nb O\n"): ":2: expected 3 columns, as before; got 2",
    ("a", b"a\tO\nb O\n"): ":2: expected 2 columns, as before; got 1",
    ("a", b"\na\n"): ":2: expected a word and its tag; got 1 column",
    ("a", b"a\tO\nb\t\n"): ":2: expected a tag; it is empty",
    ("a", b"a\tO\n \tO\n"): ":2: expected a word; it is empty",
    ("a", b"a\tO\n\xff\tO\n"): ":2: expected UTF-8 text; got byte 0xff at column 1",
    ("a.gz", b"a\tO\n"): ": expected a whole gzip file; got Not a gzipped file (b'a\\t')",
    (
        "a.conllu.gz",
        gzip.compress(CONLLU.encode() * 9, mtime=0)[:-9],
    ): ": expected a whole gzip file; got Compressed file ended",
    ("a.conllu", b"1\ta\ta\tX\n"): ":1: expected the 10 columns of CoNLL-U; got 4",
    ("a.conllu", b"1 a a X X _ 0 root _ _\n"): ":1: expected the 10 columns of CoNLL-U; got 1",
    ("a.conllu", f"1\ta{NODE}\n".replace("_", "X").encode() + f"x\ta{NODE}\n".encode()): ":2: expected a number in the "
    "first column; got 'x'",
    ("a.conllu", f"1\ta{NODE}\n".encode()): ":1: expected a tag; it is empty",
    ("a.conllu", f"1\t{NODE}\n".replace("_", "X").encode()): ":1: expected a word; it is empty",
    (
        "a.jsonl",
        b'{"words": ["a", "b"], "tags": ["O"]}\n',
    ): ":1: expected as many tags as words; got 1 tags for 2 words",
    ("a.jsonl", b'{"words": [], "tags": []}\n'): ":1: expected a sentence with a word in it; it is empty",
    ("a.jsonl", b'{"words": ["a", " "], "tags": ["O", "O"]}\n'): ":1: expected texts in 'words'; one of them is empty",
    ("a.jsonl", b'{"words": ["a"], "tags": [1]}\n'): ":1: expected a list of texts named 'tags'; got a list there",
    (
        "a.jsonl",
        b'{"words": "a", "tags": "O"}\n',
    ): ":1: expected a list of texts named 'words'; got a str there (choose",
    ("a.jsonl", b'{"words": ["a"]}\n'): ":1: expected a list of texts named 'tags'; got only words (choose with --col",
    ("a.jsonl", b"a\tO\n"): ":1: expected a JSON object; got Expecting value at 1",
}


@pytest.mark.parametrize(("name", "data"), MISTAKES)
def test_mistakes_name_file_and_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        list(TaggedFile((tmp_path / name,)))
    assert str(error.value).startswith(f"{tmp_path / name}{MISTAKES[name, data]}")
    assert "\n" not in str(error.value)


def test_columns_that_are_not_there(tmp_path):
    path = write(tmp_path / "a", "a X O\n")
    for columns, what in ((("4", "1"), "word"), (("1", "4"), "tag")):
        with pytest.raises(DataError, match=rf"a:1: expected a {what} in column 4; got 3 columns \(choose with --col"):
            list(TaggedFile((path,), columns))
    for bad in ("0", "-1", "word", ""):
        with pytest.raises(OptionError, match=f"^--columns: expected the numbers of two columns, from 1; got '{bad}'$"):
            TaggedFile((path,), ("1", bad))
    for bad in ("feats", "2", "FORM"):
        with pytest.raises(OptionError, match=f"^--columns: expected two of form, lemma, .* for CoNLL-U; got '{bad}'$"):
            TaggedFile((path.with_suffix(".conllu.gz"),), (bad, "upos"))


def test_files_that_are_not_there(tmp_path):
    whole = write(tmp_path / "a", TABS)
    with pytest.raises(DataError, match=r"no: expected a readable file; got No such file or directory$"):
        list(TaggedFile((whole, tmp_path / "no")))
    with pytest.raises(DataError, match=r"b: expected tagged words; the file is empty$"):
        list(TaggedFile((whole, write(tmp_path / "b", ""))))
    with pytest.raises(DataError, match=r"b: expected words; the file is empty$"):
        list(TaggedFile((whole, tmp_path / "b"), unlabelled=True))
    with pytest.raises(DataError, match=r"^expected at least one file of words; got none$"):
        TaggedFile(())


def test_a_file_is_read_a_line_at_a_time(tmp_path):
    file = TaggedFile((write(tmp_path / "a", "a\tO\n\n" * 20_000 + "broken\n"),))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=":40001: expected 2 columns"):
            assert all(sentence[:2] == (("a",), ("O",)) for sentence in file)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


CELL = st.text(st.characters(exclude_characters="\0\t\n\r\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=5)
WORD = CELL.map(lambda text: text.strip(" ")).filter(lambda text: text not in ("", "-DOCSTART-"))
ROWS = st.lists(st.lists(st.tuples(WORD, st.sampled_from(["O", "B-x", "NN"])), min_size=1, max_size=4), min_size=1)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_what_is_written_is_read(sentences):
    expected = [Tagged(*map(tuple, zip(*rows, strict=True))) for rows in sentences]
    tabs = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in rows) for rows in sentences)
    # A reader cannot know what parts the columns before it has met a word that begins with no hash.
    tabs = "first\tX\n\n" + tabs
    nodes = "\n".join(
        "".join(f"{n}\t{word}\t_\t{tag}{'	_' * 6}\n" for n, (word, tag) in enumerate(rows, 1)) for rows in sentences
    )
    lines = "".join(json.dumps(one._asdict(), ensure_ascii=False) + "\n" for one in expected)
    with TemporaryDirectory() as folder:
        assert read(TaggedFile((write(Path(folder) / "a", tabs),)))[1:] == expected
        assert read(TaggedFile((write(Path(folder) / "a.conllu", nodes),))) == expected
        assert read(TaggedFile((write(Path(folder) / "a.jsonl", lines),))) == expected


def test_span_schemes():
    assert is_span_scheme(["O", "B-x", "I-x", "E-x", "S-x", "L-x", "U-x"])
    assert is_span_scheme(["B-x"])
    assert not is_span_scheme([])
    assert not is_span_scheme(["O", "I-x"])
    assert not is_span_scheme(["B-x", "X-x"])
    assert not is_span_scheme(["B-x", "OX"])
    assert not is_span_scheme(["B-x", "B"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" \n", ""),
        ("Hi!", "Hi !"),
        ("don't stop...", "don't stop . . ."),
        ("(U.S.A)", "( U.S.A )"),
        ("it cost $3.50, or 5%.", "it cost $3.50 , or 5% ."),
        ("@ann: see http://a.b/c?d=e!", "@ann : see http://a.b/c?d=e !"),
        ("“Why?” #never", "“ Why ? ” #never"),
        ("¿Qué?", "¿ Qué ?"),
        ("cafe\u0301, na\u0308h", "cafe\u0301 , na\u0308h"),  # marks of their own belong to their letters
        ("हिन्दी, है।", "हिन्दी , है ।"),
        ("❤️!", "❤️ !"),
        ("下午三点。", "下午三点 。"),
    ],
)
def test_words_are_parted_from_their_punctuation(text, words):
    assert words_of(text) == tuple(words.split())


@given(st.text(alphabet="ab1.,-'\"“”()$% \u0301é?", max_size=12) | st.text(max_size=12))
def test_words_hold_all_there_is_and_stay_parted(text):
    words = words_of(text)
    assert "".join(words) == "".join(text.split())
    assert all(words)
    if not any(word.endswith(".") and len(word) > 1 for word in words):
        assert words_of(" ".join(words)) == words


def test_a_long_word_is_parted_in_linear_time():
    assert len(words_of("(" * 20_000 + "a" * 20_000 + "!" * 20_000)) == 40_001
