"""Notes what a query depends on: one footprint for each pattern, with what is known of it.

A pattern depends on every fact that could match it, whether one did or not. Constants, inputs and
what lookup refs name narrow it; a variable that the query itself binds does not, because another
fact might bind it to something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from persistence.errors import QueryError, ValueRefused
from persistence.query.ast import (
    Blank,
    Clause,
    Clauses,
    Const,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Source,
    Term,
    Var,
)
from persistence.query.footprint import Footprints
from persistence.query.inputs import Inputs
from persistence.query.plan import READING
from persistence.query.uses import uses_rules
from persistence.values import Keyword, Kind, Payload, to_columns

_INT: Final = int(Kind.INT)
_MANY: Final = 256  # values of an input; more are not told apart
_ANY: Final = (None,)

Known: TypeAlias = Mapping[Var, tuple[Any, ...]]  # what a variable can be, where that is told


def note(name: str, db: Any, clauses: Clauses, inputs: Inputs) -> None:
    """Notes what *clauses* read of the source *name*, which is *db*."""
    known = _known(inputs)
    for pattern, here in _patterns(clauses, known):
        if pattern.source == name:
            _note(db, db.footprints, pattern, here)
    if uses_rules(clauses):
        for branches in (inputs.program.rules[rule] for rule in inputs.program.group):
            for branch in branches:
                for pattern, _ in _patterns(branch.body, {}):  # whatever source it is called with
                    _note(db, db.footprints, pattern, {})


def _patterns(clauses: Clauses, known: Known) -> Iterator[tuple[Pattern, Known]]:
    """Every pattern, with what is known of its variables where it stands."""
    for clause in clauses:
        if type(clause) is Not:
            shared = known if clause.join is None else _of(known, clause.join)
            yield from _patterns(clause.clauses, shared)
        elif type(clause) is Or:
            shared = _of(known, (*clause.required, *clause.free)) if clause.join else known
            for branch in clause.branches:
                yield from _patterns(branch, shared)
        elif (pattern := _pattern(clause)) is not None:
            yield pattern, known


def _of(known: Known, shared: Iterable[Var]) -> Known:
    return {var: known[var] for var in shared if var in known}


def _known(inputs: Inputs) -> Known:
    """The values that inputs give to variables, where they are few."""
    known: dict[Var, tuple[Any, ...]] = {var: (value,) for var, value in inputs.scalars.items()}
    for table in inputs.tables:
        if len(table.rows) <= _MANY:
            columns = zip(*table.rows, strict=True) if table.rows else iter(())
            known.update(zip(table.variables, columns, strict=False))
    return known


def _pattern(clause: Clause) -> Pattern | None:
    """The pattern that a clause is, or reads like."""
    if type(clause) is Pattern:
        return clause
    if not isinstance(clause, Predicate | Function) or clause.f not in READING:
        return None
    source = clause.args[0] if clause.args else None
    if type(source) is not Source:
        return None
    e, a = (clause.args[1], clause.args[2]) if len(clause.args) > 2 else (Blank(), clause.args[1])
    if clause.f == "fulltext":
        return Pattern(source.name, (Blank(), _attribute(clause.args[1]), Blank()))
    ident = a.value if type(a) is Const else None
    if type(ident) is Keyword and ident.local.startswith("_"):
        space = f"{ident.namespace}/" if ident.namespace else ""
        return Pattern(source.name, (Blank(), Const(Keyword(space + ident.local[1:])), _term(e)))
    return Pattern(source.name, (_term(e), _attribute(a), Blank()))


def _attribute(given: Any) -> Term:
    named = type(given) is Const and type(given.value) is Keyword
    return given if named or type(given) is Var else Blank()


def _term(given: Any) -> Term:
    return Blank() if type(given) is Source else given


def _note(db: Any, footprints: Footprints, pattern: Pattern, known: Known) -> None:
    e, a, v = (*pattern.terms, *((Blank(),) * 3))[:3]
    for ident in _values(a, known):
        if ident is not None and type(ident) is not Keyword:
            continue  # nothing but a keyword is an attribute
        reference = ident is not None and db.schema[ident].ref
        values = list(_columns(db, v, known, ident, reference))
        for entity in _entities(db, e, known):
            for value in values:
                footprints.add(entity, ident, value)


def _values(term: Term, known: Known) -> Iterable[Any]:
    """What a term can be; None is anything."""
    if type(term) is Const:
        return (term.value,)
    return known.get(term, _ANY) if type(term) is Var else _ANY


def _entities(db: Any, term: Term, known: Known) -> Iterator[int | None]:
    for value in _values(term, known):
        if value is None or type(value) is int:
            yield value
        else:
            yield from _named(db, value)


def _named(db: Any, value: Any) -> Iterator[int | None]:
    """The entity that an ident or a lookup ref names; looking it up is noted by itself."""
    if type(value) is not Keyword and not (isinstance(value, tuple) and len(value) == 2):
        return
    try:
        found = db.entid(value)
    except QueryError:
        return  # it is refused, or names nothing that could be there
    if found is not None:
        yield found


def _columns(
    db: Any, term: Term, known: Known, ident: Keyword | None, reference: bool
) -> Iterator[tuple[int, Payload] | None]:
    for value in _values(term, known):
        named = type(value) is Keyword or isinstance(value, tuple)
        if value is None or (ident is None and named):
            yield None  # of an unknown attribute it may be a value, or name an entity
        elif reference and named:
            yield from ((_INT, e) for e in _named(db, value) if e is not None)
        else:
            try:
                yield to_columns(value)
            except ValueRefused:
                yield None
