"""`erase` and `shred`: what sensitive attributes held of somebody, gone for good."""

from __future__ import annotations

from collections.abc import Sequence

import click

from persistence.cli import output
from persistence.cli.failures import FINDING
from persistence.cli.session import Session, common, edn, pass_session


@click.command(short_help="Erase what sensitive attributes ever held of an entity.")
@click.argument("entities", metavar="ENTITY...", nargs=-1, required=True)
@click.option("--attribute", "attributes", metavar="ATTR", multiple=True,
              help="Of this sensitive attribute only. Repeatable.")  # fmt: skip
@click.option("--reason", metavar="TEXT", help="Stands on the tombstone.")
@click.option("--author", metavar="TEXT", help="Who does it; with --keys the one who signs.")
@click.option("--yes", is_flag=True, help="Do not ask first: nothing brings it back.")
@common(hidden=True)
@pass_session
def erase(
    session: Session,
    entities: Sequence[str],
    attributes: Sequence[str],
    reason: str | None,
    author: str | None,
    yes: bool,
) -> None:
    """Erase what sensitive attributes of each ENTITY, an id, ident or lookup ref, ever held.

    It goes for good, from all of time, every branch, and the bytes of the files; every proof still
    holds. A tombstone says how many values were erased. When traces may be left somewhere, they
    are named, and the exit code is 1.

    \b
    persistence --store shop.db erase '[:user/email "ada@example.com"]' --reason "asked for it"
    """
    subjects = [edn(text, "ENTITY") for text in entities]
    if not yes:
        what = ", ".join(attributes) or "every sensitive attribute"
        click.confirm(f"erase {what} of {', '.join(entities)} for good?", abort=True, err=True)
    with session.signing() as substrate:
        done = substrate.audit.erase(
            subjects, attributes=attributes or None, reason=reason, author=author
        )
    if session.json:
        output.emit(
            {
                "t": done.t,
                "values": done.values,
                "entities": list(done.entities),
                "unsalted": done.unsalted,
                "remains": list(done.remains),
            }
        )
    else:
        of = ", ".join(map(str, done.entities))
        click.echo(f"t {done.t}: erased {done.values} values of {of}")
        if done.unsalted:
            click.echo(f"{done.unsalted} of them had been hashed before they were sensitive")
    _end(done.remains)


@click.command(short_help="Overwrite what files may still hold of erased values.")
@common(hidden=True)
@pass_session
def shred(session: Session) -> None:
    """Overwrite what the store's files may still hold of erased values.

    `erase` does so itself; this makes up for what kept it from it, such as a long reader.

    \b
    persistence --store shop.db shred
    """
    with session.writing() as substrate:
        remains = substrate.audit.shred()
    if session.json:
        output.emit({"remains": list(remains)})
    elif not remains:
        click.echo("nothing of erased values is left")
    _end(remains)


def _end(remains: Sequence[str]) -> None:
    for place in remains:
        output.say(f"may be left: {place}")
    if remains:
        click.get_current_context().exit(FINDING)
