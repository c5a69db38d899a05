"""Clock times: a language that is a function, drawn by a seed."""

import hashlib
import re

import pytest

from saccade.data import times
from saccade.errors import OptionError

Pairs = list[tuple[str, str]]

# Worked out by hand.
ENGLISH = {
    "quarter past five pm": "17:15",
    "t21.37": "21:37",
    "six o'clock twenty five am": "06:25",
    "noon": "12:00",
    "at noon": "12:00",
    "midnight": "00:00",
    "12 midnight": "00:00",
    "half past 3 am": "03:30",
    "20 to six in the evening": "17:40",
    "21:37": "21:37",
    "07:05": "07:05",
    "9:05": "09:05",
    "7.57": "07:57",
    "0.05": "00:05",
    "2137": "21:37",
    "9.05 pm": "21:05",
    "9:05p.m.": "21:05",
    "12:30 am": "00:30",
    "12:30 pm": "12:30",
    "12am": "00:00",
    "12 p.m.": "12:00",
    "seven hours and four pm": "19:04",
    "five thirty in the morning": "05:30",
    "five oh five pm": "17:05",
    "half past twelve at night": "00:30",
    "half past twelve in the afternoon": "12:30",
    "ten to twelve at night": "23:50",
    "quarter to one am": "00:45",
    "quarter to one pm": "12:45",
    "one minute past eight am": "08:01",
    "twenty nine minutes to eight am": "07:31",
    "one minute to midnight": "23:59",
    "ten minutes to noon": "11:50",
    "ten minutes past midnight": "00:10",
    "twenty one thirty seven": "21:37",
    "twenty oh five": "20:05",
    "fourteen hundred hours": "14:00",
}
CHINESE = {
    "下午三点一刻": "15:15",
    "晚上九点半": "21:30",
    "早上八点零五分": "08:05",
    "凌晨两点": "02:00",
    "凌晨零点": "00:00",
    "早上差五分七点": "06:55",
    "傍晚六点差两分": "17:58",
    "晚上差一刻十二点": "23:45",
    "下午两点过两分": "14:02",
    "下午三点零二分": "15:02",
    "21点37分": "21:37",
    "07点05分": "07:05",
    "9时05分": "09:05",
    "二十一点三十七分": "21:37",
    "二十二点半": "22:30",
    "中午十二点半": "12:30",
    "中午12:00": "12:00",
    "中午十一点五十": "11:50",
    "中午一点": "13:00",
    "下午3点15分": "15:15",
    "下午3点半": "15:30",
    "晚上9:30": "21:30",
    "晚上9：30": "21:30",
    "晚上十二点": "00:00",
    "晚上12:30": "00:30",
    "上午十点三刻": "10:45",
    "上午十点整": "10:00",
    "正午": "12:00",
    "午夜": "00:00",
    "午夜十二点": "00:00",
    "午夜过两分": "00:02",
}
# Two readings, or none that people use.
ABSENT = [
    "five thirty", "quarter past five", "six o'clock", "三点一刻", "差五分七点", "十二点半", "8点15分",
    "ten to twelve am", "ten to twelve pm", "ten to five in the evening", "twelve in the morning", "one at night",
    "24:00", "13:00 pm", "0:30 am", "one minutes past eight am", "quarter past midnight am",
    "下午十二点", "晚上三点", "凌晨十二点", "傍晚差五分五点", "早上差二分七点", "二点整", "凌晨二点",
]  # fmt: skip
# The hours in which a part of the day may be said, whichever template says it.
HOURS = {
    "am": range(12),
    "a.m.": range(12),
    "pm": range(12, 24),
    "p.m.": range(12, 24),
    "in the morning": range(1, 12),
    "in the afternoon": range(12, 18),
    "in the evening": range(17, 22),
    "at night": [20, 21, 22, 23, 0],
    "凌晨": range(6),
    "早上": range(5, 10),
    "上午": range(8, 12),
    "中午": range(11, 14),
    "下午": range(13, 19),
    "傍晚": range(17, 20),
    "晚上": [18, 19, 20, 21, 22, 23, 0],
}


def templates() -> list[Pairs]:
    return [
        [template[index] for index in range(len(template))]
        for family in times._families()
        for template in family.templates
    ]


@pytest.fixture(scope="module")
def language() -> Pairs:
    return [pair for template in templates() for pair in template]


@pytest.fixture(scope="module")
def language_dict(language: Pairs) -> dict[str, str]:
    return dict(language)


@pytest.fixture(scope="module")
def sample() -> Pairs:
    return times.pairs(10_000, 5)


def test_the_language_is_a_function(language: Pairs) -> None:
    assert len(dict(language)) == len(language)


@pytest.mark.parametrize(("text", "answer"), (ENGLISH | CHINESE).items())
def test_worked_by_hand(language_dict: dict[str, str], text: str, answer: str) -> None:
    assert language_dict.get(text) == answer


def test_ambiguous_and_unnatural_forms_are_absent(language_dict: dict[str, str]) -> None:
    assert [text for text in ABSENT if text in language_dict] == []


def test_answers_are_exactly_the_minutes_of_a_day(language: Pairs) -> None:
    minutes = {f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)}
    assert {answer for _, answer in language} == minutes


def test_parts_of_the_day_keep_their_hours(language: Pairs) -> None:
    wrong = [
        (text, answer)
        for part, hours in HOURS.items()
        for text, answer in language
        if (text.endswith(part) or text.startswith(part)) and int(answer[:2]) not in hours
    ]
    assert wrong == []


def test_same_seed_same_pairs_and_another_seed_others() -> None:
    assert times.pairs(500, 3) == times.pairs(500, 3)
    assert times.pairs(500, 3) != times.pairs(500, 4)


def test_bytes_never_change() -> None:
    text = "\n".join("\t".join(pair) for pair in times.pairs(1000, 1))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "afeacacce5be7260ce465e478deeaa2c7685a0d694b51e7f23f3800afe2be187"


def test_a_sample_is_distinct_and_of_the_language(sample: Pairs, language: Pairs) -> None:
    assert len(dict(sample)) == len(sample) == 10_000
    assert set(sample) <= set(language)


def test_families_keep_their_shares(sample: Pairs) -> None:
    chinese = [text for text, _ in sample if re.search(r"[\u4e00-\u9fff]", text)]
    figures = [text for text, _ in sample if re.fullmatch(r"[t\d:.h]+( ?([ap]m|[ap]\.m\.|hrs))?", text)]
    assert len(chinese) == pytest.approx(2500, abs=150)
    assert len(figures) == pytest.approx(3500, abs=150)


def test_every_template_is_frequent_enough_to_be_learnt(sample: Pairs) -> None:
    texts = {text for text, _ in sample}
    for template in templates():
        drawn = sum(text in texts for text, _ in template)
        assert drawn >= min(80, len(template)), template[0]


def test_small_templates_are_spread_over_the_sample(sample: Pairs) -> None:
    small = {text for template in templates() if len(template) < 60 for text, _ in template}
    tail = sum(text in small for text, _ in sample[5000:])
    assert tail == pytest.approx(len(small) / 2, rel=0.2)


def test_the_whole_language_can_be_drawn(language: Pairs) -> None:
    assert sorted(times.pairs(len(language), 2)) == sorted(language)


@pytest.mark.parametrize("count", [-1, 0, 99_999_999])
def test_a_count_out_of_range_is_an_error(language: Pairs, count: int) -> None:
    line = f"count must be between 1 and {len(language)}, the number of distinct times; got {count}"
    with pytest.raises(OptionError, match=f"^{line}$"):
        times.pairs(count, 1)
