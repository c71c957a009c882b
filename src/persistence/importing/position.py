"""How far an import came, kept as facts about its own transactions.

Position and rows are in one commit, so a run that ends anywhere is continued after the last row
that is in the store: no row is lost and none comes twice. A file is known by the digest of its
beginning together with what was asked for, so that a file that has grown goes on where it ended,
and other options make another import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import attrs
from blake3 import blake3

from persistence.db import Db
from persistence.importing.book import INFERRED_MARK
from persistence.importing.plan import Plan
from persistence.values import Keyword

FILE: Final = Keyword("import/file")
KEY: Final = Keyword("import/key")
HEAD: Final = Keyword("import/head")
ROWS: Final = Keyword("import/rows")

_HEAD_BYTES: Final = 1 << 16  # enough to tell files apart, little to read
_SHOWN: Final = 32

SCHEMA: Final[tuple[tuple[Keyword, str, str, dict[str, Any]], ...]] = (
    (FILE, "string", "The name of the file that these facts came from.", {}),
    (KEY, "string", "The digest of the beginning of the file and of the options.", {"index": True}),
    (HEAD, "long", "How many bytes of the file are in import/key.", {}),
    (ROWS, "long", "How many rows of the file are dealt with, this transaction included.", {}),
    (INFERRED_MARK, "boolean", "An import declared this; a later one may change it.", {}),
)

_DONE: Final = (
    "[:find ?head ?key (max ?rows) :where [?tx :import/key ?key] [?tx :import/head ?head]"
    " [?tx :import/rows ?rows]]"
)
_INFERRED: Final = "[:find [?name ...] :where [?a :import/inferred true] [?a :db/ident ?name]]"


@attrs.frozen
class Position:
    """Which import this is, and after how many rows it goes on."""

    file: str
    key: str
    head: int
    rows: int = 0

    def meta(self, rows: int) -> dict[Keyword, Any]:
        """What a transaction says that ends with row number *rows*."""
        return {FILE: self.file, KEY: self.key, HEAD: self.head, ROWS: rows}


def declarations(db: Db) -> list[Any]:
    """The attributes of positions, those that are not declared yet."""
    return [
        {
            ":db/ident": ident,
            ":db/valueType": Keyword(f"db.type/{kind}"),
            ":db/doc": doc,
            **{f":db/{name}": value for name, value in more.items()},
        }
        for ident, kind, doc, more in SCHEMA
        if db.schema[ident].entity is None
    ]


def inferred(db: Db) -> list[Keyword]:
    """The attributes that imports declared."""
    if db.source.attribute_id(INFERRED_MARK) is None:
        return []
    found: list[Keyword] = db.q(_INFERRED)
    return found


def find(db: Db, path: Path, plan: Plan, kind: str, *, again: bool) -> Position:
    """Where the import of the file at *path* goes on; at its start, when asked *again*."""
    text = f"{kind} {plan.text()}"
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    fresh = Position(path.name, _key(head, text), len(head))
    if again or db.source.attribute_id(KEY) is None:
        return fresh
    found = [
        Position(path.name, key, size, rows)
        for size, key, rows in db.q(_DONE)
        if size <= len(head) and key == _key(head[:size], text)
    ]
    return max(found, key=lambda position: position.rows, default=fresh)


def _key(head: bytes, text: str) -> str:
    digest = blake3(head, derive_key_context="persistence 2026 import position")
    digest.update(text.encode())
    return digest.hexdigest()[:_SHOWN]
