"""Dates: a language that is a function, drawn by a seed, and read back by other means."""

import hashlib
import re
from datetime import date

import pytest

from saccade.data import dates
from saccade.data.sampling import Template
from saccade.errors import OptionError

Pairs = list[tuple[str, str]]

# Worked out by hand.
ENGLISH = {
    "3 march 2021": "2021-03-03",
    "3 mar 2021": "2021-03-03",
    "3rd march 2021": "2021-03-03",
    "1st of april 2024": "2024-04-01",
    "the 22nd of july 2000": "2000-07-22",
    "the 11th of july 2000": "2000-07-11",
    "the 12th of july 2000": "2000-07-12",
    "the 13th of july 2000": "2000-07-13",
    "the third of march, twenty ten": "2010-03-03",
    "the third of march, two thousand and nine": "2009-03-03",
    "the third of march, nineteen hundred": "1900-03-03",
    "march 3rd, 2021": "2021-03-03",
    "mar 3rd, 2021": "2021-03-03",
    "may 13, 2021": "2021-05-13",
    "the third of march 2021": "2021-03-03",
    "the thirty first of december, twenty twenty four": "2024-12-31",
    "the twelfth of may, two thousand": "2000-05-12",
    "the twentieth of june, nineteen oh five": "1905-06-20",
    "november twenty third, two thousand": "2000-11-23",
    "november twenty third, 2000": "2000-11-23",
    "wed, 3 mar 2021": "2021-03-03",
    "wednesday, 3 march 2021": "2021-03-03",
    "thursday, february 29, 2024": "2024-02-29",
    "tuesday the 29th of february 2000": "2000-02-29",
    "3-mar-2021": "2021-03-03",
    "2021 march 3": "2021-03-03",
    "2021/03/03": "2021-03-03",
    "2021/3/3": "2021-03-03",
    "2021-03-03": "2021-03-03",
    "20210303": "2021-03-03",
    "2021.3.4": "2021-03-04",
    "4.3.2021": "2021-03-04",
    "12.11.2024": "2024-11-12",
}
CHINESE = {
    "2021年3月3日": "2021-03-03",
    "2021年3月3号": "2021-03-03",
    "2021 年 3 月 3 日": "2021-03-03",
    "二〇二一年三月三日": "2021-03-03",
    "二零二一年三月三日": "2021-03-03",
    "二〇二一年三月三号": "2021-03-03",
    "2021年三月三号": "2021-03-03",
    "2021年3月3日星期三": "2021-03-03",
    "2021年3月3日（周三）": "2021-03-03",
    "星期日，2021年2月28日": "2021-02-28",
    "二〇二四年二月二十九日": "2024-02-29",
    "二〇二四年二月二十九日星期四": "2024-02-29",
    "二〇〇〇年十二月三十一日": "2000-12-31",
    "二零零零年十月十日": "2000-10-10",
    "二〇〇〇年十一月十二号": "2000-11-12",
    "一九〇五年一月一日": "1905-01-01",
    "一九〇五年六月二十日，周二": "1905-06-20",
}
# Two readings, a false weekday, or a day that is none.
ABSENT = [
    "3/4/2021", "03/04/2021", "3-4-2021", "03-mar-21", "3.4.21", "thu, 3 mar 2021", "2021年3月3日星期四",
    "29 february 2021", "31 april 2000", "1st may 21", "3th march 2021", "00000000", "二一年三月三日",
]  # fmt: skip

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
CARDINALS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(CARDINALS)}
NUMBERS |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
ORDINALS = [
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth",
]  # fmt: skip
DAYS = {word: number for number, word in enumerate(ORDINALS)}
DAYS |= {"thirtieth": 30}
CENTURIES = {"nineteen": 1900, "twenty": 2000, "two": 2000}


def read(text: str) -> tuple[str, int | None]:
    """The date that `text` means, by rules of its own, and the weekday it names."""
    if re.search("[年月]", text):
        return read_chinese(text)
    return read_english(text) if re.search("[a-z]", text) else (read_figures(text), None)


def read_figures(text: str) -> str:
    numbers = re.findall(r"\d+", text)
    if len(numbers) == 1:
        numbers = [text[:4], text[4:6], text[6:]]
    if len(numbers[0]) != 4:
        assert set(text) <= set("0123456789. "), f"{text}: only dots may put the day first"
        numbers.reverse()
    return iso(*map(int, numbers))


def read_english(text: str) -> tuple[str, int | None]:
    words = re.findall(r"[a-z]+|\d+", text)
    figures = sorted(int(word) for word in words if word.isdecimal())
    year = figures.pop() if figures and figures[-1] > 31 else spelled_year(words)
    day = figures.pop() if figures else spelled_day(words)
    month = next(word[:3] for word in words if word[:3] in MONTHS)
    return iso(year, MONTHS.index(month) + 1, day), WEEKDAYS.get(words[0][:3])


