"""Symmetrisation: hand-drawn links, the textbook's loops as a twin, and what holds whatever the order."""

import random
from itertools import product
from typing import get_args

import pytest

from saccade.alignments import Method
from saccade.alignments.symmetry import symmetrize, transposed

METHODS = get_args(Method)
GROWN = METHODS[2:]
BESIDE = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def drawn(seed: int) -> tuple[set, set, int, int]:
    """Links of both directions, dense or sparse, of 7 by 5 words at most."""
    rng = random.Random(seed)
    sources, targets, share = rng.randint(1, 7), rng.randint(1, 5), rng.choice([0.15, 0.3, 0.6])
    grid = list(product(range(sources), range(targets)))
    one, other = ({link for link in grid if rng.random() < share} for _ in range(2))
    return one, other, sources, targets


def textbook(forward: set, backward: set, how: str, sources: int, targets: int) -> set:
    """Koehn et al. 2005 word for word: over every two words, e the target's, f the source's."""
    union, found = forward | backward, forward & backward

    def e_aligned(e: int) -> bool:
        return any((f, e) in found for f in range(sources))

    def f_aligned(f: int) -> bool:
        return any((f, e) in found for e in range(targets))

    added = True
    while added:
        added = False
        for e in range(targets):
            for f in range(sources):
                if (f, e) in found:
                    for de, df in BESIDE:
                        new = (f + df, e + de)
                        if new in union and (not e_aligned(new[1]) or not f_aligned(new[0])):
                            found.add(new)
                            added = True
    for links in (forward, backward) if how != "grow-diag" else ():
        for e in range(targets):
            for f in range(sources):
                lacking = (not e_aligned(e), not f_aligned(f))
                if (f, e) in links and (all(lacking) if how == "grow-diag-final-and" else any(lacking)):
                    found.add((f, e))
    return found


def test_by_hand():
    #          target 0 1 2 3      f: forward, b: backward, x: both
    # source 0        x . . .
    #        1        . x f .      beside (1, 1), target 2 is free: grows
    #        2        . b . .      beside (1, 1), source 2 is free: grows
    #        3        . . . .
    #        4        f . . b      (4, 3) touches nothing: both free, final-and takes it; (4, 0): source 4 is free
    forward, backward = {(0, 0), (1, 1), (1, 2), (4, 0)}, {(0, 0), (1, 1), (2, 1), (4, 3)}
    both = {(0, 0), (1, 1)}
    grown = both | {(1, 2), (2, 1)}
    assert symmetrize(forward, backward, "intersection") == both
    assert symmetrize(forward, backward, "union") == forward | backward
    assert symmetrize(forward, backward, "grow-diag") == grown
    assert symmetrize(forward, backward, "grow-diag-final") == grown | {(4, 0), (4, 3)}
    assert symmetrize(forward, backward, "grow-diag-final-and") == grown | {(4, 3)}


def test_diagonals_grow_and_what_grew_grows_on_in_the_same_pass():
    chain = {(n, n) for n in range(5)}
    assert symmetrize({(0, 0)}, chain, "grow-diag") == chain
    assert symmetrize({(4, 4)}, chain, "grow-diag") == chain


def test_final_takes_the_forward_links_first():
    assert symmetrize({(0, 0)}, {(0, 1)}, "grow-diag-final-and") == {(0, 0)}
    assert symmetrize({(0, 1)}, {(0, 0)}, "grow-diag-final-and") == {(0, 1)}


@pytest.mark.parametrize("how", GROWN)
def test_it_is_the_textbook(how):
    for seed in range(300):
        forward, backward, sources, targets = drawn(seed)
        assert symmetrize(forward, backward, how) == textbook(forward, backward, how, sources, targets), seed


@pytest.mark.parametrize("how", METHODS)
def test_it_lies_between_intersection_and_union(how):
    for seed in range(200):
        forward, backward, *_ = drawn(seed)
        before = set(forward), set(backward)
        assert forward & backward <= symmetrize(forward, backward, how) <= forward | backward
        assert (forward, backward) == before
        assert symmetrize(forward, forward, how) == forward
        assert symmetrize(set(), set(), how) == set()


def test_each_way_has_what_it_grew_from_and_nothing_is_left_to_take():
    for seed in range(200):
        forward, backward, *_ = drawn(seed)
        union = forward | backward
        grown = {how: symmetrize(forward, backward, how) for how in GROWN}
        assert grown["grow-diag"] <= grown["grow-diag-final"] & grown["grow-diag-final-and"]
        for how, links in grown.items():
            sources, targets = {f for f, _ in links}, {e for _, e in links}
            lacking = {link: (link[0] not in sources, link[1] not in targets) for link in union - links}
            if how == "grow-diag":
                near = {(f + df, e + de) for f, e in links for de, df in BESIDE}
                assert not any(any(lacking[link]) for link in near & lacking.keys())
            elif how == "grow-diag-final":
                assert not any(any(free) for free in lacking.values())
            else:
                assert not any(all(free) for free in lacking.values())


@pytest.mark.parametrize("how", METHODS)
def test_transposing_both_directions_transposes_the_result(how):
    same = 0
    for seed in range(200):
        forward, backward, *_ = drawn(seed)
        one = symmetrize(transposed(forward), transposed(backward), how)
        same += one == transposed(symmetrize(forward, backward, how))
        assert transposed(transposed(one)) == one
    if how in GROWN:
        # What grows depends on the order in which links are met, and the textbook's goes by target word.
        assert 100 < same < 200
    else:
        assert same == 200


def test_where_no_two_links_compete_the_order_is_nothing():
    # Every word has one link at most: then all that is free stays free, and both orientations agree.
    for seed in range(100):
        rng = random.Random(seed)
        links = list(enumerate(rng.sample(range(7), 7)))
        forward, backward = ({link for link in links if rng.random() < 0.6} for _ in range(2))
        for how in METHODS:
            turned = symmetrize(transposed(backward), transposed(forward), how)
            assert turned == transposed(symmetrize(forward, backward, how))
        assert symmetrize(forward, backward, "grow-diag-final-and") == forward | backward


def test_an_unknown_way():
    with pytest.raises(ValueError, match=r"how must be one of intersection, union, .*; got 'grow'"):
        symmetrize(set(), set(), "grow")
