"""Files that a command is told to read, never further than they can be of use."""

from __future__ import annotations

from pathlib import Path

from persistence.errors import InputError


def file_bytes(path: str, most: int) -> bytes:
    """The bytes of a file, and one more than *most* when it is longer.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check the path"
        ) from error
