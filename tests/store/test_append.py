"""What is appended comes back, of every kind, by every way of reading."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence.datoms import BEGINNING, FOREVER
from persistence.errors import CorruptStore, PersistenceError
from persistence.store import Head, Store
from persistence.store.protocol import OPEN_T
from persistence.values import (
    Char,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    columns,
    from_columns,
    identity,
)
from tests.store.batches import START, batch, fact, key, live, tx

EXTREMES = [
    True,
    False,
    0,
    -(2**63),
    2**63 - 1,
    2**63,
    -(10**60),
    0.0,
    -0.0,
    0.1,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    1.0,
    Decimal("1.0"),
    Decimal("1.00"),
    Decimal("-0"),
    Fraction(1, 3),
    "",
    "plain",
    "a\tb\nc\\d\\N\"'",
    "nul \x00 and \x01",
    "\N{SNOWMAN} \U0001f600",
    "é" * 256,
    "long " * 1_000,
    "NaN",
    "1",
    ":x",
    Char("x"),
    Char("\U0001f600"),
    Keyword("x"),
    Keyword("user/name"),
    Symbol("x"),
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    uuid.UUID(int=0),
    b"",
    bytes(range(256)),
    (1, "a", None, (2.5,)),
    List((1, 2)),
    Map({Keyword("a"): (1, 2)}),
    Set({1, "1"}),
    Tagged(Symbol("my/tag"), "x"),
]


def test_a_new_store_has_no_head(store: Store) -> None:
    with store.snapshot() as snapshot:
        assert snapshot.head() == Head(0, b"", 0, b"", 1)
        assert snapshot.transactions(0, 10, 10) == []
        assert snapshot.transaction_at(START) == 0


def test_the_head_is_the_last_transaction(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1))
        session.append(batch(2))
    with store.snapshot() as snapshot:
        assert snapshot.head() == Head(2, tx(2).id, START + 2, tx(2).leaf, 1_000)
        assert snapshot.transactions(0, 2, 10) == [tx(1), tx(2)]
        assert snapshot.transactions(1, 9, 10) == [tx(2)]
        assert snapshot.transactions(0, 9, 1) == [tx(1)]
        assert snapshot.transaction_of(tx(2).id) == 2
        assert snapshot.transaction_of(b"\0" * 32) is None
        assert [snapshot.transaction_at(START + n) for n in range(4)] == [0, 1, 2, 2]


def test_values_of_every_kind_come_back_unchanged(store: Store) -> None:
    rows, blobs = [], []
    for e, value in enumerate(EXTREMES, 1):
        k, payload, data = columns(value)
        rows.append(fact(e, 1, payload, k=k))
        if data is not None:
            blobs.append((bytes.fromhex(str(payload)[-64:]), data))
    with store.session() as session:
        session.append(batch(1, rows, blobs=blobs))
    with store.snapshot() as snapshot:
        interned = snapshot.blobs([content for content, _ in blobs])
        assert interned == dict(blobs)
        facts = [(e, k, payload) for e, _, k, payload, *_ in snapshot.live_attributes(0, [1])]
        log = [(e, k, payload) for _, _, e, _, k, payload, *_ in snapshot.log(0, 1)]
        for read in (facts, log):
            found = {}
            for e, k, payload in read:
                data = interned.get(bytes.fromhex(str(payload)[-64:])) if k > 32 else None
                found[e] = from_columns(k, payload, data)
            assert [identity(found[e]) for e in range(1, len(EXTREMES) + 1)] == [
                identity(value) for value in EXTREMES
            ]


def test_each_value_is_found_by_its_payload_and_no_other_is(store: Store) -> None:
    rows = [fact(e, 1, columns(v)[1], k=columns(v)[0]) for e, v in enumerate(EXTREMES, 1)]
    with store.session() as session:
        session.append(batch(1, rows))
    keys = [(row[1], row[3], row[4]) for row in rows]
    with store.snapshot() as snapshot:
        assert sorted(snapshot.live_values(0, keys), key=lambda row: row[0]) == [
            live(row) for row in rows
        ]
        for row, asked in zip(rows, keys, strict=True):
            assert snapshot.live_values(0, [asked]) == [live(row)]


def test_payloads_have_the_same_python_type_on_every_backend(store: Store) -> None:
    rows = [fact(e, 1, columns(v)[1], k=columns(v)[0]) for e, v in enumerate(EXTREMES, 1)]
    with store.session() as session:
        session.append(batch(1, rows))
    with store.snapshot() as snapshot:
        read = {row[0]: row[3] for row in snapshot.live_attributes(0, [1])}
    assert {e: (type(v), v) for e, v in read.items()} == {
        row[2]: (type(row[4]), row[4]) for row in rows
    }


@given(numbers=st.lists(st.floats(), min_size=1, max_size=20))
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the store is emptied for each example
def test_every_float_is_found_again(store: Store, numbers: list[float]) -> None:
    distinct = list({columns(number)[1] for number in numbers})
    rows = [fact(e, 1, payload, k=4) for e, payload in enumerate(distinct, 1)]
    with store.session() as session:
        session.clear_index()
        session.write_index(insert=rows)
    with store.snapshot() as snapshot:
        keys = [(1, 4, payload) for payload in distinct]
        assert sorted(snapshot.live_values(0, keys)) == [live(row) for row in rows]


def test_pairs_entities_values_and_attributes_find_the_same_rows(store: Store) -> None:
    rows = [fact(e, a, f"v{e % 7}-{a}", ix=a % 2) for e in range(1, 41) for a in range(1, 6)]
    with store.session() as session:
        session.append(batch(1, rows))
    every = sorted(live(row) for row in rows)
    pairs = [(row[2], row[1]) for row in rows]
    indexed = [row for row in every if row[1] % 2]
    with store.snapshot() as snapshot:
        assert sorted(snapshot.live(0, pairs + pairs)) == every
        assert sorted(snapshot.live_entities(0, [*range(1, 41), 7])) == every
        assert sorted(snapshot.live_attributes(0, [1, 2, 3, 4, 5, 5])) == every
        keys = {(row[1], row[2], row[3]) for row in every}
        assert sorted(snapshot.live_values(0, keys)) == indexed
        assert snapshot.live(0, [(3, 2)]) == [live(row) for row in rows if row[2:0:-1] == (3, 2)]
        assert sorted(snapshot.live_entities(0, [3])) == [row for row in every if row[0] == 3]


def test_nothing_asked_finds_nothing(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
    with store.snapshot() as snapshot:
        assert snapshot.live(0, []) == snapshot.live_entities(0, iter(())) == []
        assert snapshot.live_values(0, []) == snapshot.live_attributes(0, set()) == []
        assert snapshot.blobs([]) == {}
        assert snapshot.live(1, [(1, 1)]) == [], "another branch"


def test_rows_known_then_are_read_as_of_an_earlier_t(store: Store) -> None:
    old = fact(1, 1, "old", 1)
    closed = fact(1, 1, "old", 1, t1=3)
    bounded = fact(1, 1, "old", 1, vt=START + 50)
    new = fact(1, 1, "new", 3, vf=START + 50)
    with store.session() as session:
        session.append(batch(1, [old]))
        session.append(batch(2))
        session.append(batch(3, [closed, bounded, new], remove=[key(old)]))
    with store.snapshot() as snapshot:
        for t in (1, 2):
            then = [live(closed), live(bounded)]
            assert sorted(snapshot.live(0, [(1, 1)], t)) == sorted(then)
            assert sorted(snapshot.live_entities(0, [1], t)) == sorted(then)
            assert sorted(snapshot.live_attributes(0, [1, 2], t)) == sorted(then)
            assert sorted(snapshot.live_values(0, [(1, 9, "old")], t)) == sorted(then)
            assert snapshot.live_values(0, [(1, 9, "new")], t) == []
        assert snapshot.live_entities(0, [1], 0) == []
        for t in (3, None):
            now = sorted([live(bounded), live(new)])
            assert sorted(snapshot.live(0, [(1, 1)], t)) == now
            assert sorted(snapshot.live(0, [(1, 1), (2, 2)], t)) == now


def test_a_removed_row_makes_room_for_one_with_the_same_key(store: Store) -> None:
    whole = fact(1, 1, "x")
    shrunk = fact(1, 1, "x", vf=START + 10)
    with store.session() as session:
        session.append(batch(1, [whole]))
        session.append(batch(2, [shrunk], remove=[key(whole)], log=[]))
    with store.snapshot() as snapshot:
        assert snapshot.live(0, [(1, 1)]) == [live(shrunk)]


def test_the_ends_of_time_fit(store: Store) -> None:
    rows = [
        fact(2**45 - 1, 1, "x", 2**46, vf=BEGINNING),
        fact(2**47 - 1, 1, "x", vf=-(2**62), vt=FOREVER - 1),
    ]
    with store.session() as session:
        session.append(batch(1, rows))
    with store.snapshot() as snapshot:
        assert sorted(snapshot.live_attributes(0, [1])) == sorted(live(row) for row in rows)
        assert sorted(snapshot.facts()) == sorted(rows)


def test_removing_a_row_that_is_not_there_is_corruption_and_writes_nothing(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
    with pytest.raises(CorruptStore) as caught, store.session() as session:
        session.append(batch(2, [fact(1, 2, "y", 2)], remove=[key(fact(1, 1, "other"))]))
    assert caught.value.data["missing"] == 1
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1
        assert snapshot.live_entities(0, [1]) == [live(fact(1, 1, "x"))]


@pytest.mark.parametrize("count", [1, 299, 300, 12_000])
def test_a_transaction_of_any_size_comes_back_in_order(store: Store, count: int) -> None:
    rows = [fact(count - n, 1 + n % 3, f"value {n}") for n in range(count)]
    with store.session() as session:
        session.append(batch(1, rows))
    with store.snapshot() as snapshot:
        log = list(snapshot.log(0, 1))
        assert [row[:3] for row in log] == [(1, n, count - n) for n in range(count)]
        assert list(snapshot.log(1, 9)) == []
        facts = list(snapshot.facts())
        assert facts == sorted(rows, key=lambda row: row[:3])


def test_attributes_keep_their_flags(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, attributes=[(1, "a/b"), (2, "é")], flags=[(1, 1)]))
        session.append(batch(2, flags=[(1, 2), (2, 2), (2, 1), (1, 1)]))
    with store.snapshot() as snapshot:
        assert snapshot.attributes() == [(1, "a/b", 3), (2, "é", 3)]


def test_reindexing_an_attribute_reaches_every_segment_of_every_branch(store: Store) -> None:
    rows = [
        fact(1, 1, "x", ix=0),
        fact(2, 1, "x", ix=0, vt=START + 9),
        fact(3, 1, "x", ix=0, t1=9),
        fact(4, 1, "x", ix=0, seg=9),
        fact(5, 2, "x", ix=0),
    ]
    with store.session() as session:
        session.append(batch(1, rows))
        session.append(batch(2, reindex=[(1, 1)]))
    with store.snapshot() as snapshot:
        assert {row[2]: row[9] for row in snapshot.facts()} == {1: 1, 2: 1, 3: 1, 4: 1, 5: 0}
        assert {row[0] for row in snapshot.live_values(0, [(1, 9, "x")])} == {1, 2}


def test_an_interned_value_is_kept_once(store: Store) -> None:
    one = (b"\1" * 32, b"data")
    with store.session() as session:
        session.append(batch(1, blobs=[one]))
        session.append(batch(2, blobs=[one, (b"\2" * 32, b"other")]))
    with store.snapshot() as snapshot:
        assert snapshot.blobs([b"\1" * 32, b"\3" * 32]) == dict([one])


def test_the_changes_of_attributes_are_the_ts_that_assert_or_retract(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x", 1), fact(1, 7, "x", 1)]))
        session.append(batch(2, [fact(1, 2, "x", 2)]))
        session.append(batch(3, [fact(2, 7, "x", 3)]))
        session.append(batch(4, [fact(1, 1, "x", 1, t1=4)], remove=[key(fact(1, 1, "x", 1))]))
    with store.snapshot() as snapshot:
        assert snapshot.changes_of([1, 2], 0) == [1, 2, 4]
        assert snapshot.changes_of([1, 2], 1) == [2, 4]
        assert snapshot.changes_of([8], 0) == []


def test_the_index_is_cleared_and_written_again_without_a_transaction(store: Store) -> None:
    rows = [fact(n, 1, f"v{n}") for n in range(1, 500)]
    with store.session() as session:
        session.append(batch(1, rows, attributes=[(1, "a")], flags=[(1, 3)]))
    with store.session() as session:
        session.clear_index()
        assert list(session.facts()) == []
        assert session.attributes() == [(1, "a", 0)]
        for t, i, e, a, k, payload, vf, vt, op in session.log(0, 1):
            assert (t, i, op) == (1, e - 1, 1)
            session.write_index(insert=[(0, a, e, k, payload, vf, vt, t, OPEN_T, 1, None)])
        session.write_index(flags=[(1, 1)])
        session.write_attributes([(2, "b")])
    with store.snapshot() as snapshot:
        assert list(snapshot.facts()) == rows
        assert snapshot.attributes() == [(1, "a", 1), (2, "b", 0)]
        assert snapshot.head().t == 1


def test_the_store_tells_its_size(store: Store) -> None:
    rows = [fact(n, 1, f"v{n}") for n in range(1, 1_001)]
    with store.session() as session:
        session.append(batch(1, rows))
    store.analyze()
    size = store.size()
    assert (size.rows["log"], size.rows["fact"], size.rows["tx"]) == (1_000, 1_000, 1)
    assert 50 < size.bytes_per_datom < 1_000
    assert sum(size.parts.values()) <= size.bytes
    assert size.parts["log"] > 10_000
    assert store.damage() == []


def test_the_transaction_at_an_instant_is_the_last_one_that_is_not_later(store: Store) -> None:
    times = [START, START, START + 3, START + 3, START + 3, START + 9, START + 12]
    with store.session() as session:
        for t, time in enumerate(times, 1):
            session.append(attrs.evolve(batch(t), tx=attrs.evolve(tx(t), time=time)))
    with store.snapshot() as snapshot:
        for instant in range(START - 2, START + 15):
            expected = sum(time <= instant for time in times)
            assert snapshot.transaction_at(instant) == expected


def test_what_the_engine_refuses_is_raised_before_the_session_has_ended(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1))
    with pytest.raises(PersistenceError), store.session() as session:
        session.append(batch(1))
    with pytest.raises(PersistenceError), store.session() as session:
        session.append(batch(1))
        session.live(0, [(1, 1)])
    with store.session() as session:
        with pytest.raises(PersistenceError), session.savepoint():
            session.append(batch(1))
        session.append(batch(2))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 2
