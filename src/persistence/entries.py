"""How a prepared transaction becomes an entry of the log: its header, its event, its signature."""

from __future__ import annotations

from typing import Any

from persistence.audit.log import Log
from persistence.audit.record import (
    NO_LEAF,
    NO_PARENT,
    Entry,
    Header,
    datoms_root,
    entry,
    metadata_digest,
)
from persistence.audit.roster import Roster
from persistence.datoms import ASSERT
from persistence.datoms import bootstrap as boot
from persistence.errors import AuditError, TransactionError
from persistence.ids import tx_entity
from persistence.transact import Prepared


def entry_of(
    log: Log,
    roster: Roster,
    prepared: Prepared,
    *,
    author: str | None,
    branch: int,
    parent: bytes,
    previous_leaf: bytes,
) -> Entry:
    """The entry of *prepared*, signed if the log is.

    Raises:
        AuditError: there is no key to sign it with, or the log would not take it.
    """
    event = _event(prepared) if prepared.speaks else None
    key = log.signer(roster, event, author)
    header = Header(
        parent=parent or NO_PARENT,
        datoms_root=datoms_root(prepared.encoded()),
        datoms=len(prepared.changes),
        branch=branch,
        time=prepared.time,
        author=author if key is None else key.name,
        metadata=metadata_digest(prepared.meta),
        event=event,
    )
    made = entry(header, previous_leaf or NO_LEAF)
    if key is None and event is None:
        return made
    made = log.signed(roster, made, key)
    if made.public in roster.keys:
        _require_namespaces(roster, made, prepared)
    return made


def _event(prepared: Prepared) -> tuple[Any, ...]:
    """What the transaction says of the log itself. It is a fact about the transaction, and stands
    in its header too, where those read it who have the log and not the store."""
    said = [change for change in prepared.changes if change[1] == boot.LOG_EVENT_ID]
    e, _, k, payload, *_, op = said[0]
    if len(said) > 1 or op != ASSERT or e != tx_entity(prepared.t):
        raise TransactionError(
            f"{boot.LOG_EVENT} is said once, and of the transaction that says it",
            hint="leave it to `s.audit`",
            attribute=boot.LOG_EVENT,
        )
    event: tuple[Any, ...] = prepared.typed.python((k, payload))
    return event


def _require_namespaces(roster: Roster, made: Entry, prepared: Prepared) -> None:
    """A key that is bound to namespaces states facts within them, and about its transaction."""
    assert made.public is not None
    key = roster.keys[made.public]
    if not key.namespaces:
        return
    names, tx = prepared.typed.known, tx_entity(prepared.t)
    beyond = {names[a] for e, a, *_ in prepared.changes if e != tx and not key.may_state(names[a])}
    if beyond:
        raise AuditError(
            f"the key of {key.name!r} may state facts of {', '.join(key.namespaces)}, and not of "
            f"{', '.join(sorted(map(str, beyond)))}",
            hint="have another author state them",
            author=key.name,
            attributes=sorted(map(str, beyond)),
        )
