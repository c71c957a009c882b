"""What the log gives away to be checked elsewhere: `checkpoint`, `prove` and `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from persistence.audit import note
from persistence.audit.proof import Proof
from persistence.audit.roster import LOG
from persistence.audit.vkey import NoteError, VerifierKey
from persistence.audit.witness import Cosigned, Witness, cosign_all
from persistence.cli import output
from persistence.cli.as_json import datom as as_object
from persistence.cli.failures import FINDING, report
from persistence.cli.files import file_bytes
from persistence.cli.progress import progress
from persistence.cli.session import Session, basis, common, edn, pass_session
from persistence.datoms import Datom
from persistence.errors import AuditError, InputError, UnknownBasis
from persistence.substrate import Substrate
from persistence.values import keyword

_SHOWN = 10  # datoms in an error that are worth a reader's time


def _witnesses(
    context: click.Context, parameter: click.Parameter, given: Sequence[str]
) -> list[Witness]:
    found = []
    for text in given:
        vkey, url, rest = text.partition("=http")
        if not url:
            message = f"{text!r} is not of the form VKEY=URL, with a URL of http or https"
            raise click.BadParameter(message, context, parameter)
        found.append(Witness(VerifierKey.parse(vkey), f"http{rest}"))
    return found


@click.command(short_help="Sign what the log is now, for others to keep.")
@click.option("--out", metavar="FILE", help="Write the note there, not on standard output.")
@click.option(
    "--witness", "witnesses", metavar="VKEY=URL", multiple=True, callback=_witnesses,
    help="Have this witness cosign it. Repeatable.",
)  # fmt: skip
@common(hidden=True)
@pass_session
def checkpoint(session: Session, out: str | None, witnesses: list[Witness]) -> None:
    """Sign a note on what the log is now; whoever keeps it can tell later whether it still holds.

    When a witness does not cosign, the note is given without it, and the exit code is 1.

    \b
    persistence --store shop.db --keys shop.keys checkpoint --out today.checkpoint
    """
    asked: list[Cosigned] = []

    def cosign(text: str) -> str:
        asked.append(cosign_all(witnesses, text, substrate.audit.consistency))
        return asked[-1].note

    with session.signing() as substrate:
        text = substrate.audit.checkpoint(cosign=cosign if witnesses else None)
        vkey = substrate.audit.vkey
    failures = [failure for one in asked for failure in one.failures]
    said = note.claimed(text)
    if out is not None:
        Path(out).write_bytes(text.encode())
    if session.json:
        cosigners = note.cosignatures(text, [witness.key for witness in witnesses])
        output.emit(
            {
                "origin": said.origin,
                "size": said.size,
                "root": said.root.hex(),
                "vkey": vkey,
                "cosigned": [key.text for key, _ in cosigners],
                "note": text,
            }
        )
    elif out is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {out}: {said.size} entries of {said.origin}")
    for failure in failures:
        report(failure.message, failure.hint)
    if failures:
        click.get_current_context().exit(FINDING)


@click.command(short_help="Prove that a transaction, or a datom, stands in the log.")
@click.argument("t", metavar="T")
@click.option("--datom", "number", type=click.IntRange(min=0), metavar="N",
              help="The datom at this place of the transaction, from 0 on.")  # fmt: skip
@click.option("--entity", "e", metavar="ENTITY", help="The datom of this entity …")
@click.option("--attribute", metavar="ATTR", help="… and this attribute.")
@click.option("--checkpoint", "under", metavar="FILE", help="Under this one; else the newest.")
@click.option("--out", metavar="FILE", help="Write it there; the usual ending is .tlog-proof.")
@common(hidden=True)
@pass_session
def prove(
    session: Session,
    t: str,
    number: int | None,
    e: str | None,
    attribute: str | None,
    under: str | None,
    out: str | None,
) -> None:
    """Prove that the transaction T, a t or a transaction id, stands in the log; or a datom of it.

    The proof is a small file, which is checked offline: `persistence verify FILE --vkey KEY`.

    \b
    persistence --store shop.db prove 4 --out tea.tlog-proof
    persistence --store shop.db prove 4 --entity '[:item/sku "tea-1"]' --attribute :item/price
    """
    if number is not None and (e is not None or attribute is not None):
        raise click.UsageError("--datom names one already; leave out --entity and --attribute")
    text = None if under is None else _read(under)
    with session.writing() as substrate:
        place = _place(substrate, t)
        if text is not None:
            _check(substrate, text, under or "")
        datom = None
        if number is not None or e is not None or attribute is not None:
            datom = _datom(substrate, place, number, e, attribute)
        proof = substrate.audit.prove(place if datom is None else datom, checkpoint=text)
        vkey = substrate.audit.vkey
        signer = _signer(substrate, proof.checkpoint)
    if out is not None:
        Path(out).write_bytes(proof.text.encode())
    if session.json:
        output.emit(_object(proof, place, datom, vkey, signer))
    elif out is None:
        click.echo(proof.text, nl=False)
    else:
        what = f"t {place}" if datom is None else f"{output.shown(datom.a)} of {datom.e}, t {place}"
        click.echo(f"wrote {out}: {what} is entry {proof.index} of the log")
        changed = "" if signer == vkey else f" --signer {signer}"
        click.echo(f"to check it: persistence verify {out} --vkey {vkey}{changed}")


def _place(substrate: Substrate, text: str) -> int:
    """The t of a transaction; an instant names none."""
    if not text.isdecimal() and len(text) != 64:
        raise InputError(
            f"{text!r} is neither a t nor a transaction id", hint="`persistence log` shows both"
        )
    named = basis(text)
    found = next(substrate.branch.transactions(named, named), None)
    if found is None:
        raise UnknownBasis("the first transaction has the t 1", basis=named)
    return found.t


def _datom(
    substrate: Substrate, t: int, number: int | None, e: str | None, attribute: str | None
) -> Datom:
    """The datom of the transaction *t* that the options name."""
    (tx,) = substrate.branch.transactions(t, t)
    (line,) = (one for one in substrate.branch.list(discarded=True) if one.number == tx.branch)
    db = substrate.branch.open(line.name, discarded=True).fact.db().as_of(t)
    said = list(enumerate(db.log(t, t)))
    if number is not None:
        found = [one for place, one in said if place == number]
        if not found:
            raise InputError(f"t {t} has {len(said)} datoms, and none at place {number}", t=t)
        return found[0]
    entity = None if e is None else db.entid(edn(e, "--entity"))
    if e is not None and entity is None:
        raise InputError(f"nothing is known of the entity {e}", hint="`persistence log` shows t")
    name = None if attribute is None else keyword(attribute)
    matching = [
        (place, one)
        for place, one in said
        if (e is None or one.e == entity) and name in (None, one.a)
    ]
    if len(matching) == 1:
        return matching[0][1]
    listed = [f"--datom {place}: {one!r}" for place, one in (matching or said)[:_SHOWN]]
    raise InputError(
        f"{len(matching)} of the {len(said)} datoms of t {t} are meant; one is to be",
        hint="name it by its place",
        problems=listed,
    )


def _read(file: str) -> str:
    try:
        return note.SignedNote.parse(file_bytes(file, note.NOTE_BYTES)).text
    except NoteError as error:
        raise InputError(f"{file}: {error.message}") from error


def _check(substrate: Substrate, text: str, file: str) -> None:
    """Passes only a checkpoint of this log, under which a proof would hold.

    Raises:
        AuditError: it is another log's, of another size or root, or not signed by the log.
    """
    roster = substrate.audit.roster
    said = note.claimed(text)
    ours = roster.origin or "not signed"
    if said.origin != roster.origin:
        raise AuditError(
            f"{file} is a checkpoint of {output.shown(said.origin)}, and this log is {ours}",
            hint="give one that `persistence checkpoint` made of this store",
            expected=roster.origin,
            found=said.origin,
        )
    size = substrate.fact.db().basis
    if said.size > size:
        raise AuditError(
            f"{file} covers {said.size} entries, and this log has {size}",
            hint="this store is an older copy, or another one",
            expected=size,
            found=said.size,
        )
    if substrate.audit.root(said.size) != said.root:
        raise AuditError(
            f"{file} has another root than the first {said.size} entries of this log",
            hint="keep it: two histories were shown",
            size=said.size,
        )
    note.open_checkpoint(text, _log_keys(substrate))


def _signer(substrate: Substrate, text: str) -> str:
    """Which of the keys that the log ever had signed the checkpoint *text*."""
    return note.SignedNote.parse(text).verified(_log_keys(substrate))[0].text


def _log_keys(substrate: Substrate) -> list[VerifierKey]:
    return [VerifierKey(key.name, key.public) for key in substrate.audit.keys if key.role is LOG]


def _object(proof: Proof, t: int, datom: Datom | None, vkey: str, signer: str) -> dict[str, Any]:
    said = note.claimed(proof.checkpoint)
    return {
        "t": t,
        "index": proof.index,
        "size": said.size,
        "datom": None if datom is None else as_object(datom),
        "vkey": vkey,
        "signer": signer,
        "proof": proof.text,
    }


@click.command(short_help="Write the log as files that others can check.")
@click.option(
    "--tiles", metavar="DIR", required=True, help="As tiles (C2SP tlog-tiles), into this directory."
)
@common(hidden=True)
@pass_session
def export(session: Session, tiles: str) -> None:
    """Write the log into a directory that any web server can serve, and anybody can check.

    An earlier export of the same log is continued. With --keys it stands under a new checkpoint.

    \b
    persistence --store shop.db --keys shop.keys export --tiles public/log
    """
    with session.signing() as substrate:
        with progress(f"export {tiles}", "entries") as told:
            said = substrate.audit.export(tiles, progress=told)
        vkey = substrate.audit.vkey
    if session.json:
        output.emit(
            {
                "directory": tiles,
                "origin": said.origin,
                "size": said.size,
                "root": said.root.hex(),
                "vkey": vkey,
            }
        )
        return
    click.echo(f"wrote {said.size:,} entries of {said.origin} into {tiles}")
    click.echo(f"to check it: persistence verify {tiles} --vkey {vkey}")


__all__ = ["checkpoint", "export", "prove"]
