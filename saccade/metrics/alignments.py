"""Word alignments against those of people: precision, recall, alignment error rate; and against each other."""

from collections.abc import Sequence
from typing import NamedTuple

from saccade.alignments import Links


class AlignmentScores(NamedTuple):
    """precision, recall and aer (alignment error rate), 0 to 1; how many links were said and how many are sure."""

    precision: float
    recall: float
    aer: float
    said: int
    sure: int


def alignment_scores(said: Sequence[Links], sure: Sequence[Links], possible: Sequence[Links]) -> AlignmentScores:
    """Precision, recall and alignment error rate over a whole corpus (Och and Ney 2003).

    With A the links said, S those that people were sure of and P those that are possible, the sure ones among them,
    each count summed over the pairs of texts:

        precision = |A and P| / |A|    recall = |A and S| / |S|    AER = 1 - (|A and S| + |A and P|) / (|A| + |S|)

    Precision is 0 where nothing is said. AER is 0 where all sure links are said and none that is not possible.

    Args:
        said: the links of each pair.
        sure: the sure ones of each.
        possible: the possible ones of each; the sure ones may stand among them or not.

    Raises:
        ValueError: there is not one set of each kind for each pair, or nothing is sure at all.

    >>> alignment_scores([{(0, 0), (1, 1), (2, 0)}], [{(0, 0), (2, 2)}], [{(1, 1)}])
    AlignmentScores(precision=0.6666666666666666, recall=0.5, aer=0.4, said=3, sure=2)
    """
    if not len(said) == len(sure) == len(possible):
        counts = f"{len(sure)} sure and {len(possible)} possible"
        raise ValueError(f"said must be one set of links for each pair; got {len(said)}, for {counts}")
    spoken, certain = sum(map(len, said)), sum(map(len, sure))
    if not certain:
        raise ValueError(f"sure must hold at least one link; got {len(sure)} sets without")
    right_sure = sum(len(links & true) for links, true in zip(said, sure, strict=True))
    right = sum(len(links & (true | more)) for links, true, more in zip(said, sure, possible, strict=True))
    return AlignmentScores(
        precision=right / spoken if spoken else 0.0,
        recall=right_sure / certain,
        aer=1 - (right_sure + right) / (spoken + certain),
        said=spoken,
        sure=certain,
    )


def agreement(some: Sequence[Links], others: Sequence[Links]) -> float:
    """How far two alignments of a corpus agree: `2 |A and B| / (|A| + |B|)`, 0 to 1, each count summed over the pairs.

    Two that say nothing agree.

    Raises:
        ValueError: they are not of as many pairs.

    >>> agreement([{(0, 0), (1, 1)}, {(0, 1)}], [{(0, 0)}, {(0, 1), (1, 1)}])
    0.6666666666666666
    """
    if len(some) != len(others):
        raise ValueError(f"others must be links of {len(some)} pairs; got {len(others)}")
    said = sum(map(len, some)) + sum(map(len, others))
    return 2 * sum(len(one & other) for one, other in zip(some, others, strict=True)) / said if said else 1.0
