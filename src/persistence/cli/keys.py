"""`keys`: who may sign, as the log itself knows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import attrs
import click

from persistence.audit.keyfile import KeyFile, Keyring, Role, generate, peek, save
from persistence.audit.roster import Key
from persistence.cli import key_files, output, passphrase
from persistence.cli.failures import FINDING
from persistence.cli.session import Session, common, pass_session
from persistence.errors import AuditError, InputError, RevokedKey, UnknownKey
from persistence.substrate import Substrate

_PUBLIC: Final = re.compile(r"[0-9a-fA-F]{64}")


@click.group(short_help="Make private keys; say in the log who may sign.")
@common(hidden=True)
def keys() -> None:
    """Make private keys, and say in the log who may sign.

    \b
    persistence keys generate shop.keys --origin example.com/shop --author ana
    persistence --store shop.db --keys shop.keys init
    persistence --store shop.db keys list
    """


@keys.command("list", short_help="List every key that the log has known.")
@common(hidden=True)
@pass_session
def list_(session: Session) -> None:
    """List every key that the log has known: from which entry on, until which, for what.

    Exits with 1 when the log is not signed.

    \b
    persistence --store shop.db keys list
    """
    with session.writing() as substrate:
        known = substrate.audit.keys
        vkey = substrate.audit.vkey if known else None
    if session.json:
        output.emit([_object(key) for key in known])
    elif known:
        output.table(_COLUMNS, [_row(key) for key in known], numbers=[3, 4])
        click.echo(f"verifier key: {vkey}")
    if not known:
        output.say("this log is not signed")
        click.get_current_context().exit(FINDING)


def _public(_: click.Context, __: click.Parameter, text: str | None) -> bytes | None:
    if text is None:
        return None
    if not _PUBLIC.fullmatch(text):
        raise InputError(
            f"{text[:80]!r} is no public key: it has 64 hexadecimal digits",
            hint="`persistence keys show DIR` tells those of key files",
        )
    return bytes.fromhex(text)


@keys.command("add", short_help="Let another key sign.")
@click.option("--role", type=click.Choice(key_files.ROLES), help="What the key is for.")
@click.option("--name", metavar="NAME", help="Who signs with it.")
@click.option("--public", metavar="HEX", callback=_public, help="The public key, 64 digits.")
@click.option("--file", metavar="KEYFILE", help="A key file that says all three.")
@click.option(
    "--namespace", "namespaces", metavar="NAME", multiple=True,
    help="Of the attributes that an author may state; else all. Repeatable.",
)  # fmt: skip
@common(hidden=True)
@pass_session
def add(
    session: Session,
    role: Role | None,
    name: str | None,
    public: bytes | None,
    file: str | None,
    namespaces: tuple[str, ...],
) -> None:
    """Let a key sign from the next entry on; the log's own key says so.

    \b
    persistence --store shop.db --keys shop.keys keys add --file shop.keys/bo.key
    persistence --store shop.db --keys shop.keys keys add --role author --name carl \\
        --public 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29 --namespace item
    """
    if (public is None) == (file is None):
        raise click.UsageError("one of --public and --file says which key it is")
    if file is not None:
        found = peek(Path(file))
        role, name, public = role or found.role, name or found.name, found.public
    if role is None or name is None or public is None:
        raise click.UsageError("--public needs --role and --name")
    KeyFile(role, name, public)  # a name or key that could sign nothing is refused here
    if namespaces and role != "author":
        raise click.UsageError("--namespace binds authors only")
    with session.signing() as substrate:
        key = substrate.audit.add_key(role, name, public, namespaces=namespaces)
    _said(session, f"the {role} key of {name} signs from now on", key)


@keys.command("rotate", short_help="Put a new key in the place of one.")
@click.argument("name")
@click.option("--public", metavar="HEX", callback=_public, help="Of a new key that is elsewhere.")
@key_files.encrypt
@common(hidden=True)
@pass_session
def rotate(session: Session, name: str, public: bytes | None, encrypt: bool) -> None:
    """Make a new key in the key directory, and put it in the place of that of NAME, which ends.

    NAME is who signs with it, the log's origin for its own key, or a public key. The old file
    stays; what it signed remains valid.

    \b
    persistence --store shop.db --keys shop.keys keys rotate ana
    """
    if public is not None and encrypt:
        raise click.UsageError("--encrypt is for a key that is made here, and --public names one")
    ring = session.keyring()
    if ring is None:
        raise UnknownKey(
            "there is no key to say so with", hint="give --keys DIR, or set PERSISTENCE_KEYS"
        )
    with session.signing(ring=ring) as substrate:
        old = _in_force(substrate, name)
        if public is not None:
            key = substrate.audit.rotate_key(old.public, public)
        else:
            phrase = passphrase.chosen(session.key_passphrase_file, encrypt=encrypt)
            key = _rotated(substrate, ring, old, phrase)
    _said(session, f"a new key signs for {key.name} from now on", key)


def _rotated(substrate: Substrate, ring: Keyring, old: Key, phrase: bytes | None) -> Key:
    """Puts a new key in the place of *old*; it is on disk before the log knows of it."""
    new = generate(cast("Role", old.role.name), old.name)
    assert ring.directory is not None
    path = save(ring.directory, new, phrase)
    substrate.audit.use(attrs.evolve(ring, keys=(*ring.keys, new)))
    try:
        return substrate.audit.rotate_key(old.public, new.public)
    except (AuditError, InputError):
        path.unlink()  # nothing was written: the key is nobody's
        raise


@keys.command("revoke", short_help="End a key.")
@click.argument("name")
@common(hidden=True)
@pass_session
def revoke(session: Session, name: str) -> None:
    """End the key of NAME, or the one with that public key. What it signed stays valid.

    \b
    persistence --store shop.db --keys shop.keys keys revoke bo
    """
    with session.signing() as substrate:
        key = substrate.audit.revoke_key(_in_force(substrate, name).public)
    _said(session, f"the {key.role.name} key of {key.name} signs nothing from now on", key)


def _in_force(substrate: Substrate, name: str) -> Key:
    """The key that *name* names: its owner, or its public half."""
    known = substrate.audit.roster
    if _PUBLIC.fullmatch(name) and (key := known.keys.get(bytes.fromhex(name))) is not None:
        return key
    mine = [key for key in known.keys.values() if key.name == name]
    found = [key for key in mine if key.until is None]
    if len(found) == 1:
        return found[0]
    if mine and not found:
        raise RevokedKey(
            f"the key of {name!r} ended at index {mine[-1].until}",
            hint="`persistence keys list` shows those in force",
            key=name,
            index=mine[-1].until,
        )
    raise UnknownKey(
        f"the log knows {'several keys' if found else 'no key'} of {name!r}",
        hint="`persistence keys list` shows them; name it by its public key",
        key=name,
    )


_COLUMNS: Final = ("role", "name", "public", "added at", "ended at", "namespaces")


def _row(key: Key) -> Sequence[Any]:
    ended = "" if key.until is None else str(key.until)
    spaces = ", ".join(key.namespaces)
    return (key.role.name, key.name, key.public.hex(), str(key.since), ended, spaces)


def _object(key: Key) -> dict[str, Any]:
    return {
        "role": key.role.name,
        "name": key.name,
        "public": key.public.hex(),
        "since": key.since,
        "until": key.until,
        "namespaces": list(key.namespaces),
    }


def _said(session: Session, sentence: str, key: Key) -> None:
    if session.json:
        output.emit(_object(key))
        return
    index = key.since if key.until is None else key.until
    click.echo(f"entry {index} of the log says: {sentence}")


for _command in (key_files.generate_, key_files.import_, key_files.show):
    keys.add_command(_command)


__all__ = ["keys"]
