"""Plans as facts: every step once, by its content id, and names that point at roots.

Steps that plans have in common are stored once, so an edit writes the steps on the way from the
root to the change. A name moves by compare-and-set: who edits what another has edited since is
told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from persistence.connection import Connection
from persistence.datoms import Schema
from persistence.db import Db
from persistence.errors import CasFailed, CorruptStore, PlanError
from persistence.ids import tx_position
from persistence.plans.node import Node, upwards
from persistence.plans.problems import Problem
from persistence.session import WriterBase
from persistence.suggestions import meant
from persistence.values import Keyword

__all__ = ["Library", "Version"]

PLAN_NAME: Final = Keyword("plan/name")
PLAN_ROOT: Final = Keyword("plan/root")
NODE_ID: Final = Keyword("node/id")
NODE_TAG: Final = Keyword("node/tag")
NODE_ATTRS: Final = Keyword("node/attrs")
NODE_CHILDREN: Final = Keyword("node/children")
RUN_PLAN: Final = Keyword("run/plan")

_UNIQUE: Final = Keyword("db.unique/identity")
_DECLARATIONS: Final = (
    {":db/ident": PLAN_NAME, ":db/unique": _UNIQUE},
    {":db/ident": PLAN_ROOT, ":db/index": True},
    {":db/ident": NODE_ID, ":db/unique": _UNIQUE},
    {":db/ident": NODE_TAG, ":db/index": True},
)

_NAMES: Final = "[:find [?name ...] :where [_ :plan/name ?name]]"
_THERE: Final = "[:find [?id ...] :in $ [?id ...] :where [_ :node/id ?id]]"
_NODES: Final = """
    [:find ?id ?tag ?attrs ?children
     :in $ [?id ...]
     :where [?n :node/id ?id] [?n :node/tag ?tag] [?n :node/attrs ?attrs]
            [?n :node/children ?children]]
"""
_VERSIONS: Final = """
    [:find ?tx ?at ?id ?op
     :in $ ?name
     :where [?p :plan/name ?name] [?p :plan/root ?id ?tx ?op] [?tx :db/txInstant ?at]]
