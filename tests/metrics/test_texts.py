"""Measures of texts: numbers that were reckoned by hand, and twins of plain loops."""

import re
import sys

import pytest

from saccade.errors import OptionError
from saccade.metrics import text_scores, tokenizer_of


def f1_of(hits: int, said: int, true: int) -> float:
    return 2 * hits / (said + true) if said + true else 0.0


def words_of(text: str) -> list[str]:
    return "".join(one if one.isalnum() else " " for one in text.lower()).split()


def longest_common(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return longest_common(one[:-1], other[:-1]) + 1
    return max(longest_common(one[:-1], other), longest_common(one, other[:-1]))


def rouge(answer: str, reference: str, n: int) -> float:
    """F1 of runs of n words, each counted as often as it is in both; n = 0: of the longest common subsequence."""
    one, other = words_of(answer), words_of(reference)
    if n == 0:
        return f1_of(longest_common(one, other), len(one), len(other))
    grams = [[tuple(side[i : i + n]) for i in range(len(side) - n + 1)] for side in (one, other)]
    hits = sum(min(grams[0].count(gram), grams[1].count(gram)) for gram in set(grams[0]))
    return f1_of(hits, len(grams[0]), len(grams[1]))


def test_rouge_equals_plain_loops_in_any_script():
    answers = ["The cat sat on the mat.", "a b", "ÜBER Größe 3", "", "Кот сидел тут", "x y z", "the the the"]
    references = ["the Cat, the mat", "c d", "über die größe 3", "a", "кот тут сидел", "x y z", "the cat"]
    found = text_scores(answers, references)
    for n, value in ((1, found.rouge1), (2, found.rouge2), (0, found.rougeL)):
        assert value == pytest.approx(100 * sum(map(rouge, answers, references, [n] * 7)) / 7)
    assert 0 < found.rouge2 < found.rougeL < found.rouge1 < 100


def test_rouge_by_hand():
    # Words 3 of 3 and 4; pairs of words 1 of 2 and 3; in order 2 of 3 and 4.
    found = text_scores(["b c a"], ["a b c d"])
    assert found.rouge1 == pytest.approx(100 * 6 / 7)
    assert found.rouge2 == pytest.approx(100 * 2 / 5)
    assert found.rougeL == pytest.approx(100 * 4 / 7)


def test_the_same_texts_are_100_and_exact():
    texts = ["a longer text of words", "and another one of them", "下午三点半左右"]
    found = text_scores(texts, texts)
    assert found.exact_match == 1
    assert (found.rouge1, found.rougeL) == pytest.approx((100, 100))
    assert (found.bleu, found.chrf) == pytest.approx((100, 100))
    assert text_scores([*texts[:2], "no"], texts).exact_match == pytest.approx(2 / 3)


def test_chinese_bleu_is_that_of_characters_with_spaces_between():
    answers = ["下午三点半 PM", "今天 3 点。", "没有"]
    references = ["下午四点半 PM", "今天 3 点,好。", "没有空格"]

    def apart(text: str) -> str:
        return " ".join(re.sub("([\u4e00-\u9fff。])", r" \1 ", text).split())

    found = text_scores(answers, references)
    spaced = text_scores(list(map(apart, answers)), list(map(apart, references)), tokenize="13a")
    assert found.bleu == pytest.approx(spaced.bleu)
    assert 20 < found.bleu < 90
    # Parted at spaces alone a sentence is one word, right or wrong.
    assert text_scores(answers, references, tokenize="13a").bleu < found.bleu / 2
    assert "|tok:zh|" in found.bleu_signature
    assert "|tok:13a|" in spaced.bleu_signature


SCRIPTS = {
    "13a": ["um drei", "17:15", "три часа", "세 시 반입니다", "الساعة الثالثة", "तीन बजे", "", "123"],
    "zh": ["下午三点", "下午三点 PM", "繁體字與标点,。", "𠀀𠀁㐀", "的ア的的的的的的的的的的的"],
    "char": ["ごご三時", "カタカナ", "สามโมง", "ສາມໂມງ", "ဆယ်နာရီ", "ម៉ោងបី"],
}


@pytest.mark.parametrize(("tokenizer", "text"), [(name, text) for name, texts in SCRIPTS.items() for text in texts])
def test_the_tokenizer_is_that_of_most_letters(tokenizer, text):
    assert tokenizer_of([text]) == tokenizer_of(["", text, "1"]) == tokenizer


def test_most_letters_decide_over_all_references():
    assert tokenizer_of(["下午三点"] * 3 + ["a word"]) == "zh"
    assert tokenizer_of(["下午三点"] + ["many more words of letters"] * 3) == "13a"


@pytest.mark.parametrize("tokenize", ["13a", "zh", "char", "intl", "none"])
def test_any_tokenizer_can_be_asked_for_and_is_told(tokenize):
    found = text_scores(["A b c d. e"], ["a b c d, e"], tokenize=tokenize)
    assert f"|tok:{tokenize}|" in found.bleu_signature
    assert found.bleu_signature.startswith("nrefs:1|case:mixed|")
    lower = text_scores(["A b c d. e"], ["a b c d, e"], tokenize=tokenize, lowercase=True)
    assert lower.bleu == pytest.approx(text_scores(["a b c d. e"], ["a b c d, e"], tokenize=tokenize).bleu)
    assert lower.bleu > found.bleu
    assert lower.chrf > found.chrf
    assert "|case:lc|" in lower.bleu_signature
    assert "|case:lc|" in lower.chrf_signature


def test_a_tokenizer_that_is_not_installed_is_one_line(monkeypatch):
    for name in ("MeCab", "ipadic"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)
    with pytest.raises(OptionError, match=r"^--tokenize ja-mecab: .*pip install sacrebleu\[ja\]") as error:
        text_scores(["ごご"], ["ごご"], tokenize="ja-mecab")
    assert "\n" not in str(error.value)


def test_rouge_of_a_script_without_spaces_is_over_characters():
    found = text_scores(["下午三点"], ["下午四点"])
    assert found.rouge1 == pytest.approx(75)
    assert found.rouge2 == pytest.approx(100 / 3)
