"""`trace`: runs of agents, taken in from other programs, looked at, and handed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from persistence.branches import MAIN
from persistence.cli import output
from persistence.cli.as_json import as_json, rfc3339
from persistence.cli.runs import recorded
from persistence.cli.session import Session, common, pass_session
from persistence.effects import Step, Trace
from persistence.errors import InputError
from persistence.formats import (
    Imported,
    Pair,
    atif_document,
    chat_line,
    import_atif,
    import_chats,
    preference_line,
)
from persistence.substrate import OnBranch

_IMPORTS: Final[dict[str, Any]] = {"chat": import_chats, "atif": import_atif}
_WIDTH: Final = 60  # characters of arguments and of a result in a table


@click.group(short_help="Runs of agents: import, list, show, export.")
@common(hidden=True)
def trace() -> None:
    """Take in runs of agents from other programs, look at them, and hand them on.

    \b
    persistence --store runs.db trace import trajectories.jsonl
    persistence --store runs.db trace list
    """


@contextmanager
def _line(session: Session, *, writes: bool = False) -> Iterator[OnBranch]:
    """The branch that was named, to be written or read."""
    opened = (
        session.signing("branch", create=session.branch is None)
        if writes
        else session.writing("branch")
    )
    with opened as substrate:
        yield substrate.branch.open(session.branch or MAIN, discarded=not writes)


@trace.command("import", short_help="Import conversations or trajectories as runs.")
@click.argument("file")
@click.option(
    "--format", "kind", type=click.Choice([*_IMPORTS]), default="chat", show_default=True,
    help="Chat messages in JSON lines, or ATIF.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="What the runs are called.")
@click.option("--author", metavar="NAME", help="Who says so; stands in every header.")
@common(hidden=True)
@pass_session
def import_(session: Session, file: str, kind: str, name: str | None, author: str | None) -> None:
    """Import the runs in FILE: all of them, or none when one cannot be read.

    A run that is in the store already is left as it is.

    \b
    persistence --store runs.db trace import trajectories.jsonl
    persistence --store runs.db trace import run.json --format atif
    """
    named = {} if name is None else {"name": name}
    with _line(session, writes=True) as line:
        done: Imported = _IMPORTS[kind](line, file, author=author, **named)
    if session.json:
        output.emit(
            {
                "runs": [str(id) for id in done.ids],
                "steps": done.steps,
                "known": done.known,
                "seconds": round(done.seconds, 3),
            }
        )
        return
    runs = "1 run" if len(done.ids) == 1 else f"{len(done.ids):,} runs"
    click.echo(f"{file}: {runs}, {done.steps:,} steps")
    if done.known:
        click.echo(f"  {done.known:,} {'was' if done.known == 1 else 'were'} imported before")


@trace.command("list", short_help="List the runs.")
@common(hidden=True)
@pass_session
def list_(session: Session) -> None:
    """List the runs, the earliest first.

    \b
    persistence --store runs.db trace list
    """
    with _line(session) as line:
        found = line.effect.runs()
    if session.json:
        output.emit(
            [
                {
                    "id": str(one.id),
                    "name": one.name,
                    "status": one.status.name,
                    "started": rfc3339(one.started),
                }
                for one in found
            ]
        )
        return
    rows = [(str(one.id), one.name, one.status.name, one.started) for one in found]
    output.table(("run", "name", "status", "started"), rows)
    output.say(f"{len(found)} run{'' if len(found) == 1 else 's'}")


@trace.command("show", short_help="Show the steps of a run.")
@click.argument("run")
@common(hidden=True)
@pass_session
def show(session: Session, run: str) -> None:
    """Show the steps of RUN, and how it ended.

    RUN is the id of a run, or the beginning of one.

    \b
    persistence --store runs.db trace show 0b9f1c7e
    """
    with _line(session) as line:
        found = recorded(line.effect, run)
    if session.json:
        output.emit(_object(found))
        return
    rows = [
        (step.n, step.op, step.status.name, _short(step.args), _short(_came(step)))
        for step in found
    ]
    output.table(("n", "operation", "status", "arguments", "came to"), rows, numbers=[0])
    ended = "" if found.error is None else f": {output.shown(found.error)}"
    output.say(f"{found.name}, {found.status.name}{ended}, {found.digest.hex()[:16]}")


def _came(step: Step) -> Any:
    return step.result if step.error is None else step.error


def _short(value: Any) -> str:
    text = output.shown(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _object(found: Trace) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "name": found.name,
        "status": found.status.name,
        "started": rfc3339(found.started),
        "result": as_json(found.result),
        "error": as_json(found.error),
        "meta": as_json(dict(found.meta)),
        "digest": found.digest.hex(),
        "steps": [_step(step) for step in found],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "n": step.n,
        "op": step.op.name,
        "args": {key.name: as_json(value) for key, value in step.args.items()},
        "status": step.status.name,
        "result": as_json(step.result),
        "error": as_json(step.error),
        "cost": as_json(step.cost),
        "at": rfc3339(step.at),
        "took": step.took,
        "id": step.id.hex(),
    }


@trace.command("export", short_help="Write a run for another program.")
@click.argument("run")
@click.option(
    "--format", "kind", type=click.Choice(["chat", "atif", "preferences"]), default="chat",
    show_default=True, help="Chat messages, ATIF, or a pair for a preference trainer.",
)  # fmt: skip
@click.option("--rejected", metavar="RUN", help="The worse run of a pair; RUN is the better one.")
@click.option("--out", metavar="FILE", help="Write it there, and not to standard output.")
@common(hidden=True)
@pass_session
def export(session: Session, run: str, kind: str, rejected: str | None, out: str | None) -> None:
    """Write RUN as one line of JSON; it is the id of a run, or the beginning of one.

    \b
    persistence --store runs.db trace export 0b9f1c7e --format atif --out run.json
    persistence --store runs.db trace export 0b9f1c7e --format preferences --rejected 77ab
    """
    if (rejected is None) == (kind == "preferences"):
        raise click.UsageError("--format preferences and --rejected RUN go together")
    with _line(session) as line:
        found = recorded(line.effect, run)
        other = None if rejected is None else recorded(line.effect, rejected)
    text = json.dumps(_written(kind, found, other), ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    try:
        Path(out).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}", hint="check the path"
        ) from error
    output.say(f"wrote {out}")


def _written(kind: str, found: Trace, other: Trace | None) -> Any:
    if other is not None:
        return preference_line(Pair.of(found, other))
    return atif_document(found) if kind == "atif" else chat_line(found)
