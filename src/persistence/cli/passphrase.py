"""Where the passphrase of private keys comes from; never from the command line, which others see.

In this order: the file that was named, the variable PERSISTENCE_PASSPHRASE, the person at the
terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

import click

from persistence.cli.files import file_bytes
from persistence.errors import InputError, KeyFileError

VARIABLE: Final = "PERSISTENCE_PASSPHRASE"
_LONGEST: Final = 4_096  # bytes of a passphrase; a file of another kind was meant beyond


def given(file: str | None) -> bytes | None:
    """The passphrase in *file*, else that in the environment, if there is one.

    Raises:
        InputError: the file cannot be read, is empty or too long.
    """
    if file is None:
        found = os.environ.get(VARIABLE)
        return None if found is None else os.fsencode(found)
    data = file_bytes(file, _LONGEST)
    phrase = data.removesuffix(b"\n").removesuffix(b"\r")
    if not phrase or len(data) > _LONGEST:
        raise InputError(
            f"{file} holds no passphrase: it has {'no text' if not phrase else 'too many bytes'}",
            hint="one line of text",
        )
    return phrase


def asked(file: str | None) -> bytes | Callable[[], bytes]:
    """The passphrase to open keys with; a person is asked for it only when a key needs one.

    Raises:
        InputError: as of :func:`given`.
    """
    found = given(file)
    return found if found is not None else _ask


def chosen(file: str | None, *, encrypt: bool) -> bytes | None:
    """The passphrase to write keys under: one that was given, or, to *encrypt*, one to think of.

    Raises:
        InputError: as of :func:`given`.
        KeyFileError: nobody is at a terminal.
    """
    found = given(file)
    return _ask(confirm=True) if found is None and encrypt else found


def _ask(*, confirm: bool = False) -> bytes:
    if not sys.stdin.isatty():
        raise KeyFileError(
            "the key is to be encrypted, and there is no passphrase"
            if confirm
            else "the key is encrypted, and there is no passphrase",
            hint=f"give --key-passphrase-file FILE, or set {VARIABLE}",
        )
    text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return text.encode()
