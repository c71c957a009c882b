"""What a regulator asks: on what, exactly, was this decided? Told by the store alone.

Fifty runs decide on refunds while the world is corrected behind and before them: tiers change,
with effect from days that are past, orders are retracted, amounts are learned late. What each
decision was given must come out of the log as it was known then, whatever was learned since.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from persistence import FrozenClock, Keyring, Keyword, Substrate
from persistence.db import Db
from persistence.effects import Run, Terminal
from persistence.values import Map, freeze, micros
from tests.audit.tampering.changes import read, write
from tests.audit.tampering.planted import copy_of, tampering

RUNS = 50
START = datetime(2026, 1, 1, tzinfo=UTC)
TIERS = ("regular", "silver", "gold")

SCHEMA = """
    [{:db/ident :customer/id :db/unique :db.unique/identity}
     {:db/ident :order/id :db/unique :db.unique/identity}
     {:db/ident :order/customer :db/valueType :db.type/ref}]
"""
TIER = "[:find ?tier . :in $ ?id :where [?c :customer/id ?id] [?c :customer/tier ?tier]]"
ORDERS = """
    [:find ?order ?amount
     :in $ ?id
     :where [?c :customer/id ?id] [?o :order/customer ?c] [?o :order/id ?order]
            [?o :order/amount ?amount]
     :order-by [?order]]
