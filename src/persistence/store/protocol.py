"""What a backend promises, at the level the transactor works on.

A store keeps four kinds of rows (attributes, transactions, log datoms, fact rectangles) and
runs SQL. It gives them no meaning: kinds are small integers, instants are microseconds, and
which rows to write has been decided above. Both backends pass the same conformance suite.

    Store.snapshot()   a consistent read; many at once, from any thread
    Store.session()    the one writer; everything it appends is committed together, or nothing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from threading import Condition
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

import attrs

from persistence.store.dialect import Dialect
from persistence.values import Payload

BEFORE_ALL: Final = -(2**63)  # earlier than any instant
OPEN_T: Final = 2**47 - 1  # t1 of a rectangle that is still believed

OPEN_SEGMENT: Final = 0  # live and open in valid time
BOUNDED_SEGMENT: Final = 1  # live, with an end in valid time
CLOSED_SEGMENT: Final = 2  # no longer believed
SEGMENTS: Final = 3

INDEXED: Final = 16  # flag of an attribute: found by value for the sake of a branch; it stays on


@attrs.frozen(slots=True)
class Head:
    """The last transaction of the store, or t = 0 before any."""

    t: int
    id: bytes
    time: int
    leaf: bytes
    next_e: int


@attrs.frozen(slots=True)
class TxRow:
    """One transaction as stored. `entry` is the canonical header that the leaf hashes."""

    t: int
    branch: int
    parent: int
    id: bytes
    time: int
    next_e: int
    entry: bytes
    leaf: bytes


# (e, a, k, payload, vf, vt, t0): a live rectangle
Live: TypeAlias = tuple[int, int, int, Payload, int, int, int]
# (e, a, k, payload, vf, vt, op): a datom of one transaction, which numbers them from 0
LogRow: TypeAlias = tuple[int, int, int, Payload, int, int, int]
# (seg, a, e, k, payload, vf, vt, t0, t1, ix, node): a rectangle to write
FactRow: TypeAlias = tuple[int, int, int, int, Payload, int, int, int, int, int, int | None]
# (seg, a, e, vt, k, payload, t0): the key of a rectangle
FactKey: TypeAlias = tuple[int, int, int, int, int, Payload, int]

# (branch, a, e, k, payload): a fact that a branch took over from the line it came from
Owned: TypeAlias = tuple[int, int, int, int, Payload]
# (t, i, salt, hash, whole): what was hashed in place of the value of a datom; without a salt the
# value is erased. *whole* is 1 where it is the hash of the whole datom.
Sealed: TypeAlias = tuple[int, int, bytes | None, bytes, int]
# (t, i, e, a, k, payload, vf, vt, op, sealed): a row of the log, and whether it was sealed
Said: TypeAlias = tuple[int, int, int, int, int, Payload, int, int, int, int]


@attrs.define(eq=False)
class Batch:
    """Everything one transaction writes."""

    tx: TxRow
    attributes: Sequence[tuple[int, str]]  # new ones: id, ident
    flags: Sequence[tuple[int, int]]  # attribute id, flags to switch on
    blobs: Sequence[tuple[bytes, bytes]]  # interned values: content id, canonical bytes
    log: Sequence[LogRow]
    remove: Sequence[FactKey]
    insert: Sequence[FactRow]
    texts: Sequence[tuple[int, int, str, str]]  # full text: a, k, payload, text
    reindex: Sequence[tuple[int, int]]  # attribute id, new ix of its facts
    owned: Sequence[Owned] = ()  # facts of its line that the branch has made its own
    branch_flags: Sequence[tuple[int, int, int]] = ()  # branch, attribute id, flags to switch on
    sealed: Sequence[tuple[int, bytes, bytes]] = ()  # place in the log, salt, hash


@attrs.frozen(slots=True)
class Size:
    """How much a store holds."""

    rows: dict[str, int]  # of each table
    bytes: int  # on the medium, indexes and all
    parts: dict[str, int]  # the bytes of each table and index, where the engine tells

    @property
    def bytes_per_datom(self) -> float:
        """Everything the store occupies, for each datom of its log."""
        return self.bytes / max(1, self.rows["log"])


class Snapshot(Protocol):
    """One consistent state of the store, for reading."""

    def head(self) -> Head: ...

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of *sql*, whose parameters are numbered as the dialect numbers them."""
        ...

    def attributes(self) -> list[tuple[int, str, int]]:
        """Every attribute: id, ident, flags."""
        ...

    def marks(self, after: int, below: int) -> tuple[int, ...]:
        """What tells in one statement whether attributes have changed: how many there are and
        the sum of their flags, the same of branches, and whether transactions later than *after*
        have datoms of attributes numbered *below*."""
        ...

    # Rectangles are read as of *t*, or those live now when it is None (segments 0 and 1).
    # As of an earlier t, rows known then: t0 <= t < t1 over all three segments.

    def live(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        """The rectangles of these (e, a) pairs that end after *after*, in one statement."""
        ...

    def ended(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        asserts: Iterable[int],
        t: int | None,
        until: int,
    ) -> list[Live]:
        """The rectangles of these (e, a) pairs, said by the transactions *asserts*, that end at
        the instant *until* or before, in one statement."""
        ...

    def live_entities(
        self,
        branch: int,
        entities: Iterable[int],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        """The rectangles of these entities that end after *after*, in one statement."""
        ...

    def live_values(
        self, branch: int, keys: Iterable[tuple[int, int, Payload]], t: int | None = None
    ) -> list[Live]:
        """The rectangles with one of these (a, k, payload) of indexed attributes, in one
        statement."""
        ...

    def live_attributes(
        self, branch: int, attributes: Iterable[int], t: int | None = None
    ) -> list[Live]:
        """The rectangles of these attributes, in one statement."""
        ...

    def owned(
        self, branches: Sequence[int], facts: Iterable[tuple[int, int, int, Payload]]
    ) -> set[tuple[int, int, int, Payload]]:
        """Those of these facts (a, e, k, payload) that one of *branches* owns."""
        ...

    def every_owned(self) -> list[Owned]:
        """Every fact that a branch owns."""
        ...

    def touched(self, branch: int, after: int, to: int) -> set[tuple[int, int]]:
        """The cells (e, a) of which transactions on *branch* with after < t <= to have datoms."""
        ...

    def branch_flags(self) -> list[tuple[int, int, int]]:
        """What branches have of each attribute: branch, attribute id, flags."""
        ...

    def last_on(self, branch: int, t: int) -> tuple[int, bytes]:
        """The last transaction on *branch* up to *t*: its t and id; (0, b"") before any."""
        ...

    def changes_of(self, attributes: Iterable[int], after: int) -> list[int]:
        """The t > *after* whose log has datoms of these attributes, ascending.

        Read from the index, where every datom leaves a t0 or a t1.
        """
        ...

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """The interned values with these content ids, in one statement."""
        ...

    def transactions(self, after: int, to: int, limit: int) -> list[TxRow]:
        """Transactions with after < t <= to, in order, at most *limit*."""
        ...

    def transaction_of(self, id: bytes) -> int | None:
        """The t of the transaction with this content id, None when there is none."""
        ...

    def transaction_at(self, time: int) -> int:
        """The last t whose transaction time is not later than *time*; 0 before the first.

        Relies on times that never decrease with t, and on a log without gaps.
        """
        ...

    def leaves(self, after: int, to: int) -> list[bytes]:
        """The leaf hashes of the transactions with after < t <= to, in order."""
        ...

    def tree(self, level: int, start: int, stop: int) -> list[bytes]:
        """The stored hashes of the complete subtrees start <= n < stop of *level*, in order."""
        ...

    def checkpoint(self) -> str | None:
        """The newest signed note on what the log is."""
        ...

    def log(self, after: int, to: int) -> Iterable[tuple[Any, ...]]:
        """Log rows (t, i, e, a, k, payload, vf, vt, op) with after < t <= to, in order.

        A stream: it never holds more than a few thousand rows, and ends with the snapshot.
        """
        ...

    def facts(self) -> Iterable[FactRow]:
        """Every rectangle by (seg, a, e), as a stream."""
        ...

    def sealed(self, after: int, to: int) -> Iterable[Sealed]:
        """What was hashed in place of values, with after < t <= to, in order, as a stream."""
        ...

    def unshredded(self) -> bool:
        """Whether something was erased of which the files may still hold traces."""
        ...


class Reading(Snapshot, Protocol):
    """What one thread reads with. Entered, it stays at one state of the store; while it is not,
    each of its reads is a snapshot of its own."""

    def __enter__(self) -> Snapshot: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Session(Snapshot, Protocol):
    """The one writer. Leaving it normally commits; leaving it by an exception undoes all."""

    def append(self, batch: Batch) -> None:
        """Write everything of *batch*.

        Raises:
            CorruptStore: a rectangle to remove is not there.
        """
        ...

    def append_all(self, batches: Sequence[Batch]) -> None:
        """Write several transactions at once: no two of them say something of one cell, and only
        the last may switch indexes."""
        ...

    @property
    def sound(self) -> bool:
        """Whether all that was written still stands, so that it can be committed."""
        ...

    def write_audit(
        self,
        tree: Sequence[tuple[int, int, bytes]] = (),
        note: str | None = None,
    ) -> None:
        """Hashes of complete subtrees (level, n, hash), and the newest checkpoint."""
        ...

    def write_attributes(self, attributes: Sequence[tuple[int, str]]) -> None:
        """New attributes without a transaction, for a store that is built from another's log."""
        ...

    def clear_index(self) -> None:
        """Remove every rectangle, all full text, what branches own, and all flags but INDEXED."""
        ...

    def write_index(
        self,
        *,
        remove: Sequence[FactKey] = (),
        insert: Sequence[FactRow] = (),
        texts: Sequence[tuple[int, int, str, str]] = (),
        flags: Sequence[tuple[int, int]] = (),
        owned: Sequence[Owned] = (),
        branch_flags: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        """The index part of a batch alone, to rebuild the index from the log."""
        ...

    def said(self, entities: Iterable[int], attributes: Iterable[int]) -> list[Said]:
        """What the log holds of these attributes of these entities, but for what was erased.
        Reads the whole log, because nothing else knows all of it."""
        ...

    def erase(self, said: Sequence[Said], whole: Sequence[tuple[int, int, bytes]]) -> None:
        """Takes these values from every table: from the log, from the facts of these attributes
        of these entities, from what is interned and what full text knows, as far as nothing else
        says the same, and their salts. *whole* are the hashes of those that were never sealed.

        From then on the store is `unshredded`.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """One transaction of a group: an exception undoes it alone."""
        ...


class Watch(Protocol):
    """What hears of commits, from when it was begun on."""

    def wait(self, seconds: float, here: Condition) -> None:
        """Waits until something may have been committed by any process, for *seconds* at most.

        *here* is notified by commits of this process. Waking up for nothing is allowed.
        """
        ...


class Store(Protocol):
    """One backend on one database."""

    dialect: Dialect
    uri: str

    def snapshot(self) -> Reading: ...

    def session(self) -> AbstractContextManager[Session]: ...

    def interrupt_after(self, seconds: float) -> AbstractContextManager[Callable[[], bool]]:
        """Stop a statement of this thread that runs longer; tells whether it was stopped."""
        ...

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """One thread of one process at a time is inside of blocks of this *name*.

        Facts are read and written meanwhile as ever. Who dies inside has left.

        Raises:
            StoreBusy: somebody else was inside for longer than the busy timeout.
        """
        ...

    def watch(self) -> AbstractContextManager[Watch]:
        """What hears of commits of any process while the block lasts."""
        ...

    def reopening(self) -> tuple[str, dict[str, Any]] | None:
        """The address, secrets included, and the options with which another process opens the
        same store; None for one that no other process can see."""
        ...

    def size(self) -> Size:
        """How many rows and bytes there are. Counts every row, so it takes a while."""
        ...

    def damage(self) -> list[str]:
        """What the engine's own integrity check finds wrong with its files."""
        ...

    def shred(self) -> list[str]:
        """Overwrites or gives back whatever may hold traces of erased values: free pages, the
        slack of others, the log of the engine. Gives what is left of it and what has to be done
        about that, in sentences; the store stays `unshredded` until nothing is."""
        ...

    def analyze(self) -> None:
        """Let the engine count what it plans its queries by; worth it after a large import."""
        ...

    def close(self) -> None: ...
