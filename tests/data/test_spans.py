"""Which tags may follow each other: what the schemes say, and what real files of entities hold."""

import itertools
import re

import pytest

from saccade.data.spans import is_ended, is_well_formed, may_follow, span_constraints
from saccade.data.tagged import TaggedFile

BIO = ["O", "B-x", "I-x", "B-y", "I-y"]
BIOES = [*BIO, "E-x", "S-x", "E-y", "S-y"]
SCHEMES = {
    "bio": (BIO, r"(O|Bx(Ix)*|By(Iy)*)*"),
    "bioes": (BIOES, r"(O|Sx|Sy|Bx(Ix)*Ex|By(Iy)*Ey)*"),
    "bilou": ([tag.replace("E-", "L-").replace("S-", "U-") for tag in BIOES], r"(O|Ux|Uy|Bx(Ix)*Lx|By(Iy)*Ly)*"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_rule_of_two_tags_makes_the_language_of_the_scheme(scheme):
    """Every sentence of up to four words, against a regular expression of the whole."""
    tags, expression = SCHEMES[scheme]
    ended = is_ended(tags)
    assert ended == (scheme != "bio")
    allowed, first, last = (part.tolist() for part in span_constraints(tags))
    for length in range(5):
        for sentence in itertools.product(range(len(tags)), repeat=length):
            names = [tags[i] for i in sentence]
            expected = re.fullmatch(expression, "".join(names).replace("-", "")) is not None
            assert is_well_formed(names, ended=ended) == expected, names
            if sentence:
                possible = first[sentence[0]] and last[sentence[-1]]
                assert (possible and all(allowed[a][b] for a, b in itertools.pairwise(sentence))) == expected, names


def test_tags_that_mark_no_spans_are_free():
    assert all(part.all() for part in span_constraints(["NOUN", "INTJ", "VERB", "X"]))
    assert may_follow("B", "I")


def test_real_entities_keep_to_their_scheme(shared_data):
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        assert all(is_well_formed(tags) for _, tags, _ in TaggedFile((shared_data / "wnut17" / name,)))
