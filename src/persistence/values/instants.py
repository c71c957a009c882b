"""Instants: integers of microseconds inside, aware UTC datetimes at the border."""

from __future__ import annotations

import datetime as dt
from typing import Final

from persistence.errors import ValueRefused
from persistence.values.refuse import refusal

__all__ = ["EPOCH", "FOREVER", "from_micros", "micros"]

FOREVER: Final = 2**63 - 1  # `valid_to` of what has no end
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def micros(instant: dt.datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z.

    >>> micros(dt.datetime(1970, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    0

    Raises:
        ValueRefused: *instant* has no time zone.
    """
    try:
        gap = instant - EPOCH
    except TypeError:
        raise refusal(instant) from None
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def from_micros(count: int) -> dt.datetime:
    """The aware UTC datetime *count* microseconds after 1970-01-01T00:00:00Z.

    >>> from_micros(1_000_000)
    datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc)

    Raises:
        ValueRefused: before the year 1 or after 9999.
    """
    try:
        return EPOCH + count * _MICROSECOND
    except OverflowError:
        raise ValueRefused(
            f"{count} µs since 1970 lies outside the years 1 to 9999", value=count
        ) from None
