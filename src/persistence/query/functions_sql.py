"""Predicates and functions in SQL, with exactly the meaning they have in Python.

A comparison of a value whose kind is not known is a CASE over its kind. What the engine would get
wrong (integers beyond 64 bits, exact numbers, NaN) is a trap: the statement fails, and the query
is answered again with those clauses in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from persistence.query.ast import (
    BindEach,
    BindNone,
    BindTuple,
    BindVar,
    Blank,
    Const,
    Function,
    Pattern,
    Predicate,
    Source,
    Var,
)
from persistence.query.body import Body, Key, NotSql
from persistence.query.cells import (
    BOOL,
    FALSE,
    FLOAT,
    INST,
    INT,
    STRING,
    Cell,
    column_cell,
    narrowed,
    same,
    selected,
    static,
    widened,
)
from persistence.query.clauses import refuse
from persistence.query.compile import Compiler
from persistence.query.params import OfSearch
from persistence.query.patterns import add_pattern, places, value_kind
from persistence.values import INTERNED, NUMERIC, Keyword

_ORDERED: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EXACT_KINDS: Final = (BOOL, INT, INST, 8, 10, 11, 12, 13)  # engine order is value order; no floats


def predicate(compiler: Compiler, body: Body, clause: Predicate) -> str:
    """The condition that *clause* is.

    Raises:
        NotSql: SQL has no such condition.
    """
    if type(clause.f) is not str or clause.f in compiler.overridden:
        raise NotSql(f"{clause!r} is a function of one's own")
    if clause.f in ("missing?", "-missing?"):
        return _missing(compiler, body, clause)
    cells = [_cell(compiler, body, arg) for arg in clause.args]
    if clause.f in ("=", "not=", "!=") and len(cells) >= 2:
        return _equal(compiler, cells, clause.f == "=")
    if clause.f in _ORDERED and len(cells) >= 2:
        pairs = pairwise(cells)
        return " AND ".join(f"({_compared(compiler, clause.f, *pair)})" for pair in pairs)
    if clause.f in ALLEN:
        return _allen(compiler, cells, ALLEN[clause.f])
    test = _TESTS.get(clause.f)
    if test is None:
        raise NotSql(f"{clause.f} is evaluated in Python")
    return test(compiler, *cells)


def _cell(compiler: Compiler, body: Body, arg: Any) -> Cell:
    if type(arg) is Source:
        raise NotSql("a source is no value")
    cell = compiler.value(body, arg)
    if cell is None:
        raise NotSql(f"{arg!r} is not bound")
    return cell


def _equal(compiler: Compiler, cells: list[Cell], positive: bool) -> str:
    first, *rest = cells
    conditions = [c for other in rest for c in same(compiler.dialect, first, other)]
    text = " AND ".join(conditions) or "1 = 1"
    return text if positive else f"NOT ({text})"


def _compared(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    """`a op b` in the order of all values (see `values.order`)."""
    if a.kind is not None and b.kind is not None:
        return _static_order(compiler, op, a, b)
    if a.kind is not None:
        flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
        return _compared(compiler, flipped, b, a)
    if b.kind is not None:
        return _order_by_kind(compiler, op, a, b, b.kind)
    return _dynamic_order(compiler, op, a, b)


def _static_order(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    assert a.kind is not None and b.kind is not None
    if a.kind == b.kind and a.kind < INTERNED:
        (x,), (y,) = a.payload, b.payload
        if a.kind == FLOAT and compiler.dialect.name == "sqlite":
            x, y = compiler.real(x), compiler.real(y)
        return f"{x} {op} {y}"
    if {a.kind, b.kind} <= {INT, FLOAT}:
        if compiler.dialect.name != "sqlite":
            raise NotSql("an int and a float are compared in Python")
        x = compiler.real(a.payload[0]) if a.kind == FLOAT else a.payload[0]
        y = compiler.real(b.payload[0]) if b.kind == FLOAT else b.payload[0]
        # Equal as numbers, the int comes first.
        strict = op[0] + "=" if (a.kind == INT) == (op[0] == "<") else op[0]
        return f"{x} {strict} {y}"
    if a.kind in NUMERIC and b.kind in NUMERIC:
        raise NotSql("exact numbers are compared in Python")
    if a.kind >= INTERNED or b.kind >= INTERNED:
        raise NotSql("long values are compared in Python")
    return "1 = 1" if (a.kind < b.kind) == (op[0] == "<") else FALSE


def _order_by_kind(compiler: Compiler, op: str, a: Cell, b: Cell, kind: int) -> str:
    """A value of unknown kind against one of a known kind."""
    if kind >= INTERNED:
        raise NotSql("long values are compared in Python")
    trap = f"{compiler.trap(a.k)} = 0"
    cases = []
    same_kind = static(kind, *narrowed(compiler.dialect, a, kind))
    cases.append((f"{a.k} = {kind}", _static_order(compiler, op, same_kind, b)))
    if kind in NUMERIC:
        others = sorted(int(each) for each in NUMERIC if each != kind)
        near = FLOAT if kind == INT else INT
        if kind in (INT, FLOAT) and compiler.dialect.name == "sqlite":
            beside = static(near, *narrowed(compiler.dialect, a, near))
            cases.append((f"{a.k} = {near}", _static_order(compiler, op, beside, b)))
            others.remove(near)
        numbers = ", ".join(str(each) for each in others)
        cases.append((f"{a.k} % {INTERNED} IN ({numbers})", trap))
    cases.append((f"{a.k} = {kind + INTERNED}", trap))
    order = f"{a.k} % {INTERNED} {op[0]} {kind}"
    whens = " ".join(f"WHEN {condition} THEN {result}" for condition, result in cases)
    return f"CASE {whens} ELSE {order} END"


def _dynamic_order(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    trap = f"{compiler.trap(a.k)} = 0"
    kinds = ", ".join(map(str, (*_EXACT_KINDS, STRING)))
    numbers = ", ".join(str(int(each)) for each in sorted(NUMERIC))
    if len(a.payload) == 1:
        order = f"{a.payload[0]} {op} {b.payload[0]}"
    else:
        order = f"({', '.join(a.payload)}) {op} ({', '.join(b.payload)})"
    ka, kb = f"{a.k} % {INTERNED}", f"{b.k} % {INTERNED}"
    return (
        f"CASE WHEN {a.k} = {b.k} AND {a.k} IN ({kinds}) THEN {order}"
        f" WHEN {ka} = {kb} OR ({ka} IN ({numbers}) AND {kb} IN ({numbers})) THEN {trap}"
        f" ELSE {ka} {op[0]} {kb} END"
    )


# ------------------------------------------------------------------- intervals

ALLEN: Final = {
    "before?": "{1} < {2}",
    "meets?": "{1} = {2}",
    "overlaps?": "{0} < {2} AND {2} < {1} AND {1} < {3}",
    "starts?": "{0} = {2} AND {1} < {3}",
    "during?": "{2} < {0} AND {1} < {3}",
    "finishes?": "{2} < {0} AND {1} = {3}",
    "equals?": "{0} = {2} AND {1} = {3}",
    "after?": "{3} < {0}",
    "met-by?": "{3} = {0}",
    "overlapped-by?": "{2} < {0} AND {0} < {3} AND {3} < {1}",
    "started-by?": "{0} = {2} AND {3} < {1}",
    "contains-interval?": "{0} < {2} AND {3} < {1}",
    "finished-by?": "{0} < {2} AND {1} = {3}",
    "intersects?": "{0} < {3} AND {2} < {1}",
}


def _allen(compiler: Compiler, cells: list[Cell], relation: str) -> str:
    if len(cells) != 4 or any(cell.kind not in (INST, INT) for cell in cells):
        raise NotSql("Allen's relations take four ends in SQL")
    ends = [cell.payload[0] for cell in cells]
    trap = compiler.trap(ends[0])
    proper = f"{ends[0]} < {ends[1]} AND {ends[2]} < {ends[3]}"
    return f"CASE WHEN {proper} THEN {relation.format(*ends)} ELSE {trap} = 0 END"


# ----------------------------------------------------------------------- tests


def _number_test(template: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 1 or cells[0].kind not in (INT, None):
            raise NotSql("a test of numbers that are not ints runs in Python")
        (cell,) = cells
        (payload,) = narrowed(compiler.dialect, cell, INT)
        if cell.kind is None:
            trap = f"{compiler.trap(cell.k)} = 0"
            return f"CASE {cell.k} WHEN {INT} THEN {template.format(payload)} ELSE {trap} END"
        return template.format(payload)

    return test


def _text_test(template: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 2 or any(cell.kind not in (STRING, None) for cell in cells):
            raise NotSql("a test of other things than strings runs in Python")
        one, other = (narrowed(compiler.dialect, cell, STRING)[0] for cell in cells)
        holds = template.format(one, other)
        unknown = [cell.k for cell in cells if cell.kind is None]
        if not unknown:
            return holds
        strings = " AND ".join(f"{k} = {STRING}" for k in unknown)
        return f"CASE WHEN {strings} THEN {holds} ELSE {compiler.trap(unknown[0])} = 0 END"

    return test


def _begins(compiler: Compiler, *cells: Cell) -> str:
    return _text_test("substr({0}, 1, length({1})) = {1}")(compiler, *cells)


def _includes(compiler: Compiler, *cells: Cell) -> str:
    find = "instr" if compiler.dialect.name == "sqlite" else "strpos"
    return _text_test(find + "({0}, {1}) > 0")(compiler, *cells)


def _ends(compiler: Compiler, *cells: Cell) -> str:
    test = "(length({1}) = 0 OR (length({0}) >= length({1})"
    test += " AND substr({0}, length({0}) - length({1}) + 1) = {1}))"
    return _text_test(test)(compiler, *cells)


def _truth(value: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 1:
            raise NotSql("one argument is expected")
        return " AND ".join(same(compiler.dialect, cells[0], static(BOOL, value))) or "1 = 1"

    return test


_TESTS: Final[dict[str, Callable[..., str]]] = {
    "zero?": _number_test("{0} = 0"),
    "pos?": _number_test("{0} > 0"),
    "neg?": _number_test("{0} < 0"),
    "even?": _number_test("{0} % 2 = 0"),
    "odd?": _number_test("{0} % 2 <> 0"),
    "starts-with?": _begins,
    "ends-with?": _ends,
    "includes?": _includes,
    "true?": _truth("1"),
    "false?": _truth("0"),
}


# ------------------------------------------------------------------- functions


def function(compiler: Compiler, body: Body, clause: Function) -> None:
    """Bind what *clause* answers.

    Raises:
        NotSql: SQL has no such function, or takes the answer not apart like that.
    """
    if type(clause.f) is not str or clause.f in compiler.overridden:
        raise NotSql(f"{clause!r} is a function of one's own")
    if clause.f == "get-else":
        _get_else(compiler, body, clause)
        return
    if clause.f == "fulltext":
        _fulltext(compiler, body, clause)
        return
    if type(clause.binding) is not BindVar:
        raise NotSql(f"{clause!r} takes an answer apart")
    var = clause.binding.var
    if clause.f in ("ground", "identity") and len(clause.args) == 1:
        cell = _cell(compiler, body, clause.args[0])
    elif clause.f in _ARITHMETIC:
        cell = _arithmetic(compiler, body, clause)
    elif clause.f in _TEXT and len(clause.args) == 1:
        cell = _text(compiler, body, clause)
    else:
        raise NotSql(f"{clause.f} is evaluated in Python")
    compiler.bind(body, var, cell)
    # What a function answers is determined by its arguments.
    needed = frozenset(arg for arg in clause.args if type(arg) is Var)
    body.keys.append(Key((needed,), frozenset((var,))))


_ARITHMETIC: Final = {"+": "+", "-": "-", "*": "*", "inc": "+", "dec": "-"}
_TEXT: Final = {"count": (INT, "length({0})")}


def _arithmetic(compiler: Compiler, body: Body, clause: Function) -> Cell:
    """Sums and products of ints; what leaves 64 bits is left to Python."""
    assert type(clause.f) is str
    cells = [_cell(compiler, body, arg) for arg in clause.args]
    if clause.f in ("inc", "dec"):
        cells.append(static(INT, "1"))
    if len(cells) < 2 or len(clause.args) < 1:
        raise NotSql("arithmetic with one argument runs in Python")
    terms = []
    for cell in cells:
        if cell.kind not in (INT, None):
            raise NotSql("arithmetic of other numbers than ints runs in Python")
        (payload,) = narrowed(compiler.dialect, cell, INT)
        if cell.kind is None:
            trap = compiler.trap(cell.k)
            payload = f"CASE {cell.k} WHEN {INT} THEN {payload} ELSE {trap} END"
        terms.append(payload)
    total = terms[0]
    for term in terms[1:]:
        total = f"({total} {_ARITHMETIC[clause.f]} {term})"
        trap = compiler.trap("0")  # Postgres fails by itself, SQLite goes on in floats
        if compiler.dialect.name == "sqlite":
            total = f"CASE typeof({total}) WHEN 'integer' THEN {total} ELSE {trap} END"
    return static(INT, f"({total})")


def _text(compiler: Compiler, body: Body, clause: Function) -> Cell:
    assert type(clause.f) is str
    kind, template = _TEXT[clause.f]
    cell = _cell(compiler, body, clause.args[0])
    if cell.kind not in (STRING, None):
        raise NotSql(f"{clause.f} of other things than strings runs in Python")
    (payload,) = narrowed(compiler.dialect, cell, STRING)
    find = "instr" if compiler.dialect.name == "sqlite" else "strpos"
    escape = "char(1)" if compiler.dialect.name == "sqlite" else "chr(1)"
    plain = f"{find}({payload}, {escape}) = 0"  # escaped characters would count twice
    if cell.kind is None:
        plain = f"{cell.k} = {STRING} AND {plain}"
    trap = compiler.trap("0" if compiler.dialect.name == "sqlite" else payload)
    return static(kind, f"CASE WHEN {plain} THEN {template.format(payload)} ELSE {trap} END")


def _pattern_of(clause: Predicate | Function, last: Any) -> Pattern:
    """`(missing? $ ?e :attribute)` and `(get-else $ ?e :attribute …)` as the pattern they mean."""
    args = clause.args
    if len(args) < 3 or type(args[0]) is not Source or type(args[2]) is not Const:
        raise NotSql(f"{clause!r} is evaluated in Python")
    source, attribute = args[0].name, args[2].value
    e: Any = args[1]
    if type(attribute) is not Keyword or type(e) is Source:
        raise NotSql(f"{clause!r} is evaluated in Python")
    if attribute.local.startswith("_"):
        space = f"{attribute.namespace}/" if attribute.namespace else ""
        forward = Keyword(space + attribute.local[1:])
        return Pattern(source, (last, Const(forward), e))
    return Pattern(source, (e, args[2], last))


def _missing(compiler: Compiler, body: Body, clause: Predicate) -> str:
    pattern = _pattern_of(clause, Blank())
    if compiler.facts.get(pattern.source) is None:
        raise NotSql(f"{pattern.source} is a collection")
    inner = Body(dict(body.env))
    add_pattern(compiler, inner, pattern)
    return f"NOT {inner.exists(compiler.dialect)}"


def _get_else(compiler: Compiler, body: Body, clause: Function) -> None:
    """The value of an attribute, or a default where there is none."""
    if len(clause.args) != 4 or type(clause.binding) is not BindVar:
        raise NotSql(f"{clause!r} is evaluated in Python")
    var = clause.binding.var
    own = Var(f"{var.name}~else")
    pattern = _pattern_of(clause, own)
    found = places(compiler, pattern)
    view = compiler.facts[pattern.source].scope.view
    if found.attribute.many or type(found.v) is not Var or not view.one_instant or view.overlay:
        raise NotSql(f"{clause!r} may have several values")
    default = _cell(compiler, body, clause.args[3])
    if found.absent:
        compiler.bind(body, var, default)
        return
    inner = Body(dict(body.env))
    add_pattern(compiler, inner, pattern)
    if len(inner.from_) != 1:
        raise NotSql(f"{clause!r} is evaluated in Python")
    value = inner.env[own]
    (table,) = inner.from_
    known = body.where
    where = [condition for condition in inner.where if condition not in known]
    if " LEFT JOIN " in table:  # the segments are outer joins already
        body.from_.append(table)
        where = [condition for condition in where if not condition.endswith(" IS NOT NULL")]
        body.where += where
    else:
        if not body.from_:
            body.from_.append("(SELECT 1 AS one) AS o")
        body.from_[-1] += f" LEFT JOIN {table} ON {' AND '.join(where) or '1 = 1'}"
    kind = value_kind(compiler, pattern.source, found.attribute)
    if kind is None or kind != default.kind:
        value, default = widened(compiler.dialect, value), widened(compiler.dialect, default)
    parts = [
        f"coalesce({one}, {other})"
        for one, other in zip(selected(value), selected(default), strict=True)
    ]
    if value.kind is None:
        cell = Cell(None, parts[0], tuple(parts[1:]))
    else:
        cell = static(value.kind, *parts)
    compiler.bind(body, var, cell)
    needed = frozenset(arg for arg in clause.args if type(arg) is Var)
    body.keys.append(Key((needed,), frozenset((var,))))


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


def _fulltext(compiler: Compiler, body: Body, clause: Function) -> None:
    """Facts whose text holds all the words that are looked for, in any order."""
    source, attribute, text, (e, v, tx) = search_parts(clause)
    facts = compiler.facts.get(source)
    if facts is None or facts.scope.view.overlay:
        raise NotSql("what is not stored is searched in Python")
    cell = _cell(compiler, body, text)
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
