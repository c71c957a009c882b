"""A store with three accounts, on each backend in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persistence import Substrate

SCHEMA = """[
    {:db/ident :account/id :db/unique :db.unique/identity :db/valueType :db.type/string}
    {:db/ident :account/balance :db/valueType :db.type/long}
    {:db/ident :account/owner :db/valueType :db.type/string}
    {:db/ident :account/tags :db/cardinality :db.cardinality/many}
    {:db/ident :order/lines :db/valueType :db.type/ref :db/isComponent true
     :db/cardinality :db.cardinality/many}
]"""


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    """An open store with the accounts a, b and c, which hold 100 each."""
    with Substrate.open(store_uri) as opened:
        opened.fact.transact(SCHEMA)
        opened.fact.transact(
            [{"db/id": e, "account/id": name, "account/balance": 100} for e, name in ACCOUNTS]
        )
        yield opened


ACCOUNTS = [(1, "a"), (2, "b"), (3, "c")]


def balance(s: Substrate, e: int) -> int:
    found: int = s.fact.db().get(e, "account/balance")
    return found
