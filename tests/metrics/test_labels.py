"""Measures of labels and spans: numbers that were reckoned by hand, and twins of plain loops."""

import random
import warnings

import pytest

from saccade.metrics import label_scores, span_scores


def f1_of(hits: int, said: int, true: int) -> float:
    return 2 * hits / (said + true) if said + true else 0.0


def test_labels_by_hand():
    true = [("a",), ("a",), ("a",), ("b",), ("b",), ("c",)]
    said = [("a",), ("a",), ("b",), ("b",), ("c",), ("a",)]
    found = label_scores(said, true, ["a", "b", "c", "never"], several=False)
    assert found.accuracy == 3 / 6
    assert found.per_label == {
        "a": {"precision": 2 / 3, "recall": 2 / 3, "f1": pytest.approx(2 / 3), "count": 3},
        "b": {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "count": 2},
        "c": {"precision": 0, "recall": 0, "f1": 0, "count": 1},
    }
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found.confusion["a"] == {"a": 2, "b": 1, "c": 0, "never": 0}
    assert found.confusion["c"] == {"a": 1, "b": 0, "c": 0, "never": 0}
    assert sum(count for row in found.confusion.values() for count in row.values()) == 6


def test_several_labels_by_hand():
    true = [("a", "b"), ("b",), ("a",)]
    said = [("b", "a"), ("a", "b"), ()]
    found = label_scores(said, true, ["a", "b"], several=True)
    assert found.accuracy == pytest.approx(1 / 3)  # the order of labels does not matter
    assert found.per_label["a"] == {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "count": 2}
    assert found.per_label["b"] == {"precision": 1, "recall": 1, "f1": 1, "count": 2}
    assert found.macro_f1 == 3 / 4
    assert found.confusion is None


@pytest.mark.parametrize("several", [False, True])
def test_labels_equal_plain_loops(several):
    rng, labels = random.Random(1), [f"label {n}" for n in range(7)]

    def some() -> tuple[str, ...]:
        return tuple(rng.sample(labels[:6], rng.randint(0, 3))) if several else (rng.choice(labels[:6]),)

    said, true = ([some() for _ in range(101)] for _ in range(2))
    found = label_scores(said, true, labels, several=several)
    pairs = list(zip(said, true, strict=True))
    assert found.accuracy == sum(set(one) == set(other) for one, other in pairs) / 101
    each = []
    for label in labels[:6]:
        hits = sum(label in one and label in other for one, other in pairs)
        counts = [sum(label in one for one in side) for side in (said, true)]
        row = found.per_label[label]
        assert row["precision"] == pytest.approx(hits / counts[0])
        assert row["recall"] == pytest.approx(hits / counts[1])
        assert row["f1"] == pytest.approx(f1_of(hits, *counts))
        assert row["count"] == counts[1]
        each.append(row["f1"])
    assert found.macro_f1 == pytest.approx(sum(each) / 6)
    assert labels[6] not in found.per_label
    if not several:
        for one in labels:
            for other in labels:
                assert found.confusion[one][other] == sum(pair == ((other,), (one,)) for pair in pairs)


def spans_of(tags: list[str]) -> set[tuple[int, int, str]]:
    """The spans of tags that are whole: B- I-*, and B- I-* E- and S- by either of their names."""
    spans, begin = set(), 0
    for place, tag in enumerate(tags):
        head, kind = tag[:1], tag[2:]
        if head in "BSU":
            begin = place
        following = tags[place + 1] if place + 1 < len(tags) else "O"
        if head in "SUEL" or (head in "BI" and following[:1] not in "IEL"):
            spans.add((begin, place, kind))
    return spans


def whole_tags(rng: random.Random, length: int, names: str) -> list[str]:
    """Tags of spans that are whole, ends named by `names`: "BI", "BIES" or "BILU"."""
    tags: list[str] = []
    while len(tags) < length:
        size, kind = rng.randint(1, 3), rng.choice("pq")
        if rng.random() < 0.4:
            tags.append("O")
        elif len(names) == 2:
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
        elif size == 1:
            tags.append(f"{names[3]}-{kind}")
        else:
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 2), f"{names[2]}-{kind}"]
    return tags if len(tags) == length else whole_tags(rng, length, names)


@pytest.mark.parametrize("names", ["BI", "BIES", "BILU"])
def test_spans_equal_plain_loops(names):
    rng = random.Random(2)
    lengths = [rng.randint(1, 9) for _ in range(67)]
    said, true = ([whole_tags(rng, length, names) for length in lengths] for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = span_scores(said, true)
    hits = {"p": 0, "q": 0}
    counts = [{"p": 0, "q": 0}, {"p": 0, "q": 0}]
    for one, other in zip(said, true, strict=True):
        for _, _, kind in spans_of(one) & spans_of(other):
            hits[kind] += 1
        for side, tags in zip(counts, (one, other), strict=True):
            for _, _, kind in spans_of(tags):
                side[kind] += 1
    all_hits, all_said, all_true = (sum(some.values()) for some in (hits, *counts))
    assert min(hits.values()) > 0
    assert found.precision == pytest.approx(all_hits / all_said)
    assert found.recall == pytest.approx(all_hits / all_true)
    assert found.f1 == pytest.approx(f1_of(all_hits, all_said, all_true))
    for kind in "pq":
        row = found.per_kind[kind]
        assert row["precision"] == pytest.approx(hits[kind] / counts[0][kind])
        assert row["recall"] == pytest.approx(hits[kind] / counts[1][kind])
        assert row["f1"] == pytest.approx(f1_of(hits[kind], counts[0][kind], counts[1][kind]))
        assert row["count"] == counts[1][kind]
    assert set(found.per_kind) == {"p", "q"}


def test_spans_by_hand():
    true = [["B-p", "I-p", "O", "B-q"], ["O", "B-p"]]
    said = [["B-p", "I-p", "O", "B-p"], ["B-p", "I-p"]]  # one is right, one has another kind, one begins too early
    found = span_scores(said, true)
    assert (found.precision, found.recall, found.f1) == (1 / 3, 1 / 3, 1 / 3)
    assert found.per_kind["q"] == {"precision": 0, "recall": 0, "f1": 0, "count": 1}


@pytest.mark.parametrize(
    ("said", "true"), [(["O", "O"], ["O", "O"]), (["O", "O"], ["B-p", "O"]), (["U-p", "O"], ["O", "O"])]
)
def test_no_spans_are_zeros_and_no_warning(said, true):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert span_scores([said], [true])[:3] == (0, 0, 0)


def test_tags_that_mark_nothing_are_no_spans():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = span_scores([["NOUN", "B-p"]], [["B", "B-p"]])
    assert found.f1 == 1
    assert set(found.per_kind) == {"p"}