"""


@attrs.frozen
class Version:
    """What a name stood for from transaction `t` on, recorded at the instant `at`."""

    t: int
    at: datetime
    id: bytes


@attrs.frozen
class Library:
    """The plans on one branch of a store."""

    connection: Connection
    branch: int = 0

    def db(self) -> Db:
        return self.connection.db(self.branch)

    def keep(self, root: Node) -> None:
        """Stores the steps of *root* that are not there yet."""
        self._write(self._new(root))

    def name(self, name: str, root: Node, expected: bytes | None) -> None:
        """Lets *name* stand for *root*; *expected* is what it stands for until now, if anything.

        Raises:
            CasFailed: it stands for something else.
        """
        nodes = self._new(root)

        def move(base: WriterBase) -> list[Any]:
            known = base.value().entid([PLAN_NAME, name])
            if known is not None:
                return [*nodes, [":db/cas", known, PLAN_ROOT, expected, root.id]]
            if expected is None:
                return [*nodes, {":db/id": "plan", PLAN_NAME: name, PLAN_ROOT: root.id}]
            raise CasFailed(f"there is no plan {name!r}", expected=expected, found=[])

        try:
            self.connection.decided(move, branch=self.branch)
        except CasFailed as error:
            error.hint = "load the plan again, and edit what it is now"
            raise

    def _new(self, root: Node) -> list[dict[Any, Any]]:
        nodes = {node.id: node for node in upwards(root)}
        self._declare()
        there = set(self.db().q(_THERE, list(nodes)))
        return [
            {
                ":db/id": f"node {number}",
                NODE_ID: id,
                NODE_TAG: node.tag,
                NODE_ATTRS: node.attrs,
                NODE_CHILDREN: tuple(child.id for child in node.children),
            }
            for number, (id, node) in enumerate(nodes.items())
            if id not in there
        ]

    def _declare(self) -> None:
        if not _declared(self.db().schema):
            self._write([*_DECLARATIONS])

    def _write(self, forms: list[Any]) -> None:
        if forms:
            self.connection.transact(forms, branch=self.branch)

    def names(self) -> list[str]:
        """The names there are, sorted."""
        db = self.db()
        return sorted(db.q(_NAMES)) if _declared(db.schema) else []

    def root(self, name: str, db: Db | None = None) -> bytes:
        """The id of the plan that *name* stands for.

        Raises:
            PlanError: for none.
        """
        seen = self.db() if db is None else db
        found = seen.get([PLAN_NAME, name], PLAN_ROOT) if _declared(seen.schema) else None
        if found is None:
            names = self.names()
            fix = meant(name, names) or f"there are {', '.join(names) or 'none'}"
            problem = Problem((), f"there is no plan {name!r}", fix)
            raise PlanError(problem.reason, hint=fix, problems=[problem], path=(), fix=fix)
        assert isinstance(found, bytes)
        return found

    def load(self, id: bytes) -> Node:
        """The steps of the plan *id*.

        Raises:
            PlanError: the store does not hold it.
            CorruptStore: a step is not what its id says.
        """
        rows = self._rows(id)
        made: dict[bytes, Node] = {}
        around: set[bytes] = set()  # the steps that those being made are inside of
        stack = [id]
        while stack:
            here = stack[-1]
            tag, attributes, children = rows[here]
            missing = [child for child in children if child not in made]
            if missing:
                around.add(here)
                if not around.isdisjoint(missing):
                    raise _corrupt(here, "is inside of itself")
                stack.extend(missing)
                continue
            node = Node(tag, attributes, [made[child] for child in children])
            if node.id != here:
                raise _corrupt(here, "is not what its id says", found=node.id)
            made[stack.pop()] = node
        return made[id]

    def _rows(self, id: bytes) -> Mapping[bytes, tuple[Any, Any, Any]]:
        """Tag, attributes and ids of children of every step, a query for each level."""
        db = self.db()
        rows: dict[bytes, tuple[Any, Any, Any]] = {}
        level = {id}
        while level:
            found = db.q(_NODES, list(level)) if _declared(db.schema) else []
            rows.update({each: (tag, held, children) for each, tag, held, children in found})
            for each in level - rows.keys():
                raise PlanError(
                    f"the store holds no plan {each.hex()}",
                    hint="save it first, or name one that is saved",
                    problems=[],
                )
            level = {child for *_, children in found for child in children} - rows.keys()
        return rows

    def versions(self, name: str) -> list[Version]:
        """What *name* stood for, the earliest first."""
        self.root(name)
        found: Iterable[Any] = self.db().history().q(_VERSIONS, name)
        return [Version(tx_position(tx), at, id) for tx, at, id, op in sorted(found, key=_tx) if op]

    def of_run(self, run: Any) -> bytes | None:
        """The plan that a run was given while it was stopped, if any."""
        found = self.db().get([Keyword("run/id"), run], RUN_PLAN)
        assert found is None or isinstance(found, bytes)
        return found

    def assign(self, run: Any, root: Node) -> None:
        """Lets the run go on with another plan."""
        forms: list[Any] = [{":db/id": [Keyword("run/id"), run], RUN_PLAN: root.id}]
        self._write([*self._new(root), *forms])


def _corrupt(id: bytes, why: str, **data: Any) -> CorruptStore:
    return CorruptStore(
        f"the step {id.hex()[:16]}… of a plan {why}",
        hint="persistence check and persistence verify tell what was changed",
        expected=id,
        **data,
    )


def _tx(row: Any) -> int:
    return int(row[0])


def _declared(schema: Schema) -> bool:
    return PLAN_NAME in schema and NODE_ID in schema
