"""Measures of captions: their formulas written out slowly, and what must hold of them."""

import math
import random

import pytest

from saccade.metrics import bleu_n, bleu_n_signature, cider
from saccade.metrics.captions import words_of

WORDS = ["a", "dog", "runs", "on", "grass", "man", "the", "plays"]


def some_captions(seed: int) -> tuple[list[str], list[list[str]]]:
    rng = random.Random(seed)

    def caption() -> str:
        return " ".join(rng.choices(WORDS, weights=range(8, 0, -1), k=rng.randint(2, 11)))

    return [caption() for _ in range(23)], [[caption() for _ in range(rng.randint(1, 4))] for _ in range(23)]


def runs_of(caption: str, n: int) -> list[str]:
    words = caption.split()
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def literal_cider(said: list[str], references: list[list[str]]) -> float:
    """Each number of the formula from the texts anew, over every run of any text."""
    texts = [*said, *(caption for captions in references for caption in captions)]
    total = 0.0
    for n in (1, 2, 3, 4):
        every = sorted({run for text in texts for run in runs_of(text, n)})
        df = [sum(any(run in runs_of(one, n) for one in captions) for captions in references) for run in every]
        idf = [math.log(len(references) / max(1, count)) for count in df]

        def vector(text: str, n=n, every=every, idf=idf) -> list[float]:
            return [runs_of(text, n).count(run) * weight for run, weight in zip(every, idf, strict=True)]

        for caption, captions in zip(said, references, strict=True):
            for reference in captions:
                g, s = vector(caption), vector(reference)
                norms = math.sqrt(sum(x * x for x in g)) * math.sqrt(sum(x * x for x in s))
                if norms:
                    apart = len(caption.split()) - len(reference.split())
                    like = sum(min(x, y) * y for x, y in zip(g, s, strict=True)) / norms
                    total += 10 / len(captions) * math.exp(-(apart**2) / (2 * 6**2)) * like
    return total / 4 / len(said)


@pytest.mark.parametrize("seed", range(3))
def test_cider_equals_its_formula(seed):
    said, references = some_captions(seed)
    expected = literal_cider(said, references)
    assert 0.05 < expected < 10
    assert cider(said, references) == pytest.approx(expected, rel=1e-12)


def test_cider_of_the_references_themselves_is_10():
    texts = ["a dog runs on grass", "two men play chess outside", "the red boat sails away"]
    assert cider(texts, [[text] for text in texts]) == pytest.approx(10)
    assert cider(texts, [[text, text] for text in texts]) == pytest.approx(10)
    # The wrong image, another language, nothing at all; what every image has counts nothing.
    assert cider([*texts[1:], texts[0]], [[text] for text in texts]) == 0
    assert cider(["", "x", "..."], [[text] for text in texts]) == 0
    assert cider(["it is"] * 2, [["it is"], ["it is"]]) == 0
    assert cider(["a dog runs on grass"], [["a dog runs on grass"]]) == 0


def test_cider_by_hand():
    # Of two images each word of the first's is only there: weight log 2. Words 1 of 2 are right, no longer run is.
    found = cider(["red cat", "z"], [["red dog"], ["blue sky"]])
    assert found == pytest.approx(10 * (1 / 2) / 4 / 2)
    # Said three times it is clipped to once: 1 · 1 / (3 · √2), two words too long... one word against two.
    found = cider(["red red red", "z"], [["red dog"], ["blue sky"]])
    assert found == pytest.approx(10 * math.exp(-1 / 72) * (1 / (3 * math.sqrt(2))) / 4 / 2)


def test_words_are_bare_and_lower_case():
    assert words_of("  “A Man's HAT,” he said -- (twice) : half-red , 三点。 $ 3.5%") == [
        *("a", "man's", "hat", "he", "said", "twice", "half-red", "三点", "3.5")
    ]
    assert words_of("किताब पढ़ी।") == ["किताब", "पढ़ी"]
    said, true = ["a man , in red .", "Dogs run fast"], [["A man in red"], ["dogs run fast!"]]
    assert bleu_n(said, true)[:3] == pytest.approx((100, 100, 100))
    assert cider(said, true) == pytest.approx(10 * (1 + 3 / 4) / 2)


def literal_bleu(said: list[str], references: list[list[str]], most: int) -> float:
    logs, length, nearest = 0.0, 0, 0
    for n in range(1, most + 1):
        hits = total = 0
        for caption, captions in zip(said, references, strict=True):
            runs = runs_of(caption, n)
            total += len(runs)
            hits += sum(min(runs.count(run), max(runs_of(one, n).count(run) for one in captions)) for run in set(runs))
        logs += math.log(hits / total) / most if hits else -math.inf
    for caption, captions in zip(said, references, strict=True):
        own = len(caption.split())
        length += own
        nearest += min((abs(len(one.split()) - own), len(one.split())) for one in captions)[1]
    return 100 * math.exp(logs) * min(1.0, math.exp(1 - nearest / length))


@pytest.mark.parametrize("seed", range(3))
def test_bleu_equals_its_formula(seed):
    said, references = some_captions(seed)
    said = [" ".join(caption.split()[:5]) for caption in said]  # short, so that the brevity penalty acts
    found = bleu_n(said, references)
    assert found == pytest.approx([literal_bleu(said, references, n) for n in (1, 2, 3, 4)], rel=1e-9)
    assert found[0] > found[1] > found[2] > 0


def test_bleu_of_a_reference_is_100_and_of_nothing_0():
    true = [["a dog runs on grass", "the dog"], ["two men play chess"]]
    assert bleu_n(["a dog runs on grass", "two men play chess"], true) == pytest.approx((100,) * 4)
    assert bleu_n(["", ""], true) == (0, 0, 0, 0)


def test_the_signature_says_how_bleu_is_measured():
    said = bleu_n_signature(["A dog."], [["a dog", "one dog"]])
    assert said.startswith("nrefs:2|case:lc|eff:no|tok:none|smooth:none|version:")


@pytest.mark.parametrize("measure", [bleu_n, cider])
@pytest.mark.parametrize(
    ("said", "references", "message"),
    [
        ([], [], "said must be one caption for each of 0 images; got 0"),
        (["a"], [["a"], ["b"]], "said must be one caption for each of 2 images; got 1"),
        (["a", "b"], [["a"], []], r"references\[1\] must be one or more captions; got \[\]"),
        (["a"], ["a b"], r"references\[0\] must be one or more captions; got 'a b'"),
    ],
)
def test_captions_that_are_refused(measure, said, references, message):
    with pytest.raises(ValueError, match=message):
        measure(said, references)
