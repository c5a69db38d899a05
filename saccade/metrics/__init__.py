"""How good answers are: thin faces of the well-kept libraries."""

from saccade.metrics.alignments import AlignmentScores, alignment_scores
from saccade.metrics.captions import bleu_n, cider
from saccade.metrics.edits import ErrorRates, edit_distance, error_rates
from saccade.metrics.labels import LabelScores, Report, SpanScores, label_scores, span_scores
from saccade.metrics.texts import TextScores, text_scores

__all__ = [
    "AlignmentScores",
    "ErrorRates",
    "LabelScores",
    "Report",
    "SpanScores",
    "TextScores",
    "alignment_scores",
    "bleu_n",
    "cider",
    "edit_distance",
    "error_rates",
    "label_scores",
    "span_scores",
    "text_scores",
]
