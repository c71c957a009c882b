"""What went wrong, in one sentence and one remedy; never a traceback.

0   done
1   done, and something was found
2   the call or its input was wrong, or the store cannot be used
130 stopped by the user          141 nobody reads the output any more
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Final, NoReturn

import click

from persistence.audit.merkle import ProofError
from persistence.audit.tiles import TileError
from persistence.audit.vkey import NoteError
from persistence.errors import PersistenceError

FINDING: Final = 1
MISUSE: Final = 2
BROKEN: Final = 70  # EX_SOFTWARE of sysexits.h: a fault of this program
INTERRUPTED: Final = 130
NO_READER: Final = 141
DEBUG: Final = "PERSISTENCE_DEBUG"


class NoReader(Exception):
    """Nobody reads standard output any more."""


def report(message: str, hint: str | None) -> None:
    """`error:` and `hint:` on standard error."""
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def explain(error: BaseException) -> int:
    """Reports *error* and gives the exit code it means."""
    if isinstance(error, PersistenceError):
        report(error.message if type(error.message) is str else str(error), error.hint)
        for problem in error.data.get("problems", ()):
            click.echo(f"  - {problem}", err=True)
        return MISUSE
    if isinstance(error, NoteError | ProofError | TileError):
        report(str(error), None)
        return MISUSE
    if isinstance(error, click.ClickException):
        report(_sentence(error.format_message()), _usage(error))
        return MISUSE
    if isinstance(error, NoReader | BrokenPipeError):
        # Python would complain once more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    if isinstance(error, KeyboardInterrupt | click.Abort):
        report("stopped", "what was committed stays; an import goes on where it ended")
        return INTERRUPTED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        report(f"{place}{error.strerror or error}", None)
        return MISUSE
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    report(
        f"a fault in this program: {type(error).__name__}: {error}",
        f"please report it; with {DEBUG}=1 the same command shows where",
    )
    return BROKEN


def _sentence(text: str) -> str:
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _usage(error: click.ClickException) -> str | None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see {context.command_path} --help" if context is not None else None


def leave(code: int) -> NoReturn:
    """Ends the program with *code*, after everything is written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        code = explain(error)
    sys.exit(code)
