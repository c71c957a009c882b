"""Queries that Python has to finish: what is the same for every row is done once."""

from __future__ import annotations

from persistence import FunctionRegistry, Substrate

TIERS = [("gold", "economy", 3), ("gold", "business", 3), ("silver", "economy", 2)]


def test_a_function_of_constants_is_called_once_and_not_for_every_row() -> None:
    calls: list[str] = []

    def allowances(which: str) -> list[tuple[str, str, int]]:
        calls.append(which)
        return TIERS

    registry = FunctionRegistry().with_function("allowances", allowances)
    with Substrate.open(":memory:", queries=registry) as s:
        s.fact.transact(
            [
                {"who": f"{tier} {cabin} {n}", "tier": tier, "cabin": cabin, "bags": n}
                for tier, cabin, _ in TIERS
                for n in range(10)
            ]
        )
        found = s.fact.db().q(
            """
            [:find ?who
             :in $ [[?bags ?extra]]
             :where [?e :bags ?bags] [?e :tier ?tier] [?e :cabin ?cabin] [?e :who ?who]
                    [(allowances "checked") [[?tier ?cabin ?free]]]
                    [(+ ?bags ?extra) ?all] [(> ?all ?free)]]
            """,
            [(n, n % 2) for n in range(10)],
        )
    expected = {
        (f"{tier} {cabin} {n}",)
        for tier, cabin, free in TIERS
        for n in range(10)
        if n + n % 2 > free
    }
    assert set(found) == expected
    assert calls == ["checked"]
