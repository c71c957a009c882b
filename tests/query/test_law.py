"""The law: over random data, views and queries the engine answers as the naive evaluator does.

And no index ever changes an answer: the same facts with other attributes indexed answer alike.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.datoms import instant
from persistence.errors import ConflictError
from persistence.query import run
from persistence.values import Keyword, List, Symbol, identity
from tests.query.naive import answer, is_var

K, S = Keyword, Symbol
_numbers = itertools.count(1)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 6
OPEN = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)  # how a query shows an open end

ENTITIES = (101, 102, 103, 104)
INTS = (1, 2, 3)
MIXED = (1, 1.0, True, "a", "b", K("a"), 2.5, "long " * 60)
ATTRIBUTES = {
    "age": INTS,  # one, declared long
    "tag": ("a", "b", "c"),  # many, declared string
    "link": ENTITIES,  # many, a reference
    "boss": ENTITIES,  # one, a reference
    "any": MIXED,  # one, not declared
    "bag": MIXED,  # many, of any type
}
DECLARED = {
    "age": {"db/valueType": K("db.type/long")},
    "tag": {"db/valueType": K("db.type/string"), "db/cardinality": K("db.cardinality/many")},
    "link": {"db/valueType": K("db.type/ref"), "db/cardinality": K("db.cardinality/many")},
    "boss": {"db/valueType": K("db.type/ref")},
    "bag": {"db/cardinality": K("db.cardinality/many")},
}
INDEXABLE = ("age", "tag", "bag")

# ---------------------------------------------------------------------------------------- data

days = st.integers(0, DAYS - 1)
facts = st.sampled_from(sorted(ATTRIBUTES)).flatmap(
    lambda name: st.tuples(
        st.sampled_from(ENTITIES), st.just(K(name)), st.sampled_from(ATTRIBUTES[name])
    )
)
operations = st.tuples(
    st.sampled_from(("add", "add", "add", "retract")),
    facts,
    st.none() | st.tuples(days, st.none() | st.integers(1, DAYS)),
)
histories = st.lists(st.lists(operations, min_size=1, max_size=6), min_size=1, max_size=4)


forks = st.sampled_from((0, 0, 1, 2))  # how often the line branches while it is written


def grown(s: Substrate, history: Any, forks: int) -> Any:
    """What reads and writes the line on which *history* happened.

    It is the main line, a branch or a branch of a branch; what they came from goes on too.
    """
    fact = s.fact
    for place, group in enumerate(history):
        write(fact, [group])
        if place < forks:
            parent, fact = fact, s.branch.create(f"b{place}", of=fact.db()).fact
            write(parent, history[-1:])
    return fact


def write(fact: Any, history: Any) -> None:
    """One transaction for each operation, those in conflict left out."""
    for group in history:
        for op, (e, a, v), span in group:
            times = {}
            if span is not None:
                start, length = span
                times["valid_from"] = START + start * DAY
                if length is not None:
                    times["valid_to"] = START + (start + length) * DAY
            try:
                fact.transact([(K(f"db/{op}"), e, a, v)], **times)
            except ConflictError:
                continue


def schema(indexed: set[str]) -> list[Any]:
    return [
        {"db/id": 1_000 + place, "db/ident": K(name), **about}
        | ({"db/index": True} if name in indexed else {})
        for place, (name, about) in enumerate(DECLARED.items())
    ]


views = st.sampled_from(("now", "as of", "valid at", "both", "since", "between", "history"))


def seen(fact: Any, kind: str, place: int) -> Any:
    db = fact.db()
    t = max(1, db.basis - place)
    instant = START + place * DAY
    if kind == "as of":
        return db.as_of(t)
    if kind == "valid at":
        return db.valid_at(instant)
    if kind == "both":
        return db.as_of(t).valid_at(instant)
    if kind == "since":
        return db.since(t)
    if kind == "between":
        return db.valid_between(instant, instant + 2 * DAY)
    return db.history() if kind == "history" else db


def rows(db: Any) -> list[tuple[Any, ...]]:
    """What the database shows, read without a query."""
    return [
        (d.e, d.a, d.v, d.tx, d.added, d.holds_from, d.holds_to or OPEN) for d in db.datoms("eavt")
    ]


# ------------------------------------------------------------------------------------- queries

VARS = [S(f"?{name}") for name in "abcdef"]
variables = st.sampled_from(VARS)
entity_terms = variables | variables | st.sampled_from(ENTITIES)
blank = st.just(S("_"))


# The places after the value: transaction, whether it is asserted, and the times it holds.
TIMES = (S("?tx"), S("?op"), S("?from"), S("?to"))


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Any, ...]:
    name = draw(st.sampled_from(sorted(ATTRIBUTES)))
    value = variables | variables | st.sampled_from(ATTRIBUTES[name]) | blank
    terms = [draw(entity_terms), K(name), draw(value)]
    if draw(st.integers(0, 9)) == 0:
        terms[1] = draw(variables)
    if draw(st.integers(0, 5)) == 0:
        terms += TIMES
    return tuple(terms)


@st.composite
def comparisons(draw: st.DrawFn, bound: list[Symbol]) -> tuple[Any, ...]:
    name = draw(st.sampled_from(("=", "not=", "<", "<=", ">", ">=")))
    one = draw(st.sampled_from(bound))
    other = draw(st.sampled_from(bound) | st.sampled_from(MIXED))
    return (List((S(name), one, other)),)


def bound_by(clauses: list[Any]) -> list[Symbol]:
    found = {t for clause in clauses for t in clause if is_var(t)}
    return sorted(found, key=lambda var: var.name)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[list[Any], list[Symbol]]:
    """Clauses and the variables they bind."""
    clauses: list[Any] = draw(st.lists(patterns(), min_size=1, max_size=3))
    clauses[0] = (S("?a"), *clauses[0][1:])  # something is bound, always
    bound = bound_by(clauses)
    extra: list[Any] = []
    for kind in draw(st.lists(st.sampled_from(("test", "not", "or", "rule", "same")), max_size=2)):
        inner = draw(patterns())
        shared = [var for var in bound_by([inner]) if var in bound]
        if kind == "test":
            extra.append(draw(comparisons(bound)))
        elif kind == "same":
            new = S("?g")
            if new not in bound:
                extra.append((List((S("identity"), draw(st.sampled_from(bound)))), new))
                bound = [*bound, new]
        elif kind == "not" and shared:
            extra.append(List((S("not-join"), tuple(shared), inner)))
        elif kind == "or":
            other = (bound[0], K(draw(st.sampled_from(sorted(ATTRIBUTES)))), S("_"))
            one = (bound[0], *inner[1:3]) if len(inner) > 2 else inner
            extra.append(List((S("or-join"), (bound[0],), one, other)))
        elif kind == "rule":
            target = draw(st.sampled_from(bound) | st.just(S("?h")))
            extra.append(List((S("reach"), bound[0], target)))
            bound = bound if target in bound else [*bound, target]
    return draw(st.permutations([*clauses, *extra])), bound


RULES = (
    (List((S("reach"), S("?x"), S("?y"))), (S("?x"), K("link"), S("?y"))),
    (
        List((S("reach"), S("?x"), S("?y"))),
        (S("?x"), K("link"), S("?z")),
        List((S("reach"), S("?z"), S("?y"))),
    ),
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """What to find and where."""
    where, bound = draw(bodies())
    find: list[Any] = draw(st.lists(st.sampled_from(bound), min_size=1, max_size=3, unique=True))
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(("count", "count-distinct", "min", "max")))
        find.append(List((S(name), draw(st.sampled_from(bound)))))
    return find, where


def bag(found: Any) -> Counter[Any]:
    return Counter(tuple(map(identity, row)) for row in found)


def ask(db: Any, question: tuple[list[Any], list[Any]], rules: Any = RULES) -> Counter[Any]:
    find, where = question
    form = (K("find"), *find, K("in"), S("$"), S("%"), K("where"), *where)
    return bag(run(form, (db, rules)))


def hold(s: Substrate, history: Any, forks: int, asked: Any) -> None:
    """The law, for one history and some questions about views of it."""
    s.fact.transact(schema(set()))
    fact = grown(s, history, forks)
    for kind, place, question in asked:
        db = seen(fact, kind, place)
        expected = bag(answer(*question, rows(db), rules=RULES))
        assert ask(db, question) == expected, (kind, place, question)


def names_attributes(form: Any) -> bool:
    """Whether no pattern leaves the attribute open: the index is itself a fact, and seen by it."""
    if type(form) is tuple and len(form) >= 3 and is_var(form[1]):
        return False
    return not isinstance(form, tuple | list) or all(map(names_attributes, form))


indexes = st.sets(st.sampled_from(INDEXABLE), min_size=1)


asking = st.lists(st.tuples(views, days, questions()), min_size=1, max_size=4)
NOON = instant(START + DAYS * DAY / 2)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(histories, forks, asking)
def test_sqlite_answers_as_the_naive_evaluator(history: Any, forks: int, asked: Any) -> None:
    with Substrate.open(":memory:", clock=FrozenClock(NOON)) as s:
        hold(s, history, forks, asked)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(history=histories, forks=forks, asked=asking)
def test_postgres_answers_as_the_naive_evaluator(
    postgres_uri: str, history: Any, forks: int, asked: Any
) -> None:
    mark = "&" if "?" in postgres_uri else "?"
    uri = f"{postgres_uri}{mark}schema=law_{next(_numbers)}"
    with Substrate.open(uri, clock=FrozenClock(NOON)) as s:
        hold(s, history, forks, asked)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(histories, forks, asking.filter(names_attributes), indexes)
def test_an_index_never_changes_an_answer(
    history: Any, forks: int, asked: Any, indexed: set[str]
) -> None:
    with (
        Substrate.open(":memory:", clock=FrozenClock(NOON)) as plain,
        Substrate.open(":memory:", clock=FrozenClock(NOON)) as other,
    ):
        plain.fact.transact(schema(set()))
        other.fact.transact(schema(indexed))
        facts = [grown(s, history, forks) for s in (plain, other)]
        for kind, place, question in asked:
            one, two = (ask(seen(fact, kind, place), question) for fact in facts)
            assert one == two, (kind, place, question, indexed)


def test_adding_and_dropping_an_index_later_changes_nothing() -> None:
    question = ([S("?e"), S("?v")], [(S("?e"), K("any"), S("?v"))])
    with Substrate.open(":memory:", clock=FrozenClock(NOON)) as s:
        s.fact.transact(
            [(K("db/add"), e, K("any"), v) for e, v in zip(ENTITIES, MIXED, strict=False)]
        )
        before = ask(s.fact.db(), question)
        s.fact.transact([{"db/id": 1_000, "db/ident": K("any"), "db/index": True}])
        assert ask(s.fact.db(), question) == before
        s.fact.transact([(K("db/add"), 1_000, K("db/index"), False)])
        assert ask(s.fact.db(), question) == before


def test_values_equal_in_python_make_different_queries() -> None:
    with Substrate.open(":memory:", clock=FrozenClock(NOON)) as s:
        s.fact.transact(
            [(K("db/add"), e, K("any"), v) for e, v in zip(ENTITIES, (1, 1.0, True), strict=False)]
        )
        db = s.fact.db()
        for e, value in zip(ENTITIES, (1, 1.0, True), strict=False):
            assert ask(db, ([S("?e")], [(S("?e"), K("any"), value)])) == bag([(e,)])
