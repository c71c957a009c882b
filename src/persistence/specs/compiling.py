"""Ordinary types, made into specs once.

A class may hold itself, so it is known by name before its fields are read. What is compiled is kept
by the type and how it is written: Python finds `int | str` and `str | int` equal, and the order of
the arms matters.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from typing import Any, Final

import attrs

from persistence.errors import InputError
from persistence.specs.atoms import ANY, BOOL, FLOAT, INT, NONE, TEXT
from persistence.specs.carried import CARRIED
from persistence.specs.choices import Choice, of_enum
from persistence.specs.constraints import narrowed
from persistence.specs.fields import Field, Fields
from persistence.specs.many import MapOf, Row, Seq, SetOf
from persistence.specs.records import Keys, Record, first_line
from persistence.specs.spec import MISSING, Spec
from persistence.specs.unions import Ref, Union

_KEPT: Final = 4096  # compiled types; notebooks make classes anew, and the old ones must go

_ATOMS: Final[dict[Any, Spec]] = {
    Any: ANY,
    object: ANY,
    None: NONE,
    type(None): NONE,
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: TEXT,
    **CARRIED,
}
_compiled: dict[Any, Spec] = {}


def compiled(spec: Any) -> Spec:
    """The spec that a type, a class, a name or a spec stands for.

    >>> compiled(list[int]), compiled("tree")
    (<spec: a list>, <spec: a value of tree>)

    Raises:
        InputError: it stands for none.
    """
    if type(spec) is not type and isinstance(spec, Spec):
        return spec
    try:
        key = spec if type(spec) is type else (spec, repr(spec))
        found = _compiled.get(key)
    except TypeError:  # not hashable
        return _Compiler().spec(spec)
    if found is None:
        found = _Compiler().spec(spec)
        if len(_compiled) >= _KEPT:
            _compiled.clear()
        _compiled[key] = found
    return found


@attrs.define(eq=False)
class _Compiler:
    """One compilation: the classes that it has met."""

    records: dict[type, Spec] = attrs.field(factory=dict)

    def spec(self, given: Any) -> Spec:
        if isinstance(given, Spec):
            return given
        if type(given) is str:
            return Ref(given)
        origin = typing.get_origin(given)
        if origin is not None:
            return self.generic(given, origin, typing.get_args(given))
        try:
            if given in _ATOMS:
                return _ATOMS[given]
        except TypeError:
            raise _unknown(given) from None
        if isinstance(given, type):
            return self.of_class(given)
        if isinstance(given, typing.ForwardRef):
            return Ref(given.__forward_arg__)
        for inside in ("__supertype__", "__value__"):  # NewType, and `type X = ...`
            if hasattr(given, inside):
                return self.spec(getattr(given, inside))
        raise _unknown(given)

    def of_class(self, cls: type) -> Spec:
        if cls in _BARE:
            return self.generic(cls, _BARE[cls], ())
        if issubclass(cls, enum.Enum):
            return of_enum(cls)
        if typing.is_typeddict(cls):
            return self.typed_dict(cls)
        if attrs.has(cls) or dataclasses.is_dataclass(cls):
            return self.records[cls] if cls in self.records else self.record(cls)
        raise _unknown(cls)

    def generic(self, given: Any, origin: Any, args: tuple[Any, ...]) -> Spec:
        if origin is typing.Annotated:
            found = self.spec(args[0])
            for constraint in args[1:]:
                found = narrowed(found, constraint)
            return found
        if origin is typing.Literal:
            return Choice.of(args)
        if origin in (typing.Union, types.UnionType):
            return union_of([self.spec(arg) for arg in args])
        if origin in (typing.Required, typing.NotRequired):
            return self.spec(args[0])
        if origin is tuple and args[-1:] != (...,) and (args or given is not tuple):
            return Row(tuple(self.spec(arg) for arg in args))
        make = _GENERIC.get(origin)
        if make is None:
            raise _unknown(given)
        return make(*(self.spec(arg) for arg in args if arg is not ...))

    def record(self, cls: type) -> Spec:
        fields, evolve = (_attrs(cls), attrs.evolve) if attrs.has(cls) else _dataclass(cls)
        made = Record(cls, _doc(cls), evolve)
        self.records[cls] = made
        hints = _hints(cls)
        made.fields = Fields.of(
            attrs.evolve(field, spec=self.spec(hints.get(name, Any))) for name, field in fields
        )
        return made

    def typed_dict(self, cls: Any) -> Spec:
        return Keys(
            Fields.of(
                Field(key, key, self.spec(hint), required=key in cls.__required_keys__)
                for key, hint in _hints(cls).items()
            )
        )


_GENERIC: Final[dict[Any, Callable[..., Spec]]] = {
    list: lambda item=ANY: Seq(item),
    tuple: lambda item=ANY: Seq(item, tuple),
    set: lambda item=ANY: SetOf(item, set),
    frozenset: lambda item=ANY: SetOf(item),
    dict: lambda key=ANY, value=ANY: MapOf(key, value),
    abc.Sequence: lambda item=ANY: Seq(item, tuple),
    abc.Set: lambda item=ANY: SetOf(item),
    abc.Mapping: lambda key=ANY, value=ANY: MapOf(key, value),
}
_BARE: Final[dict[Any, Any]] = {kind: kind for kind in _GENERIC}


def union_of(arms: list[Spec]) -> Spec:
    """The union of *arms*; of one arm, that arm."""
    if len(arms) == 1:
        return arms[0]
    direct: dict[type, Spec] = {}
    for arm in arms:
        for kind in _own(arm):
            direct.setdefault(kind, arm)
    return Union(tuple(arms), direct)


def _own(arm: Spec) -> tuple[type, ...]:
    """The Python types, other than text, that an arm is meant for."""
    base = arm
    while hasattr(base, "base"):
        base = base.base
    if isinstance(base, Record):
        return (base.cls,)
    return tuple(kind for kind, atom in _DIRECT.items() if atom is base)


_DIRECT: Final[dict[Any, Spec]] = {
    **CARRIED,
    type(None): NONE,
    bool: BOOL,
    int: INT,
    float: FLOAT,
}


def _attrs(cls: type) -> list[tuple[str, Field]]:
    found = []
    for a in attrs.fields(cls):
        if a.init:
            key = a.alias or a.name
            default = MISSING if a.default is attrs.NOTHING else a.default
            required = a.default is attrs.NOTHING
            found.append((a.name, Field(key, key, ANY, required, not a.repr, default)))
    return found


def _dataclass(cls: Any) -> tuple[list[tuple[str, Field]], Callable[..., Any]]:
    found = []
    for f in dataclasses.fields(cls):
        if f.init:
            none = dataclasses.MISSING
            required = f.default is none and f.default_factory is none
            default = MISSING if f.default is none else f.default
            found.append((f.name, Field(f.name, f.name, ANY, required, not f.repr, default)))
    return found, dataclasses.replace


def _hints(cls: type) -> dict[str, Any]:
    """
    Raises:
        InputError: an annotation names something that is not there.
    """
    try:
        return typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except Exception as error:
        raise InputError(
            f"the annotations of {cls.__name__} cannot be read: {error}",
            hint="define what they name at the top of its module",
            type=cls,
        ) from None


def _doc(cls: type) -> str:
    text = cls.__dict__.get("__doc__") or ""
    return "" if text.startswith(f"{cls.__name__}(") else first_line(text)


def _unknown(given: Any) -> InputError:
    name = getattr(given, "__name__", None) or repr(given)[:60]
    return InputError(
        f"{name} is no spec",
        hint="give a type such as int or list[str], an attrs class, or a spec made by this package",
        found=given,
    )
