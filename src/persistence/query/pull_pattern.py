"""Pull patterns: from EDN text, EDN data or Python lists and dicts to one small tree.

A pattern is a vector of attribute specs. What a spec may be:

    :a  :_a  *               an attribute, the entities that point here by it, all attributes
    [:a :as "x" :limit 9 :default 0 :xform f]          options; also (limit :a 9), (default :a 0)
    {spec pattern}           what to pull of the entities that :a points at
    {spec 3}  {spec ...}     this same pattern again, 3 levels deep or as far as it goes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

import attrs

from persistence.errors import InputError, QueryError
from persistence.values import Keyword, Symbol, identity, read, write

__all__ = ["DB_ID", "DEFAULT_LIMIT", "EVERYTHING", "MISSING", "Pattern", "Spec", "parse"]

DB_ID: Final = Keyword("db/id")
DEFAULT_LIMIT: Final = 1000  # values of one attribute unless :limit says otherwise, as in Datomic
MISSING: Final = object()  # no :default was given; nil could be one

_ALL = Symbol("*")
_AGAIN = Symbol("...")
_CACHE_SIZE = 1024
_cache: dict[Any, Pattern] = {}


@attrs.frozen(eq=False)
class Spec:
    """One attribute of a pattern.

    `pattern` is what to pull of the entities it points at, None if nothing is said about them.
    `recursive` pulls the enclosing pattern again, at most `depth` times in a row.
    """

    attribute: Keyword
    key: Any  # the key in the result
    reverse: bool = False
    limit: int | None = DEFAULT_LIMIT
    default: Any = MISSING
    xform: str | None = None
    pattern: Pattern | None = None
    recursive: bool = False
    depth: int | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing needs to be done when the attribute has no value."""
        return self.default is MISSING and self.xform is None


@attrs.frozen(eq=False)
class Pattern:
    """What to pull of an entity: the specs, the keys for :db/id, and whether all else too."""

    specs: tuple[Spec, ...] = ()
    ids: tuple[Spec, ...] = ()
    wildcard: bool = False


EVERYTHING: Final = Pattern(ids=(Spec(DB_ID, DB_ID),), wildcard=True)


def parse(source: Any) -> Pattern:
    """The pattern of *source*: EDN text, EDN data, or lists and dicts with names as strings.

    >>> parse("[:name {:child ...}]").specs[1].recursive
    True
    >>> parse(["user/name", {"user/_friend": ["*"]}]).specs[1].reverse
    True

    Raises:
        QueryError: it is no pattern; names the part that is wrong.
    """
    try:
        key = (str, source) if type(source) is str else identity(source)
    except InputError:  # `...` of Python, which is no EDN
        return _pattern(source)
    found = _cache.get(key)
    if found is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        found = _cache[key] = _pattern(read(source) if type(source) is str else source)
    return found


def _pattern(form: Any) -> Pattern:
    if not isinstance(form, tuple | list) or not form:
        _refuse(form, "a pull pattern is a vector of attributes", "for instance [:user/name]")
    specs: list[Spec] = []
    wildcard = False
    for element in form:
        if element == _ALL or element == "*":
            wildcard = True
        elif isinstance(element, Mapping):
            specs.extend(_nested(element))
        else:
            specs.append(_spec(element))
    ids = tuple(spec for spec in specs if spec.attribute is DB_ID)
    if wildcard and not ids:
        ids = EVERYTHING.ids
    return Pattern(tuple(spec for spec in specs if spec.attribute is not DB_ID), ids, wildcard)


def _nested(form: Mapping[Any, Any]) -> Iterator[Spec]:
    for element, below in form.items():
        spec = _spec(element)
        if spec.attribute is DB_ID:
            _refuse(element, ":db/id points at nothing", "ask for it beside the map")
        if below is ... or below == _AGAIN or below == "...":
            yield attrs.evolve(spec, recursive=True)
        elif type(below) is int:
            if below < 1:
                _refuse(below, "a recursion goes at least 1 level deep")
            yield attrs.evolve(spec, recursive=True, depth=below)
        else:
            yield attrs.evolve(spec, pattern=_pattern(read(below) if _text(below) else below))


def _text(form: Any) -> bool:
    return type(form) is str and form.lstrip().startswith("[")


def _spec(form: Any) -> Spec:
    if not isinstance(form, tuple | list):
        return _attribute(form)
    if len(form) == 3 and isinstance(form[0], Symbol):
        name, attribute, value = form
        if name.name not in ("limit", "default"):
            _refuse(form, f"({name} …) is no attribute spec", "limit and default are")
        return _option(_spec(attribute), Keyword(name.name), value)
    if len(form) % 2 == 0:
        _refuse(form, "an attribute is followed by pairs of option and value")
    spec = _attribute(form[0])
    for option, value in zip(form[1::2], form[2::2], strict=True):
        spec = _option(spec, option, value)
    return spec


def _attribute(form: Any) -> Spec:
    if not isinstance(form, str | Keyword):
        _refuse(form, f"{_shown(form)} is no attribute", "write :user/name, or :user/_name")
    try:
        given = Keyword(form) if isinstance(form, str) else form
    except InputError as error:
        raise QueryError(str(error), hint=error.hint, form=form) from error
    if not given.local.startswith("_") or given.local == "_":
        return Spec(given, given)
    forward = given.local[1:]
    named = f"{given.namespace}/{forward}" if given.namespace else forward
    return Spec(Keyword(named), given, reverse=True)


def _option(spec: Spec, option: Any, value: Any) -> Spec:
    name = option.name if isinstance(option, Keyword) else str(option).removeprefix(":")
    if name == "as":
        identity(value)  # a key must be a value
        return attrs.evolve(spec, key=value)
    if name == "default":
        return attrs.evolve(spec, default=value)
    if name == "limit":
        if value is not None and (type(value) is not int or value < 1):
            _refuse(value, f"the limit {_shown(value)} is neither a positive number nor nil")
        return attrs.evolve(spec, limit=value)
    if name == "xform":
        if not isinstance(value, Symbol | Keyword | str):
            _refuse(value, f"the xform {_shown(value)} is no name", "name a registered function")
        return attrs.evolve(spec, xform=value if isinstance(value, str) else value.name)
    _refuse(option, f"there is no option {_shown(option)}", "use :as, :default, :limit or :xform")


def _shown(form: Any) -> str:
    try:
        return write(form)
    except InputError:
        return repr(form)


def _refuse(form: Any, message: str, hint: str | None = None) -> NoReturn:
    raise QueryError(
        message if _shown(form) in message else f"{message}: {_shown(form)}", hint=hint, form=form
    )
