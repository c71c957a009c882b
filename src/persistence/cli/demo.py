"""The first thing a newcomer sees: a whole story in a minute, every step with its code."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from persistence.audit.keyfile import Keyring
from persistence.cli import output
from persistence.cli import tau as airline
from persistence.cli.as_json import as_json
from persistence.cli.scenes import MORE, SCENES
from persistence.cli.session import Session, common, pass_session
from persistence.cli.story import Ending, Told
from persistence.clock import FrozenClock
from persistence.errors import InputError
from persistence.substrate import Substrate

_NAME = "persistence-demo.db"


@click.command(short_help="A whole story in a minute, on a store of its own.")
@click.option(
    "--tau",
    metavar="DIR",
    help="Tell it on the airline of τ-bench instead: DIR holds its world and its runs.",
)
@common(hidden=True)
@pass_session
def demo(session: Session, tau: str | None) -> None:
    """Tell a whole story on a store of its own, in a minute and without a network.

    The store is persistence-demo.db in this directory, made anew each time, unless --store names
    another that is not there yet. With --tau it is about a hundred recorded runs of a real agent.

    \b
    persistence demo
    """
    scenes, more = (SCENES, MORE) if tau is None else airline.told(tau)
    place = _place(session)
    told: list[Told] = []
    clock = FrozenClock(0)
    keys = Keyring.generate("example.com/demo", "buyer")
    with Substrate.open(place, clock=clock, keys=keys) as substrate:
        for number, scene in enumerate(scenes, 1):
            one = scene.tell(substrate, clock)
            told.append(one)
            if not session.json:
                _show(number, one)
    ending = Ending(place, tuple(more))
    if session.json:
        output.emit(
            {
                "store": str(place),
                "steps": [
                    {"title": t.title, "code": t.code, "result": as_json(t.result)} for t in told
                ],
                "next": ending.commands(),
            }
        )
    else:
        _end(ending)


def _place(session: Session) -> Path:
    """Where the demo keeps its store. Only what a demo made is ever replaced."""
    if session.store is not None:
        place = Path(session.store)
        if place.exists() or "://" in session.store:
            raise InputError(
                f"the demo makes a store of its own, and {session.store} is not a new file",
                hint="leave --store out, or name a file that is not there",
            )
        return place
    place = Path(_NAME)
    try:
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError:
        return Path(tempfile.mkdtemp(prefix="persistence-demo-")) / _NAME
    for suffix in ("", "-wal", "-shm"):
        Path(f"{place}{suffix}").unlink(missing_ok=True)
    return place


def _show(number: int, told: Told) -> None:
    console = output.console()
    console.print(Text(f"\n{number}. {told.title}", style="bold"))
    for line in told.words:
        console.print(Text(line), soft_wrap=True)
    if console.is_terminal:
        console.print(Panel(Syntax(told.code, "python", theme="ansi_dark", word_wrap=True)))
    else:
        console.print(
            Text("\n" + "\n".join(f"    {line}" for line in told.code.splitlines()) + "\n")
        )
    if told.columns:
        output.table(told.columns, told.rows)
    else:
        console.print(Text(told.text), soft_wrap=True)


def _end(ending: Ending) -> None:
    click.echo(f"\nThe store is left behind in {ending.place}. Ask it yourself:\n")
    for command in ending.commands():
        click.echo(f"    {command}")
    click.echo("\nThen read docs/tutorial.md, or: persistence --help")


__all__ = ["demo"]
