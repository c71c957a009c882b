from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.datoms.interval import (
    coalesce,
    fork,
    gaps,
    instant,
    intersect,
    interval,
    moment,
    overlaps,
    path,
    without,
)
from persistence.errors import IntervalError

points = st.integers(-20, 20)
pieces = st.tuples(points, st.integers(1, 9)).map(lambda p: (p[0], p[0] + p[1]))


def covered(intervals) -> set[int]:
    return {point for start, end in intervals for point in range(start, end)}


@given(pieces, pieces)
def test_the_algebra_is_that_of_sets_of_instants(a, b) -> None:
    assert covered(without(a, b)) == covered([a]) - covered([b])
    both = intersect(a, b)
    assert covered([both] if both else []) == covered([a]) & covered([b])
    assert overlaps(a, b) == bool(covered([a]) & covered([b]))


@given(pieces, st.lists(pieces))
def test_gaps_are_what_nothing_covers(a, cuts) -> None:
    left = gaps(a, cuts)
    assert covered(left) == covered([a]) - covered(cuts)
    assert sum(end - start for start, end in left) == len(covered(left))


@given(st.lists(pieces))
def test_coalescing_changes_no_instant_and_leaves_no_seam(some) -> None:
    joined = coalesce(some)
    assert covered(joined) == covered(some)
    assert all(one[1] < other[0] for one, other in pairwise(joined))


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**61), st.data())
def test_a_stab_finds_every_range_that_holds_it(low, length, data) -> None:
    high = low + length
    point = data.draw(st.integers(low, high))
    assert low <= fork(low, high) <= high
    assert fork(low, high) in path(point)
    assert len(path(point)) <= 65


def test_instants_do_not_depend_on_their_offset_or_text() -> None:
    utc = datetime(2026, 4, 14, 10, tzinfo=UTC)
    elsewhere = utc.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert instant(utc) == instant(elsewhere) == instant("2026-04-14T10:00:00Z")
    assert instant("2026-04-14T15:30:00+05:30") == instant(utc)
    assert instant("2026-04-14") == instant(date(2026, 4, 14))
    assert moment(instant(utc)) == utc


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), "2026-01-01T10:00:00", "yesterday", 7])  # noqa: DTZ001  refused, which is the point
def test_what_names_no_instant_is_refused_with_a_remedy(bad) -> None:
    with pytest.raises(IntervalError) as refused:
        instant(bad)
    assert refused.value.hint


@pytest.mark.parametrize("end", [5, 4])
def test_empty_and_reversed_intervals_are_errors(end) -> None:
    with pytest.raises(IntervalError, match=r"empty|before it starts"):
        interval(5, end)
