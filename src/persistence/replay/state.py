"""The database as a replay sees it: as recorded, until something changes it.

From the first changed fact, or the first write that the record does not hold, the state is a line
of its own: a speculation that begins at the basis on record there. Writes of the program go on top
of it, and nowhere else. What others wrote to the store after that basis is not seen on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Final

import attrs

from persistence.datoms.view import Overlay
from persistence.db import Db
from persistence.effects import Call, Step, Trace
from persistence.effects.facts import database_at
from persistence.effects.outcome import failure
from persistence.effects.step import DONE
from persistence.effects.words import BASIS
from persistence.errors import InputError, PersistenceError, TraceError
from persistence.replay.intervention import Intervention
from persistence.values import Keyword, Map, Value, digest, encode, freeze, from_micros, in_order

_T: Final = Keyword("t")
_INSTANT: Final = Keyword("instant")
_WITH: Final = Keyword("with")  # marks what was read from a speculation
SPECULATED: Final = Keyword("replay/speculated")  # the verdict of a step that was not written
_FIRST: Final = 2**43  # entities of speculations: none of the store's, now or later
_NOT_FORMS: Final = ("meta", "author")  # of a transaction, and no part of its facts


class State:
    """Answers what a replay reads of the store and writes to it, without writing."""

    def __init__(self, db: Db | None, trace: Trace) -> None:
        self._db, self._trace = db, trace
        self._line: Db | None = None
        self._basis = Map({})
        self._told: list[Value] = []
        self._seen: dict[Value, Db] = {}
        self._last_read: Step | None = None
        self._lock = threading.Lock()

    def reading(self, basis: Map) -> Db:
        """The database value that *basis*, a recorded result, names.

        Raises:
            InputError: the replay was given no store.
            TraceError: it was a speculation that is not there any more.
        """
        mark = basis.get(_WITH)
        if mark in self._seen:
            return self._seen[mark]
        if mark is not None:
            raise TraceError(
                "this step was read from a speculation, which is not recorded itself",
                hint="replay the run that it came from, with the same interventions",
            )
        if self._db is None:
            raise InputError(
                "the run reads the store, and its replay was given none",
                hint="replay it with s.replay.run, or give db=s.fact.db()",
            )
        return database_at(self._db, basis)

    def answer(
        self, call: Call, asked: bytes, recorded: Step | None, due: Iterable[Intervention]
    ) -> Step | None:
        """The step of a read or a write on a line of its own; None as long as there is none.

        *recorded* is what the record says to this very call; *due* are the changes of facts that
        the line shall have by now.
        """
        with self._lock:
            changes = [*due]
            if self._line is None:
                known = recorded is not None and recorded.verdict is not SPECULATED
                if (known and not changes) or self._db is None:
                    return None
                self._begin(recorded if call.op is BASIS else None)
            for change in changes:
                assert self._line is not None
                self._line = change.shows(self._line)
                self._told.append(change.form)
            return self._read(call, asked) if call.op is BASIS else self._write(call, asked)

    def _begin(self, recorded: Step | None) -> None:
        """Begins the line: at the read asked for, at the last one before it, or with the run."""
        assert self._db is not None
        read = recorded or self._last_read
        if read is None:
            moment = from_micros(self._trace.started)
            self._line = self._db.as_of(moment).valid_at(moment)
            self._basis = Map({_T: self._line.basis, _INSTANT: moment})
        else:
            assert isinstance(read.result, Map)
            self._basis = Map({_T: read.result[_T], _INSTANT: read.result[_INSTANT]})
            self._line = self.reading(self._basis)
        if self._line.overlay is None:
            above = Overlay(base=self._line.basis, next_e=_FIRST)
            self._line = attrs.evolve(self._line, view=attrs.evolve(self._line.view, overlay=above))

    def passed(self, step: Step) -> None:
        """Takes notice of a read that was answered from the record."""
        self._last_read = step

    def _read(self, call: Call, asked: bytes) -> Step:
        assert self._line is not None
        told = (self._basis, tuple(self._told))
        mark = digest("trace", encode(told)) if self._told else None
        if mark is None:
            return _step(call, asked, result=self._basis)
        self._seen[mark] = self._line
        return _step(call, asked, result=Map({**self._basis, _WITH: mark}))

    def _write(self, call: Call, asked: bytes) -> Step:
        assert self._line is not None
        args: dict[str, Any] = {k: v for k, v in call.args.items() if k not in _NOT_FORMS}
        args.setdefault("valid_from", from_micros(self._line.instant))  # or it would not be seen
        try:
            report = self._line.with_(args.pop("forms"), **args)
        except PersistenceError as error:
            status, told, _ = failure(call, error)
            return _step(call, asked, status=status, error=told)
        self._line = report.db_after
        self._told.append(freeze(dict(call.args)))
        ids = Map({Keyword(str(name)): e for name, e in report.tempids.items()})
        return _step(call, asked, result=in_order(ids))


def _step(call: Call, asked: bytes, **outcome: Any) -> Step:
    return Step(
        op=call.op,
        args=call.form,
        n=0,  # the run numbers it
        scope=call.scope,
        place=call.place,
        occurrence=call.occurrence,
        asked=asked,
        verdict=SPECULATED,
        **{"status": DONE, **outcome},
    )
