"""The numbered points at which a commit can be stopped, and what must be left of it.

A point is reached in a real process, which ends itself there by SIGKILL. The product knows
nothing of it: in that process alone its functions are wrapped, or its disk is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import attrs
import psycopg

from persistence.connection import Connection
from persistence.pending import Pending
from persistence.stm import reserved
from persistence.stm.commit import Commit
from persistence.stm.outbox import Outbox
from persistence.store.postgres_write import PostgresSession
from persistence.store.sqlite_write import SqliteSession
from tests.crash.disk import MAIN, WAL, Disk, File
from tests.crash.journal import COMMITTED, Journal

Left: TypeAlias = Literal["lost", "kept", "either"]
LOST: Final = "lost"  # nothing of it is there
KEPT: Final = "kept"  # all of it is there, though nobody was told
EITHER: Final = "either"  # all of it or nothing

SINGLE: Final = (
    *("transact", "bounded", "count", "serial", "effect"),
    *("create", "draft", "merge", "discard"),
)


class Tripwire:
    """Ends the process at the *n*-th passing after it was armed."""

    def __init__(self, n: int = 1) -> None:
        self._left = n
        self._armed = False

    def arm(self) -> None:
        self._armed = True

    @property
    def next(self) -> bool:
        """Whether the next passing is the last."""
        return self._armed and self._left == 1

    def __call__(self) -> None:
        if self._armed:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


Lay: TypeAlias = Callable[[Tripwire], None]


@attrs.frozen
class OnDisk:
    """Something that happens to a file of SQLite, and whether before, in the middle or after."""

    role: str
    what: Literal["read", "write", "sync"]
    when: Literal["before", "half", "after"]
    first: bool = False  # only at the beginning of the file
    least: int = 0  # bytes


@attrs.frozen(kw_only=True)
class Point:
    """One place to stop at: how it is reached, by which kinds of work, and what is left."""

    number: int
    name: str
    left: Left
    backends: tuple[str, ...] = ("sqlite", "postgres")
    kinds: tuple[str, ...] = SINGLE
    passing: int = 1
    checkpoints: bool = False  # every commit goes home at once
    performed: int = 0  # how often an effect is performed in all, where it is told
    lay: Lay = lambda trip: None
    disk: OnDisk | None = None

    def __str__(self) -> str:
        return f"{self.number:02}-{self.name.replace(' ', '-')}"


# ------------------------------------------------------------------------ wrapping


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> Lay:
    """Stops when *owner*'s function is called with arguments that *when* accepts."""
    return _around(owner, name, when, first=True)


def after(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> Lay:
    """Stops when *owner*'s function has returned."""
    return _around(owner, name, when, first=False)


def _around(owner: Any, name: str, when: Callable[..., bool], *, first: bool) -> Lay:
    def lay(trip: Tripwire) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **options: Any) -> Any:
            stop = when(*args)
            if stop and first:
                trip()
            result = original(*args, **options)
            if stop and not first:
                trip()
            return result

        setattr(owner, name, wrapped)

    return lay


def every(*lays: Lay) -> Lay:
    def lay(trip: Tripwire) -> None:
        for each in lays:
            each(trip)

    return lay


def on_session(
    where: Callable[..., Lay], name: str, when: Callable[..., bool] = lambda *_: True
) -> Lay:
    """On the write sessions of both backends; a process uses one of them."""
    return every(*(where(session, name, when) for session in (SqliteSession, PostgresSession)))


def _well(session: Any, kind: Any, *_: Any) -> bool:
    return kind is None


def _acknowledges(journal: Journal, word: str, *_: Any) -> bool:
    return word == COMMITTED


def _sent(trip: Tripwire) -> None:
    """COMMIT is on its way to the server, and nobody is there to hear the answer."""
    original = PostgresSession._commit

    def commit(session: PostgresSession) -> None:
        if trip.next:
            pgconn = session._in_transaction().pgconn
            pgconn.send_query(b"COMMIT")
            while pgconn.flush():
                pass
        trip()
        original(session)

    PostgresSession._commit = commit  # type: ignore[method-assign]


