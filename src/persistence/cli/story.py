"""How the demo is told: scenes that are functions, each shown as its own source and its result.

The clock is set for each scene, so that the story has dates and is the same each time.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from persistence.cli import output
from persistence.clock import FrozenClock
from persistence.datoms import instant
from persistence.db import Report
from persistence.substrate import Substrate


@attrs.frozen
class Told:
    """A scene that was played: its words, its code and its result, ready to be shown."""

    title: str
    words: tuple[str, ...]
    code: str
    result: Any
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


@attrs.frozen
class Scene:
    """One scene: its title, the day it plays on, what is done, and how its result is shown.

    With *columns* the result is a table of rows; *shown* gives the rows, if the result is not.
    The functions in *using* are shown in front of the code that uses them.
    """

    title: str
    day: str
    play: Callable[[Substrate], Any]
    columns: tuple[str, ...] = ()
    shown: Callable[[Any], Sequence[Sequence[Any]]] | None = None
    using: tuple[Callable[..., Any], ...] = ()

    def tell(self, substrate: Substrate, clock: FrozenClock) -> Told:
        """Plays the scene on its day."""
        clock.instant = max(instant(self.day), clock.instant + 1_000_000)
        result = self.play(substrate)
        words = inspect.cleandoc(self.play.__doc__ or "").splitlines()
        code = "\n".join((*map(whole, self.using), source(self.play)))
        told = Told(self.title, tuple(words), code, result)
        if isinstance(result, Report):
            text = f"t {result.t}, {len(result.tx_data)} datoms"
            data = {"t": result.t, "datoms": len(result.tx_data)}
            return attrs.evolve(told, result=data, text=text)
        if self.columns:
            rows = result if self.shown is None else self.shown(result)
            return attrs.evolve(told, columns=self.columns, rows=rows, result=rows)
        return attrs.evolve(told, text=output.shown(result))


def whole(function: Callable[..., Any]) -> str:
    """The code of *function* with its head and without its docstring."""
    head = inspect.getsource(function).partition('"""')[0].rstrip()
    return f"{head}\n{textwrap.indent(_body(function), '    ')}\n"


def source(function: Callable[..., Any]) -> str:
    """The code of *function* without its head and its docstring, as one would type it.

    >>> source(source).splitlines()[0]
    'code = _body(function)'
    """
    code = _body(function)
    return code.replace("\nreturn ", "\n").removeprefix("return ")


def _body(function: Callable[..., Any]) -> str:
    text = textwrap.dedent(inspect.getsource(function))
    body = ast.parse(text).body[0]
    assert isinstance(body, ast.FunctionDef)
    lines = text.splitlines()[body.body[1].lineno - 1 :]
    # Only the first line of a text in three quotes may be moved: the rest is its content.
    code = textwrap.dedent("\n".join(lines))
    return code.replace("  # fmt: skip", "")


@attrs.frozen
class Ending:
    """What one can do with the store that is left behind."""

    place: Path
    more: tuple[str, ...]

    def commands(self) -> list[str]:
        """Commands to go on with."""
        return [f"persistence --store {self.place} {words}" for words in self.more]
