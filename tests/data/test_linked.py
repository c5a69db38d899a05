"""Pairs with the links of their words: pairs and links stay together, and what does not fit is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.alignments.weights import above, word_weights, words_at
from saccade.data.linked import LinkedFile, LinkedPair
from saccade.data.paircorpus import Vocabularies, encode_pairs
from saccade.data.pairs import PairFile
from saccade.data.tokens import learn
from saccade.errors import DataError

PAIRS = [("ab c", "x yz w"), ("", ""), ("d  e f", "v"), ("g", "u t")]
LINKS = ["0-1 1-0 1-2", "", "2-0", ""]


@pytest.fixture
def file(tmp_path) -> LinkedFile:
    for name, side in (("s", 0), ("t", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), "utf-8")
    return LinkedFile(PairFile((tmp_path / "s", tmp_path / "t")), links(tmp_path, *LINKS))


def links(folder: Path, *lines: str) -> Path:
    (folder / "links").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder / "links"


def test_each_pair_has_its_line(file):
    found = [
        LinkedPair("ab c", "x yz w", frozenset({(0, 1), (1, 0), (1, 2)})),
        LinkedPair("d e f", "v", frozenset({(2, 0)})),
        LinkedPair("g", "u t", frozenset()),
    ]
    assert list(file) == found
    assert list(file) == found
    assert file.pairs.skipped == 1
    assert str(file) == str(file.pairs)


BROKEN = {
    ("0-0", "", "3-0", ""): ":3: expected links between 3 source and 1 target words, counted from 0; got 3-0",
    ("0-0", "0-0", "", ""): ":2: expected links between 0 source and 0 target words, counted from 0; got 0-0",
    ("0:0", "", "", ""): ":1: expected links as 0-1, source and target word counted from 0; got '0:0'",
    ("", "", ""): ": expected a line for each pair; it ends before line 4",
    ("", "", "", "", ""): ":5: expected a line for each of 4 pairs; got another",
}


@pytest.mark.parametrize("lines", BROKEN)
def test_what_does_not_fit_is_named(file, tmp_path, lines):
    path = links(tmp_path, *lines)
    with pytest.raises(DataError) as caught:
        list(file)
    assert str(caught.value) == f"{path}{BROKEN[lines]}"


@pytest.mark.parametrize("level", ["char", "word", "bpe", "unigram"])
def test_pieces_have_the_links_of_their_words(file, tmp_path, level):
    pairs = list(file) * 3
    texts = [text for pair in pairs for text in pair[:2]] * 20
    both = Vocabularies(*[learn(texts, level, 280)] * 2)
    corpus = encode_pairs(tmp_path, "training", pairs, both, 100, linked=True)
    order = np.array([4, 0, 2, 1])
    batch = corpus.batch(order)
    assert batch.links.shape == (*batch.target.shape, batch.source.shape[1])
    assert batch.links.dtype == torch.bool
    for row, place in enumerate(order.tolist()):
        pair, ends = pairs[place], (int((batch.source[row] > 0).sum()) - 1, int((batch.target[row] > 0).sum()) - 1)
        assert not batch.links[row, ends[1] :].any()
        assert not batch.links[row, :, ends[0] :].any()  # neither end tokens nor padding
        words = [
            words_at(side.stretches_many([text])[0], text.split()) for side, text in zip(both, pair[:2], strict=True)
        ]
        shape = len(pair.target.split()), len(pair.source.split())
        back = word_weights(batch.links[row, : ends[1], : ends[0]], *words, shape=shape)
        assert above(back, 1e-6) == pair.links


def test_pairs_that_are_too_long_take_their_links_with_them(file, tmp_path):
    both = Vocabularies(*[learn([text for pair in file for text in pair[:2]], "char")] * 2)
    corpus = encode_pairs(tmp_path, "training", file, both, 6, linked=True)
    assert (len(corpus), corpus.too_long) == (2, 1)
    assert corpus.batch(np.array([0, 1])).links.sum((1, 2)).tolist() == [2, 0]  # " f", two characters, and "v"


def test_without_links_there_is_none(file, tmp_path):
    both = Vocabularies(*[learn(["ab"], "char")] * 2)
    assert encode_pairs(tmp_path, "validation", file, both, 100).batch(np.array([0])).links is None