class StoppingDisk(Disk):
    """A disk that ends the process when something happens to one of its files."""

    def __init__(self, name: str, on: OnDisk, trip: Tripwire) -> None:
        super().__init__(name)
        self._on = on
        self._trip = trip

    def read(self, file: File, amount: int, offset: int) -> bytes:
        self._pass("before", file, "read", offset, amount)
        data = super().read(file, amount, offset)
        self._pass("after", file, "read", offset, amount)
        return data

    def write(self, file: File, data: bytes, offset: int) -> None:
        self._pass("before", file, "write", offset, len(data))
        if self._trip.next and self._is("half", file, "write", offset, len(data)):
            super().write(file, data[: len(data) // 2], offset)
        self._pass("half", file, "write", offset, len(data))
        super().write(file, data, offset)
        self._pass("after", file, "write", offset, len(data))

    def sync(self, file: File, flags: int) -> None:
        self._pass("before", file, "sync", 0, 0)
        super().sync(file, flags)
        self._pass("after", file, "sync", 0, 0)

    def _pass(self, *where: Any) -> None:
        if self._is(*where):
            self._trip()

    def _is(self, when: str, file: File, what: str, offset: int, size: int) -> bool:
        on = self._on
        return (
            (on.role, on.what, on.when) == (file.role, what, when)
            and (not on.first or offset == 0)
            and size >= on.least
        )


# ---------------------------------------------------------------------- the points

_HEADER: Final = 25  # bytes; the header of a frame is shorter, its page longer


def _points() -> list[Point]:
    session = on_session
    group: Any = {"kinds": ("group",)}
    effect: Any = {"kinds": ("effect",)}
    return [
        Point(number=1, name="before the write lock", left=LOST, lay=session(before, "__enter__")),
        Point(number=2, name="write lock held", left=LOST, lay=session(after, "__enter__")),
        Point(number=3, name="decided", left=LOST, lay=session(before, "append")),
        Point(number=4, name="appended", left=LOST, lay=session(after, "append")),
        Point(number=5, name="before COMMIT", left=LOST, lay=session(before, "__exit__", _well)),
        Point(number=6, name="after COMMIT", left=KEPT, lay=session(after, "__exit__", _well)),
        Point(number=7, name="catalog is behind", left=KEPT, lay=before(Connection, "_committed")),
        Point(number=8, name="not published", left=KEPT, lay=before(Connection, "_deliver")),
        Point(
            number=9,
            name="before the acknowledgement",
            left=KEPT,
            lay=before(Journal, "say", _acknowledges),
        ),
        Point(
            number=10,
            name="after the acknowledgement",
            left=KEPT,
            lay=after(Journal, "say", _acknowledges),
        ),
        Point(number=11, name="one of a group", left=LOST, lay=after(Pending, "append"), **group),
        Point(
            number=12,
            name="all of a group",
            left=LOST,
            lay=session(after, "append_all"),
            **group,
        ),
        Point(
            number=13,
            name="a group is committed",
            left=KEPT,
            lay=session(after, "__exit__", _well),
            **group,
        ),
        Point(
            number=14,
            name="a body has run",
            left=LOST,
            lay=before(Commit, "run"),
            kinds=("count", "serial", "effect"),
        ),
        Point(
            number=15,
            name="a body is validated",
            left=LOST,
            lay=after(Commit, "decide"),
            kinds=("count", "serial", "effect"),
        ),
        Point(
            number=16,
            name="before ids are reserved",
            left=LOST,
            lay=before(reserved, "reserve"),
            kinds=("fresh",),
        ),
        Point(
            number=17,
            name="ids are reserved",
            left=LOST,
            lay=after(reserved, "reserve"),
            kinds=("fresh",),
        ),
        Point(
            number=18,
            name="before an effect",
            left=KEPT,
            lay=before(Outbox, "_perform"),
            performed=1,
            **effect,
        ),
        Point(
            number=19,
            name="an effect is done",
            left=KEPT,
            lay=before(Outbox, "_record"),
            performed=2,
            **effect,
        ),
        Point(
            number=20,
            name="an effect is recorded",
            left=KEPT,
            lay=after(Outbox, "_record"),
            performed=1,
            **effect,
        ),
        *_sqlite(),
        *_postgres(),
    ]


def _sqlite() -> list[Point]:
    def at(number: int, name: str, left: Left, disk: OnDisk, **more: Any) -> Point:
        return Point(number=number, name=name, left=left, disk=disk, backends=("sqlite",), **more)

    home: Any = {"checkpoints": True}
    return [
        at(30, "half of the first page", LOST, OnDisk(WAL, "write", "half", least=_HEADER)),
        at(31, "before the WAL is synced", KEPT, OnDisk(WAL, "sync", "before")),
        at(32, "the WAL is synced", KEPT, OnDisk(WAL, "sync", "after")),
        at(33, "a checkpoint begins", KEPT, OnDisk(MAIN, "write", "before"), **home),
        at(34, "half a page home", KEPT, OnDisk(MAIN, "write", "half"), **home),
        at(35, "pages home and not synced", KEPT, OnDisk(MAIN, "sync", "before"), **home),
        at(36, "a checkpoint is synced", KEPT, OnDisk(MAIN, "sync", "after"), **home),
        at(37, "the WAL begins anew", LOST, OnDisk(WAL, "write", "half", first=True), **home),
        at(38, "recovery", KEPT, OnDisk(WAL, "read", "before"), kinds=("open",), passing=3),
    ]


def _postgres() -> list[Point]:
    only: Any = {"backends": ("postgres",)}
    return [
        Point(number=50, name="COMMIT is sent", left=EITHER, lay=_sent, **only),
        Point(
            number=51,
            name="in the middle of COPY",
            left=LOST,
            lay=before(psycopg.Copy, "write_row"),
            kinds=("bulk",),
            passing=200,
            **only,
        ),
    ]


POINTS: Final = tuple(_points())


def point(number: int) -> Point:
    """The point of this number."""
    return next(each for each in POINTS if each.number == number)
