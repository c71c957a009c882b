"""What every spec is: something that parses a value, and says the same as a schema and a strategy.

A type is compiled once into a tree of these objects; to conform is to walk that tree and the value
together. A part that does not conform is returned as a `Bad` and not raised, because a container
goes on to its next part, so that all problems are told at once.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from persistence.specs.problems import Bad, Problem, shown
from persistence.values import List, Map, Set

DEPTH: Final = 100  # levels of one value; six Python frames each stay inside of the call stack
MISSING: Final = object()
CONTAINERS: Final = frozenset((dict, Map, list, tuple, List, set, frozenset, Set))
SEQUENCES: Final = frozenset((list, tuple, List))
SETS: Final = frozenset((set, frozenset, Set))
MAPS: Final = frozenset((dict, Map))

Json = dict[str, Any]


class Walk:
    """What one call of `conform` carries along: the named specs, and what unions have found.

    Without the memory a union of unions would try every combination of its arms.
    """

    __slots__ = ("known", "registry")

    def __init__(self, registry: Mapping[str, Spec]) -> None:
        self.registry = registry
        self.known: dict[tuple[int, int], tuple[Any, Any]] = {}


class Schemas(Protocol):
    """What `Spec.schema` may ask for: a schema that is written once and referred to."""

    registry: Mapping[str, Spec]

    def refer(self, key: Any, name: str, make: Callable[[], Json]) -> Json: ...


class Draws(Protocol):
    """What `Spec.strategy` may ask for: Hypothesis, and a strategy that is built once."""

    st: Any
    registry: Mapping[str, Spec]

    def shared(self, key: Any, make: Callable[[], Any]) -> Any: ...

    def reject(self) -> Any: ...


class Spec(abc.ABC):
    """A compiled spec. Make one with the functions of this package, not by hand."""

    __slots__ = ()

    @property
    @abc.abstractmethod
    def wants(self) -> str:
        """What a value has to be, as a noun: "a number"."""

    @property
    @abc.abstractmethod
    def fix(self) -> str:
        """What to do about a value that is something else."""

    @abc.abstractmethod
    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        """The value in its parsed form, or a `Bad`."""

    @abc.abstractmethod
    def schema(self, out: Schemas) -> Json:
        """JSON Schema, draft 2020-12."""

    @abc.abstractmethod
    def strategy(self, draw: Draws) -> Any:
        """A Hypothesis strategy of parsed values."""

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        """`parse` for the key of a map, which in JSON is always text."""
        return self.parse(value, depth, walk)

    def key_schema(self, out: Schemas) -> Json:
        """The schema of what `parse_key` takes."""
        return self.schema(out)

    def __repr__(self) -> str:
        return f"<spec: {self.wants}>"


def wrong(spec: Spec, value: Any) -> Bad:
    """*value* is of another kind than *spec* wants."""
    return Bad([Problem((), f"expected {spec.wants}", spec.fix, shown(value))], misfit=True)


def too_deep() -> Bad:
    """The walk went further down than it may."""
    return Bad(
        [
            Problem(
                (),
                f"nests more than {DEPTH} levels deep, or holds itself",
                "give a flatter value, with no container inside of itself",
            )
        ],
        fatal=True,
    )
