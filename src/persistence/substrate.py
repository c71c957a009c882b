"""The front door: one object that opens a store and holds what it offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeGuard

from persistence.audit.finding import Finding
from persistence.audit.keyfile import Keyring
from persistence.auditing import Audit
from persistence.branches import MAIN, Branches
from persistence.clock import Clock
from persistence.connection import Connection, Listener
from persistence.datoms import InstantLike, instant
from persistence.db import Db, Report
from persistence.effects import Effects
from persistence.importing import BATCH, Imported, Plan, import_file
from persistence.maintenance import check, reindex
from persistence.memory import Memory
from persistence.planning import Planning
from persistence.query import FunctionRegistry
from persistence.replay import Replay
from persistence.specs import Specs
from persistence.stm import Txn
from persistence.store import Size, open_store
from persistence.transactions import Transaction, transactions
from persistence.values import Keyword, keyword


class Facts:
    """`s.fact`: facts in, database values out."""

    def __init__(self, connection: Connection, branch: int = 0) -> None:
        self._connection = connection
        self._branch = branch

    def transact(
        self,
        forms: Any,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
        meta: Mapping[Any, Any] | None = None,
        author: str | None = None,
    ) -> Report:
        """Commits *forms* as one transaction, durably.

        *forms* are maps and vectors as in Datomic and DataScript, as Python data or EDN text.
        Their facts hold over ``[valid_from, valid_to)``, by default from the transaction's own
        time on. *meta* becomes facts about the transaction. *author* stands in its header.

        >>> from persistence import Substrate
        >>> with Substrate.open(":memory:") as s:
        ...     report = s.fact.transact([{"db/id": "ada", "user/name": "Ada"}])
        ...     report.tempids, len(report.tx_data)
        ({'ada': 1}, 1)

        Raises:
            TransactionError: the data contradict the schema, the store or themselves; every
                problem is listed and nothing is written.
            SchemaError: a declaration that stored facts break.
            IntervalError: an empty or reversed interval, or an instant without a time zone.
            StoreError: the store failed; its class says whether trying again can help.
        """
        return self._connection.transact(
            forms,
            valid_from=valid_from,
            valid_to=valid_to,
            meta=meta,
            author=author,
            branch=self._branch,
        )

    def db(self) -> Db:
        """The current database value."""
        return self._connection.db(self._branch)

    def with_(self, forms: Any, **options: Any) -> Report:
        """What transacting *forms* now would give; nothing is written. See :meth:`Db.with_`."""
        return self.db().with_(forms, **options)

    def transactions(
        self,
        start: int | bytes | InstantLike = 0,
        end: int | bytes | InstantLike | None = None,
        *,
        newest: bool = False,
    ) -> Iterator[Transaction]:
        """The transactions of the log from *start* to *end*, both inclusive, as they are asked for.

        Each tells its place, content id, time, author, number of datoms and metadata. Either end
        is a t, a transaction or an instant; with *newest* the last one comes first.

        >>> with Substrate.open(":memory:") as s:
        ...     _ = s.fact.transact([{"user/name": "Ada"}], meta={"source": "a letter"})
        ...     [(tx.t, tx.datoms, dict(tx.meta)) for tx in s.fact.transactions()]
        [(1, 2, {Keyword('source'): 'a letter'})]

        Raises:
            UnknownBasis: an end that the log does not hold.
        """
        db = self.db()
        found = _transactions(self._connection, start, db.basis if end is None else end, newest)
        line = {db.branch: db.basis, **dict(db.view.ancestors)}
        return (tx for tx in found if tx.t <= line.get(tx.branch, 0))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls *listener* with the report of every commit of this process, in order.

        Gives a function that ends it. A listener that raises is logged and keeps listening.
        Commits on other branches are not reported.
        """

        def heard(report: Report) -> None:
            if report.db_after.branch == self._branch:
                listener(report)

        return self._connection.listen(heard)


def _transactions(
    connection: Connection,
    start: int | bytes | InstantLike,
    end: int | bytes | InstantLike,
    newest: bool,
) -> Iterator[Transaction]:
    """The transactions of all branches from *start* to *end*, both inclusive."""
    first, last = connection.resolve_basis(start), connection.resolve_basis(end)
    if first and _is_instant(start):
        (at,) = transactions(connection, first, first)
        # An instant names the transaction before it, and those after it are asked for.
        first += at.time < instant(start)
    return transactions(connection, first, last, newest=newest)


