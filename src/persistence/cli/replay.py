"""`replay`: a recorded run, shown, and run again; the check that fits into somebody's CI."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any, Final

import click

from persistence.branches import MAIN
from persistence.cli import output
from persistence.cli.as_json import as_json
from persistence.cli.failures import FINDING
from persistence.cli.runs import recorded
from persistence.cli.session import Session, common, edn, pass_session
from persistence.effects import Step, Trace
from persistence.errors import InputError
from persistence.replay import Divergence, Replayed, areplay, diff, do
from persistence.replay import replay as run_again
from persistence.values import write

_WIDE: Final = 70
_IMPORT: Final = "write module:name, as Python would import it from this directory"
_COLUMNS: Final = ("step", "operation", "status", "arguments", "result")


@click.command(short_help="Show a recorded run, or run its program again on the record.")
@click.argument("run", metavar="RUN")
@click.option("--agent", metavar="MODULE:FUNCTION", help="The program; it is called with the run.")
@click.option("--check", is_flag=True, help="Only say whether it does what was recorded.")
@click.option("--do", "changes", metavar="EDN", multiple=True, help="Change one thing in the run.")
@click.option("--handlers", metavar="MODULE:NAME", help="Handlers that redact, if there were any.")
@common(hidden=True)
@pass_session
def replay(
    session: Session,
    run: str,
    agent: str | None,
    check: bool,
    changes: tuple[str, ...],
    handlers: str | None,
) -> None:
    """Show the steps of RUN; with --agent, run that program again on the record.

    RUN is the id of a run, or the beginning of one. The record answers everything the program asks
    for, and nothing goes outside. Exits with 1 where the program asks for what is not recorded.

    \b
    persistence --store shop.db replay 0b2f7c11
    persistence --store shop.db replay 0b2f7c11 --agent shop.agent:main --check
    persistence --store shop.db replay 0b2f7c11 --agent shop.agent:main \\
        --do '{:step [:model/chat 0] :output "wait"}'
    """
    _check_options(agent, check, changes, handlers)
    do_these = [do.read(edn(text, "--do")) for text in changes]
    with session.writing("branch") as substrate:
        on = substrate.branch.open(session.branch or MAIN, discarded=True)
        trace = recorded(on.effect, run)
        if agent is None:
            _show(session, trace)
            return
        live = [] if handlers is None else _handlers(handlers)
        again = _again(trace, named(agent), {"do": do_these, "live": live, "db": on.fact.db()})
    _tell(session, again, check)
    if again.divergence is not None:
        click.get_current_context().exit(FINDING)


def _check_options(
    agent: str | None, check: bool, changes: tuple[str, ...], handlers: str | None
) -> None:
    given = {"--check": check, "--do": changes, "--handlers": handlers}
    names = [name for name, value in given.items() if value]
    context = click.get_current_context()
    if agent is None and names:
        raise click.UsageError(f"{names[0]} needs --agent, the program to run", ctx=context)
    if check and changes:
        raise click.UsageError(
            "--check asks whether nothing has changed, and --do changes something", ctx=context
        )


def named(text: str) -> Any:
    """What *text*, as ``module:name``, names; modules are looked for in this directory too.

    >>> named("math:pi")
    3.14...

    Raises:
        InputError: it names nothing, or the module cannot be imported.
    """
    module, _, name = text.partition(":")
    if not (module and name):
        raise InputError(f"{text} is no module:name", hint=_IMPORT)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise InputError(
            f"{text} cannot be imported: {type(error).__name__}: {error}",
            hint=_IMPORT,
        ) from error
    return found


def _handlers(text: str) -> list[Any]:
    found = named(text)
    return [*(found() if callable(found) else found)]


def _again(trace: Trace, body: Any, options: dict[str, Any]) -> Replayed:
    if not callable(body):
        raise InputError(f"{body!r} cannot be called with a run", hint="name a function")
    if inspect.iscoroutinefunction(body):
        return asyncio.run(areplay(trace, body, **options))
    return run_again(trace, body, **options)


# ----------------------------------------------------------------------- saying it


def _show(session: Session, trace: Trace) -> None:
    if session.json:
        ends = {"status": trace.status.name, "result": trace.result, "error": trace.error}
        steps = [_step(step) for step in trace]
        output.emit(as_json({"run": trace.id, "name": trace.name, **ends, "steps": steps}))
        return
    rows = [
        (
            " ".join([*map(write, step.scope), str(step.place)]),
            str(step.op),
            step.status.name,
            _short(step.args),
            _short(step.result if step.error is None else step.error),
        )
        for step in trace
    ]
    output.table(_COLUMNS, rows)
    output.say(f"{trace.name}: {len(trace)} steps, {trace.status.name}")


def _step(step: Step) -> dict[str, Any]:
    return {
        "n": step.n,
        "scope": step.scope,
        "place": step.place,
        "op": step.op,
        "args": step.args,
        "status": step.status.name,
        "result": step.result,
        "error": step.error,
    }


def _tell(session: Session, again: Replayed, check: bool) -> None:
    if session.json:
        output.emit(_object(again))
        return
    if again.divergence is None and again.same:
        click.echo(f"the same: {len(again.trace)} steps, none performed")
    if again.divergence is not None:
        click.echo(f"diverged: {again.divergence}")
    if check or again.same:
        return
    found = diff(again.record, again.trace)
    rows: list[tuple[Any, ...]] = [
        (
            each.step.place,
            each.kind,
            each.step.op,
            "; ".join(map(str, each.differing)) or _short(each.step.args),
        )
        for each in found.changes
    ]
    rows += [("end", "outcome", "", str(each)) for each in found.ends]
    output.table(("step", "change", "operation", "differing"), rows)
    output.say(f"{again.prefix} of {len(again.record)} steps are the same from the beginning on")


def _object(again: Replayed) -> dict[str, Any]:
    ends = {"result": again.trace.result, "error": again.trace.error}
    counts = {
        name: getattr(again, name) for name in ("same", "hits", "misses", "changed", "prefix")
    }
    told = None if again.divergence is None else _divergence(again.divergence)
    return {
        "run": str(again.record.id),
        "steps": len(again.trace),
        **counts,
        "status": again.trace.status.name,
        **{name: as_json(value) for name, value in ends.items()},
        "divergence": told,
    }


def _divergence(found: Divergence) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "scope": as_json(found.scope),
        "place": found.place,
        "expected": None if found.expected is None else as_json(_step(found.expected)),
        "found": None if found.found is None else as_json([found.found.op, found.found.form]),
        "differing": [str(each) for each in found.differing],
        "message": str(found),
    }


def _short(value: Any) -> str:
    text = "" if value is None else write(value)
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
