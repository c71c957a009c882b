"""Tells on standard error how far something is, once it takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PATIENCE: Final = 1.0  # seconds: what is done sooner needs no bar
_LINE: Final = 10.0  # seconds between two lines where there is no terminal

Told = Callable[[int, int], None]


@contextmanager
def progress(what: str, unit: str) -> Iterator[Told]:
    """Gives what to call with how much is done, and how much there is.

    On a terminal it is a bar that goes away at the end, elsewhere a line now and then.
    """
    started = time.monotonic()
    if sys.stderr.isatty():
        with _bar(what, unit, started) as told:
            yield told
        return
    last = started + _PATIENCE - _LINE

    def line(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE and done < total:
            last = now
            click.echo(f"{what}: {done:,} of {total:,} {unit}", err=True)

    yield line


@contextmanager
def _bar(what: str, unit: str, started: float) -> Iterator[Told]:
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = shown.add_task(what)
    running = False

    def told(done: int, total: int) -> None:
        nonlocal running
        if not running and time.monotonic() - started >= _PATIENCE:
            running = True
            shown.start()
        shown.update(task, completed=done, total=max(total, 1))

    try:
        yield told
    finally:
        if running:
            shown.stop()
