"""Alignment error rate: reckoned by hand, a twin of plain loops, and when it is nought."""

import random
from itertools import product

import pytest

from saccade.metrics import alignment_scores


def drawn(seed: int, pairs: int = 11) -> tuple[list[set], list[set], list[set]]:
    """Said, sure and possible links of some pairs; the possible ones hold some of the sure ones."""
    rng = random.Random(seed)
    grids = [list(product(range(rng.randint(1, 5)), range(rng.randint(1, 7)))) for _ in range(pairs)]
    kinds = [[{link for link in grid if rng.random() < share} for grid in grids] for share in (0.3, 0.2, 0.3)]
    return kinds[0], kinds[1], kinds[2]


def test_by_hand():
    # Said four: one sure, one possible, two wrong; of three sure ones one is said.
    said, sure, possible = {(0, 0), (1, 1), (2, 0), (0, 2)}, {(0, 0), (2, 2), (1, 2)}, {(1, 1), (2, 1)}
    found = alignment_scores([said], [sure], [possible])
    assert found.precision == pytest.approx(2 / 4)
    assert found.recall == pytest.approx(1 / 3)
    assert found.aer == pytest.approx(1 - (1 + 2) / (4 + 3))
    assert found[3:] == (4, 3)
    # Counts are summed over pairs before they are divided: a second pair with one sure link, said.
    found = alignment_scores([said, {(0, 0)}], [sure, {(0, 0)}], [possible, set()])
    assert found.precision == pytest.approx(3 / 5)
    assert found.recall == pytest.approx(2 / 4)
    assert found.aer == pytest.approx(1 - (2 + 3) / (5 + 4))


def test_equals_plain_loops():
    for seed in range(20):
        said, sure, possible = drawn(seed)
        right = right_sure = spoken = certain = 0
        for n in range(len(said)):
            for link in said[n]:
                spoken += 1
                right += link in sure[n] or link in possible[n]
                right_sure += link in sure[n]
            certain += len(list(sure[n]))
        found = alignment_scores(said, sure, possible)
        assert found.precision == pytest.approx(right / spoken)
        assert found.recall == pytest.approx(right_sure / certain)
        assert found.aer == pytest.approx(1 - (right_sure + right) / (spoken + certain))


def test_it_is_nought_only_between_the_sure_and_the_possible():
    noughts = 0
    for seed in range(400):
        said, sure, possible = drawn(seed, pairs=1)
        if sure == [set()]:
            continue
        aer = alignment_scores(said, sure, possible).aer
        between = sure[0] <= said[0] <= sure[0] | possible[0]
        assert (aer == 0) == between
        noughts += between
        assert alignment_scores(sure, sure, possible).aer == 0
        assert alignment_scores([sure[0] | possible[0]], sure, possible).aer == 0
        assert 0 <= aer <= 1
    assert noughts > 5


def test_where_all_is_sure_it_is_one_minus_f1():
    for seed in range(20):
        said, sure, _ = drawn(seed)
        found = alignment_scores(said, sure, sure)
        assert found == alignment_scores(said, sure, [set()] * len(sure))
        if found.precision + found.recall:
            f1 = 2 * found.precision * found.recall / (found.precision + found.recall)
            assert found.aer == pytest.approx(1 - f1)


def test_nothing_said_and_nothing_to_say():
    assert alignment_scores([set()], [{(0, 0)}], [set()]) == (0.0, 0.0, 1.0, 0, 1)
    with pytest.raises(ValueError, match="sure must hold at least one link; got 1 sets without"):
        alignment_scores([{(0, 0)}], [set()], [{(0, 0)}])
    with pytest.raises(ValueError, match="said must be one set of links for each pair; got 1, for 2 sure and 2 poss"):
        alignment_scores([set()], [set(), set()], [set(), set()])
