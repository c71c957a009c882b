"""Loads a recorded database into a store of ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from persistence import Substrate
from persistence.ids import TX0, tx_entity
from persistence.query import FunctionRegistry
from persistence.values import Keyword, List, Map

SCHEMA_BASE = 10_000_000  # where the entities of attributes are put, out of the way of the data's
FIRST_TX = 536_870_912  # DataScript's numbers of transactions begin here
KEPT = 4  # stores held open, because neighbouring cases share their database

REGISTRY = (
    FunctionRegistry()
    .with_aggregate(
        "datascript.test.query-aggregates/sort-reverse", lambda values: List(sorted(values)[::-1])
    )
    .with_function("datascript.test.query-fns/sample-query-fn", lambda: 42)
)


@attrs.define(eq=False)
class Loaded:
    """A store that holds one recorded database."""

    substrate: Substrate
    refs: frozenset[Keyword]
    tuples: Mapping[Keyword, tuple[Keyword, ...]]
    schema_entities: frozenset[int]
    txs: dict[int, int]  # DataScript's number of a transaction -> our t

    @property
    def db(self) -> Any:
        return self.substrate.fact.db()

    def tx_of(self, number: int) -> int:
        """Our entity for one of DataScript's transactions."""
        return tx_entity(self.txs[number])

    def recorded(self, value: Any) -> Any:
        """*value* with our transaction entities as DataScript's, where they were loaded."""
        if type(value) is int and value > TX0:
            for number, t in self.txs.items():
                if value == tx_entity(t):
                    return number
        return value


def load(open_store: Callable[[], Substrate], form: Map) -> Loaded:
    """A store with the schema and datoms of *form*, one transaction for each recorded one."""
    content = form[Keyword("db")]
    substrate = open_store()
    try:
        return _filled(substrate, content)
    except BaseException:
        substrate.close()
        raise


def _filled(substrate: Substrate, content: Map) -> Loaded:
    schema = content[Keyword("schema")] or {}
    refs = frozenset(attribute for attribute, about in schema.items() if _is_ref(about))
    tuples = {
        attribute: about[Keyword("db/tupleAttrs")]
        for attribute, about in schema.items()
        if Keyword("db/tupleAttrs") in about
    }
    declared = [
        {
            Keyword("db/id"): SCHEMA_BASE + place,
            Keyword("db/ident"): attribute,
            **_declaration(about),
        }
        for place, (attribute, about) in enumerate(schema.items())
    ]
    if declared:
        substrate.fact.transact(declared)
    entities = frozenset(SCHEMA_BASE + place for place in range(len(declared)))
    loaded = Loaded(substrate, refs, tuples, entities, {})
    groups: dict[int, list[Any]] = {}
    for datom in content[Keyword("datoms")]:
        groups.setdefault(datom[3], []).append(datom)
    passing = _passing(content[Keyword("datoms")], tuples)
    for number in sorted(groups):
        forms = [_add(loaded, datom, number) for datom in groups[number] if datom[1] not in tuples]
        forms += [(Keyword(f"db/{op}"), *fact) for when, op, *fact in passing if when == number]
        if forms:
            loaded.txs[number] = substrate.fact.transact(forms).t
    return loaded


def _passing(
    datoms: Any, tuples: Mapping[Keyword, tuple[Keyword, ...]]
) -> set[tuple[int, str, int, Keyword, str]]:
    """Facts that come and go before the recorded state: (transaction, operation, e, a, v).

    A composite tuple that is younger than its parts has lost one; it must lose it here too.
    """
    found = set()
    since = {(e, a): tx for e, a, _, tx in datoms}
    for e, a, v, tx in datoms:
        if a in tuples:
            parts = [since[e, part] for part in tuples[a] if (e, part) in since]
            lost = [part for part, value in zip(tuples[a], v, strict=True) if value is None]
            if parts and lost and max(parts) < tx:
                found.add((max(parts), "add", e, lost[0], "passing"))
                found.add((tx, "retract", e, lost[0], "passing"))
    return found


def _is_ref(about: Map) -> bool:
    types = (about.get(Keyword("db/valueType")), about.get(Keyword("db/type")))
    return Keyword("db.type/ref") in types


def _declaration(about: Map) -> dict[Any, Any]:
    renamed = {Keyword("db/type"): Keyword("db/valueType")}
    return {renamed.get(name, name): value for name, value in about.items()}


def _add(loaded: Loaded, datom: Any, number: int) -> Any:
    e, a, v, _ = datom
    refers = a in loaded.refs
    return (
        Keyword("db/add"),
        _entity(loaded, e, number),
        a,
        _entity(loaded, v, number) if refers else v,
    )


def _entity(loaded: Loaded, e: Any, current: int) -> Any:
    if type(e) is int and e >= FIRST_TX:
        return "datomic.tx" if e == current else loaded.tx_of(e)
    return e


def translated(loaded: Loaded, value: Any) -> Any:
    """Transaction data with DataScript's transaction numbers as our entities."""
    if type(value) is int and value in loaded.txs:
        return loaded.tx_of(value)
    if isinstance(value, Map):
        return Map([(translated(loaded, k), translated(loaded, v)) for k, v in value.items()])
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(translated(loaded, item) for item in value)
    return value


class Shelf:
    """Stores by the database they hold; a few stay open."""

    def __init__(self, open_store: Callable[[], Substrate]) -> None:
        self.open_store = open_store
        self._held: OrderedDict[Map, Loaded] = OrderedDict()

    def get(self, form: Map) -> Loaded:
        """A store that is only read."""
        found = self._held.pop(form, None)
        if found is None:
            found = load(self.open_store, form)
        self._held[form] = found
        while len(self._held) > KEPT:
            self._held.popitem(last=False)[1].substrate.close()
        return found

    def fresh(self, form: Map) -> Loaded:
        """A store of one's own, to write to."""
        return load(self.open_store, form)

    def close(self) -> None:
        for loaded in self._held.values():
            loaded.substrate.close()
        self._held.clear()
