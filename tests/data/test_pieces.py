"""The pieces of a pretrained encoder's tokenizer: ids, special pieces, words that are made of several."""

import pytest
from tokenizers import Tokenizer

from saccade.data.pieces import Pieces, load
from saccade.errors import RunError

TEXTS = ["a fine film", "A superbest film, [SEP] <s> Zürich", "", "  ", "下雨", "superb" * 9]
kinds = pytest.mark.parametrize("kind", ["bert", "roberta"])


def made(request, kind, **options) -> tuple[Pieces, Tokenizer]:
    text = (request.getfixturevalue(kind) / "tokenizer.json").read_text("utf-8")
    theirs = Tokenizer.from_str(text)
    theirs.encode_special_tokens = True
    return Pieces(text, **options), theirs


@kinds
def test_ids_are_the_tokenizers_own_plus_one(request, kind):
    pieces, theirs = made(request, kind)
    for text, (ids, longer) in zip(TEXTS, pieces.cut_many(TEXTS, 999), strict=True):
        expected = [i + 1 for i in theirs.encode(text).ids]
        assert ids == (expected if len(expected) > 2 else [])
        assert not longer
        assert all(0 < i <= pieces.size for i in ids)
    assert pieces.special == 2


@kinds
@pytest.mark.parametrize("most", [1, 3, 7])
def test_what_is_cut_keeps_its_special_pieces(request, kind, most):
    pieces, _ = made(request, kind)
    whole = pieces.cut_many(TEXTS, 999)
    for (ids, longer), (every, _) in zip(pieces.cut_many(TEXTS, most), whole, strict=True):
        assert longer == (len(every) > most + 2)
        assert ids == (every[: most + 1] + every[-1:] if longer else every)


@kinds
@pytest.mark.parametrize("most", [2, 999])
def test_words_are_their_pieces_together(request, kind, most):
    pieces, _ = made(request, kind)
    for text, (ids, longer) in zip(TEXTS, pieces.cut_many(TEXTS, most), strict=True):
        spans = pieces.spans(text, most)
        assert sum(count for _, count in spans) == len(ids)
        if not longer and ids:
            assert "".join(reads for reads, _ in spans[1:-1]).strip() == text.replace(" ", "")
    first, last = {"bert": ("[CLS]", "[SEP]"), "roberta": ("<s>", "</s>")}[kind]
    reads = [word for word, _ in pieces.spans("a superbest film", 999)]
    assert reads == [first, "a", "superbest", "film", last]


@kinds
def test_each_word_has_its_first_piece(request, kind):
    pieces, theirs = made(request, kind, apart=True)
    words = ["Ann", "superbest", "film", "of", "film"]
    ids, first = pieces.words_many([words])[0]
    assert first == sorted(set(first))
    assert all(2 <= place < len(ids) for place in first)
    assert ids[first[2] - 1] == ids[first[4] - 1]  # the same word has the same first piece wherever it stands
    if kind == "roberta":  # with its space, also in front of all
        assert theirs.id_to_token(ids[first[0] - 1] - 1).startswith("Ġ")
    assert pieces.words_many([[]]) == [([ids[0], ids[-1]], [])]
    if kind == "bert":
        assert pieces.words_many([["film", "\u200b", "of"]])[0].first[1] == 0


@kinds
def test_a_tokenizer_that_was_written_cuts_as_it_did(request, tmp_path, kind):
    pieces, _ = made(request, kind, apart=True)
    (tmp_path / "t.json").write_text(pieces.to_json(), "utf-8")
    again = load(tmp_path / "t.json", apart=True)
    assert again.words_many([["Ann", "sees"]]) == pieces.words_many([["Ann", "sees"]])
    assert load(tmp_path / "t.json").cut_many(TEXTS, 5) == made(request, kind)[0].cut_many(TEXTS, 5)
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(RunError, match=r"t\.json: expected a tokenizer; got "):
        load(tmp_path / "t.json")


def test_unknown_pieces_are_told(request):
    bert, roberta = made(request, "bert")[0], made(request, "roberta")[0]
    (ids, _), *_ = bert.cut_many(["下"], 9)
    assert ids.count(bert.unknown) == 1
    (ids, _), *_ = roberta.cut_many(["下"], 9)
    assert ids.count(roberta.unknown) == 0
