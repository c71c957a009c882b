"""`keys generate`, `keys import` and `keys show`: private keys in a directory, with no store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

import click

from persistence.audit import pkcs8
from persistence.audit.keyfile import KeyFile, Role, generate, import_pem, peek, save
from persistence.audit.private_files import check_directory
from persistence.audit.signing_key import FILE_BYTES
from persistence.cli import output, passphrase
from persistence.cli.files import file_bytes
from persistence.cli.session import Session, common, pass_session
from persistence.errors import KeyFileError

ROLES: Final = get_args(Role)
encrypt = click.option(
    "--encrypt",
    is_flag=True,
    help="Under a passphrase; implied when one is given by --key-passphrase-file or "
    f"{passphrase.VARIABLE}.",
)


@click.command("generate", short_help="Make the keys of a log and of those who write it.")
@click.argument("directory", metavar="DIR")
@click.option("--origin", metavar="NAME", help="Of the log: unique, such as example.com/shop.")
@click.option("--author", "authors", metavar="NAME", multiple=True, help="Who writes. Repeatable.")
@click.option("--witness", "witnesses", metavar="NAME", multiple=True, help="Who cosigns others.")
@encrypt
@common(hidden=True)
@pass_session
def generate_(
    session: Session,
    directory: str,
    origin: str | None,
    authors: tuple[str, ...],
    witnesses: tuple[str, ...],
    encrypt: bool,
) -> None:
    """Make new keys in DIR, readable for their owner alone: a log key, and one for each author.

    Without --origin only the authors' keys are made, for people who write to a log whose own key
    is elsewhere.

    \b
    persistence keys generate shop.keys --origin example.com/shop --author ana
    """
    wanted: list[tuple[Role, str]] = [("log", origin)] if origin is not None else []
    wanted += [("author", name) for name in dict.fromkeys(authors)]
    wanted += [("witness", name) for name in dict.fromkeys(witnesses)]
    if not wanted:
        raise click.UsageError("no key is asked for; give --origin, --author or --witness")
    place = Path(directory)
    if place.exists():
        _check_new(place, wanted)
    made = [generate(role, name) for role, name in wanted]  # all names are sound before a write
    phrase = passphrase.chosen(session.key_passphrase_file, encrypt=encrypt)
    files = [save(place, key, phrase) for key in made]
    if session.json:
        output.emit([_object(key, file) for key, file in zip(made, files, strict=True)])
        return
    _shown(made, files)
    for line in _next(directory, made):
        click.echo(line)


def _check_new(directory: Path, wanted: Sequence[tuple[Role, str]]) -> None:
    """Passes only keys that take nobody's place, and no second log: which of them would sign?"""
    there = _peeked(directory)
    for role, name in wanted:
        for key in there:
            if key.role == role and (role == "log" or key.name == name):
                raise KeyFileError(
                    f"{directory}: the {role} key of {key.name} is there already",
                    hint="change it with `persistence keys rotate`, or name another directory",
                    path=str(directory),
                    name=key.name,
                )


def _next(directory: str, made: Sequence[KeyFile]) -> list[str]:
    """What one does with new keys."""
    lines = [
        f"keep {directory} to yourself, and a copy elsewhere: what is lost cannot be made again"
    ]
    if any(key.role == "log" for key in made):
        lines.append(f"sign a store with them: persistence --store URI --keys {directory} init")
        lines.append("give auditors the verifier key of the log")
    elif any(key.role == "author" for key in made):
        lines.append("have them added to the log: persistence keys add --role author --name …")
    if any(key.role == "witness" for key in made):
        lines.append("serve the witness: persistence witness serve --help")
    return lines


@click.command("import", short_help="Take a key that is there into the directory.")
@click.argument("directory", metavar="DIR")
@click.argument("file", metavar="FILE")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key is for.")
@click.option("--name", required=True, metavar="NAME", help="The log's origin, or who signs.")
@click.option("--file-passphrase-file", metavar="PATH", help="The passphrase of FILE itself.")
@encrypt
@common(hidden=True)
@pass_session
def import_(
    session: Session,
    directory: str,
    file: str,
    role: Role,
    name: str,
    file_passphrase_file: str | None,
    encrypt: bool,
) -> None:
    """Take the Ed25519 key in FILE, PEM or a seed in base64, into DIR.

    \b
    persistence keys import shop.keys ana.pem --role author --name ana
    """
    data = file_bytes(file, FILE_BYTES)
    locked = _encrypted(data)
    if file_passphrase_file is not None and not locked:
        raise click.UsageError(f"--file-passphrase-file is of no use: {file} is not encrypted")
    source = file_passphrase_file or session.key_passphrase_file
    key = import_pem(data, role, name, passphrase.asked(source) if locked else None)
    phrase = passphrase.chosen(session.key_passphrase_file, encrypt=encrypt)
    path = save(directory, key, phrase)
    if session.json:
        output.emit(_object(key, path))
    else:
        _shown([key], [path])


def _encrypted(data: bytes) -> bool:
    try:
        pkcs8.read(data, None)
    except pkcs8.PassphraseMissing:
        return True
    except ValueError:  # importing it tells what it is instead
        return False
    return False


@click.command("show", short_help="List the key files of the directory; nothing private.")
@click.argument("directory", metavar="[DIR]", required=False)
@common(hidden=True)
@pass_session
def show(session: Session, directory: str | None) -> None:
    """List the key files of DIR, or of --keys: role, name and public key. Nothing private is shown.

    \b
    persistence keys show shop.keys
    """
    place = directory or session.keys
    if place is None:
        raise click.UsageError("no directory is named; give DIR, or set PERSISTENCE_KEYS")
    files = _files(Path(place))
    keys = [peek(file) for file in files]
    if session.json:
        output.emit([_object(key, file) for key, file in zip(keys, files, strict=True)])
    elif keys:
        _shown(keys, files)
    else:
        raise KeyFileError(
            f"{place}: there are no keys in it",
            hint=f"make some: persistence keys generate {place} --origin NAME",
            path=place,
        )


def _files(directory: Path) -> list[Path]:
    check_directory(directory)
    return sorted(directory.glob("*.key"))


def _peeked(directory: Path) -> list[KeyFile]:
    return [peek(file) for file in _files(directory)]


def _vkey(key: KeyFile) -> str | None:
    """What others verify with. Authors sign entries and not notes: any name will do for them."""
    return None if key.role == "author" else key.vkey


def _object(key: KeyFile, file: Path) -> dict[str, Any]:
    return {
        "role": key.role,
        "name": key.name,
        "public": key.public.hex(),
        "vkey": _vkey(key),
        "file": str(file),
    }


def _shown(keys: Sequence[KeyFile], files: Sequence[Path]) -> None:
    rows = [
        (key.role, key.name, key.public.hex(), file.name)
        for key, file in zip(keys, files, strict=True)
    ]
    output.table(("role", "name", "public", "file"), rows)
    for key in keys:
        if (vkey := _vkey(key)) is not None:
            click.echo(f"verifier key: {vkey}")


__all__ = ["ROLES", "encrypt", "generate_", "import_", "show"]
