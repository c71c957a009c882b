"""Looking after a store: `stats`, `check` and `reindex`."""

from __future__ import annotations

import click

from persistence.cli import output
from persistence.cli.failures import FINDING
from persistence.cli.progress import progress
from persistence.cli.session import Session, common, pass_session


@click.command(short_help="Show how many rows and bytes the store holds.")
@common(hidden=True)
@pass_session
def stats(session: Session) -> None:
    """Show how many rows and bytes the store holds.

    \b
    persistence --store shop.db stats
    """
    with session.writing() as substrate:
        size = substrate.statistics()
        uri = substrate.uri
        t = substrate.fact.db().basis
    if session.json:
        output.emit(
            {
                "store": uri,
                "t": t,
                "rows": size.rows,
                "bytes": size.bytes,
                "parts": size.parts,
                "bytes_per_datom": round(size.bytes_per_datom, 1),
            }
        )
        return
    output.table(("table", "rows"), [(k, f"{n:,}") for k, n in size.rows.items()], numbers=[1])
    if size.parts:
        parts = sorted(size.parts.items(), key=lambda part: -part[1])
        output.table(("part", "bytes"), [(k, f"{n:,}") for k, n in parts], numbers=[1])
    click.echo(f"{size.bytes:,} bytes, {size.bytes_per_datom:,.0f} for each datom of the log")


@click.command(short_help="Compare log, index and ids.")
@common(hidden=True)
@pass_session
def check(session: Session) -> None:
    """Compare log, index and ids. Prints what disagrees, and then exits with 1.

    \b
    persistence --store shop.db check
    """
    with session.writing() as substrate, progress("check", "transactions") as told:
        found = substrate.check(told)
        t = substrate.fact.db().basis
    if session.json:
        output.emit([{"where": f.where, "expected": f.expected, "found": f.found} for f in found])
    elif found:
        output.table(
            ("where", "expected", "found"), [(f.where, f.expected, f.found) for f in found]
        )
    else:
        click.echo(f"sound: log, index and ids of {t} transactions agree")
    if found:
        output.say(f"{len(found)} finding{'' if len(found) == 1 else 's'}")
        click.get_current_context().exit(FINDING)


@click.command(short_help="Build the fact index again from the log.")
@common(hidden=True)
@pass_session
def reindex(session: Session) -> None:
    """Drop the fact index and build it again from the log.

    \b
    persistence --store shop.db reindex
    """
    with session.writing() as substrate, progress("reindex", "transactions") as told:
        count = substrate.reindex(told)
    if session.json:
        output.emit({"datoms": count})
    else:
        click.echo(f"built the index again from {count:,} datoms")
