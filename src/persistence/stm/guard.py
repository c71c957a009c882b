"""Catches bodies that reach outside: a body may run more than once, a letter may not be sent twice.

Python tells audit hooks of files, sockets and processes before it touches them. One hook is
installed for the process when the first guard is used; it looks at nothing outside of guarded
bodies. What the store itself does for a body is its own business and passes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from persistence.errors import RefusedInTransaction

_REFUSED: Final = (
    "open",
    "os.",
    "shutil.",
    "socket.",
    "subprocess.",
    "urllib.",
    "http.",
    "ftplib.",
    "smtplib.",
    "webbrowser.",
    "sqlite3.connect",
)
_HARMLESS: Final = frozenset(("os.listdir", "os.scandir", "os.putenv", "os.unsetenv"))
_OURS: Final = ("persistence.", "importlib.", "psycopg", "apsw", "zipimport", "threading")

_bodies = threading.local()
_installing = threading.Lock()
_installed = False


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, this thread opens no file, socket or process.

    Raises:
        RefusedInTransaction: from the very call that would have.
    """
    _install()
    before = getattr(_bodies, "guarded", False)
    _bodies.guarded = True
    try:
        yield
    finally:
        _bodies.guarded = before


def is_guarded() -> bool:
    """Whether this thread is inside of a guard."""
    return bool(getattr(_bodies, "guarded", False))


def _install() -> None:
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not getattr(_bodies, "guarded", False) or not event.startswith(_REFUSED):
        return
    if event in _HARMLESS or _is_ours(sys._getframe(1)):
        return
    _bodies.guarded = False  # the error may be shown with lines of a file
    try:
        raise RefusedInTransaction(
            f"a body must not touch the outside, and this one calls {event} with {_shown(args)}",
            hint="ask for an effect, which is carried out once the facts are committed",
            event=event,
        )
    finally:
        _bodies.guarded = True


def _is_ours(frame: FrameType | None) -> bool:
    """Whether the nearest code that is not of Python's own library is the store's."""
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if name.startswith(_OURS) or name == "importlib":
            return name != "persistence.stm.run"
        if not _of_library(frame):
            return False
        frame = frame.f_back
    return True


def _of_library(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "").partition(".")[0]
    return module in sys.stdlib_module_names and module != "__main__"


def _shown(args: tuple[object, ...]) -> str:
    return ", ".join(repr(each)[:80] for each in args[:2]) or "nothing"
