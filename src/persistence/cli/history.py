"""What was said, and when: `history` of one entity, `log` of all transactions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from typing import Any

import click
from rich.text import Text

from persistence.cli import output, timeline
from persistence.cli.as_json import as_json, datom, rfc3339
from persistence.cli.failures import FINDING
from persistence.cli.graph import Lines, draw
from persistence.cli.session import Session, basis, common, edn, pass_session
from persistence.datoms import Datom
from persistence.datoms import bootstrap as boot
from persistence.db import Db
from persistence.transactions import Transaction
from persistence.values import keyword, write

_ALWAYS = ("0001-01-01", "9999-12-31T23:59:59.999999+00:00")


@click.command(short_help="Draw what was ever said of one entity.")
@click.argument("e", metavar="ENTITY")
@click.argument("attribute", required=False, metavar="[ATTR]")
@common(hidden=True)
@pass_session
def history(session: Session, e: str, attribute: str | None) -> None:
    """Draw what was ever said of one ENTITY, or of one ATTR of it.

    From top to bottom is the order in which it was learned; from left to right is the time in the
    world for which it holds. Exits with 1 when nothing was ever said.

    \b
    persistence --store shop.db history '[:item/sku "tea-1"]' :item/price
    """
    named = edn(e, "ENTITY")
    with session.reading() as db:
        known = db.entid(named)
        asked = () if attribute is None else (keyword(attribute),)
        said = [] if known is None else sorted(
            db.history().datoms("eavt", known, *asked),
            key=lambda one: (one.a.name, one.t, one.added, one.valid_from),
        )  # fmt: skip
        if session.json:
            output.emit([datom(one) for one in said])
        elif said:
            _draw(db, known, said)
    if not said:
        output.say(f"nothing was ever said of {' '.join((e, attribute or '')).strip()}")
        click.get_current_context().exit(FINDING)


def _draw(db: Db, known: int | None, said: list[Datom]) -> None:
    """One table for each attribute, all on one axis."""
    whole = db.valid_between(*_ALWAYS)
    believed = sorted(whole.datoms("eavt", known), key=lambda one: one.valid_from)
    names = {one.a for one in said}
    believed = [one for one in believed if one.a in names]
    axis = timeline.Axis.over([*said, *believed], output.console().width)
    for name, group in groupby(said, key=lambda one: one.a):
        click.echo(str(name))
        now = [one for one in believed if one.a is name]
        columns = ("t", "learned", "", "value", axis.head(), "holds")
        output.table(columns, timeline.chart(list(group), now, axis), numbers=[0])


@click.command(short_help="List the transactions.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many."
)
@click.option("--from", "start", metavar="T", help="From this t, transaction id or instant on.")
@click.option("--to", "end", metavar="T", help="Up to it, included.")
@click.option("--graph", is_flag=True, help="All branches, drawn beside one another.")
@common(hidden=True)
@pass_session
def log(session: Session, limit: int, start: str | None, end: str | None, graph: bool) -> None:
    """List transactions, the newest first: when, how much, by whom, and why.

    With --from the oldest of the range comes first, unless a graph is drawn.

    \b
    persistence --store shop.db log --limit 5
    persistence --store shop.db log --from 2026-03-01
    persistence --store shop.db log --graph
    """
    if graph and session.branch is not None:
        raise click.UsageError("--graph draws all branches; leave out --branch")
    with session.writing("branch") as substrate:
        lines = Lines.of(substrate.branch.list(discarded=True))
        source = substrate.branch if graph else session.facts(substrate)
        found = source.transactions(
            0 if start is None else basis(start),
            None if end is None else basis(end),
            newest=graph or start is None,
        )
        shown = list(islice(found, limit))
        more = next(found, None) is not None
    if session.json:
        output.emit([_object(tx, lines) for tx in shown])
        return
    if graph:
        rows = [(drawn, *_row(tx, lines, tips)) for drawn, tx, tips in draw(shown, lines)]
        output.table(("", *_COLUMNS), rows, numbers=[1, 4])
    else:
        output.table(_COLUMNS, [_row(tx, lines, ()) for tx in shown], numbers=[0, 3])
    if more:
        output.say(f"the log goes on; --limit shows more than {limit}")


_COLUMNS = ("t", "time", "id", "datoms", "branch", "author", "meta")


def _row(tx: Transaction | None, lines: Lines, tips: Sequence[str]) -> Sequence[str | Text]:
    """A transaction as a row, and the branches that stand at it; nothing for a mere line."""
    if tx is None:
        return [""] * len(_COLUMNS)
    name = lines.name(tx.branch)
    branch = Text(name, style="bold" if name in tips else "")
    others = [each for each in tips if each != name]
    branch.append(f" ({', '.join(others)})" if others else "", style="bold")
    when, id = output.when(tx.time)[:19], tx.id.hex()[:12]
    return (str(tx.t), when, id, str(tx.datoms), branch, tx.author or "", _meta(tx, lines))


def _meta(tx: Transaction, lines: Lines) -> Text:
    words = [f"{key} {write(value)}" for key, value in tx.meta.items() if key not in _BRANCHING]
    if boot.BRANCH_NAME in tx.meta:
        words.insert(0, f"begins {output.shown(tx.meta[boot.BRANCH_NAME])}")
    if boot.BRANCH_MERGED in tx.meta:
        words.insert(0, f"merges {output.shown(lines.name(tx.meta[boot.BRANCH_MERGED]))}")
    return Text("  ".join(words))


_BRANCHING = (boot.BRANCH_NAME, boot.BRANCH_PARENT, boot.BRANCH_BASE, boot.BRANCH_MERGED)


def _object(tx: Transaction, lines: Lines) -> dict[str, Any]:
    merged = tx.meta.get(boot.BRANCH_MERGED)
    return {
        "t": tx.t,
        "branch": lines.name(tx.branch),
        "parent": tx.parent,
        "merged": None if merged is None else lines.name(merged),
        "time": rfc3339(tx.time),
        "id": tx.id.hex(),
        "datoms": tx.datoms,
        "author": tx.author,
        "meta": as_json(tx.meta),
    }


__all__ = ["history", "log"]
