"""Private keys in files of their own, because a store that held them would vouch for itself.

A key file is text: what the key is for in the clear, then the key in PEM, under a passphrase if
one was given.

    persistence-key/v1
    role: author
    name: ada
    public: 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29

    -----BEGIN PRIVATE KEY-----

What the text says is believed only as far as the private key bears it out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs

from persistence.audit import pkcs8
from persistence.audit.private_files import check_directory, create, read, unusable
from persistence.audit.signing_key import (
    FILE_BYTES,
    NAME_LENGTH,
    KeyFile,
    Passphrase,
    Role,
    generate,
    import_pem,
    of,
    phrase,
)
from persistence.errors import KeyFileError

__all__ = [
    "KeyFile",
    "Keyring",
    "Passphrase",
    "Role",
    "generate",
    "import_pem",
    "load",
    "of",
    "peek",
    "save",
]

_HEAD: Final = re.compile(
    r"persistence-key/v1\nrole: ([a-z]+)\nname: ([^\n]+)\npublic: ([0-9a-f]{64})\n\n"
)


def save(directory: str | Path, key: KeyFile, passphrase: Passphrase | None = None) -> Path:
    """Writes *key* into a new file in *directory*, which is made if need be, and gives its path.

    The file is `<name>.key`. A name that has keys already gets `<name>+2.key` and so on: the
    highest number is its newest key.

    Raises:
        KeyFileError: the directory holds this key already or is writable for others; the key is
            not opened; the passphrase is empty.
    """
    directory = Path(directory)
    if key.private is None:
        raise KeyFileError(f"the key of {key.name} was not opened, so it cannot be saved")
    content = _head(key).encode() + pkcs8.write(key.private, phrase(passphrase))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_directory(directory)
    for number in itertools.count(1):
        path = directory / _file_name(key.name, number)
        try:
            create(path, content)
        except FileExistsError:
            if peek(path).public == key.public:
                raise KeyFileError(
                    f"{path}: the key of {key.name} is there already", path=str(path)
                ) from None
            continue
        break
    return path


def load(path: str | Path, passphrase: Passphrase | None = None) -> KeyFile:
    """The key in the file at *path*; *passphrase* is used, or called, only if it is encrypted.

    Raises:
        KeyFileError: there is no such file, others can read it, it is no key file, the passphrase
            is missing or wrong, or its keys do not belong together. `path` names it.
    """
    path = Path(path)
    key, pem = _read(path)
    try:
        private = pkcs8.read(pem, phrase(passphrase) if pkcs8.locked(pem) else None)
        return attrs.evolve(key, private=private)
    except pkcs8.PassphraseMissing as error:
        hint = "give the passphrase it was written with"
        raise unusable(path, str(error), hint=hint) from None
    except ValueError as error:
        raise unusable(path, str(error)) from None
    except KeyFileError as error:
        raise unusable(path, error.message, hint=error.hint) from None


def peek(path: str | Path) -> KeyFile:
    """What the file at *path* says of its key, without opening it; nothing of that is proved.

    Raises:
        KeyFileError: as :func:`load`, but for the passphrase.
    """
    return _read(Path(path))[0]


@attrs.frozen
class Keyring:
    """The keys that a process can sign with; of one name the newest is last.

    >>> ring = Keyring.memory(generate("log", "example.com/log"), generate("author", "ada"))
    >>> ring.log.name, ring.author("ada").role, ring.author("eve")
    ('example.com/log', 'author', None)
    """

    keys: tuple[KeyFile, ...] = ()
    directory: Path | None = None

    @classmethod
    def load(cls, directory: str | Path, passphrase: Passphrase | None = None) -> Keyring:
        """The keys in the `*.key` files of *directory*; one passphrase opens all that have one.

        Raises:
            KeyFileError: there is no such directory, others can write to it, or one of the files
                is refused by :func:`load`.
        """
        directory = Path(directory)
        check_directory(directory)
        once = cache(passphrase) if callable(passphrase) else passphrase
        paths = sorted(directory.glob("*.key"), key=_age)
        return cls(tuple(load(path, once) for path in paths), directory)

    @classmethod
    def generate(
        cls,
        origin: str,
        *authors: str,
        directory: str | Path | None = None,
        passphrase: Passphrase | None = None,
    ) -> Keyring:
        """New keys for the log *origin* and for each of *authors*, saved if there is a *directory*.

        >>> [key.name for key in Keyring.generate("example.com/tea", "ana").keys]
        ['example.com/tea', 'ana']

        Raises:
            KeyFileError: as :func:`save` and :class:`KeyFile`; a passphrase, but no directory.
        """
        ring = cls(directory=None if directory is None else Path(directory))
        for key in (generate("log", origin), *(generate("author", name) for name in authors)):
            ring = ring.keep(key, passphrase)
        return ring

    @classmethod
    def memory(cls, *keys: KeyFile) -> Keyring:
        """A ring of *keys* that are in no file, for tests and short-lived stores."""
        return cls(keys)

    @property
    def log(self) -> KeyFile | None:
        """The newest log key."""
        return self.find("log")

    def author(self, name: str | None = None) -> KeyFile | None:
        """The newest key of the author *name*; without a name, of the only author there is.

        Raises:
            KeyFileError: there are several authors, and no *name*.
        """
        names = {key.name for key in self.keys if key.role == "author"}
        if name is None and len(names) > 1:
            raise KeyFileError(
                f"the keys of {len(names)} authors are there; which one writes is not said",
                hint="name the author",
                authors=sorted(names),
            )
        return self.find("author", name)

    def find(
        self, role: Role, name: str | None = None, *, among: Collection[bytes] | None = None
    ) -> KeyFile | None:
        """The newest key of *role* and, if given, *name*, whose public key is *among* these."""
        for key in reversed(self.keys):
            if (
                key.role == role
                and name in (None, key.name)
                and (among is None or key.public in among)
            ):
                return key
        return None

    def holding(self, public: bytes) -> KeyFile | None:
        """The key that *public* is the public half of."""
        return next((key for key in self.keys if key.public == public), None)

    def keep(self, key: KeyFile, passphrase: Passphrase | None = None) -> Keyring:
        """The ring that has *key* as well, which is saved if this ring has a directory.

        Raises:
            KeyFileError: as :func:`save`; a passphrase, but no directory.
        """
        if self.directory is not None:
            save(self.directory, key, passphrase)
        elif passphrase is not None:
            raise KeyFileError("a ring in memory writes no file that a passphrase could protect")
        return attrs.evolve(self, keys=(*self.keys, key))


def _head(key: KeyFile) -> str:
    return f"persistence-key/v1\nrole: {key.role}\nname: {key.name}\npublic: {key.public.hex()}\n\n"


def _file_name(name: str, number: int) -> str:
    """A file name of its own for every name; a plus is never part of what is quoted."""
    quoted = quote(name, safe="")
    if len(quoted) > NAME_LENGTH:
        quoted = f"{quoted[:160]}++{sha256(name.encode()).hexdigest()[:16]}"
    return f"{quoted}.key" if number == 1 else f"{quoted}+{number}.key"


def _age(path: Path) -> tuple[str, int]:
    """Sorts the files of a name by number, as :func:`_file_name` gave it."""
    name, _, number = path.stem.rpartition("+")
    if name and number.isascii() and number.isdigit() and len(number) < 10:
        return name, int(number)
    return path.stem, 1


def _read(path: Path) -> tuple[KeyFile, bytes]:
    """What the file at *path* says of its key, and the PEM below."""
    data = read(path, FILE_BYTES)
    head, blank, pem = data.partition(b"\n\n")
    try:
        said = _HEAD.fullmatch((head + blank).decode())
    except UnicodeDecodeError:
        said = None
    if said is None or b"-----BEGIN" not in pem or len(data) > FILE_BYTES:
        raise unusable(path, "it is no key file, or not a whole one")
    role: Any = said[1]
    try:
        return KeyFile(role, said[2], bytes.fromhex(said[3])), pem
    except KeyFileError as error:
        raise unusable(path, error.message, hint=error.hint) from None
