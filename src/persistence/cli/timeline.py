"""Draws intervals of valid time under one another, in the order in which they were learned."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.text import Text

from persistence.cli.output import shown, when
from persistence.datoms import FOREVER, Datom

_WIDTH = 32
_NARROWEST = 8
_LONGEST = 28  # of a value beside its bar
_SECONDS = 19  # characters of an instant down to the second
_BESIDE = 46  # columns for the position, the time of learning, the sign and the gaps


@attrs.frozen
class Axis:
    """Valid time from the first to the last bound that is drawn, over `width` places."""

    start: int
    end: int
    width: int = _WIDTH

    @classmethod
    def over(cls, datoms: Sequence[Datom], screen: int = 1_000) -> Axis:
        """The axis on which all of *datoms* can be drawn, in a table as wide as the *screen*."""
        beside = _BESIDE + max((len(_value(d)) + len(_span(d)) for d in datoms), default=0)
        width = max(_NARROWEST, min(_WIDTH, screen - beside))
        bounds = [b for one in datoms for b in (one.valid_from, one.valid_to) if b != FOREVER]
        return cls(min(bounds, default=0), max(bounds, default=0), width)

    def place(self, instant: int) -> int:
        """The column of *instant*."""
        if instant == FOREVER:
            return self.width
        reach = max(1, self.end - self.start)
        return (instant - self.start) * self._last // reach

    @property
    def _last(self) -> int:
        """The column of the last bound; the rest is for what stays open."""
        return self.width * 3 // 4

    def bar(self, start: int, end: int, line: str = "━") -> str:
        """The interval as a bar; an arrow means that it stays open.

        >>> Axis(0, 10, 12).bar(0, 5), Axis(0, 10, 12).bar(5, FOREVER)
        ('┣━━━┫       ', '    ┣━━━━━━▶')
        """
        left, right = self.place(start), self.place(end)
        if end == FOREVER:
            middle = "┣" + line * (self.width - left - 2) + "▶"
        elif right <= left + 1:
            middle = "┃"
        else:
            middle = "┣" + line * (right - left - 1) + "┫"
        return (" " * left + middle).ljust(self.width)[: self.width]

    def head(self) -> str:
        """The labels above the bars."""
        first, last = _day(self.start), _day(self.end)
        crowded = self._last < len(first) + 2 or self._last + len(last) > self.width + 4
        if self.start == self.end or crowded:
            return first
        room = max(self.width - 2, self._last + len(last))
        return (first.ljust(self._last) + last).ljust(room) + " ∞"


def chart(datoms: Sequence[Datom], believed: Sequence[Datom], axis: Axis) -> list[list[Text]]:
    """The rows of a table: every assert and retract, then what is believed after all of them."""
    rows = []
    for one in datoms:
        style, mark, line = ("green", "+", "━") if one.added else ("red", "-", "╌")
        head = (str(one.t), _day(one.tx_time), Text(mark, style=style))
        rows.append(_row(one, axis, head, line, style))
    for one in believed:
        rows.append(_row(one, axis, ("", "believed now", ""), "━", "bold"))
    return rows


def _row(one: Datom, axis: Axis, head: tuple[str | Text, ...], line: str, style: str) -> list[Text]:
    bar = Text(axis.bar(one.valid_from, one.valid_to, line), style=style, no_wrap=True)
    cells = [cell if isinstance(cell, Text) else Text(cell) for cell in head]
    return [*cells, Text(_value(one)), bar, Text(_span(one))]


def _value(one: Datom) -> str:
    text = shown(one.v)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _span(one: Datom) -> str:
    return f"{_day(one.valid_from)} → {_day(one.valid_to)}"


def _day(instant: int) -> str:
    return when(instant)[:_SECONDS]
