"""Texts against references: thin faces of the well-kept libraries."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from saccade.errors import MissingExtraError, OptionError

Tokenize = Literal["auto", "13a", "zh", "char", "intl", "none", "ja-mecab", "ko-mecab", "flores200"]
"""How texts are parted into the words of BLEU: a tokenizer of sacrebleu, or the one of the script."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_OTHERS = "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
_UNSPACED = f"{_HAN}{_KANA}{_OTHERS}"


class TextScores(NamedTuple):
    """exact_match from 0 to 1; bleu, chrf and the three F1 of ROUGE from 0 to 100; how sacrebleu measured (Post 2018),
    which is told wherever its figures are.
    """

    exact_match: float
    bleu: float
    chrf: float
    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 - its name
    bleu_signature: str
    chrf_signature: str


def tokenizer_of(references: Sequence[str]) -> Tokenize:
    """The tokenizer of BLEU for texts in their script, by most of their letters: `zh` for Chinese, `char` for other
    scripts without spaces between words (Japanese, Thai, ...), `13a`, which parts at spaces, for all else.

    >>> tokenizer_of(["下午三点 (PM)"]), tokenizer_of(["ごご三時"]), tokenizer_of(["um drei", "17:15"])
    ('zh', 'char', '13a')
    """
    letters = sum(map(str.isalpha, "".join(references)))
    han, kana, others = (sum(len(re.findall(f"[{some}]", text)) for text in references) for some in _SCRIPTS)
    if 2 * (han + kana + others) <= letters or not letters:
        return "13a"
    return "zh" if han > 9 * kana and han > others else "char"


_SCRIPTS = (_HAN, _KANA, _OTHERS)


def text_scores(
    answers: Sequence[str], references: Sequence[str], *, tokenize: Tokenize = "auto", lowercase: bool = False
) -> TextScores:
    """Compare answers with references, one reference each.

    exact_match is the share of answers equal to their reference, character by character. BLEU (Papineni et al. 2002)
    and chrF2 (Popović 2015) are those of sacrebleu (Post 2018), over the whole corpus. ROUGE-1, -2 and -L (Lin 2004)
    are the mean F1 of rouge-score, without stemming, over runs of letters and digits, of scripts without spaces over
    single characters.

    Args:
        tokenize: what parts texts into the words of BLEU; auto: `tokenizer_of` the references.
        lowercase: whether BLEU and chrF take capital letters for small ones.

    Raises:
        OptionError: a tokenizer that needs what is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingExtraError(error.name or "sacrebleu", "train") from None
    same = sum(answer == reference for answer, reference in zip(answers, references, strict=True))
    chosen = tokenizer_of(references) if tokenize == "auto" else tokenize
    try:
        bleu = BLEU(tokenize=chosen, lowercase=lowercase)
    except (ImportError, RuntimeError, OSError) as error:
        raise OptionError(f"--tokenize {chosen}: {' '.join(str(error).split())}") from None
    chrf = CHRF(lowercase=lowercase)
    scores = [metric.corpus_score(list(answers), [list(references)]).score for metric in (bleu, chrf)]
    kinds = ("rouge1", "rouge2", "rougeL")
    rouge = RougeScorer(kinds, tokenizer=_Words())
    each = [rouge.score(reference, answer) for answer, reference in zip(answers, references, strict=True)]
    means = (100 * sum(one[kind].fmeasure for one in each) / len(each) for kind in kinds)
    signatures = (str(metric.get_signature()) for metric in (bleu, chrf))
    return TextScores(same / len(references), *scores, *means, *signatures)


class _Words:
    """Words of any script: rouge-score's own tokenizer drops every letter outside a to z."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+", text.lower())
