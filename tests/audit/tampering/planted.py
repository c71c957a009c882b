"""A small signed store that has something of everything, and one who changes its tables.

The attacker has the file and knows SQLite. What is changed stays valid by itself: another value of
the same type, the hash of another row. So it is the chain that tells, and no decoder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import apsw

from persistence import FrozenClock, Keyword, Substrate
from persistence.attesting import examine
from persistence.audit.keyfile import Keyring, generate
from persistence.stm import Transaction
from persistence.store import open_store

ORIGIN: Final = "example.com/tea"
START: Final = 1_790_000_000_000_000
_GUARDS: Final = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
FILLERS: Final = 256  # so many that a tile of the tree is complete, and some follow

SCHEMA: Final = """
    [{:db/ident :id :db/unique :db.unique/identity}]
    [{:db/ident :note :db/valueType :db.type/string :db/fulltext true}]
    [{:db/ident :tag :db/cardinality :db.cardinality/many :db/index true}]
    [{:db/ident :boss :db/valueType :db.type/ref}]
    [{:db/ident :secret :db/valueType :db.type/string :db/sensitive true}]
    [{:db/ident :never-used :db/valueType :db.type/long}]
"""
VALUES: Final = {
    "v/true": True,
    "v/small": 7,
    "v/big": 2**70,
    "v/float": 2.5,
    "v/whole": 3.0,
    "v/zero": -0.0,
    "v/decimal": Decimal("1.50"),
    "v/ratio": Fraction(2, 3),
    "v/text": "green",
    "v/long": "a value that is stored once " * 20,
    "v/longer": "a value that is stored elsewhere " * 20,
    "v/keyword": Keyword("green/tea"),
    "v/vector": (1, "two"),
    "v/bytes": b"\x01\x02",
}


def new_keys() -> Keyring:
    """Keys of the log and of two authors, in no file."""
    return Keyring.generate(ORIGIN, "ana", "bo")


def plant(path: Path, keys: Keyring) -> None:
    """Writes a store at *path* that has every kind of row; its keys are in *keys*."""
    plant_at(str(path), keys, synchronous="OFF")


def plant_at(uri: str, keys: Keyring, fillers: int = FILLERS, **options: Any) -> None:
    clock = FrozenClock(START)
    with Substrate.open(uri, clock=clock, keys=keys, **options) as s:

        def say(*forms: Any, author: str = "ana", **more: Any) -> None:
            clock.advance(1_000_000)
            s.fact.transact(*forms, author=author, **more)

        for form in SCHEMA.strip().splitlines():
            say(form)
        say([{"id": 1, "note": "Green tea, hot", "tag": ["warm", "leaf"]}], author="bo")
        for attribute, value in VALUES.items():
            say([["db/add", ["id", 1], attribute, value]], author="bo")
        say([{"id": 2, "note": "black tea", "boss": ["id", 1], "secret": "blue"}])
        say([{"id": 3, "note": "no tea", "secret": "to be erased", "tag": "leaf"}])
        say([{"id": 4, "v/span": "until"}], valid_from="2020-01-01", valid_to="2030-01-01")
        say([{"id": 4, "v/span": "then"}], valid_from="2025-01-01", valid_to="2040-01-01")
        say([{"id": 1, "note": "white tea"}], meta={"why": "it was corrected"})
        say([[":db/retract", [Keyword("id"), 1], ":v/small", 7]])
        s.audit.rotate_key("bo", (fresh := generate("author", "bo")).public)
        s.audit.use(Keyring.memory(*keys.keys, fresh))
        say([{"id": 5, "v/small": 8}], author="bo")
        s.audit.revoke_key("bo")
        _branch(s, clock)
        s.txn.run(_reserving, author="ana")
        s.audit.erase([[Keyword("id"), 3]], reason="asked to", author="ana")
        for n in range(fillers):
            say([["db/add", 1_000 + n, "filler", n]])
        say([["db/add", 999, "filler", -1]])


def _branch(s: Substrate, clock: FrozenClock) -> None:
    branch = s.branch.create("what-if", author="ana")
    say = branch.fact.transact
    clock.advance(1_000_000)
    say("[{:db/ident :v/text :db/index true}]", author="ana")
    say([{"id": 1, "note": "what if", "v/text": "red", "boss": ["id", 2]}], author="ana")
    say([["db/retract", ["id", 2], "note", "black tea"]], author="ana")
    span = {"valid_from": "2021-01-01", "valid_to": "2022-01-01"}
    say([{"id": 2, "v/span": "on the branch"}], author="ana", **span)


def _reserving(tx: Transaction) -> None:
    tx.transact([{"id": 6}])  # a body names its entities before it is committed


@contextmanager
def tampering(path: Path) -> Iterator[apsw.Connection]:
    """The tables of the store at *path*, without what guards them; that is put back at the end."""
    file = apsw.Connection(str(path))
    try:
        guards = file.execute(_GUARDS).fetchall()
        for name, _ in guards:
            file.execute(f"DROP TRIGGER {name}")
        yield file
        for _, sql in guards:
            file.execute(sql)
    finally:
        file.close()


def copy_of(path: Path, to: Path) -> Path:
    for old in (to, Path(f"{to}-wal"), Path(f"{to}-shm")):
        old.unlink(missing_ok=True)
    shutil.copyfile(path, to)
    return to


def told(uri: Path | str, keys: Keyring | None) -> list[str]:
    """What is found in the store, in sentences; and whether it was refused when it was opened."""
    try:
        with Substrate.open(uri, keys=keys) as s:
            return [str(finding) for finding in s.audit.verify()]
    except Exception as error:  # what the error must be, test_refused tells
        with closing(open_store(str(uri))) as store:
            found = [str(finding) for finding in examine(store)]
        return [f"refused: {type(error).__name__}: {error}", *found]
