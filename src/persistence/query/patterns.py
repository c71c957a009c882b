"""Compiles one pattern: up to seven places become conditions on, and cells of, one FROM item."""

from __future__ import annotations

from typing import Any, Final

import attrs

from persistence.datoms.bootstrap import TX_INSTANT, VALUE_TYPES
from persistence.datoms.schema import Attribute
from persistence.ids import TX0
from persistence.query.arms import Equal, Rows
from persistence.query.ast import Blank, Const, Pattern, Term, Var
from persistence.query.body import NOTHING, Body, Key, NotSql
from persistence.query.cells import (
    BOOL,
    FALSE,
    INST,
    INT,
    KEYWORD,
    Cell,
    same,
    static,
)
from persistence.query.compile import Compiler
from persistence.query.params import OfEntity, OfView
from persistence.query.scope import ALL, on_line
from persistence.values import Keyword, Kind

# The last instant that a datetime can name stands for "without end".
LAST_INSTANT: Final = 253_402_300_799_999_999

_ADDED: Final = {Keyword("db/add"): True, Keyword("db/retract"): False, True: True, False: False}
_INTERNABLE: Final = frozenset(
    (
        Kind.BIGINT,
        Kind.DECIMAL,
        Kind.RATIO,
        Kind.STRING,
        Kind.KEYWORD,
        Kind.SYMBOL,
        Kind.BYTES,
        Kind.VECTOR,
        Kind.LIST,
        Kind.MAP,
        Kind.SET,
        Kind.TAGGED,
    )
)
_UNKNOWN: Final = Attribute(Keyword("db/unknown"))


@attrs.frozen(slots=True)
class Places:
    """The terms of a pattern, blanks filled in, and what its attribute is."""

    e: Term
    a: Term
    v: Term
    tx: Term
    op: Term
    start: Term
    end: Term
    attribute: Attribute
    number: int | None  # None where the attribute is not known when compiling
    flags: int
    absent: bool  # no fact of this attribute exists


def places(compiler: Compiler, pattern: Pattern) -> Places:
    """What *pattern* says, looked up in the schema of its source.

    Raises:
        NotSql: the source is no database.
    """
    facts = compiler.facts.get(pattern.source)
    if facts is None:
        raise NotSql(f"{pattern.source} is a collection")
    terms = (*pattern.terms, *((Blank(),) * (7 - len(pattern.terms))))
    a = terms[1]
    if type(a) is not Const:
        return _places(terms, _UNKNOWN, None, ALL, False)
    if type(a.value) is not Keyword:
        return _places(terms, _UNKNOWN, None, 0, True)
    declared, number, flags = facts.attribute(a.value)
    return _places(terms, declared, number, flags, number is None)


def _places(terms: Any, *known: Any) -> Places:
    return Places(*terms, *known)


def value_kind(compiler: Compiler, source: str, attribute: Attribute) -> int | None:
    """The kind that every visible value of an attribute has, or None."""
    facts = compiler.facts[source]
    kinds = VALUE_TYPES.get(attribute.value_type) if attribute.value_type is not None else None
    if kinds is None or len(kinds) != 1 or facts.scope.view.history:
        return None
    (kind,) = kinds
    if facts.interned and kind in _INTERNABLE:
        return None
    return int(kind)


def add_pattern(compiler: Compiler, body: Body, pattern: Pattern) -> None:
    """Join the facts that *pattern* matches.

    Raises:
        NotSql: its source is a collection, or a constant is none that SQL can compare.
    """
    found = places(compiler, pattern)
    if found.a == Const(TX_INSTANT):
        _add_instant(compiler, body, pattern, found)
        return
    if found.absent:
        _add_nothing(body, found)
        return
    _Join(compiler, body, pattern, found).add()


def _add_nothing(body: Body, found: Places) -> None:
    body.where.append(FALSE)
    for term in (found.e, found.a, found.v, found.tx, found.op, found.start, found.end):
        if type(term) is Var:
            body.env.setdefault(term, attrs.evolve(NOTHING, fixed=True))


