"""Keeps the steps of a run in a store: each before its result is given, or all at the end."""

from __future__ import annotations

import threading
from typing import Any, Final
from uuid import uuid4

import attrs

from persistence.connection import Connection
from persistence.db import Db, Report
from persistence.effects import facts
from persistence.effects.call import Call
from persistence.effects.handler import Terminal
from persistence.effects.step import Step
from persistence.effects.trace import RUNNING, Trace
from persistence.effects.words import BASIS, TRANSACT
from persistence.errors import InputError, TraceError
from persistence.session import WriterBase
from persistence.stm import Transaction, Txn
from persistence.values import Keyword, Map, Value

_CHUNK: Final = 5_000  # steps of one transaction, when they are written together


class Stored:
    """The recorder of one run in one store.

    With *each* a step is durable before its result is given to the agent; else the steps are
    written when the run ends, and a crash loses them.
    """

    waits = True

    def __init__(
        self, connection: Connection, txn: Txn, branch: int, trace: Trace, *, each: bool = True
    ) -> None:
        self._connection, self._txn, self._branch = connection, txn, branch
        self._trace = trace
        self._each = each
        self._entity: Any = None
        self._holder = uuid4()
        self._last = 0  # the t of what this recorder wrote last
        self._begun: dict[tuple[Any, int], int] = {}
        self._waiting: list[Step] = []
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Writes down that the run has begun.

        Raises:
            InputError: there is a run with this id.
        """
        db = self._connection.db(self._branch)
        declarations = facts.missing(db.schema)
        if declarations:
            self._transact(declarations)
        elif db.entid([facts.RUN_ID, self._trace.id]) is not None:
            raise InputError(
                f"there is a run {self._trace.id}",
                hint="go on with it by s.effect.resume, or leave the id out",
                run=self._trace.id,
            )
        parent = None if self._trace.parent is None else [facts.RUN_ID, self._trace.parent]
        form: dict[Any, Any] = {":db/id": "run", **facts.run_form(self._trace, parent)}
        form[facts.RUN_HOLDER] = self._holder
        self._entity = self._transact([form]).tempids["run"]

    def go_on(self) -> None:
        """Takes up the run where it was left."""
        db = self._connection.db(self._branch)
        self._entity = db.entid([facts.RUN_ID, self._trace.id])
        self._begun = facts.unfinished(db, self._entity)
        taken: dict[Any, Any] = {":db/id": self._entity, facts.RUN_HOLDER: self._holder}
        ends = (facts.RUN_RESULT, facts.RUN_ERROR, facts.RUN_DIGEST)
        ended = [["db/retract", self._entity, attribute] for attribute in ends]
        self._transact([{**taken, facts.RUN_STATUS: RUNNING}, *ended])

    def ahead(self, step: Step) -> None:
        at = (step.scope, step.place)
        if at not in self._begun:
            form: dict[Any, Any] = {":db/id": "step", **facts.step_form(step, self._entity)}
            self._begun[at] = self._held([form]).tempids["step"]

    def add(self, step: Step) -> None:
        if self._each:
            self._held(self._forms(step))
        else:
            with self._lock:
                self._waiting.append(step)

    def end(self, status: Keyword, result: Value, error: Map | None) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _CHUNK):
            chunk = waiting[start : start + _CHUNK]
            self._held([form for step in chunk for form in self._forms(step)])
        trace = attrs.evolve(
            facts.load(self._connection.db(self._branch), self._trace.id),
            status=status,
            result=result,
            error=error,
        )
        self._held([facts.end_form(self._entity, trace)])

    def _forms(self, step: Step) -> list[Any]:
        form = facts.step_form(step, self._entity)
        begun = self._begun.get((step.scope, step.place))
        if begun is None:
            return [form]
        cut = [] if step.error is not None else [["db/retract", begun, facts.STEP_ERROR]]
        return [{":db/id": begun, **form}, *cut]

    def _transact(self, forms: Any) -> Report:
        report = self._connection.transact(forms, branch=self._branch)
        self._last = report.t
        return report

    def _held(self, forms: Any) -> Report:
        """Writes *forms*, unless the run was taken up elsewhere since."""

        def decide(base: WriterBase) -> Any:
            if base.head.t != self._last:  # somebody else has written, if only something else
                self._check(base.value())
            return forms

        report = self._connection.decided(decide, branch=self._branch)
        self._last = report.t
        return report

    def _check(self, db: Db) -> None:
        if db.get(self._entity, facts.RUN_HOLDER) != self._holder:
            raise TraceError(
                f"run {self._trace.id} was taken up elsewhere, and this one may not add to it",
                hint="let one process at a time go on with a run",
                run=self._trace.id,
            )

    # ------------------------------------------------------------------- the facts

    @property
    def terminal(self) -> Terminal:
        """Performs what a run asks of its own store."""
        return Terminal("facts", {BASIS: self._basis, TRANSACT: self._together}, takes_call=True)

    def reading(self, basis: Map) -> Db:
        """The database value that *basis*, a recorded result, names."""
        return facts.database_at(self._connection.db(self._branch), basis)

    def _basis(self, call: Call) -> Map:
        return facts.basis_form(self._connection.db(self._branch))

    def _together(self, call: Call) -> Map:
        """Commits facts and the step that says so in one transaction."""
        args = dict(call.args)
        forms = args.pop("forms")
        options: dict[str, Any] = {
            name: args.pop(name) for name in ("meta", "author") if name in args
        }

        def body(tx: Transaction) -> tuple[Map, Step]:
            self._check(tx.db)
            report = tx.transact(forms, **args)
            ids = Map({Keyword(str(name)): e for name, e in report.tempids.items()})
            step: Step = call.notes["step"](ids)
            tx.transact(self._forms(step))
            return ids, step

        ids, call.notes["kept"] = self._txn.run(body, **options)
        return ids
