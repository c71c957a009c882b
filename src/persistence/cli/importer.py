"""`import`: files into facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from persistence.branches import MAIN
from persistence.cli import output
from persistence.cli.as_json import as_json
from persistence.cli.failures import FINDING
from persistence.cli.progress import progress
from persistence.cli.session import Session, common, pass_session, text_of
from persistence.importing import BATCH, FORMATS, Imported

_LISTED = 10  # refusals that are worth a reader's time


def _pairs(context: click.Context, parameter: click.Parameter, given: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        left, equals, right = text.partition("=")
        if not equals or not left or not right:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE", context, parameter)
        if left in found:
            raise click.BadParameter(f"{left!r} is given twice", context, parameter)
        found[left] = right
    return found


def _option(
    flag: str, name: str, metavar: str, text: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        flag, name, metavar=metavar, multiple=True, callback=_pairs, help=f"{text} Repeatable."
    )


@click.command("import", short_help="Import JSON, JSONL, CSV, TSV or EDN.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", type=click.Choice(FORMATS), help="Else the extension tells.")
@click.option("--id", metavar="ATTR", help="The unique attribute that names an entity.")
@click.option("--namespace", metavar="NAME", help="Of plain keys; else that of --id.")
@_option("--ref", "refs", "ATTR=OTHER/ID", "Values name entities by their OTHER/ID.")
@_option("--keyed", "keyed", "ATTR=KEY", "An object of objects, whose keys become KEY.")
@_option("--type", "types", "ATTR=TYPE", "Declare and convert: instant, long, bigdec, keyword, …")
@_option("--attr", "names", "OLD=NEW", "Rename a key.")
@click.option("--valid-from", metavar="FIELD", help="The field that says since when a row holds.")
@click.option("--valid-to", metavar="FIELD", help="The field that says until when.")
@click.option("--timezone", metavar="ZONE", help="Of stamps that have none, such as Europe/Berlin.")
@click.option("--schema", metavar="FILE", help="A file of EDN to transact first.")
@click.option("--no-infer", is_flag=True, help="Declare nothing but what the options ask for.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=BATCH, show_default=True,
    help="Facts of one transaction.",
)  # fmt: skip
@click.option(
    "--max-errors", type=click.IntRange(min=0), help="Stop beyond this many refused rows."
)
@click.option("--rejects", metavar="FILE", help="Keep refused rows there, with the reasons.")
@click.option("--again", is_flag=True, help="Begin at the first row, whatever was imported before.")
@click.option("--author", metavar="NAME", help="Who says so; stands in every header.")
@common(hidden=True)
@pass_session
def import_(
    session: Session, /, files: tuple[str, ...], schema: str | None, no_infer: bool, **options: Any
) -> None:
    """Import JSON, JSONL, CSV, TSV or EDN: each object is an entity.

    Runs that end early are continued by the same command; no row is lost and none comes twice.
    Refused rows are listed with their reason, and then the exit code is 1.

    \b
    persistence --store air.db import users.json --id user/user_id \\
        --keyed payment_methods=id --ref reservations=reservation/id
    persistence --store air.db import prices.csv --id item/sku --valid-from since \\
        --type price=bigdec --rejects refused.jsonl
    """
    if len(files) > 1 and options["rejects"]:
        raise click.UsageError("--rejects takes the rows of one FILE; import the files one by one")
    text = None if schema is None else text_of(f"@{schema}")
    done: list[Imported] = []
    with session.signing("branch", create=session.branch is None) as substrate:
        for file in files:
            with progress(f"import {file}", "bytes") as told:
                done.append(
                    substrate.import_file(
                        file,
                        schema=text,
                        infer=not no_infer,
                        branch=session.branch or MAIN,
                        progress=told,
                        **options,
                    )
                )
            if not session.json:
                _tell(done[-1])
    if session.json:
        output.emit([_object(one) for one in done])
    if any(one.refusals for one in done):
        click.get_current_context().exit(FINDING)


def _tell(one: Imported) -> None:
    rate = f" ({one.facts / one.seconds:,.0f} facts/s)" if one.seconds >= 1 else ""
    click.echo(
        f"{one.file}: {one.imported:,} rows, {one.facts:,} facts, "
        f"{one.transactions:,} transactions{rate}"
    )
    if one.resumed:
        click.echo(f"  {one.resumed:,} rows before these were imported by an earlier run")
    for note in one.notes:
        click.echo(f"  note: {note}")
    if one.refusals:
        click.echo(f"  {one.refusals:,} rows were refused:")
        for refusal in one.refused[:_LISTED]:
            click.echo(f"    {output.shown(str(refusal))}")
        if one.refusals > _LISTED:
            click.echo(f"    … and {one.refusals - _LISTED:,} more; --rejects FILE keeps them all")


def _object(one: Imported) -> dict[str, Any]:
    return {
        "file": one.file,
        "rows": one.rows,
        "imported": one.imported,
        "facts": one.facts,
        "transactions": one.transactions,
        "resumed": one.resumed,
        "refusals": one.refusals,
        "refused": [
            {"row": refusal.row, "line": refusal.line, "reason": as_json(refusal.reason)}
            for refusal in one.refused
        ],
        "notes": list(one.notes),
        "seconds": round(one.seconds, 3),
    }
