"""`verify`: a store, an export or a proof, against the keys that one trusts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from persistence.attesting import examine
from persistence.audit.finding import Finding
from persistence.audit.keyfile import Keyring, peek
from persistence.audit.log import Log
from persistence.audit.merkle import ProofError
from persistence.audit.note import NOTE_BYTES
from persistence.audit.proof import PROOF_BYTES
from persistence.audit.remembered import Remembered
from persistence.audit.report import Report
from persistence.audit.roster import LOG, Roster
from persistence.audit.verify import verify_export, verify_proof
from persistence.audit.vkey import NoteError, VerifierKey
from persistence.cli import output
from persistence.cli.failures import FINDING
from persistence.cli.files import file_bytes
from persistence.cli.progress import Told, progress
from persistence.cli.session import Session, common, pass_session
from persistence.errors import CorruptStore, PersistenceError, RollbackDetected
from persistence.store import open_store
from persistence.substrate import Substrate

_OF_EXPORTS: Final = ("since",)
_OF_PROOFS: Final = ("signer", "witness", "need")


@click.command(short_help="Verify a store, an export or a proof.")
@click.argument("path", metavar="[PATH]", required=False)
@click.option("--vkey", metavar="KEY", help="The log's verifier key, as its owner gave it.")
@click.option("--since", metavar="FILE", help="A checkpoint kept earlier, which an export goes on.")
@click.option("--signer", metavar="KEY", help="Of a proof, should the log's key have changed.")
@click.option("--witness", metavar="KEY", multiple=True, help="Who is to have cosigned a proof.")
@click.option("--need", type=click.IntRange(min=0), metavar="N", help="So many of them; else all.")
@common(hidden=True)
@pass_session
def verify(
    session: Session,
    path: str | None,
    vkey: str | None,
    since: str | None,
    signer: str | None,
    witness: tuple[str, ...],
    need: int | None,
) -> None:
    """Verify the store; or offline, with --vkey, the export or the .tlog-proof file at PATH.

    Prints what is wrong, and then exits with 1. With --keys a store is also held against the
    checkpoint that is remembered beside the keys; no private key is opened.

    \b
    persistence --store shop.db --keys shop.keys verify
    persistence verify public/log --vkey example.com/shop+…
    persistence verify tea.tlog-proof --vkey example.com/shop+…
    """
    given = {"since": since, "signer": signer, "witness": witness, "need": need}
    if path is None:
        _refuse(given, (*_OF_EXPORTS, *_OF_PROOFS), "a store")
        report = _store(session, None if vkey is None else VerifierKey.parse(vkey))
    elif vkey is None:
        raise click.UsageError("--vkey is missing: without the log's key a file proves nothing")
    elif Path(path).is_dir():
        _refuse(given, _OF_PROOFS, "an export")
        kept = None if since is None else file_bytes(since, NOTE_BYTES)
        with progress(f"verify {path}", "entries") as told:
            report = verify_export(path, vkey, remembered=kept, progress=told)
    else:
        _refuse(given, _OF_EXPORTS, "a proof")
        if need is not None and need > len(set(witness)):
            raise click.UsageError(f"--need {need} asks for more than the --witness that are given")
        report = verify_proof(
            file_bytes(path, PROOF_BYTES),
            vkey,
            signer=signer,
            witnesses=witness,
            need=len(set(witness)) if need is None else need,
        )
    _tell(session, report)


def _refuse(given: Mapping[str, object], useless: tuple[str, ...], what: str) -> None:
    for name in useless:
        if given[name] not in (None, ()):
            raise click.UsageError(f"--{name} means nothing for {what}")


# --------------------------------------------------------------------------- a store


# What reading a store ends with that others have written to: it is no later state of what was
# signed for, or the values in its tables do not fit together.
_BROKEN: Final = (RollbackDetected, CorruptStore, ValueError, LookupError, TypeError)


def _store(session: Session, vkey: VerifierKey | None) -> Report:
    try:
        with session.writing() as substrate, progress("verify", "transactions") as told:
            found = substrate.audit.verify(told)
            found += _identity(session, substrate.audit.roster, vkey)
            return Report(tuple(found), _counts(substrate))
    except _BROKEN as error:
        with progress("verify", "transactions") as told:
            return _broken(session, error, told)


def _counts(substrate: Substrate) -> dict[str, int]:
    return {"transactions": substrate.fact.db().basis, "keys": len(substrate.audit.keys)}


def _identity(session: Session, roster: Roster, vkey: VerifierKey | None) -> list[Finding]:
    """Whether the log is the one that was asked for: a sound log may be another one."""
    found = []
    logs = [key for key in roster.keys.values() if key.role is LOG]
    origin = roster.origin or "a log that is not signed"
    if vkey is not None and (vkey.name, vkey.public) not in [
        (key.name, key.public) for key in logs
    ]:
        known = ", ".join(VerifierKey(key.name, key.public).text for key in logs)
        found.append(Finding("the log's key", vkey.text, known or origin))
    if session.keys is not None:
        mine = [peek(file) for file in sorted(Path(session.keys).glob("*.key"))]
        for name in {key.name for key in mine if key.role == "log"} - {roster.origin}:
            kept = Remembered(session.keys, name).checkpoint()
            if kept is not None:
                wanted = f"the log {name} of at least {kept.size} entries"
                found.append(Finding("the remembered checkpoint", wanted, origin))
    return found


def _broken(session: Session, error: Exception, told: Told) -> Report:
    """What is wrong with a log that cannot be opened, as far as it can be read."""
    ring = None if session.keys is None else Keyring(directory=Path(session.keys))
    found: list[Finding] = []
    says: dict[str, str | int] = {}
    store, log = open_store(session.uri), Log(ring)
    try:
        with suppress(*_BROKEN):
            log.open(store)
        with suppress(*_BROKEN):
            found.extend(examine(store, log.remembered(), told))
        with store.snapshot() as snapshot:
            counts = {"transactions": snapshot.head().t}
    finally:
        store.close()
    if not isinstance(error, RollbackDetected) or not found:
        found.insert(0, Finding("the store", "one that can be opened", _reason(error)))
    if "evidence" in getattr(error, "data", {}):
        says["evidence"] = str(error.data["evidence"])  # type: ignore[attr-defined]
    return Report(tuple(found), counts, says)


def _reason(error: Exception) -> str:
    """What *error* says; of errors of Python itself, which say little, also their kind."""
    own = isinstance(error, PersistenceError | NoteError | ProofError)
    return str(error) if own else f"{type(error).__name__}: {error}"


# ------------------------------------------------------------------------ the answer


def _tell(session: Session, report: Report) -> None:
    if session.json:
        output.emit(report.as_json())
    else:
        if report.findings:
            columns = ("where", "expected", "found")
            rows = [(one.where, one.expected, one.found) for one in report.findings]
            output.table(columns, rows)
        for name, told in {**report.says, **report.counts}.items():
            shown = f"{told:,}" if isinstance(told, int) else output.shown(told)
            click.echo(f"{name}: {shown}")
        if report.clean:
            click.echo("sound: nothing was found")
        for sentence in report.notes:
            output.say(f"note: {sentence}")
    if not report.clean:
        count = len(report.findings) + report.omitted
        output.say(f"{count} finding{'' if count == 1 else 's'}")
        click.get_current_context().exit(FINDING)


__all__ = ["verify"]
