"""Makes the call of a case and compares; a disagreement is told in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from persistence import query
from persistence.errors import PersistenceError
from persistence.ids import TX0
from persistence.query.parse import parse
from persistence.values import Keyword, List, Symbol, identity, write
from tests.conformance.cases import Case, is_db
from tests.conformance.compare import bag, our_rows, plain, renaming, side
from tests.conformance.stores import REGISTRY, Loaded, Shelf, translated

Problem = str | None


def check(case: Case, shelf: Shelf) -> Problem:
    """What is wrong with our answer, or None."""
    try:
        answer = CALLS[case.kind](case, shelf)
    except PersistenceError as error:
        return None if case.refused else f"it was refused: {type(error).__name__}: {error}"
    return f"it was not refused, as by: {case['throws']}" if case.refused else answer


# ------------------------------------------------------------------------------- transactions


def _transact(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.fresh(case["db"])
    try:
        report = loaded.substrate.fact.transact(_forms(case, loaded))
        return None if case.refused else _report(case, loaded, report)
    finally:
        loaded.substrate.close()


def _with(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    report = loaded.db.with_(_forms(case, loaded))
    return None if case.refused else _report(case, loaded, report)


def _db_with(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    after = loaded.db.with_(_forms(case, loaded)).db_after
    if case.refused:
        return None
    ours = side(loaded, our_rows(loaded, after.datoms("eavt"), added=False))
    theirs = side(loaded, case["result"][Keyword("db")][Keyword("datoms")])
    if renaming([(ours, theirs)], {}) is None:
        return _differ(theirs.rows, ours.rows)
    return None


def _forms(case: Case, loaded: Loaded) -> Any:
    return translated(loaded, case["tx"])


def _report(case: Case, loaded: Loaded, report: Any) -> Problem:
    expected = case["result"]
    data = side(loaded, our_rows(loaded, report.tx_data, added=True))
    their_data = side(loaded, expected[Keyword("tx-data")])
    after = side(loaded, our_rows(loaded, report.db_after.datoms("eavt"), added=False))
    their_after = side(loaded, expected[Keyword("after")][Keyword("db")][Keyword("datoms")])
    current = expected[Keyword("tempids")][Keyword("db/current-tx")]
    names = {report.tx: current} if report.tx > TX0 else {}
    for tempid, e in expected[Keyword("tempids")].items():
        if e == current:
            continue
        if tempid not in report.tempids:
            return f"the tempid {tempid!r} has no entity: {dict(report.tempids)}"
        names[report.tempids[tempid]] = e
    if renaming([(data, their_data), (after, their_after)], names) is None:
        if renaming([(after, their_after)], names) is None:
            return "after: " + _differ(their_after.rows, after.rows)
        return "tx-data: " + _differ(their_data.rows, data.rows)
    return None


# -------------------------------------------------------------------------------------- reads


def _datoms(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    read = {"datoms": "datoms", "seek": "seek_datoms", "rseek": "rseek_datoms"}[case.kind]
    components = [translated(loaded, component) for component in case["components"]]
    found = list(getattr(loaded.db, read)(case["index"], *components))
    return _in_order(case, loaded, found)


def _index_range(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    found = list(loaded.db.index_range(case["attr"], case["start"], case["end"]))
    return _in_order(case, loaded, found)


def _in_order(case: Case, loaded: Loaded, found: list[Any]) -> Problem:
    if case.refused:
        return None
    ours = side(loaded, our_rows(loaded, found, added=True)).rows
    theirs = side(loaded, case["result"]).rows
    return None if identity(ours) == identity(theirs) else _differ(theirs, ours)


def _pull(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    return _same(case, plain(loaded.db.pull(case["pattern"], case["eid"])))


def _pull_many(case: Case, shelf: Shelf) -> Problem:
    loaded = shelf.get(case["db"])
    return _same(case, plain(loaded.db.pull_many(case["pattern"], case["eids"])))


def _same(case: Case, ours: Any) -> Problem:
    expected = case["result"]
    return None if identity(ours) == identity(expected) else _differ(expected, ours)


# ------------------------------------------------------------------------------------ queries


def _q(case: Case, shelf: Shelf) -> Problem:
    stores: list[Loaded] = []
    inputs = []
    for value in case["inputs"]:
        if is_db(value):
            stores.append(shelf.get(value))
            inputs.append(stores[-1].db)
        else:
            inputs.append(value)

    def ask(form: Any) -> Any:
        found = plain(query.run(form, inputs, functions=REGISTRY))
        declared = {e for loaded in stores for e in loaded.schema_entities}
        if type(found) is tuple and declared:  # schema is data here, so it is found too
            found = tuple(row for row in found if type(row) is not tuple or row[0] not in declared)
        return _recorded(stores, found)

    found = ask(case["query"])
    if case.refused:
        return None
    expected = case["result"]
    shape = parse(case["query"]).shape
    if shape == "relation" or shape == "collection":
        same = bag(found) == bag(expected)
    else:
        same = identity(found) == identity(expected) or _either(case, ask, found, expected)
    return None if same else _differ(expected, found)


def _recorded(stores: list[Loaded], value: Any) -> Any:
    if type(value) is int and value > TX0 and stores:
        return stores[0].recorded(value)
    if isinstance(value, tuple) and type(value) is not List:
        return tuple(_recorded(stores, item) for item in value)
    return value


def _either(case: Case, ask: Callable[[Any], Any], ours: Any, theirs: Any) -> bool:
    """Whether a query for one row, which has several, may answer either way."""
    form = list(case["query"])
    end = next(place for place, part in enumerate(form[1:], 1) if isinstance(part, Keyword))
    found = form[1:end]
    scalar = found[-1] == Symbol(".")
    asked = found[:-1] if scalar else list(found[0])
    rows = bag(ask((form[0], *asked, *form[end:])))
    one, other = ((ours,), (theirs,)) if scalar else (ours, theirs)
    return identity(one) in rows and identity(other) in rows


def _differ(expected: Any, found: Any) -> str:
    return f"expected {_shown(expected)} got {_shown(found)}"


def _shown(value: Any) -> str:
    try:
        return write(value)[:1500]
    except PersistenceError:
        return repr(value)[:1500]


CALLS: dict[str, Callable[[Case, Shelf], Problem]] = {
    "transact": _transact,
    "with": _with,
    "db-with": _db_with,
    "datoms": _datoms,
    "seek": _datoms,
    "rseek": _datoms,
    "index-range": _index_range,
    "pull": _pull,
    "pull-many": _pull_many,
    "q": _q,
}
