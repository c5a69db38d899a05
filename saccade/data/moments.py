"""The times of a table's rows: whether they grow, and whether by even steps."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from saccade.errors import DataError


def is_date(cell: str) -> bool:
    """Whether a cell is an ISO 8601 date or a month of one, and not a plain number.

    >>> is_date("2016-07-01 13:00:00"), is_date("1949-01"), is_date("20160701"), is_date("13:00")
    (True, True, False, False)
    """
    return _moment(cell) is not None and _number(cell) is None


def check_times(column: str, cells: Sequence[str], where: Sequence[str]) -> tuple[str, ...]:
    """Refuse times that do not grow from row to row, and say in a line where their steps are uneven.

    Times are ISO 8601 dates, local ones where they name no zone, or numbers; the first one says which. Of times in
    another form nobody knows the order: that is said, and nothing else. Months of any length are even steps.

    Args:
        column: its name.
        cells: the times.
        where: where each stands, for the messages.

    Raises:
        DataError: a time that is no later than the one before it, or not of the form of the first.

    >>> check_times("day", ["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"], ["a:2", "a:3", "a:4", "a:5"])
    ('a:4: steps of time are uneven: 1 of 3 is not 1 day, 0:00:00, and this is 2 days, 0:00:00',)
    """
    if _number(cells[0]) is not None:
        numbers = [_number(cell) for cell in cells]
        _check_form("a number", column, cells, where, numbers)
        return _check_order(column, cells, where, np.array(numbers, np.float64))
    moments = [_moment(cell) for cell in cells]
    if moments[0] is None:
        return (f"{where[0]}: times are not in ISO 8601 form ({cells[0]!r}): their order was not checked",)
    _check_form("an ISO 8601 date", column, cells, where, moments)
    known = [moment for moment in moments if moment is not None]
    seconds = np.array([moment.timestamp() for moment in known])
    doubts = _check_order(column, cells, where, seconds, dates=True)
    return () if _monthly(known) else doubts


def _moment(cell: str) -> datetime | None:
    for text in (cell.strip(), f"{cell.strip()}-01"):  # a month alone is none for Python
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _check_form(
    form: str, column: str, cells: Sequence[str], where: Sequence[str], found: Sequence[datetime | float | None]
) -> None:
    if None in found:
        row = found.index(None)
        raise DataError(f"{where[row]}: expected {form} in column {column!r}, as in the first row; got {cells[row]!r}")


def _check_order(
    column: str, cells: Sequence[str], where: Sequence[str], times: np.ndarray, *, dates: bool = False
) -> tuple[str, ...]:
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int((steps <= 0).argmax()) + 1
        came = f"{cells[row]} after {cells[row - 1]}"
        raise DataError(f"{where[row]}: expected times that grow in column {column!r}; got {came}")
    lengths, counts = np.unique(steps.round(6), return_counts=True)
    if len(lengths) < 2:
        return ()
    usual = lengths[counts.argmax()]
    odd = ~np.isclose(steps, usual, rtol=1e-6)
    if not odd.any():
        return ()
    count, first = int(odd.sum()), int(odd.argmax())
    lasts = [str(timedelta(seconds=float(step))) if dates else f"{step:g}" for step in (usual, steps[first])]
    some = f"{count} of {len(steps)} {'is' if count == 1 else 'are'} not {lasts[0]}"
    return (f"{where[first + 1]}: steps of time are uneven: {some}, and this is {lasts[1]}",)


def _monthly(moments: Sequence[datetime]) -> bool:
    """Whether times go on by the same number of months: on one day of the month, or on its last."""
    months = {(b.year - a.year) * 12 + b.month - a.month for a, b in pairwise(moments)}
    days = {(moment.day, moment.timetz()) for moment in moments}
    last = {(moment + timedelta(days=1)).day for moment in moments}
    hours = {moment.timetz() for moment in moments}
    return len(months) == 1 and 0 not in months and (len(days) == 1 or (last == {1} and len(hours) == 1))
