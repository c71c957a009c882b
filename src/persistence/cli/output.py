"""Says things twice: tables for people, JSON for programs. Answers go to standard output only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from persistence.cli.as_json import dumps, rfc3339
from persistence.datoms import FOREVER, moment
from persistence.frames import exact
from persistence.values import Set, write

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDE = 10_000  # a pipe has no width: nothing may be folded or cut off there


class _Console(Console):
    """Leaves a broken pipe to the place where all failures are handled."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Where people read; made anew, because tests and pipes replace standard output."""
    made = _Console(highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made = _Console(highlight=False, emoji=False, markup=False, width=_WIDE, no_color=True)
    return made


def emit(value: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(dumps(value))


def shown(value: Any) -> str:
    """*value* for a cell of a table: text as it reads, everything else as EDN.

    >>> shown("Ada"), shown((1, "x"))
    ('Ada', '[1 "x"]')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        # Nothing that is stored may steer a terminal.
        return write(value)[1:-1] if _CONTROL.search(value) else value
    if isinstance(value, datetime):
        return when(value)
    return exact(value)


def when(instant: datetime | int) -> str:
    """An instant, short: a whole day is a date, and a whole second has no fraction.

    >>> when(0), when(1_000_000), when(FOREVER)
    ('1970-01-01', '1970-01-01 00:00:01', '∞')
    """
    if instant == FOREVER:
        return "∞"
    text = rfc3339(moment(instant) if isinstance(instant, int) else instant).removesuffix("Z")
    return text.removesuffix("T00:00:00").replace("T", " ")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Iterable[int] = (),
    styles: Mapping[int, str] | None = None,
) -> None:
    """A table; *numbers* are the columns to align right."""
    right = set(numbers)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        style = (styles or {}).get(place, "")
        justify: Any = "right" if place in right else "left"
        made.add_column(Text(name), justify=justify, style=style, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    console().print(made)


def answer(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The rows of a query, and how many they are."""
    right = [
        place
        for place in range(len(columns))
        if rows and all(type(row[place]) in (int, float) for row in rows)
    ]
    table(columns, rows, numbers=right)
    say(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")


def tree(label: str, value: Any) -> None:
    """A pulled map as a tree."""
    root = Tree(Text(label, style="bold"))
    _branches(root, value)
    console().print(root)


def _branches(parent: Tree, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _twig(parent, shown(key), item)
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            _twig(parent, f"{place}", item)


def _twig(parent: Tree, label: str, value: Any) -> None:
    nested = isinstance(value, Mapping) or (
        isinstance(value, tuple | list) and any(isinstance(item, Mapping) for item in value)
    )
    if nested:
        _branches(parent.add(Text(label, style="cyan")), value)
    elif isinstance(value, tuple | list | Set):
        parent.add(Text.assemble((label, "cyan"), "  ", ", ".join(map(shown, value))))
    else:
        parent.add(Text.assemble((label, "cyan"), "  ", shown(value)))


def say(text: str) -> None:
    """A remark for people, which no program has to step over."""
    click.echo(text, err=True)
