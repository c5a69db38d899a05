"""How good answers are: thin faces of the well-kept libraries."""

from saccade.metrics.alignments import AlignmentScores, alignment_scores
from saccade.metrics.captions import bleu_n, bleu_n_signature, cider
from saccade.metrics.edits import ErrorRates, edit_distance, error_rates
from saccade.metrics.labels import LabelScores, Report, SpanScores, label_scores, span_scores
from saccade.metrics.texts import TextScores, Tokenize, text_scores, tokenizer_of

__all__ = [
    "AlignmentScores",
    "ErrorRates",
    "LabelScores",
    "Report",
    "SpanScores",
    "TextScores",
    "Tokenize",
    "alignment_scores",
    "bleu_n",
    "bleu_n_signature",
    "cider",
    "edit_distance",
    "error_rates",
    "label_scores",
    "span_scores",
    "text_scores",
    "tokenizer_of",
]
