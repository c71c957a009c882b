"""One map of plain values is transacted by a shorter way, which must never be told from the other.

A form that is nil says nothing, but sends a transaction the general way: two stores that live
through the same day, one with such forms and one without, must be the same to the last byte.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from persistence import FrozenClock, PersistenceError, Substrate

SCHEMA = """[{:db/ident :long :db/valueType :db.type/long}
             {:db/ident :found :db/index true}
             {:db/ident :forgets :db/noHistory true}
             {:db/ident :many :db/cardinality :db.cardinality/many}
             {:db/ident :only :db/unique :db.unique/value}
             {:db/ident :id :db/unique :db.unique/identity}
             {:db/ident :boss :db/valueType :db.type/ref}
             {:db/ident :words :db/valueType :db.type/string :db/fulltext true}]"""
USED = dict.fromkeys(("any", ":any", "other", "long", "found", "forgets", "many"), 0)
COMPOSITE = "[{:db/ident :pair :db/tupleAttrs [:any :long]}]"

plain = ["any", "other", "long", "found", "forgets"]
names = st.sampled_from(plain) | st.sampled_from(
    [*plain, ":any", "many", "only", "id", "boss", "words", "db/doc"]
)
values = (
    st.integers(0, 1)
    | st.integers(0, 1)
    | st.sampled_from(
        [
            *(0, 1, 1.0, True, "a", "long " * 100, [1, "a"], {"any": 1}, None, 2**70, object()),
            *(["long " * 100], {"any": "long " * 100}, 5, 9, 2**44 - 1, 2**44 + 5, -1),
        ]
    )
)
entities = st.integers(1, 2) | st.sampled_from(
    [None, 1, 2, 4, 4, 5, 6, 2**44 - 1, 2**44 + 5, "new", -1, ["id", 1], 0, "datomic.tx"]
)
days = st.none() | st.sampled_from([None, "2026-01-01", "2026-02-01", "2026-03-01"])


@st.composite
def maps(draw: st.DrawFn) -> dict[str, Any]:
    form = draw(st.dictionaries(names, values, min_size=1, max_size=2))
    e = draw(entities)
    return form if e is None else {"db/id": e, **form}


steps = st.tuples(maps(), days, days)


def outcome(s: Substrate, forms: list[Any], start: str | None, end: str | None) -> Any:
    try:
        report = s.fact.transact(forms, valid_from=start, valid_to=end)
    except PersistenceError as error:
        return type(error), str(error)
    return report.id, report.tempids, report.tx_data


def rows(s: Substrate) -> list[Any]:
    with s._connection.snapshot() as snapshot:
        texts = snapshot.rows("SELECT a, k, v FROM text ORDER BY a, k, v")
        return [snapshot.head(), *texts, *snapshot.log(0, 10**6), *snapshot.facts()]


BOUNDED = [({"db/id": 5, "any": 0}, None, "2026-03-01"), ({"db/id": 5, "any": 1}, None, None)]
UNIQUE = [({"db/id": e, "only": 1}, None, None) for e in (1, 2)]
WORDS = [({"db/id": e, "words": text}, None, None) for text in "abc" for e in (1, 2)]


@example(BOUNDED, False)
@example(UNIQUE, False)
@example(WORDS, False)
@given(st.lists(steps, min_size=8, max_size=20), st.sampled_from([False, False, True]))
def test_a_plain_map_is_written_as_if_it_were_not_plain(
    day: list[tuple[dict[str, Any], str | None, str | None]], composite: bool
) -> None:
    clock = FrozenClock(1_770_000_000_000_000)
    with (
        Substrate.open(":memory:", clock=clock) as one,
        Substrate.open(":memory:", clock=clock) as other,
    ):
        for s in (one, other):
            s.fact.transact(SCHEMA)
            if composite:
                s.fact.transact(COMPOSITE)
            for e in (1, 2):  # names are known from the second transaction on
                s.fact.transact(
                    [{"db/id": e, **USED}, {"id": e, "only": e, "words": "a", "boss": 1}]
                )
        for form, start, end in day:
            clock.advance(1_000)
            assert outcome(one, [form], start, end) == outcome(other, [form, None], start, end)
        assert rows(one) == rows(other)
        assert one.check() == []
