"""Questions: `q`, `explain`, `pull` and `entity`."""

from __future__ import annotations

from typing import Any

import click

from persistence import frames
from persistence.cli import output
from persistence.cli.as_json import as_json, datom
from persistence.cli.failures import FINDING
from persistence.cli.session import Session, common, edn, pass_session
from persistence.query import Explanation
from persistence.query.ast import SCALAR
from persistence.query.parse import parse
from persistence.values import write

_EDN = click.option("--edn", "as_edn", is_flag=True, help="EDN on standard output, exact.")


@click.command(short_help="Ask a Datalog query.")
@click.argument("query")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("--seconds", type=click.FloatRange(min=0), help="Give up after this time.")
@click.option("--rows", type=click.IntRange(min=0), help="Give up beyond this many rows.")
@click.option("--explain", "explained", is_flag=True, help="Show the SQL and the engine's plan.")
@_EDN
@common(hidden=True)
@pass_session
def q(
    session: Session,
    query: str,
    inputs: tuple[str, ...],
    seconds: float | None,
    rows: int | None,
    explained: bool,
    as_edn: bool,
) -> None:
    """Ask a Datalog QUERY; each INPUT is EDN for one name in :in.

    QUERY and INPUT may be @file, or - for standard input. Negative numbers come after --.

    \b
    persistence --store shop.db q '[:find ?n ?p :in $ ?least
        :where [?i :item/price ?p] [(>= ?p ?least)] [?i :item/name ?n]]' 10
    """
    form = edn(query, "QUERY")
    given = [edn(text, f"INPUT {place}") for place, text in enumerate(inputs, 1)]
    if explained:
        if seconds is not None or rows is not None or as_edn:
            raise click.UsageError("--explain goes with no other option of q")
        _explain(session, form, given)
        return
    _one_form(session, as_edn)
    parsed = parse(form)
    with session.reading() as db:
        found = db.q(form, *given, seconds=seconds, rows=rows)
    if session.json:
        output.emit(as_json(found))
    elif as_edn:
        click.echo(frames.exact(found))
    elif parsed.shape == SCALAR:
        if found is not None:
            click.echo(output.shown(found))
    else:
        output.answer(*frames.table(form, found))


def _one_form(session: Session, as_edn: bool) -> None:
    if session.json and as_edn:
        raise click.UsageError("--json and --edn are two forms of one answer; choose one")


@click.command(short_help="Show the SQL of a query, and the plan for it.")
@click.argument("query")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@common(hidden=True)
@pass_session
def explain(session: Session, query: str, inputs: tuple[str, ...]) -> None:
    """Show the SQL that a QUERY becomes, and the engine's plan for it. The query is run.

    \b
    persistence --store shop.db explain '[:find ?n :where [_ :item/name ?n]]'
    """
    given = [edn(text, f"INPUT {place}") for place, text in enumerate(inputs, 1)]
    _explain(session, edn(query, "QUERY"), given)


def _explain(session: Session, form: Any, given: list[Any]) -> None:
    with session.reading() as db:
        found: Explanation = db.explain(form, *given)
    if not session.json:
        click.echo(repr(found))
        return
    output.emit(
        [
            {
                "what": stage.what,
                "rows": stage.rows,
                "sql": stage.sql,
                "params": [as_json(param) for param in stage.params],
                "plan": stage.plan,
            }
            for stage in found.stages
        ]
    )


@click.command(short_help="Pull one entity in the shape of a pattern.")
@click.argument("pattern")
@click.argument("e", metavar="ENTITY")
@_EDN
@common(hidden=True)
@pass_session
def pull(session: Session, pattern: str, e: str, as_edn: bool) -> None:
    """Pull a PATTERN of attributes from one ENTITY: an id, an ident or a lookup ref.

    \b
    persistence --store shop.db pull '[* {:order/items [:item/name]}]' '[:order/id 7]'
    """
    _one_form(session, as_edn)
    form, named = edn(pattern, "PATTERN"), edn(e, "ENTITY")
    with session.reading() as db:
        found = db.pull(form, named)
    if session.json:
        output.emit(as_json(found))
    elif as_edn:
        click.echo(frames.exact(found))
    elif found is None:
        output.say("nothing is known of it")
    else:
        output.tree(write(named), found)


@click.command(short_help="Show every fact of one entity.")
@click.argument("e", metavar="ENTITY")
@_EDN
@common(hidden=True)
@pass_session
def entity(session: Session, e: str, as_edn: bool) -> None:
    """Show every fact of one ENTITY, with when it holds and which transaction said so.

    Exits with 1 when nothing is known of it.

    \b
    persistence --store shop.db entity '[:item/sku "tea-1"]'
    """
    _one_form(session, as_edn)
    named = edn(e, "ENTITY")
    with session.reading() as db:
        known = db.entid(named)
        datoms = [] if known is None else list(db.datoms("eavt", known))
        pulled = {} if not datoms else db.pull("[*]", known)
    if session.json:
        output.emit([datom(one) for one in datoms])
    elif as_edn:
        click.echo(frames.exact(pulled))
    elif datoms:
        rows = [
            (one.a, one.v, output.when(one.valid_from), output.when(one.valid_to), one.t)
            for one in datoms
        ]
        output.table(("attribute", "value", "from", "to", "t"), rows, numbers=[4])
        output.say(f"entity {known}")
    if not datoms:
        output.say(f"nothing is known of {e}")
        click.get_current_context().exit(FINDING)


__all__ = ["entity", "explain", "pull", "q"]
