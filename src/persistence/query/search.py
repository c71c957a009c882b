"""Full text: what a search says, and the statement for it where the texts are stored."""

from __future__ import annotations

from typing import Any

from persistence.query.ast import (
    BindEach,
    BindNone,
    BindTuple,
    BindVar,
    Blank,
    Const,
    Function,
    Pattern,
    Source,
    Var,
)
from persistence.query.body import Body, Key, NotSql
from persistence.query.cells import STRING, column_cell
from persistence.query.clauses import refuse
from persistence.query.compile import Compiler
from persistence.query.params import OfSearch
from persistence.query.patterns import add_pattern


def search_parts(clause: Function) -> tuple[str, Const, Any, list[Any]]:
    """The source, attribute and text of `[(fulltext $ :attribute "words") [[?e ?v ?tx]]]`, and
    the terms of its three places.

    Raises:
        QueryError: it is not written like that.
    """
    args, binding = clause.args, clause.binding
    inner = binding.part if type(binding) is BindEach else None
    parts = inner.parts if type(inner) is BindTuple else ()
    if (
        len(args) != 3
        or type(args[0]) is not Source
        or type(args[1]) is not Const
        or not 1 <= len(parts) <= 3
        or not all(type(part) in (BindVar, BindNone) for part in parts)
    ):
        refuse(
            "a full-text search of another form",
            repr(clause),
            '[(fulltext $ :attribute "words") [[?e ?value ?tx]]]',
        )
    terms: list[Any] = [part.var if type(part) is BindVar else Blank() for part in parts]
    return args[0].name, args[1], args[2], terms + [Blank()] * (3 - len(terms))


def fulltext(compiler: Compiler, body: Body, clause: Function) -> None:
    """Facts whose text holds all the words that are looked for, in any order."""
    source, attribute, text, (e, v, tx) = search_parts(clause)
    facts = compiler.facts.get(source)
    if facts is None or facts.scope.view.overlay:
        raise NotSql("what is not stored is searched in Python")
    cell = compiler.argument(body, text)
    if not cell.fixed or cell.kind != STRING or (cell.scalar is None and type(text) is Var):
        raise NotSql("texts to look for that differ by row are looked for in Python")
    named = cell.scalar if cell.scalar is not None else text
    words = compiler.parameters.add(OfSearch(named), "text")
    declared, number, _ = facts.attribute(attribute.value)
    if number is None or not declared.fulltext:
        raise NotSql("an attribute without :db/fulltext is searched in Python")
    alias = compiler.alias("x")
    from_, condition = compiler.dialect.matching(alias, words)
    body.from_.append(from_)
    body.where += [f"{alias}.a = {number}", condition]
    value = v if type(v) is Var else Var(f"?text~{alias}")
    compiler.bind(body, value, column_cell(compiler.dialect, alias, None))
    body.keys.append(Key((frozenset((value,)),), frozenset((value,))))
    add_pattern(compiler, body, Pattern(source, (e, attribute, value, tx)))
