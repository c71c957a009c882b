"""`s.spec`: specs under names, for everything that works with one store."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from persistence.specs import conforming, repairing, schemas, strategies, tools
from persistence.specs.compiling import compiled
from persistence.specs.problems import Problem
from persistence.specs.registry import EMPTY, Registry
from persistence.specs.spec import Json, Spec


class Specs:
    """Defines specs by name, and takes a name wherever a spec is taken.

    >>> specs = Specs()
    >>> _ = specs.define("tree", list["tree"])
    >>> specs.conform("tree", [[], []])
    [[], []]
    """

    def __init__(self, registry: Registry = EMPTY) -> None:
        self._registry = registry
        self._lock = threading.Lock()

    @property
    def registry(self) -> Registry:
        """The names as they are now; later definitions do not change it."""
        return self._registry

    def define(self, name: str, spec: Any, *, replace: bool = False) -> Spec:
        """Keeps *spec* under *name*, and gives it back compiled.

        Raises:
            InputError: the name is taken, or the spec is none.
        """
        with self._lock:
            self._registry = self._registry.define(name, spec, replace=replace)
            return self._registry[name]

    def conform(self, spec: Any, value: Any) -> Any:
        """*value* parsed by *spec*.

        Raises:
            SpecError: it does not conform; `data["problems"]` lists every problem.
            InputError: the spec is none, or not defined.
        """
        return conforming.conform(spec, value, registry=self._registry)

    def explain(self, spec: Any, value: Any) -> list[Problem]:
        """What is wrong with *value*; nothing if it conforms.

        Raises:
            InputError: the spec is none, or not defined.
        """
        return conforming.explain(spec, value, registry=self._registry)

    def is_valid(self, spec: Any, value: Any) -> bool:
        """Whether *value* conforms.

        Raises:
            InputError: the spec is none, or not defined.
        """
        return conforming.is_valid(spec, value, registry=self._registry)

    def predicate(self, spec: Any) -> Callable[[Any], bool]:
        """A function that tells whether a value conforms, as `s.txn.validator` takes it.

        >>> stop = s.txn.validator("user/age", Specs().predicate(int | None))
        >>> _ = s.fact.transact([["db/add", ada, "user/age", 37]])
        >>> stop()

        Raises:
            InputError: the spec is none.
        """
        made = compiled(spec)
        return lambda value: conforming.is_valid(made, value, registry=self._registry)

    def json_schema(self, spec: Any) -> Json:
        """The JSON Schema of *spec*.

        Raises:
            InputError: the spec is none, or not defined.
        """
        return schemas.json_schema(spec, registry=self._registry)

    def strategy(self, spec: Any) -> Any:
        """A Hypothesis strategy of values as *spec* parses them.

        Raises:
            InputError: Hypothesis is not installed, or the spec is none or not defined.
        """
        return strategies.strategy(spec, registry=self._registry)

    def repair(
        self, spec: Any, ask: Callable[[str, Any], Any], first: Any, *, attempts: int = 3
    ) -> Any:
        """*first* parsed; while it does not conform, `ask(problems, value)` gives the next.

        Raises:
            SpecError: none of *attempts* values conformed; `data["attempts"]` holds them.
        """
        return repairing.repair(spec, ask, first, attempts=attempts, registry=self._registry)

    async def arepair(
        self, spec: Any, ask: Callable[[str, Any], Awaitable[Any]], first: Any, *, attempts: int = 3
    ) -> Any:
        """`repair` with an *ask* that is awaited.

        Raises:
            SpecError: none of *attempts* values conformed; `data["attempts"]` holds them.
        """
        return await repairing.arepair(spec, ask, first, attempts=attempts, registry=self._registry)

    def tool(self, function: Callable[..., Any], *, skip: Collection[str] = ()) -> tools.Tool:
        """*function* as a model sees it: name, description, parameters.

        Raises:
            InputError: it takes arguments without names, or the annotations cannot be read.
        """
        return tools.tool(function, skip=skip, registry=self._registry)

    def __repr__(self) -> str:
        return f"Specs({', '.join(self._registry)})"
