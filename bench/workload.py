"""The data of DataScript's own benchmark, seeded, so that every contender stores the same facts.

People have a name of 8, a last name of 6, a sex of 2, an age below 100 and a salary below
100 000. The `follows` trees are DataScript's `wide-db` and `long-db`: *wide* is a tree of a given
depth and fan-out, *long* is a number of chains. Entities count from 1.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import NamedTuple, TextIO

NAMES = ("Ivan", "Petr", "Sergei", "Oleg", "Yuri", "Dmitry", "Fedor", "Denis")
LAST_NAMES = ("Ivanov", "Petrov", "Sidorov", "Kovalev", "Kuznetsov", "Voronoi")
SEXES = ("male", "female")
ATTRIBUTES = ("name", "last-name", "sex", "age", "salary")

SEED = 20_000


class Person(NamedTuple):
    """One entity of five facts; `sex` is a keyword where the contender knows keywords."""

    id: int
    name: str
    last_name: str
    sex: str
    age: int
    salary: int

    def _by_attribute(self) -> Iterator[tuple[str, str | int]]:
        values = (self.name, self.last_name, self.sex, self.age, self.salary)
        return zip(ATTRIBUTES, values, strict=True)

    def facts(self) -> Iterator[tuple[int, str, str | int]]:
        """The person as (entity, attribute, value), in the order of `ATTRIBUTES`."""
        for attribute, value in self._by_attribute():
            yield self.id, attribute, value


class Node(NamedTuple):
    """A person of a tree and the entities that the person follows."""

    person: Person
    follows: tuple[int, ...]


def _person(id: int, draw: random.Random) -> Person:
    return Person(
        id,
        draw.choice(NAMES),
        draw.choice(LAST_NAMES),
        draw.choice(SEXES),
        draw.randrange(100),
        draw.randrange(100_000),
    )


def people(count: int, seed: int = SEED) -> list[Person]:
    """*count* people in shuffled order.

    >>> [len(set(column)) for column in zip(*people(1000))][1:4]
    [8, 6, 2]
    """
    draw = random.Random(seed)
    crowd = [_person(id, draw) for id in range(1, count + 1)]
    draw.shuffle(crowd)
    return crowd


def stream(count: int, seed: int = SEED) -> Iterator[Person]:
    """The same kind of people one by one, for imports that must not hold them all."""
    draw = random.Random(seed)
    return (_person(id, draw) for id in range(1, count + 1))


def write_jsonl(count: int, file: TextIO) -> None:
    """Write *count* people as JSON objects, one per line: a `person/id` and four facts more."""
    for person in stream(count):
        row: dict[str, str | int] = {"person/id": person.id}
        row.update({f"person/{a}": value for _, a, value in person.facts() if a != "salary"})
        file.write(json.dumps(row) + "\n")


def wide(depth: int, width: int, seed: int = SEED) -> list[Node]:
    """A tree of *width* children per node, *depth* levels below its root, entity 1.

    >>> len(wide(4, 5))
    781
    """
    draw = random.Random(seed)
    nodes: list[Node] = []
    level = [1]
    for remaining in range(depth, -1, -1):
        below: list[int] = []
        for id in level:
            children = tuple(range(id * width, id * width + width)) if remaining else ()
            nodes.append(Node(_person(id, draw), children))
            below.extend(children)
        level = below
    return nodes


def long(depth: int, width: int, seed: int = SEED) -> list[Node]:
    """*width* chains of *depth* links each.

    >>> [(node.person.id, node.follows) for node in long(2, 1)]
    [(1, (2,)), (2, (3,)), (3, ())]
    """
    draw = random.Random(seed)
    nodes: list[Node] = []
    for chain in range(width):
        first = chain * (depth + 1) + 1
        for id in range(first, first + depth + 1):
            follows = (id + 1,) if id < first + depth else ()
            nodes.append(Node(_person(id, draw), follows))
    return nodes


TREES = {
    "wide 3×3": (wide, 3, 3),
    "wide 5×3": (wide, 5, 3),
    "wide 4×6": (wide, 4, 6),
    "wide 7×3": (wide, 7, 3),
    "long 10×3": (long, 10, 3),
    "long 30×3": (long, 30, 3),
    "long 30×5": (long, 30, 5),
}


def raises(crowd: list[Person], rounds: int, seed: int = SEED) -> list[list[tuple[int, int]]]:
    """*rounds* revisions of everybody's salary, as (entity, salary); each differs from the last.

    >>> [[now for _, now in revision] for revision in raises(people(1), 2)][0] != [people(1)[0][5]]
    True
    """
    draw = random.Random(seed + 1)
    last = {person.id: person.salary for person in crowd}
    revisions = []
    for _ in range(rounds):
        for id, salary in last.items():
            last[id] = (salary + draw.randrange(1, 100_000)) % 100_000
        revisions.append(list(last.items()))
    return revisions


def versions(entities: int, count: int, seed: int = SEED) -> Iterator[list[tuple[int, int]]]:
    """*count* successive prices of each entity, as (entity, price), one list per version."""
    draw = random.Random(seed + 2)
    price = [draw.randrange(1, 1_000) for _ in range(entities)]
    for _ in range(count):
        price = [value + draw.randrange(1, 10) for value in price]
        yield list(enumerate(price, start=1))
