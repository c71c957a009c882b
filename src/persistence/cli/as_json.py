"""EDN values as JSON, for programs. One table, in docs/cli.md, says what becomes of each type.

JSON has fewer types than EDN, so some values look alike there; `--edn` keeps them apart.
"""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.datoms import FOREVER, Datom, moment
from persistence.values import Char, Keyword, Set, Symbol, Tagged, sort_key, write

_TEXTS = (Keyword, Symbol, Decimal, Fraction, uuid.UUID)


def as_json(value: Any) -> Any:
    """*value* in the types of JSON.

    >>> as_json({Keyword("a/b"): (1, Decimal("1.50"), None)})
    {':a/b': [1, '1.50', None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else write(value)[2:]
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Char):
        return value.text
    if isinstance(value, Datom):
        return datom(value)
    if isinstance(value, Mapping):
        return {_key(key): as_json(item) for key, item in value.items()}
    if isinstance(value, Set | set | frozenset):
        return [as_json(item) for item in sorted(value, key=_order)]
    if isinstance(value, Tagged):
        return {"tag": str(value.tag), "value": as_json(value.value)}
    return [as_json(item) for item in value]


def _order(value: Any) -> Any:
    return sort_key(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else write(key)


def rfc3339(value: datetime | int) -> str:
    """An instant as RFC 3339 text in UTC.

    >>> rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    at = moment(value) if isinstance(value, int) else value.astimezone(UTC)
    return at.replace(tzinfo=None).isoformat() + "Z"


def end(valid_to: int) -> str | None:
    """The end of an interval, None while it stays open."""
    return None if valid_to == FOREVER else rfc3339(valid_to)


def datom(one: Datom) -> dict[str, Any]:
    """A datom as an object."""
    return {
        "e": one.e,
        "a": str(one.a),
        "v": as_json(one.v),
        "t": one.t,
        "time": rfc3339(one.tx_time),
        "from": rfc3339(one.valid_from),
        "to": end(one.valid_to),
        "op": "assert" if one.added else "retract",
    }


def dumps(value: Any) -> str:
    """One line of JSON for what is made of JSON types already."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
