"""The τ-bench airline: three files in, twelve questions answered.

    python examples/airline.py --data DIR [--store URI] [--json]

DIR holds users.json, flights.json and reservations.json of the airline of τ-bench. The store is
kept, so that a second run only asks, and so that `persistence --store airline.db …` can ask more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs
from airline_questions import QUESTIONS, Question, Row
from airline_world import EST, FILES, SNAPSHOT, Loaded, load
from rich import box
from rich.console import Console
from rich.table import Table

from persistence import FrozenClock, PersistenceError, Substrate, write
from persistence.values import micros

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "tau-airline"
SHOWN = 8  # rows of a long answer


@attrs.frozen
class Answer:
    """What a question gave, and how long it took in seconds of wall time."""

    question: Question
    rows: list[Row]
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 when there is nothing to work on."""
    given = parser().parse_args(arguments)
    missing = [name for name in FILES if not (given.data / name).is_file()]
    if missing:
        return refuse(
            f"{given.data} lacks {', '.join(missing)}",
            "name the directory with the airline files of τ-bench: --data DIR",
        )
    clock = FrozenClock(micros(SNAPSHOT))
    try:
        with Substrate.open(given.store, clock=clock) as s:
            tell = as_json if given.json else as_report
            tell(s, load(s, given.data, clock), answers(s))
    except PersistenceError as error:
        return refuse(error.message, error.hint)
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Twelve questions about the airline of τ-bench.")
    made.add_argument("--data", type=Path, default=BESIDE, help="where the JSON files are")
    made.add_argument("--store", default="airline.db", help="a path, or postgresql://…")
    made.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    return made


def refuse(problem: str, hint: str | None) -> int:
    print(f"error: {problem}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return 2


def answers(s: Substrate) -> Iterator[Answer]:
    """Every question, asked of the store as it is when the first answer is wanted."""
    db = s.fact.db()
    for question in QUESTIONS:
        started = perf_counter()
        rows = question.ask(db)
        yield Answer(question, rows, perf_counter() - started)


# ----------------------------------------------------------------------- for programs


def as_json(s: Substrate, loaded: Iterable[Loaded], given: Iterable[Answer]) -> None:
    report = {
        "store": s.uri,
        "loaded": [attrs.asdict(part) for part in loaded],
        "answers": [
            {
                "name": answer.question.name,
                "title": answer.question.title,
                "columns": answer.question.columns,
                "rows": [[plain(value) for value in row] for row in answer.rows],
                "seconds": answer.seconds,
            }
            for answer in given
        ],
    }
    print(json.dumps(report, ensure_ascii=False))


def plain(value: Any) -> Any:
    """*value* as JSON can say it; keywords lose their colon."""
    if isinstance(value, Mapping):
        return {str(key).removeprefix(":"): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.astimezone(EST).isoformat() if isinstance(value, datetime) else value


# ------------------------------------------------------------------------- for people


def as_report(s: Substrate, loaded: Iterable[Loaded], given: Iterable[Answer]) -> None:
    console = Console(highlight=False)
    parts = list(loaded)
    for part in parts:
        console.print(f"{part.what:<14}{part.rows:>6} rows {part.seconds:>8.2f} s")
    if not parts:
        console.print(f"{s.uri} has the airline already")
    size = s.statistics()
    seconds = sum(part.seconds for part in parts)
    rate = f", {size.rows['log'] / seconds:,.0f} a second" if seconds else ""
    console.print(f"{size.rows['log']:,} datoms in {size.bytes / 1e6:.1f} MB{rate}\n")
    for number, answer in enumerate(given, 1):
        show(console, number, answer)


def show(console: Console, number: int, answer: Answer) -> None:
    question, rows = answer.question, answer.rows
    console.print(f"[bold]{number}. {question.title}[/bold]")
    table = Table(*question.columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows[:SHOWN] if len(rows) > 12 else rows:
        table.add_row(*[shown(value) for value in row])
    console.print(table)
    rest = f", {SHOWN} shown" if len(rows) > 12 else ""
    console.print(f"[dim]{len(rows)} rows{rest}, {answer.seconds * 1000:.0f} ms[/dim]\n")


def shown(value: Any) -> str:
    """*value* in a cell: instants in the airline's own time, whole days as dates."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.astimezone(EST).strftime("%b %d %H:%M").removesuffix(" 00:00")
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Mapping):
        return json.dumps(plain(value), indent=2)
    return value if isinstance(value, str) else write(value)


if __name__ == "__main__":
    sys.exit(main())
