"""An agent that tries three plans at each step, keeps the best, and rewinds when it got lost.

    python examples/agent_loop.py                          # in memory
    python examples/agent_loop.py --store agent.db         # stays, and can be asked later

The agent stands in a small maze and wants to reach the exit. At every step three policies propose
a walk; each walks in a transaction of its own, and the one that gets nearest is kept. Near is not
always right: the maze has a dead end close to the exit. When no policy gets on, the agent looks up
in its past where it stood when it still had a choice, and goes on from there. Nothing is undone
for that: what it knew at the time is still there to be asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import attrs

from persistence import Substrate
from persistence.errors import ForkError
from persistence.stm import Forked, Outcome, Transaction

MAZE = [
    "#########",
    "#A  #   #",
    "# # # # #",
    "# #   # #",
    "# ##### #",
    "#    #E #",
    "#########",
]

SCHEMA = """[
    {:db/ident :agent/name :db/unique :db.unique/identity :db/valueType :db.type/string}
    {:db/ident :agent/at :db/valueType :db.type/tuple
     :db/tupleTypes [:db.type/long :db.type/long]}
    {:db/ident :visit/place :db/unique :db.unique/identity :db/valueType :db.type/tuple
     :db/tupleTypes [:db.type/long :db.type/long]}
]"""
AGENT = ("agent/name", "walker")

Place: TypeAlias = tuple[int, int]
Order: TypeAlias = Callable[[Place], Any]

WALK = 3  # places that a policy goes before it is judged


def find(letter: str) -> Place:
    return next((x, y) for y, row in enumerate(MAZE) for x, c in enumerate(row) if c == letter)


EXIT = find("E")


def distance(place: Place) -> int:
    return abs(place[0] - EXIT[0]) + abs(place[1] - EXIT[1])


def neighbours(place: Place) -> list[Place]:
    x, y = place
    around = [(x, y + 1), (x + 1, y), (x, y - 1), (x - 1, y)]
    return [(a, b) for a, b in around if MAZE[b][a] != "#"]


# Which neighbour a policy likes best.
POLICIES: Mapping[str, Order] = {
    "greedy": distance,
    "east": lambda place: -place[0],
    "south": lambda place: -place[1],
}


@attrs.frozen
class Walk:
    """A candidate: goes where its policy likes best, to places that nobody has been to."""

    order: Order

    def __call__(self, tx: Transaction) -> Place:
        place: Place = tx.get(AGENT, "agent/at")
        for _ in range(WALK):
            fresh = [each for each in neighbours(place) if not visited(tx, each)]
            if not fresh or place == EXIT:
                break
            place = min(fresh, key=self.order)
            tx.transact([{"visit/place": place}])
        if place == tx.get(AGENT, "agent/at"):
            raise LookupError(f"there is no new way from {place}")
        tx.transact([{"db/id": AGENT, "agent/at": place}])
        tx.effect("agent/say", text=f"I stand at {place[0]}, {place[1]}")
        return place


def visited(tx: Transaction, place: Place) -> bool:
    return tx.db.entid(("visit/place", place)) is not None


def nearest(outcome: Outcome) -> float:
    return -distance(outcome.value)


def begin(s: Substrate) -> None:
    start = find("A")
    s.fact.transact(SCHEMA)
    s.fact.transact([{"agent/name": AGENT[1], "agent/at": start}, {"visit/place": start}])


def step(s: Substrate) -> Forked | None:
    """Tries every policy and keeps the best; None when none of them gets on."""
    try:
        return s.txn.fork({name: Walk(order) for name, order in POLICIES.items()}, score=nearest)
    except ForkError:
        return None


def rewind(s: Substrate) -> int:
    """Goes back to the last moment that had a way nobody has gone to this day; gives its t."""
    now = s.fact.db()
    for t in range(now.basis - 1, 0, -1):
        place: Place | None = now.as_of(t).get(AGENT, "agent/at")
        if place is None:
            break
        if any(now.entid(("visit/place", each)) is None for each in neighbours(place)):
            s.fact.transact([{"db/id": AGENT, "agent/at": place}], meta={"agent/rewound-to": t})
            return t
    raise LookupError("the maze has no exit")


def run(s: Substrate, say: Callable[[str], None]) -> list[UUID]:
    """Walks to the exit; gives the record of each fork on the way."""
    s.txn.handler("agent/say", lambda args, key: say(args["text"]))
    begin(s)
    forks = []
    while s.fact.db().get(AGENT, "agent/at") != EXIT:
        forked = step(s)
        if forked is None:
            say(f"a dead end: back to what I knew at t={rewind(s)}")
        elif forked.id is not None:
            forks.append(forked.id)
    return forks


def told(s: Substrate, fork: UUID) -> list[tuple[str, Any, bool]]:
    """What was tried in one fork: each policy with its score, and whether it won."""
    rows: list[tuple[str, Any, bool]] = s.fact.db().q(
        """[:find ?label ?score ?won
            :in $ ?id
            :where [?f :fork/id ?id] [?f :fork/candidates ?c] [?c :candidate/label ?label]
                   [?c :candidate/won ?won] [(get-else $ ?c :candidate/score "gave up") ?score]]""",
        fork,
    )
    return sorted(rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", default=":memory:", help="a file, or postgresql://…")
    chosen = parser.parse_args(arguments)
    with Substrate.open(chosen.store) as s:
        for place, fork in enumerate(run(s, print), start=1):
            told_now = ", ".join(f"{name} {score}{'*' * won}" for name, score, won in told(s, fork))
            print(f"fork {place}: {told_now}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