def entity(compiler: Compiler, body: Body, source: str, term: Term) -> Cell | None:
    """The cell of a term that names an entity, or None if it is not bound.

    Idents and lookup refs are looked up in the source before the statement runs.
    """
    if type(term) is Const:
        return _named(compiler, source, term)
    if type(term) is Var:
        resolved = body.env.get(Var(f"{term.name}@{source}"))
        if resolved is not None:
            return resolved
        cell = body.env.get(term)
        if cell is not None and cell.scalar is not None and cell.kind in _NAMES:
            mark = compiler.parameters.add(OfEntity(source, cell.scalar), "n")
            return static(INT, mark, fixed=True)
        return cell
    return None


_NAMES: Final = (KEYWORD, int(Kind.VECTOR))


def _named(compiler: Compiler, source: str, term: Const) -> Cell:
    value = term.value
    if type(value) is Keyword or (isinstance(value, tuple) and len(value) == 2):
        return static(INT, compiler.parameters.add(OfEntity(source, term), "n"), fixed=True)
    return compiler.constant(value)


def _add_instant(compiler: Compiler, body: Body, pattern: Pattern, found: Places) -> None:
    """`[?tx :db/txInstant ?instant]` is read from the transactions themselves."""
    scope = compiler.facts[pattern.source].scope
    if scope.view.overlay:
        raise NotSql(f"{pattern!r} reads speculative transactions")
    alias = compiler.alias("t")
    body.from_.append(f"tx AS {alias}")
    basis = compiler.parameters.add(OfView(pattern.source, "t"), "i")
    where = [f"{alias}.t <= {basis}", on_line(alias, scope.view)]
    if scope.view.since:
        where.append(f"{alias}.t > {compiler.parameters.add(OfView(pattern.source, 'x'), 'i')}")
    body.where += where
    shows: set[Var] = set()
    for term in (found.e, found.tx):
        cell = entity(compiler, body, pattern.source, term)
        if cell is not None:
            body.where.append(f"{alias}.t = {compiler.integer(body, cell)} - {TX0}")
        elif type(term) is Var:
            body.env[term] = static(INT, f"({alias}.t + {TX0})")
            shows.add(term)
    time = static(INST, f"{alias}.time")
    others = (
        (found.v, time),
        (found.op, static(BOOL, "1")),
        (found.start, time),
        (found.end, static(INST, str(LAST_INSTANT))),
    )
    for term, cell in others:
        _put(compiler, body, term, cell, shows)
    key = frozenset(each for each in (found.e, found.tx) if type(each) is Var and each in shows)
    unnamed = frozenset((Var(f"_{alias}"),)) if type(found.e) is Blank and not key else key
    body.keys.append(Key((unnamed,), frozenset(shows) | unnamed))


def _put(compiler: Compiler, body: Body, term: Term, cell: Cell, shows: set[Var]) -> None:
    """Let *term* stand for *cell*: bind it, or compare."""
    if type(term) is Const:
        if cell.kind == BOOL and term.value in _ADDED:
            term = Const(_ADDED[term.value])
        body.where += same(compiler.dialect, cell, compiler.constant(term.value))
    elif type(term) is Var:
        shows.add(term)
        compiler.bind(body, term, cell)


