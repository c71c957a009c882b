"""Which clause comes next: the one that is expected to leave the fewest rows.

The estimate knows keys, uniqueness and indexes. Where several constants compete as the first
clause, a bounded count of the facts behind each decides; plans are kept, so that the count is
made once for each shape of query. The written order never matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from persistence.datoms.bootstrap import TX_INSTANT
from persistence.query.ast import Call, Clause, Const, Or, Pattern, Var
from persistence.query.body import Body, NotSql, Relation, fixed, shown_of
from persistence.query.compile import Compiler
from persistence.query.patterns import add_pattern, entity, places

FILTER: Final = 0.5  # a fact of a known entity and value is there or not
ONE: Final = 1.0
SOME: Final = 4.0  # the values of a many-valued attribute, the entities that refer to one
ATTRIBUTES: Final = 10.0  # the facts of one entity
MATCHES: Final = 50.0  # facts that share a value which is no key
RULE: Final = 20_000.0
SCAN: Final = 100_000.0  # a whole attribute
EVERYTHING: Final = 10_000_000.0
PROBED: Final = 4_096  # a count stops here; what is larger is a scan either way

Probe = Callable[[str], int]  # counts the rows of a SELECT with marks for parameters


@attrs.define
class Costs:
    """Estimates for one statement; *probe* asks the store, if there is one to ask."""

    probe: Probe | None = None
    _counted: dict[Pattern, float] = attrs.field(factory=dict)

    def __call__(self, compiler: Compiler, each: Clause | Relation, body: Body) -> float:
        """How many rows *each* is expected to bring for every row that is there."""
        if isinstance(each, Relation):
            if any("@" in var.name for var in each.variables):
                return 0.0  # it tells which entities its idents and lookup refs name
            known = any(var in body.env for var in each.variables)
            return FILTER if known else ONE + each.size / 1_000_000
        if type(each) is Pattern:
            return self._pattern(compiler, each, body)
        if type(each) is Or:
            return self._or(compiler, each, body)
        if type(each) is Call:
            opened = compiler.rules.get("open")
            if opened is not None and each.name in opened.group:
                return 0.0  # each step of a recursion starts from one row of the last
            known = any(type(arg) is Const or arg in body.env for arg in each.args)
            return RULE / 4 if known else RULE
        return EVERYTHING

    def _pattern(self, compiler: Compiler, pattern: Pattern, body: Body) -> float:
        try:
            found = places(compiler, pattern)
        except NotSql:
            return EVERYTHING
        if found.absent:
            return 0.0
        view = compiler.facts[pattern.source].scope.view
        e = entity(compiler, body, pattern.source, found.e)
        attribute = found.attribute
        bound = type(found.v) is Const or found.v in body.env
        if e is not None or (found.a == Const(TX_INSTANT) and found.tx in body.env):
            if found.number is None:
                return FILTER * SOME if bound else ATTRIBUTES
            if bound:
                return FILTER
            return SOME if attribute.many or not view.one_instant else ONE
        if found.number is None:
            return EVERYTHING
        if not bound:
            return SCAN
        if attribute.unique is not None:
            return ONE
        if type(found.v) is not Var or body.env[found.v].fixed:
            return self._count(compiler, pattern, body, attribute.indexed)
        return SOME if attribute.indexed else MATCHES

    def _count(self, compiler: Compiler, pattern: Pattern, body: Body, indexed: bool) -> float:
        """Facts with a value that is the same for the whole statement."""
        known = self._counted.get(pattern)
        if known is None:
            known = MATCHES if indexed else MATCHES * 2
            if self.probe is not None:
                probed = Body(fixed(body.env))
                shown = [term for term in pattern.terms if type(term) is Var]
                probed.env = shown_of(probed.env, shown)
                try:
                    add_pattern(compiler, probed, pattern)
                    inner = probed.text(("1",), compiler.dialect)
                    known = float(self.probe(f"{inner} LIMIT {PROBED}"))
                except NotSql:
                    pass
                known += 0.0 if indexed else FILTER
            self._counted[pattern] = known
        return known

    def _or(self, compiler: Compiler, clause: Or, body: Body) -> float:
        """The sum over the branches of the cheapest way into each."""
        inner = Body(fixed(body.env))
        total = 0.0
        for branch in clause.branches:
            ways = [self(compiler, each, inner) for each in branch if type(each) in (Pattern, Or)]
            total += min(ways, default=ONE)
        if any(var in body.env for var in clause.free) and len(clause.branches) > 1:
            return min(total, MATCHES)
        return total
