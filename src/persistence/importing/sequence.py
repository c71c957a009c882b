"""Rows of one entity that follow each other, in one transaction.

One transaction cannot say two things of one attribute at one instant, and a file can: each row
displaces what earlier rows said, over its own interval. Where every row tells its interval, the
earlier ones are cut to what the later ones leave of them, so that they go in together; otherwise
the later row has to wait for a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from persistence.datoms import FOREVER, Interval, moment
from persistence.datoms.interval import instant, overlaps, without
from persistence.importing.shape import VALID_FROM, VALID_TO, Form
from persistence.values import Keyword

MOST: Final = 64  # forms of one entity in one transaction: every new one is held against all
_NO_FACTS: Final = frozenset((VALID_FROM, VALID_TO))


def span(form: Form) -> Interval | None:
    """The interval of *form*; None when it begins with its transaction."""
    if VALID_FROM not in form:
        return None
    return instant(form[VALID_FROM]), instant(form[VALID_TO]) if VALID_TO in form else FOREVER


def make_room(forms: list[Form], later: Form, ident: Keyword) -> list[Form] | None:
    """*forms*, cut to what they still say beside *later*, which comes after them.

    >>> a, b = Keyword("a"), Keyword("b")
    >>> first, later = {a: 1, b: 1, VALID_FROM: moment(0)}, {a: 1, b: 2, VALID_FROM: moment(10)}
    >>> [(form[b], span(form)) for form in make_room([first], later, a) or []]
    [(1, (0, 10))]

    None when *later* has to wait: an interval is not told, or what an earlier row says would
    never be said at all.
    """
    taken = span(later)
    if taken is None or len(forms) >= MOST:
        return None
    kept: list[Form] = []
    for form in forms:
        held = span(form)
        if held is None:
            return None
        shared = list(_displaced(form, later, ident)) if overlaps(held, taken) else []
        if not shared:
            kept.append(form)
            continue
        pieces = without(held, taken)
        if not pieces or any(isinstance(form[a], dict | list) for a in shared):
            return None
        rest = {a: v for a, v in form.items() if a not in shared}
        if len(rest) > len(_NO_FACTS & rest.keys()) + 1:
            kept.append(rest)
        said = {ident: form[ident], **{a: form[a] for a in shared}}
        kept += [{**said, **_told(piece)} for piece in pieces]
    return kept


def _displaced(form: Form, later: Form, ident: Keyword) -> Iterable[Any]:
    """The attributes of which *later* says something else."""
    for a, value in form.items():
        if a in later and a is not ident and a not in _NO_FACTS:
            other = later[a]
            if type(other) is not type(value) or other != value:
                yield a


def _told(piece: Interval) -> Form:
    start, end = piece
    told: Form = {VALID_FROM: moment(start)}
    if end != FOREVER:
        told[VALID_TO] = moment(end)
    return told
