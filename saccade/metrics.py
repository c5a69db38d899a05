"""How good answers are: thin faces of the well-kept libraries."""

from collections.abc import Sequence
from typing import NamedTuple

from saccade.errors import MissingExtraError


class TextScores(NamedTuple):
    """exact_match from 0 to 1; bleu and chrf from 0 to 100, as sacrebleu gives them."""

    exact_match: float
    bleu: float
    chrf: float


def text_scores(answers: Sequence[str], references: Sequence[str]) -> TextScores:
    """Compare answers with references, one reference each.

    exact_match is the share of answers equal to their reference, character by character. BLEU (Papineni et al. 2002;
    13a tokenisation, cased) and chrF2 (Popović 2015) are those of sacrebleu (Post 2018), over the whole corpus.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingExtraError("sacrebleu", "train") from None
    same = sum(answer == reference for answer, reference in zip(answers, references, strict=True))
    bleu, chrf = (metric.corpus_score(list(answers), [list(references)]).score for metric in (BLEU(), CHRF()))
    return TextScores(same / len(references), bleu, chrf)