"""


def inputs(db: Db, customer: str) -> dict[str, Any]:
    """What a decision about *customer* is given."""
    return {"tier": db.q(TIER, customer), "orders": [list(row) for row in db.q(ORDERS, customer)]}


def decide(customer: str, tier: str | None, orders: list[Any]) -> dict[str, Any]:
    share = {"gold": 50, "silver": 20}.get(tier or "", 10)
    return {"customer": customer, "refund": sum(amount for _, amount in orders) * share // 100}


def agent(run: Run, customer: str) -> None:
    """Looks, decides, writes down what it decided."""
    given = inputs(run.db(), customer)
    decision = run.perform("model/decide", customer=customer, **given)
    run.transact([{"decision/customer": customer, "decision/refund": decision["refund"]}])


@attrs.frozen
class Decided:
    """A decision as the test saw it being made."""

    run: Any
    customer: str
    given: Mapping[str, Any]


def changes(s: Substrate, chance: random.Random, day: datetime) -> None:
    """Something is learned: a tier with effect from some day, an order, or that there was none."""
    customer = f"c{chance.randrange(8)}"
    since = day - timedelta(days=chance.randrange(30))
    what = chance.randrange(4)
    if what == 0:
        tier = {"customer/id": customer, "customer/tier": chance.choice(TIERS)}
        s.fact.transact([tier], valid_from=since, meta={"source": "late tier"})
    elif what == 1:
        order = f"o{chance.randrange(40)}"
        fact = {"order/id": order, "order/amount": chance.randrange(10, 900)}
        s.fact.transact([{**fact, "order/customer": ["customer/id", customer]}], valid_from=since)
    elif what == 2:
        end = since + timedelta(days=chance.randrange(1, 20))
        tier = {"customer/id": customer, "customer/tier": chance.choice(TIERS)}
        s.fact.transact([tier], valid_from=since, valid_to=end)
    else:
        known = s.fact.db().q("[:find [?o ...] :where [?o :order/amount]]")
        for order in sorted(known)[:1]:
            form = [["db/retract", order, "order/amount"]]
            s.fact.transact(form, valid_from=since, meta={"source": "no such order"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keyring, list[Decided]]:
    """The store after fifty runs, and what each of them saw."""
    place = tmp_path_factory.mktemp("regulator")
    keys = Keyring.generate("example.com/refunds", "desk", directory=place / "keys")
    chance, clock = random.Random(7), FrozenClock(micros(START))
    decided: list[Decided] = []
    with Substrate.open(place / "refunds.db", clock=clock, keys=keys) as s:
        s.fact.transact(SCHEMA)
        s.fact.transact([{"customer/id": f"c{n}", "customer/tier": "regular"} for n in range(8)])
        for number in range(RUNS):
            clock.advance(int(timedelta(hours=chance.randrange(5, 60)).total_seconds()) * 10**6)
            day = START + timedelta(microseconds=clock.now() - micros(START))
            for _ in range(chance.randrange(1, 5)):
                changes(s, chance, day)
            customer = f"c{chance.randrange(8)}"
            given = inputs(s.fact.db(), customer)
            model = Terminal("model", {"model/decide": decide})
            with s.effect.run(f"refund {number}", [model]) as run:
                agent(run, customer)
            decided.append(Decided(run.id, customer, given))
        for _ in range(60):  # what is learned afterwards changes no past decision's inputs
            clock.advance(10**9)
            changes(s, chance, day)
    return place / "refunds.db", keys, decided


def rebuilt(s: Substrate, id: Any) -> tuple[Mapping[Keyword, Any], dict[str, Any]]:
    """What a decision was given, by its record, and by the facts as they were known then."""
    basis, asked = s.effect.trace(id).steps[:2]
    assert isinstance(basis.result, Map)
    now = s.fact.db()
    then = now.as_of(basis.result[Keyword("t")]).valid_at(basis.result[Keyword("instant")])
    return asked.args, inputs(then, asked.args[Keyword("customer")])


def test_each_decisions_inputs_are_rebuilt_as_they_were_known(
    world: tuple[Path, Keyring, list[Decided]],
) -> None:
    place, keys, decided = world
    changed = 0
    with Substrate.open(place, keys=keys) as s:
        assert not s.audit.verify() and not s.check()
        for each in decided:
            recorded, known = rebuilt(s, each.run)
            assert freeze(known) == freeze(each.given)
            expected = {Keyword(name): value for name, value in each.given.items()}
            assert recorded == freeze({Keyword("customer"): each.customer, **expected})
            changed += freeze(inputs(s.fact.db(), each.customer)) != freeze(known)
    assert len(decided) == RUNS and changed > RUNS // 2, "the corrections would not have been felt"


def test_what_a_decision_rests_on_is_found_from_the_decision_by_one_query(
    world: tuple[Path, Keyring, list[Decided]],
) -> None:
    place, keys, decided = world
    with Substrate.open(place, keys=keys) as s:
        found = s.fact.db().q("""
            [:find ?run ?customer ?refund
             :where [?d :decision/customer ?customer ?tx] [?d :decision/refund ?refund ?tx]
                    [?wrote :step/op :db/transact ?tx] [?wrote :step/run ?r] [?r :run/id ?run]]
        """)
    assert {(run, customer) for run, customer, _ in found} == {
        (each.run, each.customer) for each in decided
    }


def rows_of(s: Substrate, id: Any) -> Iterator[tuple[int, str]]:
    """The facts that a decision rests on and that it left, by entity and attribute."""
    db = s.fact.db()
    steps = db.q("[:find [?s ...] :in $ ?id :where [?r :run/id ?id] [?s :step/run ?r]]", id)
    for step in sorted(steps)[:2]:
        for name in ("step/args", "step/result", "step/op"):
            if db.get(step, name) is not None:
                yield step, name
    customer = db.get(sorted(steps)[1], "step/args")[Keyword("customer")]
    yield db.entid(["customer/id", customer]), "customer/tier"


def test_every_change_of_what_a_decision_rests_on_is_caught(
    world: tuple[Path, Keyring, list[Decided]], tmp_path: Path
) -> None:
    place, _, decided = world
    chance = random.Random(11)
    for number, each in enumerate(decided):
        copy = copy_of(place, tmp_path / f"{number}.db")
        with Substrate.open(copy) as s:
            entity, name = chance.choice([*rows_of(s, each.run)])
            attribute = s.fact.db().source.attribute_id(Keyword(name))
        with tampering(copy) as file:
            table = read(file, "log")
            rows = [row for row in table.rows if (row["e"], row["a"]) == (entity, attribute)]
            write(file, table, chance.choice(rows), chance.choice(["v", "vf", "op"]))
        with Substrate.open(copy) as s:
            assert s.audit.verify(), (number, entity, name)
        copy.unlink()


def test_a_decision_that_is_rewritten_everywhere_no_longer_has_its_id(
    world: tuple[Path, Keyring, list[Decided]],
) -> None:
    place, keys, decided = world
    with Substrate.open(place, keys=keys) as s:
        trace = s.effect.trace(decided[0].run)
    other = attrs.evolve(trace.steps[1], result=freeze({"refund": 10**6}))
    assert other.id != trace.steps[1].id
    assert attrs.evolve(trace, steps=(trace.steps[0], other)).digest != trace.digest
