"""CozoDB, embedded through pycozo, in memory and on SQLite.

Each attribute is a stored relation of its own with an index on the value: of the schemas tried,
the one on which CozoDB answers fastest (twice as fast as one triple relation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import answers
from bench.timing import Call, Stage
from bench.workload import Node, Person

MEMORY, SQLITE = "CozoDB (memory)", "CozoDB (SQLite)"

RELATIONS = {
    "name": "String",
    "last_name": "String",
    "sex": "String",
    "age": "Int",
    "salary": "Int",
}

_IVAN = "*name:v{v: 'Ivan', e}"
QUERIES: dict[str, str] = {
    "q1": f"?[e] := {_IVAN}",
    "q2": f"?[e, a] := {_IVAN}, *age{{e, v: a}}",
    "q2 swapped": "?[e, a] := *age{e, v: a}, *name{e, v: 'Ivan'}",
    "q3": f"?[e, a] := {_IVAN}, *age{{e, v: a}}, *sex{{e, v: 'male'}}",
    "q4": f"?[e, l, a] := {_IVAN}, *last_name{{e, v: l}}, *age{{e, v: a}}, *sex{{e, v: 'male'}}",
    "q5": "?[e] := *name:v{v: 'Nobody', e}",
    "qpred literal": "?[e, s] := *salary{e, v: s}, s > 50000",
    "qpred input": "?[e, s] := *salary{e, v: s}, s > $min",
}
FOLLOWS = """
reach[x, y] := *follows{e: x, v: y}
reach[x, y] := reach[x, t], *follows{e: t, v: y}
?[x, y] := reach[x, y]
"""
POINT = "?[s] := *salary{e: $e, v: s}"


class Cozo:
    """One CozoDB. `path` None keeps it in memory.

    Raises:
        ImportError: pycozo is not installed.
    """

    def __init__(self, path: Path | None = None) -> None:
        from pycozo.client import Client  # type: ignore[import-untyped]  # noqa: PLC0415

        self.name = MEMORY if path is None else SQLITE
        engine, where = ("mem", "") if path is None else ("sqlite", str(path))
        self._client = Client(engine, where, dataframe=False)

    def close(self) -> None:
        self._client.close()

    def run(self, script: str, **parameters: Any) -> list[list[Any]]:
        rows: list[list[Any]] = self._client.run(script, parameters)["rows"]
        return rows

    def declare_people(self) -> None:
        for relation, type_ in RELATIONS.items():
            self.run(f":create {relation} {{e: Int => v: {type_}}}")
            self.run(f"::index create {relation}:v {{v}}")

    def put_people(self, crowd: Iterable[Person]) -> None:
        """Everybody in one transaction, a block per relation."""
        crowd = list(crowd)
        blocks, rows = [], {}
        for place, relation in enumerate(RELATIONS, start=1):
            rows[relation] = [[person.id, person[place]] for person in crowd]
            blocks.append(f"{{ ?[e, v] <- ${relation} :put {relation} {{e => v}} }}")
        self.run("\n".join(blocks), **rows)

    def load_people(self, crowd: Iterable[Person]) -> None:
        self.declare_people()
        self.put_people(crowd)

    def give_raises(self, pairs: Sequence[tuple[int, int]]) -> int:
        """New salaries in place of the old ones."""
        rows = [list(pair) for pair in pairs]
        self.run("?[e, v] <- $rows :put salary {e => v}", rows=rows)
        return 0

    def load_tree(self, nodes: Iterable[Node]) -> None:
        self.run("?[e, v] <- [] :replace follows {e: Int, v: Int}")
        edges = [[node.person.id, child] for node in nodes for child in node.follows]
        self.run("?[e, v] <- $rows :put follows {e, v}", rows=edges)

    def asking(self, figure: str) -> Call:
        script = QUERIES[figure]
        inputs = {"min": 50_000} if figure == "qpred input" else {}
        return Call(self.name, lambda: self.run(script, **inputs), answers.rows)

    def following(self) -> Call:
        return Call(self.name, lambda: self.run(FOLLOWS), answers.rows)

    def reading(self, entities: Sequence[int]) -> Call:
        def read() -> list[Any]:
            return [self.run(POINT, e=e)[0][0] for e in entities]

        return Call(self.name, read, operations=len(entities))

    def committing(self, operations: int, entities: Iterable[int]) -> Stage[list[int]]:
        self.run(":create score {e: Int => v: Int}")
        upcoming = iter(entities)

        def commit(chunk: list[int]) -> None:
            for e in chunk:
                self.run("?[e, v] <- [[$e, 7]] :put score {e => v}", e=e)

        return Stage(
            self.name,
            prepare=lambda: [next(upcoming) for _ in range(operations)],
            run=commit,
            normal=lambda _: self.run("?[count(e)] := *score{e}")[0][0],
            operations=operations,
        )

    def count(self) -> int:
        return sum(self.run(f"?[count(e)] := *{name}{{e}}")[0][0] for name in RELATIONS)


def loading(crowd: list[Person]) -> Stage[Cozo]:
    """Everybody in one transaction into an empty CozoDB in memory."""

    def prepare() -> Cozo:
        cozo = Cozo()
        cozo.declare_people()
        return cozo

    return Stage(
        MEMORY,
        prepare=prepare,
        run=lambda cozo: cozo.put_people(crowd),
        normal=lambda cozo: cozo.count(),
        finish=lambda cozo: cozo.close(),
    )