@attrs.define
class _Join:
    """One pattern on its way into a body."""

    compiler: Compiler
    body: Body
    pattern: Pattern
    found: Places
    equal: list[Equal] = attrs.field(factory=list)  # the same for the whole statement
    joined: list[Equal] = attrs.field(factory=list)
    alias: str = ""

    def add(self) -> None:
        compiler, body, found = self.compiler, self.body, self.found
        scope = compiler.facts[self.pattern.source].scope
        self.alias = compiler.alias("f")
        e = entity(compiler, body, self.pattern.source, found.e)
        if e is not None:
            self._demand("e", compiler.integer(body, e), e)
        by_value = found.attribute.indexed and self._may_use_values(e)
        value_bound = self._value(by_value)
        indexed = value_bound and by_value
        ranged = None
        if by_value and e is None and not value_bound and found.v in body.ranged:
            ranged = value_kind(compiler, self.pattern.source, found.attribute)
        op = self._op()
        intervals = Blank() != found.start or Blank() != found.end
        rows = scope.facts(
            self.alias,
            found.number,
            found.flags,
            equal=self.equal,
            joined=self.joined,
            lookup=e is not None or (indexed and value_bound),
            indexed=indexed,
            ranged=ranged,
            intervals=intervals,
            op=op,
            single=e is not None
            and found.number is not None
            and not found.attribute.many
            and scope.view.one_instant,
            wanted=self._wanted(e),
        )
        if compiler.dialect.ordered and self.joined and e is None and not (indexed or ranged):
            rows = self._set_apart(rows, self._wanted(e))
        compiler.unions[rows.from_] = rows.apart
        body.from_.append(rows.from_)
        body.where += rows.where
        self._bind(rows, e)

    def _demand(self, column: str, expression: str, cell: Cell) -> None:
        if cell.fixed:
            self.equal.append((column, expression))
        else:
            loose = column in self.compiler.dialect.payload
            bare = self.compiler.dialect.bare
            self.joined.append((column, bare(expression) if loose else expression))

    def _may_use_values(self, e: Cell | None) -> bool:
        """Whether the index of values may serve.

        Where the engine orders joins itself it may also join a known value with entities that
        other tables give: one range of the index merged with them, in place of a lookup for each.
        """
        return e is None or not (self.compiler.dialect.ordered or e.fixed)

    def _value(self, by_value: bool) -> bool:
        """The conditions on the value, as its index needs them; tells whether it is bound."""
        compiler, body, found = self.compiler, self.body, self.found
        if found.attribute.ref:
            v = entity(compiler, body, self.pattern.source, found.v)
        else:
            v = compiler.value(body, found.v)
        if v is None:
            return False
        declared = value_kind(compiler, self.pattern.source, found.attribute)
        if v.kind is not None and declared is not None and v.kind != declared:
            body.where.append(FALSE)
            return True
        kind = v.kind if v.kind is not None else declared
        if v.kind is None and declared is not None:
            body.where.append(f"{v.k} = {declared}")
        if by_value or declared is None:
            self._demand("k", v.k if kind is None else str(kind), v)
        known = dict(zip(compiler.dialect.parts(kind), _payload(compiler, v, kind), strict=True))
        for part in compiler.dialect.payload:
            if part in known:
                self._demand(part, known[part], v)
            elif part == "n" and by_value:
                self._demand("n", "0", v)
        return True

    def _op(self) -> bool | None:
        op = self.found.op
        if type(op) is not Const:
            return None
        if type(op.value) not in (bool, Keyword) or op.value not in _ADDED:
            raise NotSql(f"{op!r} is neither :db/add nor :db/retract")
        return _ADDED[op.value]

    def _wanted(self, e: Cell | None) -> set[str]:
        """The columns that `_bind` reads."""
        found, compiler = self.found, self.compiler
        kind = value_kind(compiler, self.pattern.source, found.attribute)
        value = (*compiler.dialect.parts(kind), *(("k",) if kind is None else ()))
        places = (
            (found.e if e is None else Blank(), ("e",)),
            (found.a if found.number is None else Blank(), ("a",)),
            (found.v, value),
            (found.tx, ("tx",)),
            (found.op, ("op",)),
            (found.start, ("vf",)),
            (found.end, ("vt",)),
        )
        return {column for term, columns in places if term != Blank() for column in columns}

    def _set_apart(self, rows: Rows, wanted: set[str]) -> Rows:
        """A table of its own, for a join on values that no index holds.

        Left to itself SQLite would walk the attribute once for every row before; over a table
        that it has just filled it makes an index of its own.
        """
        compiler = self.compiler
        table = compiler.alias("m")
        names = {*wanted, *(column for column, _ in self.joined)}
        joined = {f"{self.alias}.{column} = {expression}" for column, expression in self.joined}
        where = [condition for condition in rows.where if condition not in joined]
        select = ", ".join(f"{rows.columns[name]} AS {name}" for name in sorted(names))
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        compiler.with_[f"{table} "] = f"SELECT {select} FROM {rows.from_}{condition}"
        outer = [f"{self.alias}.{column} = {expression}" for column, expression in self.joined]
        return Rows(
            f"{table} AS {self.alias}",
            tuple(outer),
            {name: f"{self.alias}.{name}" for name in rows.columns},
        )

    def _bind(self, rows: Rows, e: Cell | None) -> None:
        """The cells of the places that are still free, and what determines a row."""
        compiler, body, found = self.compiler, self.body, self.found
        shows: set[Var] = set()
        key: set[Var] = set()
        column = rows.columns
        if e is None:
            key.add(found.e if type(found.e) is Var else Var(f"_e{self.alias}"))
            _put(compiler, body, found.e, static(INT, column["e"]), shows)
        elif type(found.e) is Var:
            shows.add(found.e)
            key.add(found.e)
        many = self._attribute(column, shows, key) or found.attribute.many
        v = self._value_cell(column)
        bound = type(found.v) is Const or (type(found.v) is Var and found.v in body.env)
        if type(found.v) is Var:
            shows.add(found.v)
            if not bound or found.v == found.e or found.v == found.a:
                compiler.bind(body, found.v, v)
        value = found.v if type(found.v) is Var else Var(f"_v{self.alias}")
        by_value = frozenset() if type(found.v) is Const else frozenset((value,))
        tx = static(INT, f"({column['tx']} + {TX0})")
        _put_tx(compiler, body, found.tx, tx, column["tx"], shows)
        if type(found.op) is Var:
            _put(compiler, body, found.op, static(BOOL, column["op"]), shows)
        self._interval(column, shows)
        view = compiler.facts[self.pattern.source].scope.view
        if not view.one_instant:
            body.distinct_unknown = True
        options = [frozenset(key) | by_value] if many else [frozenset(key)]
        if found.attribute.unique is not None and found.number is not None:
            options.append(by_value)
        body.keys.append(Key(tuple(options), frozenset(shows | key)))

    def _attribute(self, column: dict[str, str], shows: set[Var], key: set[Var]) -> bool:
        """A pattern over all attributes; tells whether it is one."""
        compiler, body, found = self.compiler, self.body, self.found
        if found.number is not None:
            return False
        if type(found.a) is Blank:
            key.add(Var(f"_a{self.alias}"))
            return True
        alias = compiler.alias("a")
        attributes = compiler.facts[self.pattern.source].scope.attributes
        body.from_.append(f"{attributes} AS {alias}")
        body.where.append(f"{alias}.id = {column['a']}")
        assert type(found.a) is Var
        key.add(found.a)
        _put(compiler, body, found.a, static(KEYWORD, f"{alias}.ident"), shows)
        return True

    def _value_cell(self, column: dict[str, str]) -> Cell:
        kind = value_kind(self.compiler, self.pattern.source, self.found.attribute)
        payload = tuple(column[part] for part in self.compiler.dialect.parts(kind))
        return Cell(kind, str(kind) if kind is not None else column["k"], payload)

    def _interval(self, column: dict[str, str], shows: set[Var]) -> None:
        compiler, body, found = self.compiler, self.body, self.found
        if type(found.start) is not Blank:
            _put(compiler, body, found.start, static(INST, column["vf"]), shows)
        if type(found.end) is not Blank:
            end = compiler.dialect.least(column["vt"], str(LAST_INSTANT))
            _put(compiler, body, found.end, static(INST, end), shows)


def _put_tx(compiler: Compiler, body: Body, term: Term, tx: Cell, t: str, shows: set[Var]) -> None:
    known = compiler.value(body, term)
    if known is None:
        _put(compiler, body, term, tx, shows)
        return
    body.where.append(f"{t} = {compiler.integer(body, known)} - {TX0}")
    if type(term) is Var:
        shows.add(term)


def _payload(compiler: Compiler, cell: Cell, kind: int | None) -> tuple[str, ...]:
    return cell.payload if kind is None else compiler.payload(cell, kind)
