"""Writing: `init` and `transact`."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from persistence.cli import output
from persistence.cli.as_json import datom, rfc3339
from persistence.cli.session import Session, common, edn, missing, pass_session
from persistence.datoms import Datom
from persistence.db import Report
from persistence.errors import InputError

_SHOWN = 40  # datoms of a transaction that are worth a reader's time


@click.command(short_help="Make a store.")
@common(hidden=True)
@pass_session
def init(session: Session) -> None:
    """Make a store, or say that it is there already.

    \b
    persistence --store shop.db init
    """
    created = missing(session.uri)
    with session.signing(create=True) as substrate:
        t = substrate.fact.db().basis
        uri = substrate.uri
    if session.json:
        output.emit({"store": uri, "created": created, "t": t})
    elif created:
        click.echo(f"made the store {uri}")
    else:
        click.echo(f"{uri} is a store already, with {t} transactions")


@click.command(short_help="Commit facts.")
@click.argument("data")
@click.option(
    "--valid-from", metavar="INSTANT", help="Since when the facts hold; else from now on."
)
@click.option("--valid-to", metavar="INSTANT", help="Until when they hold; else for ever.")
@click.option("--meta", metavar="EDN", help="A map of facts about the transaction itself.")
@click.option("--author", metavar="NAME", help="Who says so; stands in the header.")
@click.option("--dry-run", is_flag=True, help="Show what it would do, and write nothing.")
@common(hidden=True)
@pass_session
def transact(
    session: Session,
    data: str,
    valid_from: str | None,
    valid_to: str | None,
    meta: str | None,
    author: str | None,
    dry_run: bool,
) -> None:
    """Commit DATA, a vector of transaction forms in EDN, @file, or - for standard input.

    The store is made when it is not there, unless a --branch of it is named.

    \b
    persistence --store shop.db transact --valid-from 2026-03-01 --meta '{:source "letter"}' \\
        '[{:item/name "tea" :item/price 10} [:db/retract 7 :item/price]]'
    """
    forms = edn(data, "DATA")
    about = None if meta is None else edn(meta, "--meta")
    if about is not None and not hasattr(about, "items"):
        raise InputError("--meta is no map", hint="""write it like '{:source "letter"}'""")
    options: dict[str, Any] = {"valid_from": valid_from, "valid_to": valid_to, "meta": about}
    if dry_run:
        if author is not None:
            raise click.UsageError("--author stands in a header, and --dry-run writes none")
        with session.reading() as db:
            _told(session, db.with_(forms, **options))
        return
    with session.signing("branch", create=session.branch is None) as substrate:
        facts = session.facts(substrate)
        _told(session, facts.transact(forms, author=author, **options))


def _told(session: Session, report: Report) -> None:
    datoms = report.tx_data
    if session.json:
        output.emit(
            {
                "t": report.t,
                "tx": report.tx,
                "id": None if report.id is None else report.id.hex(),
                "time": rfc3339(report.time),
                "tempids": {str(key): e for key, e in report.tempids.items()},
                "datoms": [datom(one) for one in datoms],
            }
        )
        return
    if report.id is None:
        click.echo(f"would be t {report.t}: {len(datoms)} datoms; nothing was written")
    else:
        click.echo(f"t {report.t}  {report.id.hex()[:12]}  {len(datoms)} datoms")
    show_datoms(datoms[:_SHOWN])
    if len(datoms) > _SHOWN:
        output.say(f"… and {len(datoms) - _SHOWN} more")
    if report.tempids:
        click.echo("tempids: " + ", ".join(f"{k} is {e}" for k, e in report.tempids.items()))


def show_datoms(datoms: Any) -> None:
    """Datoms as a table, asserts and retracts apart by sign and colour."""
    rows = [
        (
            sign(one),
            str(one.e),
            one.a,
            one.v,
            output.when(one.valid_from),
            output.when(one.valid_to),
        )
        for one in datoms
    ]
    if rows:
        output.table(("", "e", "attribute", "value", "from", "to"), rows, numbers=[1])


def sign(one: Datom) -> Text:
    """+ for an assert, - for a retract."""
    return Text("+", style="green") if one.added else Text("-", style="red")


__all__ = ["init", "show_datoms", "sign", "transact"]
