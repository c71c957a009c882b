"""The story of the demo: an agent buys parts, learns better, and is asked why.

Every step is a function, and what is printed as its code is that function's own source. The clock
is set for each step, so that the story has dates.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from persistence.cli import output, timeline
from persistence.clock import FrozenClock
from persistence.datoms import instant
from persistence.db import Report
from persistence.substrate import Substrate


def declare(s: Substrate) -> Any:
    """March 1. Two identities and two references are declared; other attributes need nothing."""
    return s.fact.transact("""
        [{:db/ident :part/sku       :db/unique :db.unique/identity}
         {:db/ident :firm/name      :db/unique :db.unique/identity}
         {:db/ident :part/supplier  :db/valueType :db.type/ref}
         {:db/ident :firm/owner     :db/valueType :db.type/ref}]""")


def believe(s: Substrate) -> Any:
    """The agent reads a catalogue and notes what it says, and where it has it from."""
    return s.fact.transact(
        [
            {"db/id": "bolts", "firm/name": "Bolts & Co", "firm/owner": {"firm/name": "Ferro"}},
            {"firm/name": "Ferro", "firm/owner": {"firm/name": "Atlas Holding"}},
            {"part/sku": "M8", "part/price": 10, "part/supplier": "bolts"},
        ],
        valid_from="2026-03-01",
        meta={"source": "catalogue", "agent": "buyer-1"},
    )


def correct(s: Substrate) -> Any:
    """April 1. A letter says that the price has been 12 since March 15. The store had it wrong for
    two weeks; that is written down too, and nothing is overwritten."""
    return s.fact.transact(
        [{"part/sku": "M8", "part/price": 12}],
        valid_from="2026-03-15",
        meta={"source": "letter", "agent": "buyer-1"},
    )


def quadrants(s: Substrate) -> Any:
    """April 2. What was known, and what holds in the world, are two questions. One cell changed."""
    db, price = s.fact.db(), '[:find ?p . :where [?m :part/sku "M8"] [?m :part/price ?p]]'
    return [
        (f"known on {known}", *(db.as_of(known).valid_at(day).q(price) for day in DAYS))
        for known in ("2026-03-31", "2026-04-02")
    ]


def why(s: Substrate) -> Any:
    """Why did the agent order at 10 on March 20? Ask the database of that day for its source."""
    then = s.fact.db().at("2026-03-20")
    return then.q(
        """[:find ?price ?source ?agent
            :where [?m :part/sku "M8"] [?m :part/price ?price ?tx]
                   [?tx :source ?source] [?tx :agent ?agent]]"""
    )


def suppose(s: Substrate) -> Any:
    """What if the price rose to 15? A speculation is a database like any other; nothing is
    written."""
    now = s.fact.db()
    maybe = now.with_([{"part/sku": "M8", "part/price": 15}]).db_after
    dear = "[:find [?sku ...] :where [?m :part/price ?p] [(> ?p 14)] [?m :part/sku ?sku]]"
    return [("if it rose", maybe.q(dear)), ("as it is", now.q(dear))]


def owners(s: Substrate) -> Any:
    """Who stands behind the supplier, however far up? A rule may call itself."""
    behind = """[[(behind ?a ?b) [?a :firm/owner ?b]]
                 [(behind ?a ?b) [?a :firm/owner ?x] (behind ?x ?b)]]"""
    return s.fact.db().q(
        """[:find ?name
            :in $ %
            :where [?m :part/sku "M8"] [?m :part/supplier ?f]
                   (behind ?f ?o) [?o :firm/name ?name]]""",
        behind,
    )


def history(s: Substrate) -> Any:
    """All that was ever said of the price, in the order in which it was learned. A correction
    takes back exactly the stretch that was wrong."""
    db = s.fact.db()
    return list(db.history().datoms("eavt", db.entid(["part/sku", "M8"]), "part/price"))


def log(s: Substrate) -> Any:
    """Each transaction has an id made from its content and from all before it, as a commit in git
    has: two stores that agree on the last id agree on everything."""
    return [(tx.t, tx.id.hex()[:16], tx.datoms, tx.meta) for tx in s.fact.transactions()]


def check(s: Substrate) -> Any:
    """Log, index and ids are compared, and every hash computed anew. Findings, or none."""
    return s.check()


DAYS: Final = ("2026-03-10", "2026-03-20")


@attrs.frozen
class Told:
    """A step that was run: its words, its code and its result, ready to be shown."""

    title: str
    words: tuple[str, ...]
    code: str
    result: Any
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


@attrs.frozen
class Step:
    """One scene: its title, the day it plays on, and what is done."""

    title: str
    day: str
    run: Callable[[Substrate], Any]
    columns: tuple[str, ...] = ()

    def tell(self, substrate: Substrate, clock: FrozenClock) -> Told:
        """Runs the step on its day."""
        clock.instant = max(instant(self.day), clock.instant + 1_000_000)
        result = self.run(substrate)
        words = inspect.cleandoc(self.run.__doc__ or "").splitlines()
        told = Told(self.title, tuple(words), source(self.run), result)
        if isinstance(result, Report):
            assert result.id is not None
            text = f"t {result.t}, {len(result.tx_data)} datoms, id {result.id.hex()[:16]}"
            return attrs.evolve(told, result={"t": result.t, "id": result.id.hex()}, text=text)
        if self.run is history:
            axis = timeline.Axis.over(result, output.console().width)
            columns = ("t", "learned", "", "value", axis.head(), "holds")
            return attrs.evolve(told, columns=columns, rows=timeline.chart(result, (), axis))
        if self.columns:
            return attrs.evolve(told, columns=self.columns, rows=result)
        return attrs.evolve(told, text="no findings" if not result else output.shown(result))


STEPS: Final = (
    Step("Declare what names things", "2026-03-01T09:00:00+00:00", declare),
    Step("Note what the agent believes, and why", "2026-03-01T10:00:00+00:00", believe),
    Step("Correct the past", "2026-04-01T09:00:00+00:00", correct),
    Step("The four quadrants", "2026-04-02T09:00:00+00:00", quadrants,
         ("", *(f"in the world on {day}" for day in DAYS))),
    Step("Hold the agent to account", "2026-04-02T09:01:00+00:00", why,
         ("price", "source", "agent")),
    Step("Try before you write", "2026-04-02T09:02:00+00:00", suppose, ("", "dearer than 14")),
    Step("Ask with a rule", "2026-04-02T09:03:00+00:00", owners, ("owner",)),
    Step("See how it was learned", "2026-04-02T09:04:00+00:00", history),
    Step("The log", "2026-04-02T09:05:00+00:00", log, ("t", "id", "datoms", "meta")),
    Step("Check the store", "2026-04-02T09:06:00+00:00", check),
)  # fmt: skip


def source(function: Callable[..., Any]) -> str:
    """The code of *function* without its head and its docstring, as one would type it.

    >>> source(check)
    's.check()'
    """
    text = textwrap.dedent(inspect.getsource(function))
    body = ast.parse(text).body[0]
    assert isinstance(body, ast.FunctionDef)
    lines = text.splitlines()[body.body[1].lineno - 1 :]
    # Only the first line of a text in three quotes may be moved: the rest is its content.
    code = textwrap.dedent("\n".join(lines))
    return code.replace("\nreturn ", "\n").removeprefix("return ")


@attrs.frozen
class Ending:
    """What one can do with the store that is left behind."""

    place: Path

    def commands(self) -> list[str]:
        """Commands to go on with."""
        store = f"persistence --store {self.place}"
        return [
            f"{store} history '[:part/sku \"M8\"]' :part/price",
            f"{store} --at 2026-03-20 pull '[* {{:part/supplier [*]}}]' '[:part/sku \"M8\"]'",
            f"{store} q '[:find ?sku ?price :where [?m :part/sku ?sku] [?m :part/price ?price]]'",
            f"{store} log",
        ]
