"""Whole numbers from 0 to 99 as people write them, in English and Chinese."""

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CHINESE = "零一二三四五六七八九"


def english(number: int) -> str:
    """`number` in English words, without a hyphen.

    >>> english(7), english(40), english(59)
    ('seven', 'forty', 'fifty nine')
    """
    if number < 20:
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_UNITS[unit]}" if unit else "")


def english_ordinal(number: int) -> str:
    """`number` as an English ordinal in words.

    >>> english_ordinal(3), english_ordinal(20), english_ordinal(31)
    ('third', 'twentieth', 'thirty first')
    """
    head, space, last = english(number).rpartition(" ")
    if last.endswith("y"):
        return f"{head}{space}{last[:-1]}ieth"
    return head + space + _ORDINALS.get(last, f"{last}th")


def figure_ordinal(number: int) -> str:
    """`number` as an English ordinal in figures.

    >>> figure_ordinal(3), figure_ordinal(11), figure_ordinal(22)
    ('3rd', '11th', '22nd')
    """
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 11 <= number <= 13 else suffix}"


def chinese(number: int) -> str:
    """`number` in Chinese numerals, read as a number.

    >>> chinese(0), chinese(5), chinese(10), chinese(37)
    ('零', '五', '十', '三十七')
    """
    tens, unit = divmod(number, 10)
    if not tens:
        return _CHINESE[unit]
    return (_CHINESE[tens] if tens > 1 else "") + "十" + (_CHINESE[unit] if unit else "")


def chinese_digits(number: int, zero: str) -> str:
    """`number` in Chinese numerals, read digit by digit as years are; `zero` is the sign for 0.

    >>> chinese_digits(2021, zero="〇")
    '二〇二一'
    """
    return "".join(_CHINESE[int(digit)] for digit in str(number)).replace("零", zero)
