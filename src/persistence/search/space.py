"""`s.plan.search`: searches on record, run again from it, and taken up after a crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import attrs

from persistence.connection import Connection
from persistence.errors import InputError, SearchError
from persistence.search import facts
from persistence.search.budget import Budget
from persistence.search.codec import PLANS, VALUES, Codec, codec_for
from persistence.search.evolve import Evolve
from persistence.search.exploration import Log
from persistence.search.found import Found
from persistence.search.moves import Cross, Evaluate, Propose, identify
from persistence.search.optimiser import Optimiser
from persistence.search.puct import Puct
from persistence.search.recorder import Recorder
from persistence.values import Keyword

EVERY: Final = 64  # iterations: a commit of one costs some ten times what each of 64 costs
WITHIN: Final = 0.25  # seconds: less than a model call, so each of those is durable at once

_OPTIMISERS: Final[dict[Keyword, Callable[..., Optimiser]]] = {
    Puct.name: Puct,
    Evolve.name: Evolve,
}
_CODECS: Final = {codec.name: codec for codec in (PLANS, VALUES)}


@attrs.frozen
class SearchInfo:
    """A search as the store lists it; `status` is :running or :done."""

    id: UUID
    name: str
    status: Keyword
    score: float | None = None
    stopped_by: str | None = None


class Searches:
    """Searches on one branch of a store.

    >>> def steps(n):
    ...     return [("up", n + 1), ("down", n - 1)]
    >>> found = s.plan.search(0, steps, lambda n: -abs(n - 3), budget={"iterations": 40})
    >>> found.best, s.plan.search.rerun(found.id).best
    (3, 3)
    """

    def __init__(
        self,
        connection: Connection,
        *,
        branch: int = 0,
        now: Callable[[], float] = time.monotonic,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._connection, self._branch = connection, branch
        self._now, self._new_id = now, new_id

    def __call__(
        self,
        root: Any,
        propose: Propose,
        evaluate: Evaluate,
        *,
        budget: Budget | Mapping[str, Any],
        optimiser: Optimiser | None = None,
        seed: int = 0,
        name: str = "search",
        id: UUID | None = None,
        every: int = EVERY,
        within: float = WITHIN,
        codec: Codec | None = None,
    ) -> Found:
        """Searches as :meth:`Optimiser.search` does, by `Puct` unless told otherwise, on record.

        What was proposed and judged is committed after *every* iterations, or *within* so many
        seconds, whichever comes first, and all of it before this returns or raises. A crash loses
        at most what came after the last commit: fewer than *every* iterations, none of which took
        longer than *within*, and the call under way. *codec* keeps states that are neither plans
        nor EDN values.

        Raises:
            SearchError: as :meth:`Optimiser.search`; a state that cannot be kept; an id that is
                taken. What was done before is on record, and :meth:`resume` goes on after it.
        """
        chosen = Puct() if optimiser is None else optimiser
        chosen.ready()
        bounds = Budget.of(budget)
        _check(every, within, seed)
        if chosen.name not in _OPTIMISERS:
            raise SearchError(
                f"an optimiser {chosen.name} cannot be made again from a record",
                hint="use Puct or Evolve, or search without the store",
            )
        kept = codec or codec_for(root)
        named = id or self._new_id()
        e = self._begun(root, chosen, bounds, seed, name, named, kept)
        recorder = self._recorder(e, kept, every, within)
        found = chosen.explored(
            root, propose, evaluate, budget=bounds, seed=seed, record=recorder, now=self._now
        )
        recorder.end(found)
        return attrs.evolve(found, id=named)

    def rerun(self, id: UUID | str, *, codec: Codec | None = None) -> Found:
        """Runs the search *id* again from its log, calling nobody, and gives what it found.

        Every step is derived anew and compared with the log, and so is the winner.

        Raises:
            SearchError: there is no such search, nothing was judged in it, or its log does not
                lead to what it says.
        """
        search, kept, log = self._loaded(id, codec)
        if not log.iterations:
            raise SearchError(f"nothing was judged in search {search[facts.ID]}", hint="resume it")
        found = self._optimiser(search, None).explored(
            self._root(search, kept),
            None,
            None,
            budget=Budget(iterations=len(log.iterations)),
            seed=search[facts.SEED],
            log=log,
        )
        if facts.BEST in search:
            _compare(search, found, self._id_of(search[facts.BEST]))
        stopped_by = search.get(facts.STOPPED_BY)
        return attrs.evolve(
            found,
            id=search[facts.ID],
            stopped_by=found.stopped_by if stopped_by is None else stopped_by.name,
        )

    def resume(
        self,
        id: UUID | str,
        propose: Propose,
        evaluate: Evaluate,
        *,
        budget: Budget | Mapping[str, Any] | None = None,
        crossover: Cross | None = None,
        every: int = EVERY,
        within: float = WITHIN,
        codec: Codec | None = None,
    ) -> Found:
        """Goes on with the search *id*, after a crash or with a larger budget.

        What is in the log is not asked for again. *budget*, by default the recorded one, is that
        of the whole search, what the log tells included.

        >>> def steps(n):
        ...     return [("up", n + 1), ("down", n - 1)]
        >>> short = s.plan.search(0, steps, float, budget={"iterations": 5})
        >>> longer = s.plan.search.resume(short.id, steps, float, budget={"iterations": 20})
        >>> len(longer.iterations), longer.iterations[4].id == short.iterations[4].id
        (20, True)

        Raises:
            SearchError: as `__call__`; there is no such search; somebody else goes on with it.
        """
        _check(every, within, 0)
        search, kept, log = self._loaded(id, codec)
        bounds = Budget.of(_bounds(search) if budget is None else budget)
        chosen = self._optimiser(search, crossover)
        chosen.ready()
        done = len(log.iterations)
        if bounds.iterations is not None and bounds.iterations < done:
            raise SearchError(
                f"search {search[facts.ID]} has {done} iterations on record already",
                hint=f"give a budget of {done} iterations or more: it is that of the whole search",
                iterations=done,
            )
        recorder = self._recorder(
            search[Keyword("db/id")], kept, every, within, search[facts.LOGGED], len(log.expansions)
        )
        recorder.reopen()
        found = chosen.explored(
            self._root(search, kept),
            propose,
            evaluate,
            budget=bounds,
            seed=search[facts.SEED],
            record=recorder,
            log=log,
            now=self._now,
        )
        recorder.end(found)
        return attrs.evolve(found, id=search[facts.ID])

    def list(self) -> list[SearchInfo]:
        """The searches of this branch, the earliest first."""
        db = self._connection.db(self._branch)
        if db.schema[facts.ID].entity is None:
            return []
        rows = sorted(db.q("[:find ?tx ?e :where [?e :search/id _ ?tx]]"))
        each = db.pull_many("[*]", [e for _, e in rows]) if rows else []
        return [_info(search) for search in each]

    # ------------------------------------------------------------------ the record

    def _begun(
        self,
        root: Any,
        optimiser: Optimiser,
        budget: Budget,
        seed: int,
        name: str,
        id: UUID,
        codec: Codec,
    ) -> int:
        db = self._connection.db(self._branch)
        if missing := facts.undeclared(db.schema):
            self._connection.transact(missing, branch=self._branch)
        elif db.entid((facts.ID, id)) is not None:
            raise SearchError(f"there is a search {id}", hint="resume it, or leave the id out")
        state = {
            "db/id": "root",
            facts.STATE_ID: identify(root),
            facts.STATE_VALUE: codec.dumped(root),
        }
        search = {
            "db/id": "search",
            facts.ID: id,
            facts.NAME: name,
            facts.OPTIMISER: optimiser.name,
            facts.OPTIONS: facts.budget_value(optimiser.options()),
            facts.SEED: seed,
            facts.BUDGET: facts.budget_value(budget.bounds()),
            facts.STATES: codec.name,
            facts.ROOT: "root",
            facts.STATUS: facts.RUNNING,
            facts.LOGGED: 0,
        }
        report = self._connection.transact([state, search], branch=self._branch)
        return report.tempids["search"]

    def _recorder(
        self,
        search: int,
        codec: Codec,
        every: int,
        within: float,
        logged: int = 0,
        expansions: int = 0,
    ) -> Recorder:
        return Recorder(
            self._connection,
            self._branch,
            search,
            codec,
            logged=logged,
            expansions=expansions,
            every=every,
            within=within,
            now=self._now,
        )

    def _loaded(
        self, id: UUID | str, codec: Codec | None
    ) -> tuple[Mapping[Keyword, Any], Codec, Log]:
        db = self._connection.db(self._branch)
        search = facts.found(db, _uuid(id))
        name = search[facts.STATES]
        kept = codec or _CODECS.get(name)
        if kept is None or kept.name is not name:
            raise SearchError(
                f"the states of search {id} are kept as {name}",
                hint=f"give the codec of the name {name}",
                codec=name,
            )
        return search, kept, facts.load(db, search, kept)

    def _root(self, search: Mapping[Keyword, Any], codec: Codec) -> Any:
        root = search[facts.ROOT]
        return codec.loaded(root[facts.STATE_VALUE], root[facts.STATE_ID])

    def _id_of(self, ref: Mapping[Keyword, Any]) -> bytes:
        db = self._connection.db(self._branch)
        id = db.get(ref[Keyword("db/id")], facts.STATE_ID)
        assert isinstance(id, bytes)
        return id

    def _optimiser(self, search: Mapping[Keyword, Any], crossover: Cross | None) -> Optimiser:
        kind = _OPTIMISERS[search[facts.OPTIMISER]]
        options = facts.named(search[facts.OPTIONS])
        if crossover is None:
            return kind(**options)
        if kind is not Evolve:
            raise SearchError("a tree search crosses nothing", hint="leave the crossover out")
        return Evolve(**options, crossover=crossover)


def _bounds(search: Mapping[Keyword, Any]) -> dict[str, Any]:
    return facts.named(search[facts.BUDGET])


def _info(search: Mapping[Keyword, Any]) -> SearchInfo:
    stopped_by = search.get(facts.STOPPED_BY)
    return SearchInfo(
        search[facts.ID],
        search[facts.NAME],
        search[facts.STATUS],
        search.get(facts.SCORE),
        None if stopped_by is None else stopped_by.name,
    )


def _compare(search: Mapping[Keyword, Any], found: Found, best: bytes) -> None:
    """
    Raises:
        SearchError: the search as it was run again has another winner.
    """
    if (found.winner.id, found.score) != (best, search[facts.SCORE]):
        raise SearchError(
            f"run again, the search finds {found.winner.id.hex()[:16]} with {found.score}, and its "
            f"record says {best.hex()[:16]} with {search[facts.SCORE]}",
            hint="verify the log with s.audit.verify()",
            expected=best.hex(),
            found=found.winner.id.hex(),
        )


def _uuid(id: UUID | str) -> UUID:
    try:
        return id if isinstance(id, UUID) else UUID(id)
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{id!r:.80} is no id of a search", hint="an id is a UUID") from error


def _check(every: Any, within: Any, seed: Any) -> None:
    if type(every) is not int or every < 1:
        raise SearchError(f"a commit every {every!r:.40} iterations", hint="let it be 1 or more")
    if type(within) not in (int, float) or not within >= 0:
        raise SearchError(f"a commit within {within!r:.40} seconds", hint="let it be 0 or more")
    if type(seed) is not int:
        raise SearchError(f"the seed {seed!r:.40}", hint="a seed is a whole number")
