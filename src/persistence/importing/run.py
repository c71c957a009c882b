"""The loop of an import: rows into batches, each batch one transaction with its position.

A batch that the transactor refuses is halved until the rows that it refuses stand alone; all
others go in. Nothing is kept of a row once its batch is committed, so memory stays flat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from persistence.connection import Connection
from persistence.errors import ImportRefused, InputError
from persistence.importing import position, sequence
from persistence.importing.book import Book
from persistence.importing.convert import Unfit, guess
from persistence.importing.plan import Plan
from persistence.importing.report import LISTED, Imported, Refusal, Rejects, plain
from persistence.importing.rows import Row, Rows, Unreadable, format_of, read_rows
from persistence.importing.shape import Form, Shape, named, span_of
from persistence.values import Keyword, identity, read

BATCH: Final = 10_000  # facts of one transaction: larger ones gain little and hold writers up
SAMPLE: Final = 1_000  # rows of a table from which the types of its columns are guessed
_EVERY: Final = 256  # rows between two reports of progress

Progress = Callable[[int, int], None]


def import_file(
    connection: Connection,
    path: str | Path,
    plan: Plan,
    *,
    format: str | None = None,
    schema: str | None = None,
    batch: int = BATCH,
    max_errors: int | None = None,
    rejects: str | Path | None = None,
    again: bool = False,
    author: str | None = None,
    branch: int = 0,
    progress: Progress | None = None,
) -> Imported:
    """Imports the rows of the file at *path*, from where an earlier run ended.

    *schema* is EDN text that is transacted first. *batch* is the number of facts of one
    transaction. *rejects* names a file for refused rows. With *again* the rows are imported from
    the first one, whatever was imported before. *progress* is told bytes read and bytes in all.

    Raises:
        InputError: the file or an option cannot be used; batches committed before stay, and the
            next run goes on after them.
        ImportRefused: more than *max_errors* rows were refused; the same holds.
    """
    path = Path(path)
    if batch < 1:
        raise InputError("a batch needs at least one fact", hint="the default is good", batch=batch)
    kind = format_of(path, format)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check the path", path=str(path)
        ) from error
    with file:
        if schema is not None:
            _declare(connection, read(schema), author, branch)
        run = _Run(connection, path, plan, kind, again, author, batch, max_errors, branch)
        if rejects is not None:
            run.rejects = Rejects(Path(rejects), edn=kind == "edn", again=run.position.rows > 0)
        try:
            return run.all(file, progress)
        finally:
            if run.rejects is not None:
                run.rejects.close()


def _declare(connection: Connection, forms: Any, author: str | None, branch: int) -> None:
    """Transacts *forms*, unless they say nothing new."""
    if forms and connection.db(branch).with_(forms).tx_data:
        connection.transact(forms, author=author, branch=branch)


@attrs.define(eq=False)
class _Entry:
    """A row that waits for its commit."""

    row: Row
    forms: list[Form]  # of the row's own entity
    beside: list[Form]  # of entities that the row speaks of


class _Run:
    """The state of one import."""

    def __init__(
        self,
        connection: Connection,
        path: Path,
        plan: Plan,
        kind: str,
        again: bool,
        author: str | None,
        batch: int,
        max_errors: int | None,
        branch: int,
    ) -> None:
        db = connection.db(branch)
        self.connection = connection
        self.branch = branch
        self.plan = plan
        self.kind = kind
        self.author = author
        self.batch = batch
        self.max_errors = max_errors
        self.spans = plan.valid_from is not None or plan.valid_to is not None
        self.position = position.find(db, path, plan, kind, again=again)
        self.rejects: Rejects | None = None
        self.waiting: list[_Entry] = []
        self.taken: dict[Any, list[_Entry]] = {}  # the rows that wait, by their id
        self.refused: list[Refusal] = []
        self.rows = self.facts = self.transactions = self.refusals = 0

    def all(self, file: BinaryIO, progress: Progress | None) -> Imported:
        """Imports every row after the position."""
        started = time.perf_counter()
        total = Path(file.name).stat().st_size
        decimals = "bigdec" in self.plan.types.values() or self._has_decimals()
        last = self.position.rows
        with closing(read_rows(file, self.kind, decimals=decimals)) as rows:
            for row in self._begin(rows):
                if row.number <= self.position.rows:
                    continue
                last = row.number
                self.rows += 1
                if type(row) is Row:
                    self._take(row)
                else:
                    assert isinstance(row, Unreadable)
                    self._refuse(row, row.reason, row.data)
                if progress is not None and last % _EVERY == 0:
                    progress(file.tell(), total)
        self._commit(last)
        if self.facts >= BATCH and not self.connection.dialect.ordered:
            self.connection.store.analyze()  # such an engine orders joins by what it has counted
        if progress is not None:
            progress(total, total)
        return Imported(
            file=str(file.name),
            rows=self.rows,
            facts=self.facts,
            transactions=self.transactions,
            resumed=self.position.rows,
            refusals=self.refusals,
            refused=tuple(self.refused),
            notes=tuple(self._notes()),
            seconds=time.perf_counter() - started,
        )

    def _has_decimals(self) -> bool:
        schema = self.connection.db(self.branch).schema.attributes.values()
        return any(a.value_type is not None and a.value_type.local == "bigdec" for a in schema)

    def _begin(self, rows: Rows) -> Iterator[Row | Unreadable]:
        """Looks at the first rows, to know what plan and types are."""
        sample = list(islice(rows, SAMPLE if self.kind in ("csv", "tsv") else 1))
        first = next((row for row in sample if type(row) is Row), None)
        if first is not None and first.key is not None and self.plan.id is None:
            ident = self.plan.attribute("id", self.plan.namespace)
            self.plan = attrs.evolve(self.plan, id=ident)
        db = self.connection.db(self.branch)
        self.book = Book(
            self.plan,
            db.schema,
            inferred=position.inferred(db),
            guesses=_guesses(sample) if self.kind in ("csv", "tsv") else None,
            texts=self.kind != "edn",
        )
        self.shape = self.book.root = Shape(self.book, self.plan.namespace)
        self.ident = None if self.plan.id is None else self.book.identity(self.plan.id)
        return chain(sample, rows)

    # -------------------------------------------------------------------- one row

    def _take(self, row: Row) -> None:
        before = self.book.facts
        try:
            span = span_of(self.book, row.data) if self.spans else {}
            form = self.shape.form(row.data, span)
            known = None if self.ident is None else self._name(form, row)
            if not form:
                raise Unfit("it holds no value")
        except Unfit as error:
            self.book.facts = before
            self.book.beside.clear()
            self._refuse(row, str(error), row.data)
            return
        entry = _Entry(row, [form], self.book.beside.copy())
        self.book.beside.clear()
        if known is not None and self.ident is not None:
            if known in self.taken and not self._joins(self.taken[known], form):
                self._commit(row.number - 1)
            if span and known not in self.taken:
                ident = self.ident.attribute
                entry.forms.insert(0, named(ident, form[ident], span))
            self.taken.setdefault(known, []).append(entry)
        self.waiting.append(entry)
        if self.book.facts >= self.batch:
            self._commit(row.number)

    def _joins(self, earlier: list[_Entry], form: Form) -> bool:
        """Whether *form* can stand in one transaction with those that wait; makes room for it."""
        assert self.ident is not None
        if sum(len(entry.forms) for entry in earlier) >= sequence.MOST:
            return False
        made = [sequence.make_room(e.forms, form, self.ident.attribute) for e in earlier]
        if any(forms is None for forms in made):
            return False
        for entry, forms in zip(earlier, made, strict=True):
            entry.forms = forms or []
        return True

    def _name(self, form: dict[Any, Any], row: Row) -> Any:
        """The identity of *row*, put into its form when the row was filed under it."""
        assert self.ident is not None
        attribute = self.ident.attribute
        found = form.get(attribute)
        if row.key is not None:
            given = self.ident.scalar(row.key)
            if found is not None and found != given:
                raise Unfit(f"it stands under {row.key!r} and has {attribute} {found!r}")
            form[attribute] = found = given
        if found is None:
            raise Unfit(f"it has no {attribute}")
        if type(found) is str:
            return found  # text is identical to nothing but the same text
        if isinstance(found, list):
            raise Unfit(f"it has several {attribute}")
        return identity(found)

    def _refuse(self, row: Row | Unreadable, reason: str, data: Any) -> None:
        refusal = Refusal(row.number, row.line, reason, plain(data))
        self.refusals += 1
        if len(self.refused) < LISTED:
            self.refused.append(attrs.evolve(refusal, data=None))
        if self.rejects is not None:
            self.rejects.add(refusal)
        if self.max_errors is not None and self.refusals > self.max_errors:
            if self.rejects is not None:
                self.rejects.flush()
            raise ImportRefused(
                f"more than {self.max_errors} rows were refused; the last is {refusal}",
                hint="rows committed so far stay; correct the file or the options and run it again",
                refused=tuple(self.refused),
            )

    # ------------------------------------------------------------------- commits

    def _commit(self, last: int) -> None:
        """Commits what waits; *last* is the row up to which everything is dealt with."""
        waiting, self.waiting = self.waiting, []
        self.taken.clear()
        self.facts += self.book.facts
        self.book.facts = 0
        if not waiting:
            return
        if self.transactions == 0:
            self._transact(position.declarations(self.connection.db(self.branch)), None)
        self._transact(self.book.declarations(), None)
        self._write(waiting, last)

    def _write(self, entries: list[_Entry], last: int) -> None:
        try:
            forms = [form for entry in entries for form in (*entry.forms, *entry.beside)]
            self._transact(forms, self.position.meta(last))
        except InputError as error:
            if len(entries) == 1:
                row = entries[0].row
                self._refuse(row, _reason(error), row.data)
                return
            half = len(entries) // 2
            self._write(entries[:half], entries[half - 1].row.number)
            self._write(entries[half:], last)

    def _transact(self, forms: list[Any], meta: Mapping[Keyword, Any] | None) -> None:
        if not forms:
            return
        if self.rejects is not None:
            self.rejects.flush()
        self.connection.transact(forms, meta=meta, author=self.author, branch=self.branch)
        self.transactions += 1

    def _notes(self) -> Iterator[str]:
        for name in self.book.unused() if self.rows else ():
            yield f"no row has {name!r}, which an option speaks of"
        for attribute in sorted(self.book.relaxed, key=str):
            yield f"{attribute} has values of several types, so its declared type was taken back"


def _guesses(sample: list[Any]) -> dict[str, str]:
    """The types of the columns of a table, from its first rows."""
    cells: dict[str, list[str]] = {}
    for row in sample:
        if type(row) is Row:
            for name, cell in row.data.items():
                known = cells.setdefault(name, [])
                known.append(cell)
    return {name: guess(known) for name, known in cells.items()}


def _reason(error: InputError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
