"""CozoDB with its own time travel: every relation keyed by a `Validity`, asked `@` an instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench import answers
from bench.peers.cozo import RELATIONS, Cozo
from bench.timing import Call
from bench.workload import Person

PAST: dict[str, str] = {
    "q1": "?[e] := *name{e, v: 'Ivan' @ T}",
    "q2": "?[e, a] := *name{e, v: 'Ivan' @ T}, *age{e, v: a @ T}",
    "q3": "?[e, a] := *name{e, v: 'Ivan' @ T}, *age{e, v: a @ T}, *sex{e, v: 'male' @ T}",
    "q4": "?[e, l, a] := *name{e, v: 'Ivan' @ T}, *last_name{e, v: l @ T},"
    " *age{e, v: a @ T}, *sex{e, v: 'male' @ T}",
    "qpred input": "?[e, s] := *salary{e, v: s @ T}, s > 50000",
}
TOTAL = "?[sum(v)] := *price{e, v @ T}"


class CozoHistory(Cozo):
    """A CozoDB that keeps every version; its instants are the positions of the loads."""

    _t = 0

    def declare_people(self) -> None:
        for relation, type_ in RELATIONS.items():
            self._declare(relation, type_)

    def _declare(self, relation: str, type_: str) -> None:
        self.run(f":create {relation} {{e: Int, at: Validity => v: {type_}}}")

    def put_people(self, crowd: Iterable[Person]) -> None:
        crowd = list(crowd)
        self._t += 1
        for place, relation in enumerate(RELATIONS, start=1):
            self._put(relation, [(person.id, person[place]) for person in crowd])

    def _put(self, relation: str, pairs: Iterable[tuple[int, object]]) -> None:
        rows = [[e, [self._t, True], v] for e, v in pairs]
        self.run(f"?[e, at, v] <- $rows :put {relation} {{e, at => v}}", rows=rows)

    def give_raises(self, pairs: Sequence[tuple[int, int]]) -> int:
        self._t += 1
        self._put("salary", pairs)
        return self._t

    def price(self, pairs: Sequence[tuple[int, int]]) -> int:
        if self._t == 0:
            self._declare("price", "Int")
        self._t += 1
        self._put("price", pairs)
        return self._t

    def asking(self, figure: str, t: int | None = None) -> Call:
        script = PAST[figure].replace("T", str(self._t if t is None else t))
        return Call(self.name, lambda: self.run(script), answers.rows)

    def totalling(self, t: int | None = None) -> Call:
        script = TOTAL.replace("T", str(self._t if t is None else t))
        return Call(self.name, lambda: self.run(script)[0][0])
