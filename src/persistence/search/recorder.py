"""Writes a search down while it runs, several iterations to a commit.

What is pending is committed once there are *every* iterations, or once *within* seconds have passed
since the last commit. This is looked at whenever something is written down: after a call that took
longer than that, what it gave is durable before the next is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from persistence.connection import Connection
from persistence.errors import CasFailed, SearchError
from persistence.search import facts
from persistence.search.codec import Codec
from persistence.search.exploration import Expansion
from persistence.search.found import Found, Iteration, Kept, real
from persistence.values import Keyword


class Recorder:
    """The record of one search on one branch."""

    def __init__(
        self,
        connection: Connection,
        branch: int,
        search: int,
        codec: Codec,
        *,
        logged: int,
        expansions: int,
        every: int,
        within: float,
        now: Callable[[], float],
    ) -> None:
        self._connection, self._branch, self._search = connection, branch, search
        self._codec, self._every, self._within, self._now = codec, every, within, now
        self._logged, self._expansions = logged, expansions
        self._known: dict[bytes, Any] = {}  # states that have an entity
        self._fresh: dict[bytes, str] = {}  # tempids of those that wait
        self._forms: list[dict[str, Any]] = []
        self._waiting = self._judged = 0
        self._since = now()

    def expanded(self, expansion: Expansion) -> None:
        self._state(expansion.id, None)
        if expansion.other is not None:
            self._state(expansion.other, None)
        for move in expansion.moves:
            self._state(move.id, move.state)
        self._expansions += 1
        form = facts.expansion_form(expansion, self._expansions, self._search, self._known)
        self._add(form, iterations=0)

    def judged(self, iteration: Iteration) -> None:
        self._state(iteration.id, iteration.held)
        for each in (iteration.parent, iteration.other):
            if each is not None:
                self._state(each, None)
        self._add(facts.iteration_form(iteration, self._search, self._known), iterations=1)

    def _state(self, id: bytes, held: Any) -> None:
        """Sees to it that the state *id* has an entity; without *held*, it is in the store."""
        if id in self._known:
            return
        if held is None or type(held) is Kept:
            self._known[id] = (facts.STATE_ID, id)
            return
        tempid = f"state-{len(self._fresh)}"
        self._forms.append(
            {
                "db/id": tempid,
                "search-state/id": id,
                "search-state/value": self._codec.dumped(real(held)),
            }
        )
        self._known[id] = self._fresh[id] = tempid

    def _add(self, form: dict[str, Any], *, iterations: int) -> None:
        self._forms.append(form)
        self._waiting += 1
        self._judged += iterations
        if self._judged >= self._every or self._now() - self._since >= self._within:
            self.flush()

    def flush(self) -> None:
        """Commits what is pending.

        Raises:
            SearchError: somebody else has gone on with this search meanwhile.
        """
        if self._waiting:
            self._commit([])

    def reopen(self) -> None:
        """Takes back the outcome of a search that goes on."""
        gone = [
            ["db/retract", self._search, each]
            for each in (facts.BEST, facts.SCORE, facts.STOPPED_BY)
        ]
        self._commit([["db/add", self._search, facts.STATUS, facts.RUNNING], *gone])

    def end(self, found: Found) -> None:
        """Commits the outcome."""
        winner = found.winner
        outcome = {
            "db/id": self._search,
            "search/status": facts.DONE,
            "search/stopped-by": Keyword(found.stopped_by),
            "search/score": winner.score,
            "search/best": (facts.STATE_ID, winner.id),
        }
        self._commit([outcome])

    def _commit(self, more: list[Any]) -> None:
        logged = self._logged + self._waiting
        claim = ["db/cas", self._search, facts.LOGGED, self._logged, logged]
        try:
            report = self._connection.transact([*self._forms, *more, claim], branch=self._branch)
        except CasFailed as error:
            raise SearchError(
                "somebody else has gone on with this search",
                hint="leave it to them, or re-run it from its log",
            ) from error
        for id, tempid in self._fresh.items():
            self._known[id] = report.tempids[tempid]
        self._logged, self._waiting, self._judged = logged, 0, 0
        self._forms, self._fresh = [], {}
        self._since = self._now()