def spelled_day(words: list[str]) -> int:
    place = next(place for place, word in enumerate(words) if word in DAYS)
    return DAYS[words[place]] + NUMBERS.get(words[place - 1], 0)


def spelled_year(words: list[str]) -> int:
    before = max(place for place, word in enumerate(words) if word in DAYS or word[:3] in MONTHS)
    century, *rest = words[before + 1 :]
    return CENTURIES[century] + sum(NUMBERS.get(word, 0) for word in rest)


def read_chinese(text: str) -> tuple[str, int | None]:
    [figures] = re.findall(r"(\w+) ?年 ?(\w+?) ?月 ?(\w+?) ?[日号]", text)
    weekday = re.search("(?:星期|周)(.)", text)
    return iso(*map(chinese, figures)), "一二三四五六日".index(weekday[1]) if weekday else None


def chinese(number: str) -> int:
    digits = number.translate(str.maketrans("〇零一二三四五六七八九", "00123456789"))
    tens, ten, unit = digits.partition("十")
    return int(tens or 1) * 10 + int(unit or 0) if ten else int(digits)


def iso(year: int, month: int, day: int) -> str:
    return f"{year:04}-{month:02}-{day:02}"


def every(template: Template) -> Pairs:
    return [template[index] for index in range(len(template))]


@pytest.fixture(scope="module")
def language() -> Pairs:
    """All texts of two leap years and a plain one, and of one day of every other year."""
    whole = {date(1905, 1, 1): 365, date(2000, 1, 1): 366, date(2024, 1, 1): 366}
    days = {first.toordinal() + day for first, length in whole.items() for day in range(length)}
    days |= {date(year, 3, 3).toordinal() for year in range(1900, 2100)}
    days |= {date(2021, month, day).toordinal() for month, day in [(2, 28), (3, 4), (5, 13)]}
    templates = [template for family in dates._families_of(sorted(days)) for template in family.templates]
    return [pair for template in templates for pair in every(template)]


@pytest.fixture(scope="module")
def language_dict(language: Pairs) -> dict[str, str]:
    return dict(language)


@pytest.fixture(scope="module")
def sample() -> Pairs:
    return dates.pairs(10_000, 5)


def test_the_language_is_a_function(language: Pairs, language_dict: dict[str, str]) -> None:
    assert len(language_dict) == len(language)


def test_another_reader_finds_the_same_dates_and_true_weekdays(language: Pairs, sample: Pairs) -> None:
    for text, answer in language + sample:
        found, weekday = read(text)
        assert found == answer, text
        assert weekday in (None, date.fromisoformat(answer).weekday()), text


@pytest.mark.parametrize(("text", "answer"), (ENGLISH | CHINESE).items())
def test_worked_by_hand(language_dict: dict[str, str], text: str, answer: str) -> None:
    assert language_dict.get(text) == answer


def test_ambiguous_and_false_forms_are_absent(language_dict: dict[str, str]) -> None:
    assert [text for text in ABSENT if text in language_dict] == []


def test_same_seed_same_pairs_and_another_seed_others() -> None:
    assert dates.pairs(500, 3) == dates.pairs(500, 3)
    assert dates.pairs(500, 3) != dates.pairs(500, 4)


def test_bytes_never_change() -> None:
    text = "\n".join("\t".join(pair) for pair in dates.pairs(1000, 1))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "5eab73817fc5fad7b297dba4f1505745782d21fd66318a3f6855dae3c1946767"


def test_a_sample_is_distinct_and_spans_two_centuries(sample: Pairs) -> None:
    years = {answer[:4] for _, answer in sample}
    assert len(dict(sample)) == len(sample) == 10_000
    assert years == {str(year) for year in range(1900, 2100)}


def test_families_keep_their_shares(sample: Pairs) -> None:
    chinese_ones = [text for text, _ in sample if "年" in text]
    figures = [text for text, _ in sample if re.fullmatch(r"[\d/. -]+", text)]
    assert len(chinese_ones) == pytest.approx(3000, abs=150)
    assert len(figures) == pytest.approx(2500, abs=150)


def test_every_template_is_frequent_enough_to_be_learnt(sample: Pairs) -> None:
    part = sample[:1500]
    ordinals = sorted({date.fromisoformat(answer).toordinal() for _, answer in part})
    for family in dates._families_of(ordinals):
        for template in family.templates:
            assert len(dict(part).keys() & dict(every(template)).keys()) >= 12, template[0]


@pytest.mark.parametrize("count", [-1, 0, 99_999_999])
def test_a_count_out_of_range_is_an_error(count: int) -> None:
    size = sum(len(template) for family in dates._families() for template in family.templates)
    line = f"count must be between 1 and {size}, the number of distinct dates; got {count}"
    with pytest.raises(OptionError, match=f"^{line}$"):
        dates.pairs(count, 1)
