"""Files that are their owner's alone, because nobody is told when others have read a key.

A link is followed, since secrets are often handed over as links; what counts is the file that it
leads to.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from persistence.errors import KeyFileError


def create(path: Path, content: bytes) -> None:
    """A new file of *content*, durable, that only its owner can read from the first byte on.

    Raises:
        FileExistsError: there is a file, or a link, at *path*.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names of new files in *directory* durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, limit: int) -> bytes:
    """The bytes of a file that nobody but its owner has access to; one more than *limit* at most.

    Raises:
        KeyFileError: there is no such file, or others have.
    """
    try:
        # Without waiting, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise unusable(path, (error.strerror or "it cannot be read").lower()) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise unusable(path, "it is no file")
        if mode & 0o077:
            raise unusable(
                path,
                f"others than its owner have access to it (mode {stat.S_IMODE(mode):o})",
                hint=f"chmod 600 {path}",
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


def check_directory(directory: Path) -> None:
    """Passes only a directory that nobody but its owner can write to.

    Raises:
        KeyFileError: there is no such directory, or others can.
    """
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        raise unusable(directory, (error.strerror or "it cannot be read").lower()) from None
    if not stat.S_ISDIR(mode):
        raise unusable(directory, os.strerror(errno.ENOTDIR).lower())
    if mode & 0o022:
        raise unusable(
            directory,
            f"others than its owner can write to it (mode {stat.S_IMODE(mode):o})",
            hint=f"chmod 700 {directory}",
        )


def unusable(path: Path, reason: str, *, hint: str | None = None) -> KeyFileError:
    """The error about the file or directory at *path*."""
    return KeyFileError(f"{path}: {reason}", hint=hint, path=str(path), reason=reason)
