"""Dates from 1900 to 2099 as people write them in English and Chinese, each with its ISO 8601 `YYYY-MM-DD`.

The language is a function: no text has two answers, because

- the year has four figures or is spelled whole; two figures would leave the century open;
- figures joined by slashes or dashes put the year first: 3/4/2021 is one day in London and another in New York;
- figures joined by dots put the year first, or the day first and the year last, as in Europe;
- a weekday is the true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from saccade.data.numerals import chinese, chinese_digits, english, english_ordinal, figure_ordinal
from saccade.data.sampling import Family, draw


@dataclass(frozen=True)
class _Template:
    """One way of writing a date. Its pairs are made when they are asked for: 200 years of them are too many to keep.

    `pattern` has the fields of `_fields`; `days` are the ordinals of the days that are written so.
    """

    pattern: str
    days: Sequence[int]

    def __len__(self) -> int:
        return len(self.days)

    def __getitem__(self, index: int) -> tuple[str, str]:
        day = date.fromordinal(self.days[index])
        return self.pattern.format(**_fields(day)), day.isoformat()


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """`count` distinct (human text, `YYYY-MM-DD`) pairs in an order fixed by `seed`.

    About 25 % are figures only, 45 % English and 30 % Chinese.

    Raises:
        OptionError: `count` is below 1 or above the number of distinct dates.

    >>> pairs(3, seed=1)
    [('2052-8-14', '2052-08-14'), ('november twenty fourth, 1989', '1989-11-24'), ('thu, oct 10, 1918', '1918-10-10')]
    """
    return draw(_families(), count, seed, "dates")


@cache
def _families() -> tuple[Family, Family, Family]:
    """Figures, English and Chinese, from 1900-01-01 to 2099-12-31."""
    return _families_of(range(date(1900, 1, 1).toordinal(), date(2100, 1, 1).toordinal()))


def _families_of(days: Sequence[int]) -> tuple[Family, Family, Family]:
    """The templates over `days`, some without the days on which they would repeat another template."""
    dates = [(day, date.fromordinal(day)) for day in days]
    short = [day for day, when in dates if when.month < 10 or when.day < 10]
    not_may = [day for day, when in dates if when.month != 5]
    with_zero = [day for day, when in dates if "0" in str(when.year)]
    return (
        Family(25, [*_over(days, _FIGURES), *_over(short, _SHORT_FIGURES)]),
        Family(45, [*_over(days, _ENGLISH), *_over(not_may, _ABBREVIATED)]),
        Family(30, [*_over(days, _CHINESE), *_over(with_zero, _ANOTHER_ZERO)]),
    )


def _over(days: Sequence[int], patterns: list[str]) -> list[_Template]:
    return [_Template(pattern, days) for pattern in patterns]


def _fields(day: date) -> dict[str, int | str]:
    """What the patterns are filled with: y, m and d are numbers, the rest are words."""
    month, weekday = _MONTHS[day.month - 1], _WEEKDAYS[day.weekday()]
    return {
        "y": day.year, "m": day.month, "d": day.day,
        "year": _english_year(day.year), "month": month, "mon": month[:3],
        "dth": figure_ordinal(day.day), "day": english_ordinal(day.day),
        "weekday": weekday, "wd": weekday[:3],
        "zh_year": chinese_digits(day.year, zero="〇"), "zh_year_0": chinese_digits(day.year, zero="零"),
        "zh_month": chinese(day.month), "zh_day": chinese(day.day), "zh_weekday": _CHINESE_WEEKDAYS[day.weekday()],
    }  # fmt: skip


def _english_year(year: int) -> str:
    """A year from 1900 to 2099 in words.

    >>> _english_year(1900), _english_year(1905), _english_year(2000), _english_year(2005), _english_year(2021)
    ('nineteen hundred', 'nineteen oh five', 'two thousand', 'two thousand and five', 'twenty twenty one')
    """
    century, rest = divmod(year, 100)
    if rest >= 10:
        return f"{english(century)} {english(rest)}"
    if century == 20:
        return "two thousand" + (f" and {english(rest)}" if rest else "")
    return f"{english(century)} " + (f"oh {english(rest)}" if rest else "hundred")


_MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_CHINESE_WEEKDAYS = "一二三四五六日"

_FIGURES = [
    "{y}-{m:02}-{d:02}",
    "{y}/{m:02}/{d:02}",
    "{y}{m:02}{d:02}",
    "{y}.{m}.{d}",
    "{d}.{m}.{y}",
    "{d}. {m}. {y}",
]
# Where neither month nor day has a leading zero to drop, they would repeat the templates above.
_SHORT_FIGURES = [
    "{y}-{m}-{d}",
    "{y}/{m}/{d}",
]

_ENGLISH = [
    "{d} {month} {y}",
    "{d} {month}, {y}",
    "{dth} {month} {y}",
    "{dth} of {month} {y}",
    "the {dth} of {month} {y}",
    "the {day} of {month} {y}",
    "the {day} of {month}, {year}",
    "{month} {d}, {y}",
    "{month} {d} {y}",
    "{month} {dth}, {y}",
    "{month} {dth} {y}",
    "{month} the {dth}, {y}",
    "{month} {day}, {y}",
    "{month} {day}, {year}",
    "{weekday}, {d} {month} {y}",
    "{weekday}, {month} {d}, {y}",
    "{weekday} the {dth} of {month} {y}",
    "{wd}, {d} {mon} {y}",
    "{wd} {d} {mon} {y}",
    "{wd}, {mon} {d}, {y}",
    "{d}-{mon}-{y}",
    "{y} {month} {d}",
]
# In May they would repeat the templates with the whole name.
_ABBREVIATED = [
    "{d} {mon} {y}",
    "{mon} {d}, {y}",
    "{mon} {dth}, {y}",
]

_CHINESE = [
    "{y}年{m}月{d}日",
    "{y}年{m}月{d}号",
    "{y} 年 {m} 月 {d} 日",
    "{y}年{m}月{d}日星期{zh_weekday}",
    "{y}年{m}月{d}日（周{zh_weekday}）",
    "{y}年{m}月{d}号，周{zh_weekday}",
    "星期{zh_weekday}，{y}年{m}月{d}日",
    "{y}年{zh_month}月{zh_day}日",
    "{y}年{zh_month}月{zh_day}号",
    "{zh_year}年{zh_month}月{zh_day}日",
    "{zh_year}年{zh_month}月{zh_day}号",
    "{zh_year}年{zh_month}月{zh_day}日星期{zh_weekday}",
    "{zh_year}年{zh_month}月{zh_day}日，周{zh_weekday}",
]
# In a year without a zero it would repeat the template with 〇.
_ANOTHER_ZERO = [
    "{zh_year_0}年{zh_month}月{zh_day}日",
]
