"""A figure: what was measured, against what, what it must be, and whether it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from bench.timing import Spread

OURS, FLOOR = "ours", "floor"


@attrs.frozen
class Must:
    """A requirement in words, and its test: None while there is nothing to judge."""

    text: str
    test: Callable[[Figure], bool | None]


@attrs.frozen
class Figure:
    """One row of the results.

    `values` maps each contender to its spread in `unit`; `base` names the contender that the
    ratio is taken against. `profile` is filled in where the figure is missed.
    """

    section: str
    name: str
    unit: str
    values: Mapping[str, Spread]
    must: Must | None = None
    base: str = FLOOR
    note: str = ""
    profile: str = ""

    @property
    def ours(self) -> float | None:
        return self.value(OURS)

    @property
    def ratio(self) -> float | None:
        """Ours over the base; below 1 is faster where the unit is a time."""
        ours, base = self.ours, self.value(self.base)
        return ours / base if ours is not None and base else None

    @property
    def peers(self) -> dict[str, float]:
        inside = (OURS, FLOOR, self.base)
        return {name: s.median for name, s in self.values.items() if name not in inside}

    @property
    def met(self) -> bool | None:
        return self.must.test(self) if self.must is not None else None

    def value(self, contender: str) -> float | None:
        spread = self.values.get(contender)
        return spread.median if spread is not None else None


def within(limit: float, of: str = "floor") -> Must:
    """Ours takes at most *limit* times as long as the base."""
    return Must(f"≤ {limit:g}× {of}", lambda f: None if f.ratio is None else f.ratio <= limit)


def ahead(limit: float) -> Must:
    """As `within`, and faster than every peer that ran."""

    def test(figure: Figure) -> bool | None:
        ours, ratio = figure.ours, figure.ratio
        if ours is None or ratio is None:
            return None
        return ratio <= limit and all(ours < peer for peer in figure.peers.values())

    return Must(f"≤ {limit:g}× floor, ahead of peers", test)


def at_most(limit: float, unit: str) -> Must:
    """Ours is at most *limit*, whatever the base."""
    return Must(f"≤ {limit:g} {unit}", lambda f: None if f.ours is None else f.ours <= limit)


def at_least(limit: float, unit: str) -> Must:
    """Ours is at least *limit*, whatever the base."""
    text = f"≥ {limit:,.0f} {unit}".replace(",", " ")
    return Must(text, lambda f: None if f.ours is None else f.ours >= limit)
