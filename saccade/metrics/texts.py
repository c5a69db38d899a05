"""Texts against references: thin faces of the well-kept libraries."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from saccade.errors import MissingExtraError


class TextScores(NamedTuple):
    """exact_match from 0 to 1; bleu, chrf and the three F1 of ROUGE from 0 to 100."""

    exact_match: float
    bleu: float
    chrf: float
    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 - its name


def text_scores(answers: Sequence[str], references: Sequence[str]) -> TextScores:
    """Compare answers with references, one reference each.

    exact_match is the share of answers equal to their reference, character by character. BLEU (Papineni et al. 2002;
    13a tokenisation, cased) and chrF2 (Popović 2015) are those of sacrebleu (Post 2018), over the whole corpus.
    ROUGE-1, -2 and -L (Lin 2004) are the mean F1 of rouge-score, without stemming, over runs of letters and digits.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingExtraError(error.name or "sacrebleu", "train") from None
    same = sum(answer == reference for answer, reference in zip(answers, references, strict=True))
    bleu, chrf = (metric.corpus_score(list(answers), [list(references)]).score for metric in (BLEU(), CHRF()))
    kinds = ("rouge1", "rouge2", "rougeL")
    rouge = RougeScorer(kinds, tokenizer=_Words())
    each = [rouge.score(reference, answer) for answer, reference in zip(answers, references, strict=True)]
    means = (100 * sum(scores[kind].fmeasure for scores in each) / len(each) for kind in kinds)
    return TextScores(same / len(references), bleu, chrf, *means)


class _Words:
    """Words of any script: rouge-score's own tokenizer drops every letter outside a to z."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())
