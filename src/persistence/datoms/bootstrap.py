"""The attributes that every store knows before its first transaction.

Schema is data, so the attributes that describe attributes must exist first. They have fixed
storage numbers and are not facts in the log: a store is a function of its log and this table.
"""

from __future__ import annotations

from typing import Final

from persistence.datoms.schema import UNIQUE_IDENTITY, Attribute
from persistence.values import Keyword, Kind

FIRST_ATTRIBUTE_ID: Final = 64  # numbers below are reserved for built-in attributes
SPECULATED: Final = 2**30  # numbers from here on are given by speculations, and never stored


def _attribute(number: int, name: str, value_type: str | None, **options: object) -> Attribute:
    typed = Keyword(f"db.type/{value_type}") if value_type else None
    return Attribute(Keyword(name), id=number, value_type=typed, **options)  # type: ignore[arg-type]


IDENT: Final = Keyword("db/ident")
VALUE_TYPE: Final = Keyword("db/valueType")
CARDINALITY: Final = Keyword("db/cardinality")
UNIQUE: Final = Keyword("db/unique")
INDEX: Final = Keyword("db/index")
IS_COMPONENT: Final = Keyword("db/isComponent")
TUPLE_ATTRS: Final = Keyword("db/tupleAttrs")
TUPLE_TYPES: Final = Keyword("db/tupleTypes")
TUPLE_TYPE: Final = Keyword("db/tupleType")
PREDS: Final = Keyword("db.attr/preds")
ENTITY_ATTRS: Final = Keyword("db.entity/attrs")
ENTITY_PREDS: Final = Keyword("db.entity/preds")
DOC: Final = Keyword("db/doc")
NO_HISTORY: Final = Keyword("db/noHistory")
FULLTEXT: Final = Keyword("db/fulltext")
SENSITIVE: Final = Keyword("db/sensitive")
TX_INSTANT: Final = Keyword("db/txInstant")  # virtual: it stands in the transaction itself
BRANCH_NAME: Final = Keyword("db.branch/name")  # on the transaction that began the branch
BRANCH_PARENT: Final = Keyword("db.branch/parent")
BRANCH_BASE: Final = Keyword("db.branch/base")
BRANCH_DISCARDED: Final = Keyword("db.branch/discarded")
BRANCH_MERGED: Final = Keyword("db.branch/merged")  # on the transaction that took it in
LOG_EVENT: Final = Keyword("db.log/event")  # on a transaction that says something of the log
LOG_REASON: Final = Keyword("db.log/reason")
ENSURE: Final = Keyword("db/ensure")  # virtual: a demand on a transaction, not a fact

BUILT_IN: Final = (
    _attribute(1, "db/ident", "keyword", unique=UNIQUE_IDENTITY, index=True, indexed=True),
    _attribute(2, "db/valueType", "keyword"),
    _attribute(3, "db/cardinality", "keyword"),
    _attribute(4, "db/unique", "keyword"),
    _attribute(5, "db/index", "boolean"),
    _attribute(6, "db/isComponent", "boolean"),
    _attribute(7, "db/tupleAttrs", "vector"),
    _attribute(8, "db/tupleTypes", "vector"),
    _attribute(9, "db/tupleType", "keyword"),
    _attribute(10, "db.attr/preds", None, many=True),
    _attribute(11, "db.entity/attrs", "keyword", many=True),
    _attribute(12, "db.entity/preds", None, many=True),
    _attribute(13, "db/doc", "string"),
    _attribute(14, "db/noHistory", "boolean"),
    _attribute(15, "db/fulltext", "boolean"),
    _attribute(16, "db/sensitive", "boolean"),
    _attribute(17, "db/txInstant", "instant"),
    _attribute(18, "db.branch/name", "string"),
    _attribute(19, "db.branch/parent", "long"),
    _attribute(20, "db.branch/base", "long"),
    _attribute(21, "db.branch/discarded", "boolean"),
    _attribute(22, "db.branch/merged", "long"),
    _attribute(23, "db.log/event", "vector"),
    _attribute(24, "db.log/reason", "string"),
)
BUILT_IN_IDS: Final[dict[Keyword, int]] = {
    attribute.ident: number for number, attribute in enumerate(BUILT_IN, start=1)
}
SCHEMA_IDS: Final = frozenset(range(1, 17))  # a change of one of these is a change of the schema
BRANCH_IDS: Final = frozenset(range(18, 22))  # what is known of branches, on the main line
LOG_EVENT_ID: Final = BUILT_IN_IDS[LOG_EVENT]

# What :db/valueType may say, and the kinds of value that each type takes. A type with one kind
# lets queries compare payloads alone.
VALUE_TYPES: Final[dict[Keyword, frozenset[int]]] = {
    Keyword(f"db.type/{name}"): frozenset(kinds)
    for name, kinds in {
        "string": (Kind.STRING,),
        "boolean": (Kind.BOOL,),
        "long": (Kind.INT,),
        "bigint": (Kind.INT, Kind.BIGINT),
        "double": (Kind.FLOAT,),
        "float": (Kind.FLOAT,),
        "bigdec": (Kind.DECIMAL,),
        "ratio": (Kind.RATIO, Kind.INT, Kind.BIGINT),
        "instant": (Kind.INST,),
        "uuid": (Kind.UUID,),
        "keyword": (Kind.KEYWORD,),
        "symbol": (Kind.SYMBOL,),
        "char": (Kind.CHAR,),
        "bytes": (Kind.BYTES,),
        "ref": (Kind.INT,),
        "tuple": (Kind.VECTOR,),
        "vector": (Kind.VECTOR,),
        "list": (Kind.LIST,),
        "map": (Kind.MAP,),
        "set": (Kind.SET,),
    }.items()
}
