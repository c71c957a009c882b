"""How a search stands in the store: the search, the states, what was proposed, what was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from persistence.datoms import Schema
from persistence.db import Db
from persistence.errors import SearchError
from persistence.search.codec import Codec
from persistence.search.exploration import Expansion, Log
from persistence.search.found import Iteration, Kept
from persistence.search.moves import Move
from persistence.values import Keyword, Map

ID: Final = Keyword("search/id")
NAME: Final = Keyword("search/name")
OPTIMISER: Final = Keyword("search/optimiser")
OPTIONS: Final = Keyword("search/options")
SEED: Final = Keyword("search/seed")
BUDGET: Final = Keyword("search/budget")
STATES: Final = Keyword("search/states")
ROOT: Final = Keyword("search/root")
STATUS: Final = Keyword("search/status")
LOGGED: Final = Keyword("search/logged")
STOPPED_BY: Final = Keyword("search/stopped-by")
BEST: Final = Keyword("search/best")
SCORE: Final = Keyword("search/score")
RUNNING: Final = Keyword("running")
DONE: Final = Keyword("done")

STATE_ID: Final = Keyword("search-state/id")
STATE_VALUE: Final = Keyword("search-state/value")

_REF: Final = Keyword("db.type/ref")
_IDENTITY: Final = Keyword("db.unique/identity")
DECLARATIONS: Final[tuple[dict[str, Any], ...]] = (
    {":db/ident": ID, ":db/unique": _IDENTITY},
    {":db/ident": STATE_ID, ":db/unique": _IDENTITY},
    *(
        {":db/ident": Keyword(name), ":db/valueType": _REF}
        for name in (
            "search/root",
            "search/best",
            "iteration/search",
            "iteration/state",
            "iteration/parent",
            "iteration/other",
            "expansion/search",
            "expansion/state",
            "expansion/other",
        )
    ),
)
_DB_ID: Final = Keyword("db/id")


def undeclared(schema: Schema) -> list[dict[str, Any]]:
    """Those of the declarations whose attribute nobody has declared yet."""
    return [each for each in DECLARATIONS if schema[each[":db/ident"]].entity is None]


# ---------------------------------------------------------------------------- writing


def iteration_form(made: Iteration, search: int, states: Mapping[bytes, Any]) -> dict[str, Any]:
    """The facts of one iteration; *states* has the entities."""
    form = {
        "iteration/search": search,
        "iteration/n": made.n,
        "iteration/state": states[made.id],
        "iteration/score": made.score,
        "iteration/depth": made.depth,
        "iteration/seconds": made.seconds,
    }
    if made.parent is not None:
        form["iteration/parent"] = states[made.parent]
        form["iteration/prior"] = made.prior
        if made.label is not None:
            form["iteration/move"] = made.label
    if made.other is not None:
        form["iteration/other"] = states[made.other]
    return form | _spent("iteration", made)


def expansion_form(
    made: Expansion, n: int, search: int, states: Mapping[bytes, Any]
) -> dict[str, Any]:
    """The facts of one call of *propose* or *crossover*."""
    form = {
        "expansion/search": search,
        "expansion/n": n,
        "expansion/state": states[made.id],
        "expansion/moves": tuple((move.label, move.id, move.prior) for move in made.moves),
        "expansion/seconds": made.seconds,
    }
    if made.other is not None:
        form["expansion/other"] = states[made.other]
    return form | _spent("expansion", made)


def _spent(kind: str, made: Iteration | Expansion) -> dict[str, Any]:
    costs = {f"{kind}/tokens": made.tokens, f"{kind}/cost": made.cost}
    return {name: cost for name, cost in costs.items() if cost}


# ---------------------------------------------------------------------------- reading


def found(db: Db, id: UUID) -> Mapping[Keyword, Any]:
    """What is known of the search *id*.

    Raises:
        SearchError: there is none.
    """
    e = None if db.schema[ID].entity is None else db.entid((ID, id))
    if e is None:
        raise SearchError(
            f"there is no search {id}", hint="s.plan.search.list() has those there are", id=id
        )
    facts: Mapping[Keyword, Any] = db.pull("[* {:search/root [*]}]", e)
    return facts


def load(db: Db, search: Mapping[Keyword, Any], codec: Codec) -> Log:
    """The log of a search; its states are read when they are needed."""
    e = search[_DB_ID]
    ids = dict(
        db.q("[:find ?s ?id :in $ ?e :where [?i :expansion/search ?e] [?i :expansion/state ?s]"
             " [?s :search-state/id ?id]]", e)
    )  # fmt: skip
    ids |= dict(
        db.q("[:find ?s ?id :in $ ?e :where [?i :iteration/search ?e] [?i :iteration/state ?s]"
             " [?s :search-state/id ?id]]", e)
    )  # fmt: skip
    reading = _Reading(db, codec, ids)
    expansions = (reading.expansion(each) for each in _all(db, "expansion", e))
    return Log(
        {(made.id, made.other): made for made in expansions},
        tuple(map(reading.iteration, _all(db, "iteration", e))),
    )


def _all(db: Db, kind: str, search: int) -> Iterable[Mapping[Keyword, Any]]:
    rows = db.q(f"[:find ?n ?i :in $ ?e :where [?i :{kind}/search ?e] [?i :{kind}/n ?n]]", search)
    return db.pull_many("[*]", [i for _, i in sorted(rows)]) if rows else []


class _Reading:
    """Turns facts back into what they were made of."""

    def __init__(self, db: Db, codec: Codec, ids: Mapping[int, bytes]) -> None:
        self._db, self._codec, self._ids = db, codec, ids

    def state(self, id: bytes) -> Any:
        value = self._db.get((STATE_ID, id), STATE_VALUE)
        return self._codec.loaded(value, id)

    def _id(self, facts: Mapping[Keyword, Any], attribute: str) -> bytes | None:
        ref = facts.get(Keyword(attribute))
        return None if ref is None else self._ids[ref[_DB_ID]]

    def expansion(self, facts: Mapping[Keyword, Any]) -> Expansion:
        get = facts.get
        id = self._id(facts, "expansion/state")
        assert id is not None
        return Expansion(
            id,
            tuple(self._move(*move) for move in facts[Keyword("expansion/moves")]),
            self._id(facts, "expansion/other"),
            get(Keyword("expansion/tokens"), 0),
            get(Keyword("expansion/cost"), 0.0),
            get(Keyword("expansion/seconds"), 0.0),
        )

    def _move(self, label: Any, id: bytes, prior: float) -> Move:
        return Move(label, Kept(id, self.state), id, prior)

    def iteration(self, facts: Mapping[Keyword, Any]) -> Iteration:
        get = facts.get
        id = self._id(facts, "iteration/state")
        assert id is not None
        return Iteration(
            n=facts[Keyword("iteration/n")],
            id=id,
            held=Kept(id, self.state),
            score=facts[Keyword("iteration/score")],
            parent=self._id(facts, "iteration/parent"),
            label=get(Keyword("iteration/move")),
            prior=get(Keyword("iteration/prior"), 1.0),
            depth=facts[Keyword("iteration/depth")],
            other=self._id(facts, "iteration/other"),
            tokens=get(Keyword("iteration/tokens"), 0),
            cost=get(Keyword("iteration/cost"), 0.0),
            seconds=facts[Keyword("iteration/seconds")],
        )


def budget_value(bounds: Mapping[str, Any]) -> Map:
    """A budget as the record keeps it."""
    return Map({Keyword(name): bound for name, bound in bounds.items()})


def named(facts: Map) -> dict[str, Any]:
    """The entries of a map of keywords, by plain name."""
    return {key.name: value for key, value in facts.items()}
