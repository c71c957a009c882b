"""EDN values as JSON, for files that other programs read.

What came from JSON goes back as it was. An agent's own tools may give more than JSON has; that is
told in EDN's text.
"""

from __future__ import annotations

import json
import math
from typing import Any

from persistence.values import Map, Value, write


def to_json(value: Value) -> Any:
    """*value* in the types that `json` writes: text keys only, the rest as EDN text.

    >>> to_json(Map({"a": (1, None)}))
    {'a': [1, None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else write(value)
    if type(value) is tuple:
        return [to_json(item) for item in value]
    if isinstance(value, Map):
        return {_key(key): to_json(item) for key, item in value.items()}
    return write(value)


def _key(key: Value) -> str:
    return key if isinstance(key, str) else write(key)


def dumps(value: Value) -> str:
    """*value* as one line of JSON; what is no text in it is written as `to_json` says.

    >>> dumps({"a": [1, "é"]})
    '{"a": [1, "é"]}'
    """
    return json.dumps(value if isinstance(value, dict) else to_json(value), ensure_ascii=False)
