"""Persistence through its front door, in the shape that the sections ask every store for.

This file is the only one of the harness that knows the library.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import answers, texts
from bench.figure import OURS
from bench.timing import Call, Stage
from bench.workload import ATTRIBUTES, Node, Person
from persistence import Keyword, Substrate
from persistence.db import Db
from persistence.values import read, write

MALE, FEMALE = Keyword("male"), Keyword("female")
SEX = {"male": MALE, "female": FEMALE}
KEYS: dict[str, Hashable] = {n: Keyword(n) for n in (*ATTRIBUTES, "follows", "db/id")}
SALARY, SCORE = Keyword("salary"), Keyword("score")


def _attribute(name: str, type_: str, **more: Any) -> dict[str, Any]:
    """Declared and indexed, because the floor indexes every attribute too."""
    declared: dict[str, Any] = {
        ":db/ident": Keyword(name),
        ":db/valueType": Keyword(f"db.type/{type_}"),
        ":db/cardinality": Keyword("db.cardinality/one"),
        ":db/index": True,
    }
    return declared | {f":db/{key}": value for key, value in more.items()}


SCHEMA = [
    _attribute("name", "string"),
    _attribute("last-name", "string"),
    _attribute("sex", "keyword"),
    _attribute("age", "long"),
    _attribute("salary", "long"),
    _attribute("price", "long"),
    _attribute("score", "long"),
    _attribute("follows", "ref", cardinality=Keyword("db.cardinality/many")),
]


# What an imported person has beside its `person/id`; every value is text or an integer there.
IMPORTED = {
    "person/name": "string",
    "person/last-name": "string",
    "person/sex": "string",
    "person/age": "long",
}


def _forms(crowd: Iterable[Person]) -> list[dict[str, Any]]:
    return [
        {
            ":db/id": person.id,
            ":name": person.name,
            ":last-name": person.last_name,
            ":sex": SEX[person.sex],
            ":age": person.age,
            ":salary": person.salary,
        }
        for person in crowd
    ]


class Ours:
    """One store: a file, or a Postgres database by its URI."""

    name = OURS
    keys, sexes = KEYS, SEX  # the shapes that a pull gives

    def __init__(self, where: Path | str, **options: Any) -> None:
        self.where = where
        self.substrate = Substrate.open(where, **options)
        self.substrate.fact.transact(SCHEMA)

    def close(self) -> None:
        self.substrate.close()

    @classmethod
    def loading(cls, file: Callable[[], Path], crowd: list[Person]) -> Stage[Ours]:
        """Everybody in one transaction on a fresh file; the schema is declared untimed."""
        forms = _forms(crowd)

        def finish(store: Ours) -> None:
            store.close()
            Path(store.where).unlink()

        return Stage(
            OURS,
            prepare=lambda: cls(file()),
            run=lambda store: store.transact(forms),
            normal=lambda store: store.count(*ATTRIBUTES),
            finish=finish,
        )

    @property
    def db(self) -> Db:
        """The database as it is now."""
        return self.substrate.fact.db()

    @staticmethod
    def edn(crowd: Iterable[Person]) -> str:
        """The people as transaction data, in EDN."""
        forms = [{Keyword(key): v for key, v in form.items()} for form in _forms(crowd)]
        return write(forms)

    @staticmethod
    def read_edn(text: str) -> Any:
        return read(text)

    def transact(self, forms: Sequence[Any]) -> int:
        """The `t` of the transaction."""
        return self.substrate.fact.transact(forms).t

    def load_people(self, crowd: Iterable[Person]) -> int:
        return self.transact(_forms(crowd))

    def load_tree(self, nodes: Iterable[Node]) -> int:
        nodes = list(nodes)
        forms = _forms(node.person for node in nodes)
        for form, node in zip(forms, nodes, strict=True):
            if node.follows:
                form[":follows"] = list(node.follows)
        return self.transact(forms)

    def revise(self, attribute: str, pairs: Iterable[tuple[int, int]]) -> int:
        return self.transact([{":db/id": e, f":{attribute}": v} for e, v in pairs])

    def give_raises(self, pairs: Iterable[tuple[int, int]]) -> int:
        return self.revise("salary", pairs)

    def price(self, pairs: Sequence[tuple[int, int]]) -> int:
        return self.revise("price", pairs)

    def asking(
        self, figure: str, t: int | None = None, *, db: Db | None = None, name: str = OURS
    ) -> Call:
        """A query figure of *db*, now or as known at *t*; by default of the main line."""
        text, inputs = texts.QUERIES[figure]
        db = self.db if db is None else db
        db = db if t is None else db.as_of(t)
        return Call(name, lambda: db.q(text, *inputs), answers.rows)

    def following(self) -> Call:
        db = self.db
        return Call(OURS, lambda: db.q(texts.FOLLOWS, texts.FOLLOWS_RULES), answers.rows)

    def pulling(self) -> Call:
        db = self.db
        return Call(OURS, lambda: db.pull(texts.PULL, 1), answers.tree)

    def reading(self, entities: Sequence[int], t: int | None = None) -> Call:
        """The salary of each of *entities*; with *t* as of that transaction and valid now."""
        db = self.db
        if t is not None:
            db = db.as_of(t).valid_at(datetime.now(UTC))
        return Call(OURS, lambda: [db.get(e, SALARY) for e in entities], operations=len(entities))

    def totalling(self, t: int | None = None, *, name: str = OURS) -> Call:
        db = self.db if t is None else self.db.as_of(t)
        return Call(name, lambda: db.q(texts.TOTAL))

    def committing(self, operations: int, entities: Iterable[int]) -> Stage[list[int]]:
        """One-datom transactions, *operations* to a sample, each on the next of *entities*."""
        upcoming = iter(entities)
        transact = self.substrate.fact.transact

        def commit(chunk: list[int]) -> None:
            for e in chunk:
                transact([[":db/add", e, SCORE, 7]])

        return Stage(
            OURS,
            prepare=lambda: [next(upcoming) for _ in range(operations)],
            run=commit,
            normal=lambda _: self.count("score"),
            operations=operations,
        )

    def count(self, *attributes: str) -> int:
        """How many facts of *attributes* hold now."""
        return count(self.db, attributes)

    def size(self) -> int:
        """Bytes of the database, free pages included."""
        return self.substrate.statistics().bytes


def count(db: Db, attributes: Iterable[str]) -> int:
    """How many facts of *attributes*, all of cardinality one, *db* shows."""
    text = "[:find (count ?e) . :where [?e :{} _]]"
    return sum(db.q(text.format(name)) or 0 for name in attributes)


def import_file(source: Path, store: Path, tick: Callable[[int], None]) -> tuple[int, int]:
    """Import JSON lines of people; *tick* hears of progress in datoms, by the bytes read.

    Gives how many facts the store then holds and the bytes of its file.
    """
    with source.open() as lines:
        datoms = sum(1 for _ in lines) * (1 + len(IMPORTED))
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = datoms * done // total
        tick(now - told)
        told = now

    with Substrate.open(store) as substrate:
        substrate.fact.transact(
            [
                _attribute("person/id", "long", unique=Keyword("db.unique/identity")),
                *(_attribute(name, type_) for name, type_ in IMPORTED.items()),
            ]
        )
        substrate.import_file(source, id="person/id", progress=progress)
        facts = count(substrate.fact.db(), ("person/id", *IMPORTED))
        return facts, substrate.statistics().bytes
