"""The anomalies of Hermitage, each as a script that makes it happen where it can.

Martin Kleppmann, "Hermitage: Testing transaction isolation levels",
https://github.com/ept/hermitage. T1, T2 and T3 are transactions that are open at once; what the
scripts there wait for, a lock, does not exist here.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.hermitage.world import World

THIRDS = "[(mod ?v 3) ?m] [(= ?m 0)]"
FIFTHS = "[(mod ?v 5) ?m] [(= ?m 0)]"


def g0(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    t1.set(1, 11)
    t2.set(1, 12)
    t1.set(2, 21)
    t1.commit()
    t2.set(2, 22)
    t2.commit()
    return w.now() not in ({1: 11, 2: 21}, {1: 12, 2: 22})


def g1a(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    t1.set(1, 101)
    before = t2.read(1)
    t1.abort()
    after = t2.read(1)
    t2.commit()
    return 101 in (before, after)


def g1b(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    t1.set(1, 101)
    before = t2.read(1)
    t1.set(1, 11)
    t1.commit()
    after = t2.read(1)
    t2.commit()
    return 101 in (before, after)


def g1c(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    t1.set(1, 11)
    t2.set(2, 22)
    seen = t1.read(2), t2.read(1)
    t1.commit()
    t2.commit()
    return seen == (22, 11)


def otv(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    t1.set(1, 11)
    t1.set(2, 19)
    t2.set(1, 12)
    t1.commit()
    t3 = w.begin("T3")
    assert t3.read(1) == 11
    t2.set(2, 18)
    assert t3.read(2) == 19
    t2.commit()
    seen = t3.read(2), t3.read(1)
    t3.commit()
    return seen == (18, 11)


def pmp(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert not t1.where("[(= ?v 30)]")
    t2.insert(30)
    t2.commit()
    phantoms = t1.where(THIRDS)
    t1.commit()
    return bool(phantoms)


def pmp_write(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    for e, value in t1.where().items():
        t1.set(e, value + 10)
    looked_at = t2.where("[(= ?v 20)]")
    t1.commit()
    deleted = t2.delete("[(= ?v 20)]")
    return t2.commit() and deleted != looked_at


def p4(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    one, two = t1.read(1), t2.read(1)
    t1.set(1, one + 1)
    t2.set(1, two + 1)
    return t1.commit() and t2.commit()


def g_single(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert t1.read(1) == 10
    t2.read(1), t2.read(2)
    t2.set(1, 12)
    t2.set(2, 18)
    t2.commit()
    seen = t1.read(2)
    t1.commit()
    return seen == 18


def g_single_predicate(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert t1.where(FIFTHS) == {1: 10, 2: 20}
    for e in t2.where("[(= ?v 10)]"):
        t2.set(e, 12)
    t2.commit()
    seen = t1.where(THIRDS)
    t1.commit()
    return bool(seen)


def g_single_write(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert t1.read(1) == 10
    t2.where()
    t2.set(1, 12)
    t2.set(2, 18)
    t2.commit()
    t1.delete("[(= ?v 20)]")
    t1.insert(1)  # so that it has something to commit, whatever it found
    return t1.commit()


def g2_item(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    for t in (t1, t2):
        t.read(1), t.read(2)
    t1.set(1, 11)
    t2.set(2, 21)
    return t1.commit() and t2.commit()


def g2(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert not t1.where(THIRDS) and not t2.where(THIRDS)
    t1.insert(30)
    t2.insert(42)
    return t1.commit() and t2.commit()


def g2_two_edges(w: World) -> bool:
    t1, t2 = w.begin("T1"), w.begin("T2")
    assert t1.where() == {1: 10, 2: 20}
    t2.set(2, t2.read(2) + 5)
    t2.commit()
    t3 = w.begin("T3")
    assert t3.where() == {1: 10, 2: 25}
    t3.commit()
    t1.set(1, 0)
    return t1.commit()


@attrs.frozen
class Expected:
    """Whether it happens, and who was refused, to be run again on what is there by then."""

    happens: bool
    again: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.happens:
            return "**happens**"
        return f"prevented, {', '.join(self.again)} runs again" if self.again else "prevented"


NO = Expected(False)
YES = Expected(True)
T1 = Expected(False, ("T1",))
T2 = Expected(False, ("T2",))


@attrs.frozen
class Anomaly:
    """A script that says whether it happened, and what is expected of each isolation."""

    name: str
    means: str
    script: Callable[[World], bool]
    serializable: Expected
    snapshot: Expected
    without: Expected  # with no transaction at all

    def expected(self, isolation: str) -> Expected:
        columns = {"serializable": self.serializable, "snapshot": self.snapshot}
        return columns.get(isolation, self.without)


MATRIX = (
    Anomaly("G0", "half of one write and half of another are left", g0, NO, T2, NO),
    Anomaly("G1a", "a read sees what is then rolled back", g1a, NO, NO, NO),
    Anomaly("G1b", "a read sees a value that is then overwritten in it", g1b, NO, NO, NO),
    Anomaly("G1c", "two transactions see each other's writes", g1c, T2, NO, NO),
    Anomaly("OTV", "what was seen of a transaction is gone again", otv, NO, T2, NO),
    Anomaly("PMP", "asked again, a query finds facts that are new", pmp, NO, NO, YES),
    Anomaly(
        "PMP, write", "a deletion finds other facts than were looked at", pmp_write, T2, T2, YES
    ),
    Anomaly("P4", "one of two increments is lost", p4, T2, T2, YES),
    Anomaly(
        "G-single", "one fact is read before a change, the next after it", g_single, NO, NO, YES
    ),
    Anomaly("G-single, query", "the same, with two queries", g_single_predicate, NO, NO, YES),
    Anomaly("G-single, write", "the same, and then a deletion", g_single_write, T1, T1, YES),
    Anomaly("G2-item", "two writers each rely on what the other changes", g2_item, T2, YES, YES),
    Anomaly("G2", "each relies on a query that the other's new fact changes", g2, T2, YES, YES),
    Anomaly(
        "G2, two edges",
        "a reader sees an order that a third then breaks",
        g2_two_edges,
        T1,
        YES,
        YES,
    ),
)


def table() -> str:
    """The matrix in Markdown, as docs/isolation.md has it."""
    lines = [
        "| anomaly | what goes wrong | `serializable` | `snapshot` | no transaction |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.name} | {each.means} | {each.serializable} | {each.snapshot} | {each.without} |"
        for each in MATRIX
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
