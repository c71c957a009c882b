"""What a value is: EDN in Python, its text, its canonical bytes, its address and its columns."""

from persistence.values.edn import read, read_all
from persistence.values.limits import LIMITS, Limits
from persistence.values.types import (
    EPOCH,
    FOREVER,
    Char,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    Value,
    freeze,
    from_micros,
    identity,
    keyword,
    micros,
)
