"""The declared attributes of a store, as of any point of its log."""

from __future__ import annotations

import click

from persistence.cli import output
from persistence.cli.session import Session, common, pass_session
from persistence.datoms import Attribute
from persistence.datoms.bootstrap import BUILT_IN_IDS


@click.command(short_help="List the attributes.")
@click.option("--all", "everything", is_flag=True, help="The built-in attributes too.")
@common(hidden=True)
@pass_session
def schema(session: Session, everything: bool) -> None:
    """List the attributes: those declared, and those only used.

    \b
    persistence --store shop.db --as-of 3 schema
    """
    with session.reading() as db:
        found = [
            attribute
            for attribute in db.schema.values()
            if everything or attribute.ident not in BUILT_IN_IDS
        ]
    found.sort(key=lambda attribute: attribute.ident.name)
    if session.json:
        output.emit([_object(attribute) for attribute in found])
        return
    rows = [(a.ident, _type(a), "many" if a.many else "one", _flags(a), a.doc or "") for a in found]
    output.table(("attribute", "type", "cardinality", "more", "doc"), rows)


def _type(attribute: Attribute) -> str:
    return attribute.value_type.local if attribute.value_type is not None else "any"


def _flags(attribute: Attribute) -> str:
    told = {
        f"unique {attribute.unique.local}" if attribute.unique else "": attribute.unique,
        "component": attribute.component,
        "index": attribute.index,
        "full text": attribute.fulltext,
        "no history": attribute.no_history,
        "sensitive": attribute.sensitive,
        "undeclared": attribute.entity is None and attribute.ident not in BUILT_IN_IDS,
    }
    return ", ".join(name for name, holds in told.items() if holds)


def _object(attribute: Attribute) -> dict[str, object]:
    return {
        "ident": str(attribute.ident),
        "type": None if attribute.value_type is None else str(attribute.value_type),
        "many": attribute.many,
        "unique": None if attribute.unique is None else str(attribute.unique),
        "component": attribute.component,
        "index": attribute.wants_index,
        "fulltext": attribute.fulltext,
        "no_history": attribute.no_history,
        "sensitive": attribute.sensitive,
        "declared": attribute.entity is not None,
        "doc": attribute.doc,
    }