def _is_instant(x: int | bytes | InstantLike) -> TypeGuard[InstantLike]:
    """Whether *x* names an instant, and not a transaction by its number or id."""
    return not isinstance(x, int | bytes) and not (isinstance(x, str) and len(x) == 64)


class OnLine:
    """What can be done on one line of transactions, the main one or a branch."""

    def __init__(self, connection: Connection, specs: Specs, name: str, number: int = 0) -> None:
        self.fact = Facts(connection, number)
        self.txn = Txn(connection, branch=number)
        self.memory = Memory(connection, branch=number)
        self.spec = specs
        self.effect = Effects(connection, self.txn, branch=number)
        self.replay = Replay(connection, self.txn, self.effect, branch=number)
        self.plan = Planning(connection, self.effect, specs, branch=number, line=name)


class OnBranch(OnLine):
    """One branch of a store, used as the main line is: `fact` reads and writes it, `txn` runs
    transactions on it, `effect` runs agents, `plan` plans, and so on.

    >>> with Substrate.open(":memory:") as s:
    ...     _ = s.fact.transact([{"db/id": "p", "plan/city": "Rome"}])
    ...     what_if = s.branch.create("what-if")
    ...     _ = what_if.fact.transact([{"db/id": 1, "plan/city": "Oslo"}])
    ...     what_if.fact.db().get(1, "plan/city"), s.fact.db().get(1, "plan/city")
    ('Oslo', 'Rome')
    """

    def __init__(self, connection: Connection, specs: Specs, name: str, number: int) -> None:
        super().__init__(connection, specs, name, number)
        self.name = name
        self.number = number

    def __repr__(self) -> str:
        return f"<branch {self.name!r}>"


class BranchSpace(Branches):
    """`s.branch`: lines of transactions beside the main one."""

    def __init__(self, connection: Connection, specs: Specs) -> None:
        super().__init__(connection)
        self._specs = specs

    def create(self, name: str, *, of: str | Db = MAIN, author: str | None = None) -> OnBranch:
        """Begins a branch at the head of another one, or at a database value.

        It costs one small commit, whatever the store holds: a branch shows what its line had
        when it began, and stores what changes.

        Raises:
            BranchError: there is a branch of this name, none of the name *of*, or the database
                value is a speculation or shows a range.
        """
        begun = self.begin(name, of=of, author=author)
        return OnBranch(self._connection, self._specs, name, begun.number)

    def transactions(
        self,
        start: int | bytes | InstantLike = 0,
        end: int | bytes | InstantLike | None = None,
        *,
        newest: bool = False,
    ) -> Iterator[Transaction]:
        """The transactions of all branches, discarded ones included; see
        :meth:`Facts.transactions`."""
        last = self._connection.db().basis if end is None else end
        return _transactions(self._connection, start, last, newest)

    def open(self, name: str, *, discarded: bool = False) -> OnBranch:
        """The branch *name*; "main" is the main line.

        Raises:
            BranchError: there is none, or it was discarded and *discarded* is not set.
        """
        number = self.find(name, discarded=discarded)
        return OnBranch(self._connection, self._specs, name, number)


