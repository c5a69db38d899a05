"""Labels and marked spans: thin faces of scikit-learn and seqeval."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from saccade.errors import MissingExtraError

Report = dict[str, dict[str, float | int]]
"""Precision, recall and F1 (0 to 1) and the count of each label, by its name."""


class LabelScores(NamedTuple):
    """accuracy and macro_f1 from 0 to 1; a report; for one label a text how often each was taken for another."""

    accuracy: float
    macro_f1: float
    per_label: Report
    confusion: dict[str, dict[str, int]] | None


class SpanScores(NamedTuple):
    """Precision, recall and F1 of whole spans with their kind, 0 to 1, and a report of the kinds."""

    precision: float
    recall: float
    f1: float
    per_kind: Report


def label_scores(
    said: Sequence[tuple[str, ...]], true: Sequence[tuple[str, ...]], labels: Sequence[str], *, several: bool
) -> LabelScores:
    """Compare the labels of texts with the true ones, as scikit-learn does.

    accuracy is the share of texts all of whose labels are right; macro_f1 the mean of the labels' F1, where a label
    that was never right has 0. Labels that are neither said nor true are left out of it.
    """
    try:
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
        from sklearn.preprocessing import MultiLabelBinarizer
    except ImportError as error:
        raise MissingExtraError(error.name or "scikit-learn", "train") from None
    right = sum(set(one) == set(other) for one, other in zip(said, true, strict=True)) / len(true)
    coded = MultiLabelBinarizer(classes=list(labels)).fit([labels])
    parts = precision_recall_fscore_support(coded.transform(true), coded.transform(said), zero_division=0.0)
    rows = list(zip(labels, *(part.tolist() for part in parts), strict=True))
    there = {label for one in (*said, *true) for label in one}
    shown = [row for row in rows if row[0] in there]
    confusion = None
    if not several:
        matrix = confusion_matrix([one[0] for one in true], [one[0] for one in said], labels=list(labels)).tolist()
        confusion = {label: dict(zip(labels, row, strict=True)) for label, row in zip(labels, matrix, strict=True)}
    return LabelScores(right, sum(row[3] for row in shown) / len(shown), _report(shown), confusion)


def span_scores(said: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> SpanScores:
    """Precision, recall and F1 of spans marked by B- and I- tags (as of CoNLL 2003), from seqeval (Nakayama 2018).

    A span is right if its first and last word and its kind are. Ends (E- or L-) and single words (S- or U-) are known
    by either name; any other tag marks nothing. Where nothing is marked and nothing said all three are 0.
    """
    try:
        from seqeval.metrics import classification_report
    except ImportError as error:
        raise MissingExtraError(error.name or "seqeval", "train") from None
    marked = [[[_span_tag(tag) for tag in tags] for tags in side] for side in (true, said)]
    if all(tag == "O" for side in marked for tags in side for tag in tags):
        return SpanScores(0.0, 0.0, 0.0, {})
    found: dict[str, dict[str, Any]] = classification_report(*marked, output_dict=True, zero_division=0)
    whole = found["micro avg"]
    kinds = [
        (kind, row["precision"], row["recall"], row["f1-score"], row["support"])
        for kind, row in found.items()
        if not kind.endswith(" avg")
    ]
    precision, recall, f1 = (float(whole[name]) for name in ("precision", "recall", "f1-score"))
    return SpanScores(precision, recall, f1, _report(kinds))


def _span_tag(tag: str) -> str:
    """A tag as seqeval knows it; it takes the second letter on of any other for a kind."""
    head, kind = tag[:2], tag[2:]
    named = {"L-": "E-", "U-": "S-"}.get(head, head)
    return named + kind if named in ("B-", "I-", "E-", "S-") else "O"


def _report(rows: Sequence[tuple[Any, ...]]) -> Report:
    names = ("precision", "recall", "f1")
    return {str(name): {**dict(zip(names, map(float, each), strict=True)), "count": int(n)} for name, *each, n in rows}
