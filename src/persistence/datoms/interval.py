"""Instants and half-open intervals, as integers of microseconds.

All the algebra of valid time lives here: what an interval is, how a set of instants is cut and
joined. An interval is a pair ``(start, end)`` of microseconds with ``start < end``; ``FOREVER``
as end means that it stays open. A set of instants is a list of disjoint intervals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from persistence.errors import IntervalError

Interval: TypeAlias = tuple[int, int]
InstantLike: TypeAlias = datetime | date | str

FOREVER: Final = 2**63 - 1
BEGINNING: Final = -62_135_596_800_000_000  # 0001-01-01, the first instant a datetime can name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


def instant(value: InstantLike) -> int:
    """The microseconds since the epoch that *value* names.

    Takes an aware datetime, an RFC 3339 text with offset, or a date (its midnight in UTC).

    >>> instant("1970-01-01T00:00:01+00:00")
    1000000
    >>> instant("1970-01-02")
    86400000000

    Raises:
        IntervalError: *value* has no time zone, or is no instant at all.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise IntervalError(
                f"the datetime {value.isoformat()} has no time zone",
                hint="give it one, for instance value.replace(tzinfo=timezone.utc)",
                value=value,
            )
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError as error:
            raise IntervalError(
                f"{value!r} is no instant",
                hint="write it as 2026-04-14 or 2026-04-14T09:30:00+00:00",
                value=value,
            ) from error
        if _DATE.match(value):
            parsed = parsed.replace(tzinfo=UTC)
        return instant(parsed)
    raise IntervalError(
        f"{value!r} is no instant", hint="give an aware datetime, a date or a text", value=value
    )


def moment(microseconds: int) -> datetime:
    """The aware UTC datetime of an instant; the inverse of :func:`instant`.

    >>> moment(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=microseconds)


def interval(start: int, end: int) -> Interval:
    """The interval ``[start, end)``.

    Raises:
        IntervalError: it is empty or reversed.
    """
    if start >= end:
        what = "is empty" if start == end else "ends before it starts"
        raise IntervalError(
            f"the interval from {_show(start)} to {_show(end)} {what}",
            hint="an interval holds its start and not its end; the end must be later",
            start=start,
            end=end,
        )
    return (start, end)


def _show(microseconds: int) -> str:
    return "forever" if microseconds == FOREVER else moment(microseconds).isoformat()


def overlaps(a: Interval, b: Interval) -> bool:
    """Whether some instant lies in both."""
    return a[0] < b[1] and b[0] < a[1]


def intersect(a: Interval, b: Interval) -> Interval | None:
    """The instants in both, or None."""
    start, end = max(a[0], b[0]), min(a[1], b[1])
    return (start, end) if start < end else None


def without(a: Interval, cut: Interval) -> list[Interval]:
    """The instants of *a* that are not in *cut*: none, one or two intervals.

    >>> without((0, 10), (3, 5))
    [(0, 3), (5, 10)]
    """
    kept = []
    if a[0] < min(a[1], cut[0]):
        kept.append((a[0], min(a[1], cut[0])))
    if max(a[0], cut[1]) < a[1]:
        kept.append((max(a[0], cut[1]), a[1]))
    return kept


def gaps(a: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """The instants of *a* that none of *covered* holds, in order.

    >>> gaps((0, 10), [(2, 3), (5, 20)])
    [(0, 2), (3, 5)]
    """
    open_pieces = [a]
    for cut in covered:
        open_pieces = [piece for whole in open_pieces for piece in without(whole, cut)]
    return open_pieces


def coalesce(pieces: Iterable[Interval]) -> list[Interval]:
    """The same instants in the fewest intervals, sorted.

    >>> coalesce([(5, 7), (0, 2), (2, 5), (9, 10)])
    [(0, 7), (9, 10)]
    """
    joined: list[Interval] = []
    for start, end in sorted(pieces):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def fork(low: int, high: int) -> int:
    """The node of the closed range [low, high] in the virtual binary tree over the integers.

    A row stored under its fork node is found by a stabbing query through one index seek for each
    level of the tree, so a past instant costs what it returns, whatever the length of history.

    Source: H.-P. Kriegel, M. Pötke, T. Seidl, "Managing Intervals Efficiently in
    Object-Relational Databases" (VLDB 2000), the Relational Interval Tree.
    """
    if low == high:
        return low
    if low < 0 <= high:
        return 0
    level = (low ^ high).bit_length() - 1
    return (high >> level) << level


def path(point: int) -> list[int]:
    """The nodes under which an interval that holds *point* may be stored.

    >>> fork(3, 9) in path(5)
    True
    """
    nodes = {0, point}
    for level in range(63):
        nodes.add(((point >> level) | 1) << level)
    return sorted(node for node in nodes if -(2**63) <= node <= FOREVER)
