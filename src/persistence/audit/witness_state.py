"""What a witness has seen of each log: checked and stored in one step, so that it never goes back.

Of two requests that meet, the second is judged by what the first one left. The state is one SQLite
file with a rollback journal, which is synced before a cosignature leaves the house; several
processes may share it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import apsw
import attrs

from persistence.audit.checkpoint import Checkpoint
from persistence.audit.merkle import ProofError, check_consistency
from persistence.clock import Clock
from persistence.errors import NewerStore, NotAStore, StoreError

APPLICATION_ID: Final = 0x70657277  # "perw"
VERSION: Final = 1
BUSY_MS: Final = 5_000  # another process holds the state for the time of one sync
EVIDENCE_KEPT: Final = 1_000  # a log and reason; a log that goes wrong must not fill the disk

_SCHEMA: Final = resources.files("persistence.audit") / "witness.sql"

Why = Literal["fork", "unproven"]


@attrs.frozen
class Held:
    """The newest checkpoint of a log that was cosigned, and its note."""

    checkpoint: Checkpoint
    note: str


@attrs.frozen
class Refusal:
    """Why a checkpoint is not cosigned: the status of tlog-witness, and the size seen last.

    *evidence* says what the log's own signatures may prove against it: "fork", two roots for one
    size, proves that it showed two histories; "unproven" does together with the entries.
    """

    status: int
    reason: str
    size: int
    evidence: Why | None = None


@attrs.frozen
class Evidence:
    """Two signed checkpoints of one log that do not go together, and when that was seen."""

    origin: str
    why: Why
    note: str
    held_note: str
    time_s: int


def judge(
    held: Held | None, old: int, checkpoint: Checkpoint, proof: Sequence[bytes]
) -> Refusal | None:
    """Why *checkpoint* is not to be cosigned after *held*, or None if it is.

    The order of the checks is that of tlog-witness: the size to go on from, two roots for one
    size, the proof (RFC 6962 section 2.1.2). The last two are both inconsistencies, and so 422, as
    the specification has had it since July 2026.

    >>> first = Checkpoint("example.com/log", 1, bytes(32))
    >>> judge(None, 0, first, [])
    >>> judge(None, 1, first, [])
    Refusal(status=409, reason='the latest size is 0, not 1', size=0, evidence=None)
    """
    size = held.checkpoint.size if held else 0
    forked = held and size == checkpoint.size and held.checkpoint.root != checkpoint.root
    evidence: Why | None = "fork" if forked else None
    if old != size:
        return Refusal(409, f"the latest size is {size}, not {old}", size, evidence)
    if forked:
        return Refusal(422, f"the root at size {size} is another one", size, evidence)
    if held is None or size == 0:
        return Refusal(422, "from size 0 the proof is empty", size) if proof else None
    try:
        check_consistency(size, checkpoint.size, held.checkpoint.root, checkpoint.root, proof)
    except ProofError as error:
        unproven: Why | None = "unproven" if checkpoint.size > size else None
        return Refusal(422, str(error), size, unproven)
    return None


class State:
    """The state in the file at *path*, made if there is none; used from any thread.

    Raises:
        NotAStore: the file is something else.
        NewerStore: it was written by a later version.
        StoreError: it cannot be opened or written.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Clock) -> None:
        self._path = Path(path)
        self._clock = clock
        self._turn = threading.Lock()
        try:
            self._connection = _opened(self._path)
            with self._transaction():
                self._prepare()
        except apsw.NotADBError as error:
            raise NotAStore(f"{self._path} is no SQLite file", uri=str(self._path)) from error
        except apsw.Error as error:
            raise StoreError(
                f"cannot use {self._path}: {error}",
                hint="is its directory there, and writable?",
                uri=str(self._path),
            ) from error

    def offer(
        self,
        checkpoint: Checkpoint,
        note: str,
        old: int,
        proof: Sequence[bytes],
        cosign: Callable[[int], str],
    ) -> str | Refusal:
        """What *cosign* gives for the time, once *checkpoint* is on the medium; or why not.

        The time is read while no other checkpoint can be stored, because a cosignature says that
        none larger was seen by then.

        Raises:
            apsw.Error: the state cannot be read or written; nothing was cosigned.
        """
        with self._transaction():
            held = self._held(checkpoint.origin)
            refusal = judge(held, old, checkpoint, proof)
            time_s = self._clock.now() // 1_000_000
            if refusal is None:
                line = cosign(time_s)
                self._store(checkpoint, note, time_s)
            elif held is not None and refusal.evidence is not None:
                self._keep(refusal.evidence, checkpoint, note, held, time_s)
        return line if refusal is None else refusal

    def held(self, origin: str) -> Held | None:
        """The newest checkpoint of the log *origin* that was cosigned."""
        with self._turn:
            return self._held(origin)

    def evidence(self) -> list[Evidence]:
        """All that was kept, in the order in which it was seen."""
        with self._turn:
            rows: list[tuple[Any, ...]] = self._connection.execute(
                """
                SELECT origin, why, note, held_note, time
                FROM evidence ORDER BY time, origin, size, root
                """
            ).fetchall()
        return [Evidence(*row) for row in rows]

    def close(self) -> None:
        """Lets go of the file; what was answered is in it."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _held(self, origin: str) -> Held | None:
        row = self._connection.execute(
            "SELECT size, root, note FROM latest WHERE origin = ?", (origin,)
        ).fetchone()
        return Held(Checkpoint(origin, row[0], row[1]), row[2]) if row else None

    def _store(self, checkpoint: Checkpoint, note: str, time_s: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO latest (origin, size, root, note, time) VALUES (?, ?, ?, ?, ?)",
            (checkpoint.origin, checkpoint.size, checkpoint.root, note, time_s),
        )

    def _keep(self, why: Why, checkpoint: Checkpoint, note: str, held: Held, time_s: int) -> None:
        self._connection.execute(
            """
            INSERT OR IGNORE INTO evidence (origin, why, size, root, note, held_note, time)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
            WHERE (SELECT count(*) FROM evidence WHERE origin = ?1 AND why = ?2) < ?8
            """,
            (
                *(checkpoint.origin, why, checkpoint.size, checkpoint.root),
                *(note, held.note, time_s, EVIDENCE_KEPT),
            ),
        )

    def _prepare(self) -> None:
        application = self._connection.pragma("application_id")
        version = self._connection.pragma("user_version")
        if application == APPLICATION_ID:
            if version > VERSION:
                raise NewerStore(
                    f"{self._path} was written by a later version", uri=str(self._path)
                )
            return
        tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application or version or tables != (0,):
            raise NotAStore(
                f"{self._path} is a SQLite database of something else, not of a witness",
                hint="choose another path; nothing was changed",
                uri=str(self._path),
            )
        self._connection.execute(_SCHEMA.read_text(encoding="utf-8"))
        self._connection.pragma("application_id", APPLICATION_ID)
        self._connection.pragma("user_version", VERSION)


def _opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    # A rollback journal is what the file's directory has to be synced for as well: when a power cut
    # brings an unlinked journal back, it undoes a commit that was answered.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection
