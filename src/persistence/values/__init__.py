"""What a value is: EDN in Python, its text, its canonical bytes, its address and its columns."""

from persistence.values.canonical import encode, encode_datom, encode_datoms
from persistence.values.columns import (
    ERASED,
    INTERNED,
    NUMERIC,
    Kind,
    Payload,
    columns,
    float_from_order,
    float_order,
    from_columns,
    interned_id,
    to_columns,
)
from persistence.values.decoding import decode, decode_datom
from persistence.values.digest import (
    CONTEXTS,
    ObjectKind,
    datom_id,
    digest,
    same_digest,
    value_id,
)
from persistence.values.edn import read, read_all
from persistence.values.instants import EPOCH, FOREVER, from_micros, micros
from persistence.values.limits import LIMITS, Limits
from persistence.values.names import Char, Keyword, Symbol, keyword
from persistence.values.order import compare, from_sort_key, sort_key
from persistence.values.ordered import in_order
from persistence.values.printer import write
from persistence.values.sealing import (
    SALT_BYTES,
    commitment,
    erased,
    is_reserved,
    sealed,
)
from persistence.values.types import List, Map, Set, Tagged, Value, freeze, identity

__all__ = [
    "CONTEXTS",
    "EPOCH",
    "ERASED",
    "FOREVER",
    "INTERNED",
    "LIMITS",
    "NUMERIC",
    "SALT_BYTES",
    "Char",
    "Keyword",
    "Kind",
    "Limits",
    "List",
    "Map",
    "ObjectKind",
    "Payload",
    "Set",
    "Symbol",
    "Tagged",
    "Value",
    "columns",
    "commitment",
    "compare",
    "datom_id",
    "decode",
    "decode_datom",
    "digest",
    "encode",
    "encode_datom",
    "encode_datoms",
    "erased",
    "float_from_order",
    "float_order",
    "freeze",
    "from_columns",
    "from_micros",
    "from_sort_key",
    "identity",
    "in_order",
    "interned_id",
    "is_reserved",
    "keyword",
    "micros",
    "read",
    "read_all",
    "same_digest",
    "sealed",
    "sort_key",
    "to_columns",
    "value_id",
    "write",
]