class Substrate(OnLine):
    """A store, opened. Use it as a context manager, or call :meth:`close`.

    >>> with Substrate.open(":memory:") as s:
    ...     _ = s.fact.transact([{"project/id": "p-042", "project/wacc": 0.087}])
    ...     s.fact.db().q("[:find ?w . :where [_ :project/wacc ?w]]")
    0.087
    """

    def __init__(self, connection: Connection) -> None:
        specs = Specs()
        super().__init__(connection, specs, MAIN)
        self._connection = connection
        self.branch = BranchSpace(connection, specs)
        self.audit = Audit(connection)

    @classmethod
    def open(
        cls,
        uri: str | PathLike[str],
        *,
        clock: Clock | None = None,
        functions: Mapping[str | Keyword, Callable[..., Any]] | None = None,
        queries: FunctionRegistry | None = None,
        keys: Keyring | str | PathLike[str] | None = None,
        **options: Any,
    ) -> Self:
        """Opens the store at *uri*, making it when it is not there.

        *uri* is a path, ``sqlite:///path``, ``:memory:`` or ``postgresql://…``. *functions* are
        transaction functions and predicates by keyword; *queries* are functions for queries.
        *keys*, a `Keyring` or the directory of one, sign what is written from here on. *options*
        go to the backend, for instance ``synchronous="NORMAL"``.

        Raises:
            NotAStore, NewerStore, ReadOnlyStore, StoreError: it cannot be opened.
            KeyFileError: a key file that cannot be read, or that others can read.
            RollbackDetected: the log is not a later state of the one that was seen before.
        """
        registered = {keyword(name): function for name, function in (functions or {}).items()}
        ring = keys if isinstance(keys, Keyring | None) else Keyring.load(Path(keys))
        store = open_store(uri, **options)
        try:
            connection = Connection(
                store,
                clock=clock,
                functions=queries,
                transaction_functions=registered,
                keys=ring,
            )
            opened = cls(connection)
            if ring is not None and ring.log is not None and not options.get("read_only"):
                opened.audit.begin()
            return opened
        except BaseException:
            store.close()
            raise

    @property
    def uri(self) -> str:
        """Where the store is, without secrets."""
        return self._connection.store.uri

    def import_file(
        self,
        path: str | PathLike[str],
        *,
        format: str | None = None,
        id: str | Keyword | None = None,
        namespace: str | None = None,
        refs: Mapping[str, str | Keyword] | None = None,
        types: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        keyed: Mapping[str, str] | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
        timezone: str | None = None,
        infer: bool = True,
        schema: str | None = None,
        batch: int = BATCH,
        max_errors: int | None = None,
        rejects: str | PathLike[str] | None = None,
        again: bool = False,
        author: str | None = None,
        branch: str = MAIN,
        progress: Callable[[int, int], None] | None = None,
    ) -> Imported:
        """Imports the objects of a JSON, JSONL, CSV, TSV or EDN file, in batches, resumably.

        *id* is the unique attribute that names an entity; plain keys get its namespace, or
        *namespace*. Objects inside of a row become components, or, with an attribute in *refs*,
        entities with the identity named there; in *keyed* the keys of an object of objects get a
        name. *types* asks for types, *names* renames keys. *valid_from* and *valid_to* name the
        fields that tell when a row holds; *timezone* is that of stamps without one. The facts go
        to the branch *branch*. The page "Import" of the documentation has the rules.

        >>> from pathlib import Path
        >>> _ = Path("users.json").write_text('{"ada": {"age": 36}, "bob": {"age": "?"}}')
        >>> with Substrate.open(":memory:") as s:
        ...     done = s.import_file("users.json", id="user/name", types={"age": "long"})
        ...     done.imported, [str(refusal) for refusal in done.refused]
        (1, ["row 2 (line 1): age: '?' is no integer"])

        Raises:
            InputError: the file or an option cannot be used. Batches that are committed stay; the
                next run goes on after them.
            ImportRefused: more than *max_errors* rows were refused.
        """
        plan = Plan.of(
            id=id,
            namespace=namespace,
            refs=refs,
            types=types,
            names=names,
            keyed=keyed,
            valid_from=valid_from,
            valid_to=valid_to,
            timezone=timezone,
            infer=infer,
        )
        return import_file(
            self._connection,
            Path(path),
            plan,
            format=format,
            schema=schema,
            batch=batch,
            max_errors=max_errors,
            rejects=None if rejects is None else Path(rejects),
            again=again,
            author=author,
            branch=self.branch.find(branch),
            progress=progress,
        )

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
        """Compares log, index and ids; gives what disagrees, which is nothing in a sound store."""
        return check(self._connection, progress)

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Drops the fact index and builds it again from the log; gives the number of datoms."""
        return reindex(self._connection, progress)

    def statistics(self) -> Size:
        """How many rows and bytes the store holds, table by table."""
        return self._connection.store.size()

    def close(self) -> None:
        """Closes the store; a commit under way is finished first."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Substrate {self.uri}>"
