"""What all commands share: which store, at which coordinates, and for whom the answer is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from persistence.audit.keyfile import Keyring
from persistence.audit.private_files import check_directory
from persistence.branches import MAIN
from persistence.cli import passphrase
from persistence.db import Db
from persistence.errors import EdnError, InputError, KeyFileError, NotAStore
from persistence.substrate import Facts, Substrate
from persistence.values import read

_COORDINATES = ("as_of", "valid_at", "at", "branch")

Command = TypeVar("Command", bound=Callable[..., Any])


@attrs.define
class Session:
    """The options that every command understands."""

    store: str | None = None
    as_of: str | None = None
    valid_at: str | None = None
    at: str | None = None
    branch: str | None = None
    json: bool = False
    keys: str | None = None
    key_passphrase_file: str | None = None

    @property
    def uri(self) -> str:
        """The store that was named.

        Raises:
            InputError: none was.
        """
        if not self.store:
            raise InputError(
                "no store is named",
                hint="give --store URI before the command, or set PERSISTENCE_STORE",
            )
        return self.store

    @contextmanager
    def writing(self, *taken: str, create: bool = False) -> Iterator[Substrate]:
        """The store, for a command that has no use for coordinates other than those *taken*."""
        self._check_coordinates(taken)
        with self._open(create, self._memory()) as substrate:
            yield substrate

    @contextmanager
    def signing(
        self, *taken: str, create: bool = False, ring: Keyring | None = None
    ) -> Iterator[Substrate]:
        """As `writing`, and what is written is signed: with *ring*, or the keys that were named."""
        self._check_coordinates(taken)
        with self._open(create, ring or self.keyring()) as substrate:
            yield substrate

    def keyring(self) -> Keyring | None:
        """The private keys of the directory that was named; None when none was.

        Raises:
            KeyFileError: it is not there, holds no keys, or one of them cannot be used.
        """
        if self.keys is None:
            return None
        ring = Keyring.load(self.keys, passphrase.asked(self.key_passphrase_file))
        if not ring.keys:
            raise KeyFileError(
                f"{self.keys}: there are no keys in it",
                hint=f"make some: persistence keys generate {self.keys} --origin NAME",
                path=self.keys,
            )
        return ring

    def _memory(self) -> Keyring | None:
        """What is remembered of the log, for a command that signs nothing: no key is opened."""
        if self.keys is None:
            return None
        check_directory(Path(self.keys))
        return Keyring(directory=Path(self.keys))

    def _check_coordinates(self, taken: tuple[str, ...]) -> None:
        given = [
            f"--{name.replace('_', '-')}"
            for name in _COORDINATES
            if name not in taken and getattr(self, name) is not None
        ]
        if given:
            raise click.UsageError(
                f"{' and '.join(given)} {'choose' if len(given) > 1 else 'chooses'} what is read, "
                "and this command has no use for it",
                ctx=click.get_current_context(silent=True),
            )

    @contextmanager
    def reading(self) -> Iterator[Db]:
        """The database value at the coordinates that were asked for."""
        with self._open(False, self._memory()) as substrate:
            yield self.view(substrate)

    def view(self, substrate: Substrate) -> Db:
        """The database value of *substrate* at the coordinates."""
        if self.at is not None and (self.as_of is not None or self.valid_at is not None):
            raise click.UsageError("--at fixes both axes; leave out --as-of and --valid-at")
        db = self.facts(substrate).db()
        if self.at is not None:
            return db.at(self.at)
        if self.as_of is not None:
            db = db.as_of(basis(self.as_of))
        return db if self.valid_at is None else db.valid_at(self.valid_at)

    def facts(self, substrate: Substrate) -> Facts:
        """The facts of the branch that was named; a discarded one can still be read."""
        return substrate.branch.open(self.branch or MAIN, discarded=True).fact

    @contextmanager
    def _open(self, create: bool, keys: Keyring | None) -> Iterator[Substrate]:
        uri = self.uri
        if not create and missing(uri):
            raise NotAStore(
                f"there is no store at {uri}",
                hint=f"check the path, or make one: persistence --store {uri} init",
                uri=uri,
            )
        with Substrate.open(uri, keys=keys) as substrate:
            yield substrate


def missing(uri: str) -> bool:
    """Whether *uri* names a file that is not there."""
    if uri.startswith(("postgresql:", "postgres:")) or ":memory:" in uri:
        return False
    place = uri.removeprefix("sqlite://") if uri.startswith("sqlite://") else uri
    return "://" not in place and not Path(place).expanduser().exists()


def basis(text: str) -> int | str:
    """A t when *text* is a number, else a transaction id or an instant."""
    return int(text) if text.isdecimal() else text


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(context.ensure_object(Session), name, value)

    return callback


def common(*, hidden: bool) -> Callable[[Command], Command]:
    """The options of `Session`; they may stand before the command or behind it."""
    options = (
        click.option(
            "--store",
            metavar="URI",
            envvar=None if hidden else "PERSISTENCE_STORE",
            help="A path, sqlite:///path or postgresql://…; or set PERSISTENCE_STORE.",
            callback=_keep("store"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--as-of",
            metavar="T",
            help="What was known at T: a t, a transaction id or an instant.",
            callback=_keep("as_of"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--valid-at",
            metavar="INSTANT",
            help="What holds in the world at that instant.",
            callback=_keep("valid_at"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--at",
            metavar="INSTANT",
            help="Both at once: the rewind.",
            callback=_keep("at"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--branch",
            metavar="NAME",
            help="The branch that is read or written; else main.",
            callback=_keep("branch"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--keys",
            metavar="DIR",
            envvar=None if hidden else "PERSISTENCE_KEYS",
            help="The directory of the keys that sign; or set PERSISTENCE_KEYS.",
            callback=_keep("keys"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--key-passphrase-file",
            metavar="FILE",
            help="Its passphrase; else PERSISTENCE_PASSPHRASE, or it is asked for.",
            callback=_keep("key_passphrase_file"),
            expose_value=False,
            hidden=hidden,
        ),
        click.option(
            "--json",
            is_flag=True,
            help="JSON on standard output, for programs.",
            callback=_keep("json"),
            expose_value=False,
            hidden=hidden,
        ),
    )

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def text_of(argument: str) -> str:
    """What *argument* stands for: itself, the file of `@file`, or standard input for `-`.

    Raises:
        InputError: the file cannot be read.
    """
    if argument == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input")
    if not argument.startswith("@"):
        return argument
    path = Path(argument[1:])
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check the path"
        ) from error


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8 text, at byte {error.start}") from error


def edn(argument: str, what: str) -> Any:
    """The EDN value of *argument*, which may also be `@file` or `-`.

    Raises:
        EdnError: it is not EDN; says which argument and where in it.
    """
    text = text_of(argument)
    try:
        return read(text)
    except EdnError as error:
        place = argument[1:] if argument.startswith("@") else what
        raise EdnError(
            f"{error.message.partition(': ')[2]} (in {place})",
            line=error.line,
            column=error.column,
            hint=error.hint or "put EDN in single quotes, so that the shell leaves it alone",
        ) from error


pass_session = click.make_pass_decorator(Session, ensure=True)
