"""Lines beside the main one: `branch`, `diff` and `merge`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from persistence.branches import MAIN, Line
from persistence.cli import output
from persistence.cli.as_json import as_json, datom, end, rfc3339
from persistence.cli.failures import FINDING, report
from persistence.cli.session import Session, basis, common, edn, pass_session
from persistence.cli.write import show_datoms
from persistence.db import Db
from persistence.errors import InputError, MergeConflict
from persistence.merging import Conflict, Merge
from persistence.substrate import Substrate

_SIDES = ("ours", "theirs")
_author = click.option("--author", metavar="NAME", help="Who says so; stands in the header.")


@click.group(invoke_without_command=True, short_help="List branches, begin one, discard one.")
@click.option("--all", "discarded", is_flag=True, help="Those that were discarded too.")
@common(hidden=True)
@click.pass_context
def branch(context: click.Context, discarded: bool) -> None:
    """List the branches as a tree; begin one, or discard one.

    \b
    persistence --store shop.db branch
    persistence --store shop.db branch create what-if
    persistence --store shop.db --branch what-if transact '[[:db/add 7 :item/price 12]]'
    """
    if context.invoked_subcommand is not None:
        if discarded:
            raise click.UsageError("--all is for the list of branches")
        return
    session = context.ensure_object(Session)
    with session.writing() as substrate:
        lines = substrate.branch.list(discarded=discarded)
    if session.json:
        output.emit([_line(one) for one in lines])
        return
    trees: dict[str, Tree] = {}
    for one in lines:
        above = None if one.parent is None else trees.get(one.parent)
        made = Tree(_label(one)) if above is None else above.add(_label(one))
        trees[one.name] = made
        if above is None:
            trees.setdefault("", Tree("", hide_root=True)).add(made)
    output.console().print(trees[""])


def _label(one: Line) -> Text:
    words = [(one.name, "strike" if one.discarded else "bold")]
    if one.parent is not None:
        words.append((f"  from {one.parent} at t {one.base}", "dim"))
    words.append((f"  last t {one.t}" if one.t else "  nothing of its own", ""))
    if one.discarded:
        words.append(("  discarded", "red"))
    return Text.assemble(*words)


def _line(one: Line) -> dict[str, Any]:
    return {
        "name": one.name,
        "number": one.number,
        "parent": one.parent,
        "base": one.base,
        "t": one.t,
        "id": one.id.hex() or None,
        "discarded": one.discarded,
    }


@branch.command("create", short_help="Begin a branch.")
@click.argument("name")
@click.option("--of", metavar="NAME", default=MAIN, show_default=True, help="Where it begins.")
@_author
@common(hidden=True)
@pass_session
def create(session: Session, name: str, of: str, author: str | None) -> None:
    """Begin the branch NAME at the head of another one, or at a past state with --as-of.

    \b
    persistence --store shop.db branch create what-if
    persistence --store shop.db branch create earlier --of what-if --as-of 2026-03-01
    """
    with session.signing("as_of") as substrate:
        start: str | Db = of
        if session.as_of is not None:
            start = substrate.branch.open(of).fact.db().as_of(basis(session.as_of))
        substrate.branch.create(name, of=start, author=author)
        (made,) = (one for one in substrate.branch.list() if one.name == name)
    if session.json:
        output.emit(_line(made))
    else:
        click.echo(f"{name} begins at t {made.base} of {made.parent}")


@branch.command("discard", short_help="Hide a branch; its history stays.")
@click.argument("name")
@_author
@common(hidden=True)
@pass_session
def discard(session: Session, name: str, author: str | None) -> None:
    """Hide the branch NAME. Nothing can be written on it any more; its history stays.

    \b
    persistence --store shop.db branch discard what-if
    """
    with session.signing() as substrate:
        done = substrate.branch.discard(name, author=author)
    if session.json:
        output.emit({"discarded": name, "t": done.t})
    else:
        click.echo(f"discarded {name}; `log --graph` and --branch still show it")


@click.command(short_help="Show what differs between two branches.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@common(hidden=True)
@pass_session
def diff(session: Session, a: str, b: str) -> None:
    """Show what turns A into B, at every valid instant: + is asserted, - retracted.

    A and B are branches, or NAME@T for a branch as it was known at T.

    \b
    persistence --store shop.db diff main what-if
    persistence --store shop.db diff main@2026-03-01 main
    """
    with session.writing() as substrate:
        found = substrate.branch.diff(_state(substrate, a), _state(substrate, b))
    if session.json:
        output.emit([_change(one) for one in found])
        return
    show_datoms(found)
    output.say(f"{_counted(len(found), 'datom')} turn{'s' * (len(found) == 1)} {a} into {b}")


def _state(substrate: Substrate, text: str) -> Db:
    """The value that NAME or NAME@T names; a branch may have an @ in its name."""
    name, at, t = text.rpartition("@")
    known = {one.name for one in substrate.branch.list(discarded=True)}
    if not at or text in known:
        return substrate.branch.open(text, discarded=True).fact.db()
    return substrate.branch.open(name, discarded=True).fact.db().as_of(basis(t))


def _change(one: Any) -> dict[str, Any]:
    """A datom that no transaction has said."""
    return {name: item for name, item in datom(one).items() if name not in ("t", "time")}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _resolvers(
    context: click.Context, parameter: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, _, side = text.rpartition("=")
        if not name or side not in _SIDES:
            message = f"{text!r} is not of the form ATTR=ours or ATTR=theirs"
            raise click.BadParameter(message, context, parameter)
        found[name] = side
    return found


@click.command(short_help="Take what one branch changed into another.")
@click.argument("source")
@click.option("--into", metavar="NAME", default=MAIN, show_default=True, help="The target.")
@click.option("--resolve", type=click.Choice(_SIDES), help="Settles every other conflict.")
@click.option(
    "--resolve-attribute", "by_attribute", metavar="ATTR=SIDE", multiple=True,
    callback=_resolvers, help="Settles conflicts of one attribute. Repeatable.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what it would do, and write nothing.")
@click.option("--meta", metavar="EDN", help="A map of facts about the transaction itself.")
@_author
@common(hidden=True)
@pass_session
def merge(
    session: Session,
    source: str,
    into: str,
    resolve: str | None,
    by_attribute: dict[str, str],
    dry_run: bool,
    meta: str | None,
    author: str | None,
) -> None:
    """Take what SOURCE changed into another branch, as one transaction.

    "ours" is what the target says, "theirs" what SOURCE says. Conflicts that nothing settles are
    listed; then nothing is written, and the exit code is 1.

    \b
    persistence --store shop.db merge what-if --dry-run
    persistence --store shop.db merge what-if --resolve theirs --resolve-attribute :item/name=ours
    """
    about = None if meta is None else edn(meta, "--meta")
    if about is not None and not hasattr(about, "items"):
        raise InputError("--meta is no map", hint="""write it like '{:source "letter"}'""")
    if dry_run and (author is not None or about is not None):
        raise click.UsageError("--author and --meta are written, and --dry-run writes nothing")
    settle: dict[Any, Any] = dict(by_attribute)
    if resolve is not None:
        settle[None] = resolve
    with session.writing() if dry_run else session.signing() as substrate:
        try:
            done = substrate.branch.merge(
                source, into=into, resolve=settle, dry_run=dry_run, author=author, meta=about
            )
        except MergeConflict as refused:
            done = Merge((), refused.data["conflicts"])
    if session.json:
        output.emit(_merge(done))
    else:
        _tell(done, source, into)
    if done.conflicts:
        report(
            f"{source} and {into} disagree in {_counted(len(done.conflicts), 'place')}; "
            "nothing was written",
            "settle them with --resolve ours, --resolve theirs, or --resolve-attribute",
        )
        click.get_current_context().exit(FINDING)


def _tell(done: Merge, source: str, into: str) -> None:
    if done.conflicts:
        rows = [
            (str(c.entity), c.attribute, output.when(c.valid_from), output.when(c.valid_to),
             _side(c.base), _side(c.ours), _side(c.theirs))
            for c in done.conflicts
        ]  # fmt: skip
        columns = ("e", "attribute", "from", "to", "both had", "ours", "theirs")
        output.table(columns, rows, numbers=[0], styles={5: "green", 6: "yellow"})
        return
    changes = _counted(len(done.datoms), "datom")
    if done.report is None:
        click.echo(f"would take {changes} of {source} into {into}; nothing was written")
    else:
        click.echo(f"t {done.report.t}  took {changes} of {source} into {into}")
    show_datoms(done.datoms)
    if done.resolved:
        output.say(f"{_counted(len(done.resolved), 'conflict')} settled")


def _side(value: Any) -> Any:
    return Text("nothing", style="dim") if value is None else value


def _merge(done: Merge) -> dict[str, Any]:
    return {
        "t": None if done.report is None else done.report.t,
        "datoms": [_change(one) for one in done.datoms],
        "conflicts": [_conflict(one) for one in done.conflicts],
        "resolved": [_conflict(one) for one in done.resolved],
    }


def _conflict(one: Conflict) -> dict[str, Any]:
    return {
        "e": one.entity,
        "a": str(one.attribute),
        "from": rfc3339(one.valid_from),
        "to": end(one.valid_to),
        "base": as_json(one.base),
        "ours": as_json(one.ours),
        "theirs": as_json(one.theirs),
    }


__all__ = ["branch", "diff", "merge"]
