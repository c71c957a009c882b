"""Writes what was measured: a table for people, the same in JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from bench.figure import FLOOR, OURS, Figure

INTRODUCTION = """\
Written by `python -m bench`; do not edit. One run on one machine: medians, ours over the floor
as ratio. The floor is hand-written SQL on the same engine with the same durability, without
history and without hashing; peers are other systems where they install. Every contender's
answer was checked to be the same before its time was taken, and contenders took turns.
"""


def as_json(
    figures: Iterable[Figure],
    facts: Mapping[str, str],
    skipped: Mapping[str, str],
    failed: Mapping[str, str],
) -> str:
    """The results as one JSON object."""
    document = {
        "machine": dict(facts),
        "figures": [_record(figure) for figure in figures],
        "skipped": dict(skipped),
        "failed": dict(failed),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(
    figures: list[Figure],
    facts: Mapping[str, str],
    skipped: Mapping[str, str],
    failed: Mapping[str, str],
) -> str:
    """The results as a page: machine, a table per section, profiles of what was missed."""
    parts = ["# Results", INTRODUCTION, _list(facts), _summary(figures)]
    for title, group in groupby(figures, key=lambda figure: figure.section):
        parts += [f"## {title}", _table(list(group))]
    missed = [figure for figure in figures if figure.met is False]
    if missed:
        parts.append("## Missed, and where the time goes")
        parts.append(
            "Per operation under cProfile, which slows Python code more than SQL; heaviest own"
            " time first."
        )
        parts += [_profile(figure) for figure in missed]
    if failed:
        parts += ["## Failed", _list(failed)]
    if skipped:
        parts += ["## Skipped", _list(skipped)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def number(value: float | None) -> str:
    """Three significant digits, without an exponent.

    >>> [number(x) for x in (0.00416, 1.5, 47.26, 16384.2, None)]
    ['0.00416', '1.50', '47.3', '16384', '–']
    """
    if value is None:
        return "–"
    for limit, places in ((0.01, 5), (0.1, 4), (1, 3), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{places}f}"
    return f"{value:.0f}"


def _record(figure: Figure) -> dict[str, Any]:
    return {
        "section": figure.section,
        "figure": figure.name,
        "unit": figure.unit,
        "ours": figure.ours,
        "floor": figure.value(FLOOR),
        "peers": figure.peers,
        "base": figure.base,
        "ratio": figure.ratio,
        "must": figure.must.text if figure.must else None,
        "met": figure.met,
        "note": figure.note,
        "spread": {
            name: {"least": s.least, "most": s.most, "samples": s.samples}
            for name, s in figure.values.items()
        },
        "profile": figure.profile.splitlines(),
    }


def _summary(figures: list[Figure]) -> str:
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure.name for figure in judged if not figure.met]
    if not judged:
        return "No figure of ours was judged in this run."
    text = f"**{len(judged) - len(missed)} of {len(judged)} figures are met.**"
    return text + (f" Missed: {'; '.join(missed)}." if missed else "")


def _table(figures: list[Figure]) -> str:
    others: dict[str, None] = {}
    for figure in figures:
        for name in figure.values:
            if name not in (OURS, FLOOR):
                others.setdefault(name)
    head = ["figure", "unit", "ours", "floor", *others, "ratio", "must", "met"]
    rows = [head, ["---", "---", *["---:"] * (len(others) + 3), "---", "---"]]
    for figure in figures:
        verdict = {True: "yes", False: "**no**", None: ""}[figure.met]
        rows.append(
            [
                figure.name,
                figure.unit,
                number(figure.ours),
                number(figure.value(FLOOR)),
                *(number(figure.value(name)) for name in others),
                _ratio(figure),
                figure.must.text if figure.must else "",
                verdict,
            ]
        )
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = [f"{figure.name}: {figure.note}." for figure in figures if figure.note]
    return "\n\n".join([table, *notes])


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return "–"
    return f"{figure.ratio:.2f}" if figure.ratio < 10 else f"{figure.ratio:.0f}"


def _profile(figure: Figure) -> str:
    lines = figure.profile or "No profile: the work ran in another process, or is a size."
    return f"### {figure.name}\n\n```text\n{lines}\n```"


def _list(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())
