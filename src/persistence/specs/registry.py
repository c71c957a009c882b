"""Specs under names, which may refer to each other and to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from persistence.errors import InputError
from persistence.specs.compiling import compiled
from persistence.specs.problems import shown
from persistence.specs.spec import Spec
from persistence.suggestions import nearest


@final
class Registry(Mapping[str, Spec]):
    """An immutable map of names to specs; `ref(name)` looks into the one it is used with.

    >>> from persistence.specs import conform, ref, seq
    >>> trees = Registry({"tree": seq(ref("tree"))})
    >>> conform("tree", [[], [[]]], registry=trees)
    [[], [[]]]

    Raises:
        InputError: a name is no text, or what it stands for is no spec.
    """

    __slots__ = ("_specs",)

    def __init__(self, specs: Mapping[str, Any] | None = None) -> None:
        self._specs = {_name(name): compiled(spec) for name, spec in (specs or {}).items()}

    def define(self, name: str, spec: Any, *, replace: bool = False) -> Registry:
        """A registry that holds *spec* as well.

        Raises:
            InputError: *name* is taken, and not to be replaced.
        """
        if name in self._specs and not replace:
            raise InputError(
                f"the name {name!r} is taken", hint="choose another, or pass replace=True"
            )
        return Registry({**self._specs, name: spec})

    def __getitem__(self, name: str) -> Spec:
        found = self._specs.get(name)
        if found is None:
            raise _missing(name, list(self._specs))
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self._specs)})"


def _name(name: Any) -> str:
    if type(name) is not str or not name:
        raise InputError(f"{shown(name)} is no name for a spec", hint="use text")
    return name


def _missing(name: str, names: list[str]) -> InputError:
    near = nearest(name, names)
    known = f"the names are {', '.join(names)}" if names else "none is defined"
    return InputError(
        f"no spec is named {name!r}",
        hint=f"did you mean {near!r}?" if near else f"{known}; define it, or pass registry=",
        name=name,
    )


EMPTY: Final = Registry()
