"""A key and what it is for: made, imported, and kept from being shown.

No private key is ever printed, pickled or named in an error.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final, Literal, NoReturn, get_args

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.audit import pkcs8, signature
from persistence.audit.vkey import COSIGNATURE, ED25519, NoteError, VerifierKey
from persistence.errors import KeyFileError

Role = Literal["log", "author", "witness"]
Passphrase = str | bytes | Callable[[], str | bytes]

ROLES: Final[tuple[str, ...]] = get_args(Role)
FILE_BYTES: Final = 16 << 10
NAME_LENGTH: Final = 200


@attrs.frozen
class KeyFile:
    """A key, what it is for and who signs with it; `private` is None when it was only looked at.

    >>> key = generate("author", "ada")
    >>> key.role, key.name, len(key.public), key.opened
    ('author', 'ada', 32, True)

    Raises:
        KeyFileError: another role; a name that cannot be printed, or that no signed note could
            bear though the role signs notes; a private key that is not of *public*.
    """

    role: Role
    name: str
    public: bytes = attrs.field(repr=bytes.hex)
    private: Ed25519PrivateKey | None = attrs.field(default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.role not in ROLES:
            raise KeyFileError(
                f"a key is for one of {', '.join(ROLES)}, not for {self.role!r}", role=self.role
            )
        if not self.name.isprintable() or not 0 < len(self.name.strip()) <= NAME_LENGTH:
            raise KeyFileError(
                f"no name of a key: {self.name[:80]!r}; it is printable text of at most "
                f"{NAME_LENGTH} characters",
                name=self.name,
            )
        if self.private is not None and signature.public_bytes(self.private) != self.public:
            raise KeyFileError(
                f"the private key of {self.name} does not belong to its public key",
                name=self.name,
                public=self.public,
            )
        if len(self.public) != signature.PUBLIC_BYTES:
            raise KeyFileError(f"the public key of {self.name} has {len(self.public)} bytes")
        if self.role != "author":
            _ = self.verifier

    @property
    def opened(self) -> bool:
        """Whether it can sign."""
        return self.private is not None

    @property
    def verifier(self) -> VerifierKey:
        """Its public half as others need it, a witness's as the key of its cosignatures.

        Raises:
            KeyFileError: an author's name that has a space or a plus.
        """
        kind = COSIGNATURE if self.role == "witness" else ED25519
        try:
            return VerifierKey(self.name, self.public, kind)
        except NoteError as error:
            raise KeyFileError(error.message, name=self.name, role=self.role) from None

    @property
    def vkey(self) -> str:
        """The text of :attr:`verifier`, to hand around.

        >>> generate("log", "example.com/log").vkey
        'example.com/log+...+...'
        """
        return self.verifier.text

    def sign(self, message: bytes) -> bytes:
        """Its signature over *message*.

        Raises:
            KeyFileError: the key was looked at and not opened.
        """
        if self.private is None:
            raise KeyFileError(
                f"the key of {self.name} was not opened, so it cannot sign", name=self.name
            )
        return signature.sign(self.private, message)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key file is not pickled or copied: the private key would leave it")


def generate(role: Role, name: str) -> KeyFile:
    """A new key of *name*, from the system's source of randomness.

    Raises:
        KeyFileError: as :class:`KeyFile`.
    """
    return of(role, name, Ed25519PrivateKey.generate())


def of(role: Role, name: str, private: Ed25519PrivateKey) -> KeyFile:
    """*private* as the key of *name*.

    Raises:
        KeyFileError: as :class:`KeyFile`.
    """
    return KeyFile(role, name, signature.public_bytes(private), private)


def import_pem(data: bytes, role: Role, name: str, passphrase: Passphrase | None = None) -> KeyFile:
    """The Ed25519 key in *data* as the key of *name*.

    *data* is PEM, as PKCS#8 or as OpenSSH writes it, or the 32 bytes of the seed in base64.

    >>> import_pem(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "log", "example.com").vkey
    'example.com+2a3d8424+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'

    Raises:
        KeyFileError: it is none of these, or of another kind; the passphrase is missing or wrong.
    """
    if len(data) > FILE_BYTES:
        raise KeyFileError(f"a key to import has at most {FILE_BYTES} bytes", allowed=FILE_BYTES)
    if b"-----BEGIN" not in data:
        return of(role, name, _seed(data))
    try:
        return of(role, name, pkcs8.read(data, phrase(passphrase)))
    except ValueError as error:
        raise KeyFileError(f"the key to import cannot be used: {error}", name=name) from None


def phrase(passphrase: Passphrase | None) -> bytes | None:
    """The bytes of a *passphrase*, which is asked for now if it is a callable.

    >>> phrase(lambda: "open sesame")
    b'open sesame'

    Raises:
        KeyFileError: it is empty.
    """
    given = passphrase() if callable(passphrase) else passphrase
    if given is None:
        return None
    if not given:
        raise KeyFileError("the passphrase is empty", hint="give None to write without one")
    return given.encode() if isinstance(given, str) else given


def _seed(data: bytes) -> Ed25519PrivateKey:
    try:
        seed = base64.b64decode(data.strip(), validate=True)
        return Ed25519PrivateKey.from_private_bytes(seed)
    except ValueError:
        raise KeyFileError(
            "the key to import is neither PEM nor a seed of 32 bytes in base64"
        ) from None
