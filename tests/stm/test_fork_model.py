"""Programs of refs, nesting, alternatives, forks and folds, against a pure model.

A program is a tree of steps. The model runs it on a dictionary and a list of effects; the store
runs it in one transaction. Both must see the same values on the way, keep the same candidates and
prefixes, and leave the same cells and effects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence import Substrate
from persistence.errors import ForkError
from persistence.stm import Retry, Transaction

CELLS = (1, 2, 3)


class Fails(Exception):
    """A step that raises."""


@attrs.frozen
class Set:
    cell: int
    value: int


@attrs.frozen
class Write:
    cell: int
    value: int


@attrs.frozen
class Alter:
    cell: int
    more: int


@attrs.frozen
class Commute:
    cell: int
    more: int


@attrs.frozen
class Ask:
    """Reads every cell with a query."""


@attrs.frozen
class Effect:
    n: int


@attrs.frozen
class Raise:
    pass


@attrs.frozen
class GiveUp:
    """Asks to retry."""


@attrs.frozen
class Nested:
    """A nested transaction, whose failure the program survives."""

    steps: tuple[Any, ...]


@attrs.frozen
class OrElse:
    bodies: tuple[tuple[Any, ...], ...]


@attrs.frozen
class Fork:
    candidates: tuple[tuple[Any, ...], ...]


@attrs.frozen
class Fold:
    steps: tuple[tuple[Any, ...], ...]
    kept: int | None  # a prefix, or all


cells, numbers = st.sampled_from(CELLS), st.integers(-3, 3)
LEAVES = st.one_of(
    st.builds(Set, cells, numbers),
    st.builds(Write, cells, numbers),
    st.builds(Alter, cells, numbers),
    st.builds(Commute, cells, numbers),
    st.builds(Ask),
    st.builds(Effect, numbers),
    st.builds(Raise),
    st.builds(GiveUp),
)


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    steps = st.lists(inner, max_size=4).map(tuple)
    some = st.lists(steps, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Nested, steps),
        st.builds(OrElse, some),
        st.builds(Fork, some),
        st.builds(Fold, some, st.none() | st.integers(0, 3)),
    )


PROGRAMS = st.lists(st.recursive(LEAVES, composed, max_leaves=12), max_size=6).map(tuple)


# -------------------------------------------------------------------------- the model


@attrs.define
class World:
    """What a transaction sees: its cells and the effects it has asked for."""

    values: dict[int, int]
    effects: list[int]
    seen: list[Any] = attrs.field(factory=list)

    def copy(self) -> World:
        return World(dict(self.values), [*self.effects])

    def become(self, other: World) -> None:
        self.values, self.effects = other.values, other.effects


def score(values: Sequence[int]) -> int:
    return sum(value * place for place, value in enumerate(values, start=1))


def modelled(world: World, steps: Sequence[Any]) -> None:
    for step in steps:
        match step:
            case Set(cell, value) | Write(cell, value):
                world.values[cell] = value
            case Alter(cell, more) | Commute(cell, more):
                world.values[cell] += more
                world.seen.append(world.values[cell])
            case Ask():
                world.seen.append(dict(world.values))
            case Effect(n):
                world.effects.append(n)
            case Raise():
                raise Fails
            case GiveUp():
                raise Retry
            case Nested(inner):
                within(world, lambda child, inner=inner: modelled(child, inner), (Fails, ForkError))
            case OrElse(bodies):
                for body in bodies:
                    if within(world, lambda child, body=body: modelled(child, body), (Retry,)):
                        break
                else:
                    raise Retry
            case Fork(candidates):
                forked(world, candidates)
            case Fold(parts, kept):
                prefix = parts if kept is None else parts[:kept]
                child = world.copy()
                for place, part in enumerate(parts, start=1):
                    modelled(child, part)
                    if place == len(prefix):
                        chosen = child.copy()
                world.become(chosen if prefix else world)


def within(world: World, body: Callable[[World], None], survived: tuple[Any, ...]) -> bool:
    child = world.copy()
    try:
        body(child)
    except survived:
        return False
    world.become(child)
    world.seen += child.seen
    return True


def forked(world: World, candidates: Sequence[Any]) -> None:
    standing, waits = [], False
    for place, candidate in enumerate(candidates):
        child = world.copy()
        try:
            modelled(child, candidate)
        except (Fails, ForkError):
            continue
        except Retry:
            waits = True
        else:
            standing.append((score([child.values[e] for e in CELLS]), -place, child))
    if not standing:
        raise Retry if waits else ForkError("every candidate raised")
    best, place, child = max(standing, key=lambda each: each[:2])
    world.become(child)
    world.seen.append((best, -place))


# -------------------------------------------------------------------------- the store


def add(value: int, more: int) -> int:
    return value + more


def carried_out(tx: Transaction, steps: Sequence[Any], seen: list[Any]) -> None:
    for step in steps:
        match step:
            case Set(cell, value):
                tx.ref(cell, "n").set(value)
            case Write(cell, value):
                tx.transact([["db/add", cell, "n", value]])
            case Alter(cell, more):
                seen.append(tx.ref(cell, "n").alter(add, more))
            case Commute(cell, more):
                seen.append(tx.ref(cell, "n").commute(add, more))
            case Ask():
                seen.append(dict(tx.q("[:find ?e ?n :where [?e :n ?n]]")))
            case Effect(n):
                tx.effect("note", n=n)
            case Raise():
                raise Fails
            case GiveUp():
                tx.retry()
            case Nested(inner):
                own: list[Any] = []
                try:
                    tx.run(carried_out, inner, own)
                    seen += own
                except (Fails, ForkError):
                    pass
            case OrElse(bodies):
                seen += tx.or_else(*(told(body) for body in bodies))
            case Fork(candidates):
                found = tx.fork(
                    [told(candidate) for candidate in candidates],
                    score=lambda outcome: score([outcome.db.get(e, "n") for e in CELLS]),
                    record=len(candidates) > 1,
                )
                seen.append((found.winner.score, found.winner.label))
            case Fold(parts, kept):
                chosen = None if kept is None else lambda marks, kept=kept: marks[: kept + 1][-1]
                tx.fold(parts, lambda one, _, part: carried_out(one, part, []), choose=chosen)


def told(steps: Sequence[Any]) -> Callable[[Transaction], list[Any]]:
    def body(tx: Transaction) -> list[Any]:
        seen: list[Any] = []
        carried_out(tx, steps, seen)
        return seen

    return body


class Undone(Exception):
    """Ends the attempt of a program that would wait for ever."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(program=PROGRAMS, rival=numbers)
def test_a_program_does_what_the_model_does(s: Substrate, program: Any, rival: int) -> None:
    s.fact.transact([["db/add", e, "n", 0] for e in CELLS])
    done = len(s.txn.effects())
    world = World(dict.fromkeys(CELLS, 0), [])
    try:
        modelled(world, program)
        expected: Any = world.seen
    except (Fails, ForkError, Retry) as error:
        world, expected = World(dict.fromkeys(CELLS, 0), []), type(error)

    def body(tx: Transaction) -> Any:
        try:
            return told(program)(tx)
        except Retry:
            raise Undone from None

    try:
        found = s.txn.run(body)
    except (Fails, ForkError) as error:
        found = type(error)
    except Undone:
        found = Retry
    assert found == expected
    db = s.fact.db()
    assert {e: db.get(e, "n") for e in CELLS} == world.values
    assert [each.args["n"] for each in s.txn.effects()[done:]] == world.effects
