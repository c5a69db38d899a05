"""Clock times as people write them in English and Chinese, each with its `HH:MM`.

The language is a function: no text has two answers, because

- a time without am, pm or a part of the day is read on the 24-hour clock: `7.57` is 07:57;
- 12 am and "twelve at night" are 00:00, 12 pm and "twelve in the afternoon" are 12:00, 晚上十二点 is 00:00 and
  中午十二点 is 12:00;
- a part of the day is said only in its own hours, and where two hours are meant ("20 to six in the evening")
  it must hold both, so nobody has to guess which one it tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from saccade.data.numerals import chinese, english
from saccade.data.sampling import Family, draw


class _Part(NamedTuple):
    """A part of the day: its name, and for each of its hours (0 to 23) the number the clock shows then."""

    name: str
    shows: dict[int, int]


class _Words(NamedTuple):
    """The words of one language by number: hours, minutes after the hour, and minutes as a span."""

    hours: list[str]
    minutes: list[str]
    spans: list[str]


class _Template(NamedTuple):
    """One way of writing a time.

    `pattern` has the fields h and m (numbers), hour, minute and span (words), and part. `minutes` are those that
    are told: after the hour named, or before it if `to`.
    """

    pattern: str
    parts: Sequence[_Part]
    minutes: Sequence[int]
    to: bool = False


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """`count` distinct (human text, `HH:MM`) pairs in an order fixed by `seed`.

    About 35 % are figures only, 40 % English with words and 25 % Chinese, until the smaller forms are used up.

    Raises:
        OptionError: `count` is below 1 or above the number of distinct times.

    >>> pairs(3, seed=1)
    [('12.39p.m.', '12:39'), ('1047 hrs', '10:47'), ('25 past 4 am', '04:25')]
    """
    return draw(_families(), count, seed, "times")


@cache
def _families() -> tuple[Family, Family, Family]:
    """Figures, English and Chinese, each template written out in full."""
    return (
        Family(35, [list(_expand(template, _ENGLISH)) for template in _FIGURE_TEMPLATES]),
        Family(40, [list(_expand(template, _ENGLISH)) for template in _ENGLISH_TEMPLATES]),
        Family(25, [list(_expand(template, _CHINESE)) for template in _CHINESE_TEMPLATES]),
    )


def _expand(template: _Template, words: _Words) -> Iterator[tuple[str, str]]:
    """All (text, answer) pairs of `template`."""
    for part in template.parts:
        for hour in part.shows:
            named = (hour + template.to) % 24
            if named in part.shows:
                yield from _expand_hour(template, words, part, hour, part.shows[named])


def _expand_hour(template: _Template, words: _Words, part: _Part, hour: int, shown: int) -> Iterator[tuple[str, str]]:
    """The pairs of one hour of one part of the day, when the clock shows `shown`."""
    for told in template.minutes:
        text = template.pattern.format(
            h=shown, hour=words.hours[shown],
            m=told, minute=words.minutes[told], span=words.spans[told],
            part=part.name,
        )  # fmt: skip
        yield text, f"{hour:02}:{60 - told if template.to else told:02}"


def _twelve(name: str, hours: Iterable[int]) -> _Part:
    """A part of the day on the 12-hour clock, where 0 and 12 show as 12."""
    return _Part(name, {hour: hour % 12 or 12 for hour in hours})


def _plain(name: str, hours: Iterable[int]) -> _Part:
    """A part of the day on the 24-hour clock."""
    return _Part(name, {hour: hour for hour in hours})


_DAY = [_plain("", range(24))]
_ONE_FIGURE = [_plain("", range(10))]  # where two figures would repeat another template
_AFTER_NOON = [_plain("", range(13, 24))]  # hours that only the 24-hour clock has
_AM_PM = [_twelve("am", range(12)), _twelve("pm", range(12, 24))]
_DOTTED = [_twelve("a.m.", range(12)), _twelve("p.m.", range(12, 24))]
_PHRASES = [
    _twelve("in the morning", range(1, 12)),
    _twelve("in the afternoon", range(12, 18)),
    _twelve("in the evening", range(17, 22)),
    _twelve("at night", [20, 21, 22, 23, 0]),
]
_SPOKEN = _AM_PM + _PHRASES
_TURNS = [_twelve("noon", [12]), _twelve("midnight", [0])]
_BEFORE_TURNS = [_twelve("noon", [11, 12]), _twelve("midnight", [23, 0])]
_ZH_TURNS = [_twelve("正午", [12]), _twelve("午夜", [0])]
_ZH_PARTS = [
    _plain("凌晨", range(6)),
    _twelve("早上", range(5, 10)),
    _twelve("上午", range(8, 12)),
    _twelve("中午", range(11, 14)),
    _twelve("下午", range(13, 19)),
    _twelve("傍晚", range(17, 20)),
    _twelve("晚上", [18, 19, 20, 21, 22, 23, 0]),
]

_SHARP = [0]
_QUARTER = [15]
_HALF = [30]
_FIVES = [5, 10, 20, 25]
_SPANS = range(1, 30)
_ANY = range(60)
_UNDER_TEN = range(1, 10)
_FROM_TEN = range(10, 60)
_SOME = range(1, 60)

_FIGURE_TEMPLATES = [
    _Template("{h:02}:{m:02}", _DAY, _ANY),
    _Template("{h}:{m:02}", _ONE_FIGURE, _ANY),
    _Template("{h}.{m:02}", _DAY, _ANY),
    _Template("t{h}.{m:02}", _DAY, _ANY),
    _Template("t{h:02}:{m:02}", _DAY, _ANY),
    _Template("{h:02}{m:02}", _DAY, _ANY),
    _Template("{h:02}{m:02} hrs", _DAY, _ANY),
    _Template("{h}h{m:02}", _DAY, _ANY),
    _Template("{h}:{m:02} {part}", _AM_PM + _DOTTED, _ANY),
    _Template("{h}:{m:02}{part}", _AM_PM + _DOTTED, _ANY),
    _Template("{h}.{m:02} {part}", _AM_PM + _DOTTED, _ANY),
    _Template("{h}.{m:02}{part}", _AM_PM + _DOTTED, _ANY),
    _Template("{h} {part}", _AM_PM + _DOTTED, _SHARP),
    _Template("{h}{part}", _AM_PM + _DOTTED, _SHARP),
]

_ENGLISH_TEMPLATES = [
    _Template("{part}", _TURNS, _SHARP),
    _Template("at {part}", _TURNS, _SHARP),
    _Template("{h} {part}", _TURNS, _SHARP),
    _Template("{hour} {part}", _TURNS + _SPOKEN, _SHARP),
    _Template("{h} {part}", _PHRASES, _SHARP),
    _Template("{hour} o'clock {part}", _SPOKEN, _SHARP),
    _Template("{h} o'clock {part}", _SPOKEN, _SHARP),
    _Template("{hour} {minute} {part}", _SPOKEN, _FROM_TEN),
    _Template("{hour} oh {minute} {part}", _SPOKEN, _UNDER_TEN),
    _Template("{h}:{m:02} {part}", _PHRASES, _ANY),
    _Template("{h}.{m:02} {part}", _PHRASES, _ANY),
    _Template("{hour} o'clock {minute} {part}", _SPOKEN, _SOME),
    _Template("{hour} hours and {minute} {part}", _SPOKEN, _SOME),
    _Template("half past {hour} {part}", _SPOKEN, _HALF),
    _Template("half past {h} {part}", _SPOKEN, _HALF),
    _Template("quarter past {hour} {part}", _SPOKEN, _QUARTER),
    _Template("quarter past {h} {part}", _SPOKEN, _QUARTER),
    _Template("quarter to {hour} {part}", _SPOKEN, _QUARTER, to=True),
    _Template("quarter to {h} {part}", _SPOKEN, _QUARTER, to=True),
    _Template("{minute} past {hour} {part}", _SPOKEN, _FIVES),
    _Template("{m} past {hour} {part}", _SPOKEN, _FIVES),
    _Template("{minute} to {hour} {part}", _SPOKEN, _FIVES, to=True),
    _Template("{m} to {hour} {part}", _SPOKEN, _FIVES, to=True),
    _Template("{span} past {hour} {part}", _SPOKEN, _SPANS),
    _Template("{span} to {hour} {part}", _SPOKEN, _SPANS, to=True),
    _Template("{m} past {h} {part}", _SPOKEN, _FIVES),
    _Template("{m} to {h} {part}", _SPOKEN, _FIVES, to=True),
    _Template("{span} past {part}", _TURNS, _SPANS),
    _Template("{span} to {part}", _BEFORE_TURNS, _SPANS, to=True),
    _Template("{hour} {minute}", _AFTER_NOON, _FROM_TEN),
    _Template("{hour} oh {minute}", _AFTER_NOON, _UNDER_TEN),
    _Template("{hour} hundred hours", _AFTER_NOON, _SHARP),
]

_CHINESE_TEMPLATES = [
    _Template("{part}", _ZH_TURNS, _SHARP),
    _Template("{part}过{span}", _ZH_TURNS, range(1, 21)),
    _Template("{part}{hour}点", _ZH_TURNS + _ZH_PARTS, _SHARP),
    _Template("{part}{hour}点整", _ZH_PARTS, _SHARP),
    _Template("{part}{h}点", _ZH_PARTS, _SHARP),
    _Template("{part}{hour}点零{minute}分", _ZH_PARTS, _UNDER_TEN),
    _Template("{part}{hour}点{minute}分", _ZH_PARTS, _FROM_TEN),
    _Template("{part}{hour}点{minute}", _ZH_PARTS, _FROM_TEN),
    _Template("{part}{hour}点半", _ZH_PARTS, _HALF),
    _Template("{part}{h}点半", _ZH_PARTS, _HALF),
    _Template("{part}{hour}点一刻", _ZH_PARTS, _QUARTER),
    _Template("{part}{hour}点三刻", _ZH_PARTS, [45]),
    _Template("{part}{hour}点过{span}", _ZH_PARTS, range(1, 21)),
    _Template("{part}差{span}{hour}点", _ZH_PARTS, range(1, 21), to=True),
    _Template("{part}{hour}点差{span}", _ZH_PARTS, range(1, 21), to=True),
    _Template("{part}差一刻{hour}点", _ZH_PARTS, _QUARTER, to=True),
    _Template("{part}{h}点{m:02}分", _ZH_PARTS, _SOME),
    _Template("{part}{h}:{m:02}", _ZH_PARTS, _ANY),
    _Template("{part}{h}：{m:02}", _ZH_PARTS, _ANY),
    _Template("{h:02}点{m:02}分", _DAY, _ANY),
    _Template("{h}时{m:02}分", _DAY, _ANY),
    _Template("{hour}点{minute}分", _AFTER_NOON, _FROM_TEN),
    _Template("{hour}点半", _AFTER_NOON, _HALF),
]

_ENGLISH = _Words(
    hours=[english(number) for number in range(24)],
    minutes=[english(number) for number in range(60)],
    spans=[f"{english(number)} minute{'' if number == 1 else 's'}" for number in range(60)],
)
# 两 where 2 counts something (两点, 两分钟), 二 where it is read off the clock (三点零二分).
_CHINESE = _Words(
    hours=["两" if number == 2 else chinese(number) for number in range(24)],
    minutes=[chinese(number) for number in range(60)],
    spans=[f"{'两' if number == 2 else chinese(number)}分" for number in range(60)],
)
