"""A transaction is resolved in bulk: the statements it runs do not grow with its facts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from persistence import Substrate

SCHEMA = """[{:db/ident :id :db/unique :db.unique/identity}
             {:db/ident :boss :db/valueType :db.type/ref}
             {:db/ident :tags :db/cardinality :db.cardinality/many}
             {:db/ident :parts :db/valueType :db.type/ref :db/isComponent true
              :db/cardinality :db.cardinality/many}]"""


def statements(s: Substrate, forms: list) -> Counter[str]:
    """How often each statement was run. Rows of one `executemany` share their statement."""
    ran: list[str] = []
    writer = s._connection.store.session().connection

    def trace(_cursor: object, sql: str, _bindings: object) -> bool:
        if not ran or ran[-1] != sql:
            ran.append(sql)
        return True

    writer.exec_trace = trace
    try:
        s.fact.transact(forms)
    finally:
        writer.exec_trace = None
    return Counter(ran)


def upserts(n: int) -> list:
    return [
        {"id": i, "boss": [":id", 0], "tags": [i, i + 1], "name": f"n{i}", "parts": [{"x": i}]}
        for i in range(n)
    ]


def retracts(n: int) -> list:
    return [[":db/retractEntity", [":id", i]] for i in range(1, n)]


@pytest.mark.parametrize("forms", [upserts, retracts])
def test_the_number_of_statements_is_the_same_for_ten_facts_and_a_thousand(
    tmp_path: Path, forms
) -> None:
    with Substrate.open(tmp_path / "store.db") as s:
        s.fact.transact(SCHEMA)
        s.fact.transact(upserts(1_000))
        s.fact.transact([{"id": i, "name": f"again{i}"} for i in range(1_000)])
        few = statements(s, forms(10))
        many = statements(s, forms(500))
        assert sum(many.values()) <= sum(few.values()) + 1  # a flag that comes on is a row more
        assert sum(many.values()) < 20
        assert s.check() == []
