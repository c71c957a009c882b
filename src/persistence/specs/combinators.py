"""What ordinary types cannot say, as functions that make specs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.errors import InputError
from persistence.specs.atoms import FLOAT, NUMBER
from persistence.specs.choices import Choice
from persistence.specs.compiling import compiled, union_of
from persistence.specs.constraints import Bounded, Pred, Regex, Size, regex_of
from persistence.specs.fields import Field, Fields
from persistence.specs.many import Seq
from persistence.specs.problems import shown
from persistence.specs.records import Keys, Record
from persistence.specs.spec import Spec
from persistence.specs.unions import Ref, Tagged


def union(*arms: Any) -> Spec:
    """What one of *arms* takes, tried in order. A refusal tells the problems of the closest arm.

    >>> from persistence.specs import conform
    >>> conform(union(int, seq(int)), [1, 2])
    [1, 2]

    Raises:
        InputError: there is no arm, or one that is no spec.
    """
    if not arms:
        raise InputError("a union needs an arm", hint="union(int, str)")
    return union_of([compiled(arm) for arm in arms])


def tagged(key: str, arms: Mapping[str, Any]) -> Spec:
    """Maps of several kinds; the text under *key* names which.

    An arm that is a class has a field of that name; an arm made by `keys` is given one.

    >>> from persistence.specs import conform
    >>> shape = tagged("kind", {"circle": keys({"r": float}), "dot": keys()})
    >>> conform(shape, {"kind": "circle", "r": 2})
    {'r': 2.0, 'kind': 'circle'}

    Raises:
        InputError: there is no arm, or one without the key.
    """
    if type(key) is not str or not arms or not all(type(tag) is str for tag in arms):
        raise InputError("a tagged union needs a key and arms by their tags, all of them text")
    return Tagged(key, {tag: _with_tag(key, tag, compiled(arm)) for tag, arm in arms.items()})


def _with_tag(key: str, tag: str, arm: Spec) -> Spec:
    if not isinstance(arm, Keys | Record):
        if isinstance(arm, Ref):
            return arm
        raise InputError(f"{arm.wants} cannot have the key {key!r}", hint="use keys or a class")
    if any(field.key == key for field in arm.fields.fields):
        return arm
    if isinstance(arm, Record):
        raise InputError(
            f"{arm.cls.__name__} has no field {key!r}", hint=f'add {key}: Literal["{tag}"] to it'
        )
    field = Field(key, key, Choice.of([tag]))
    return Keys(Fields.of([*arm.fields.fields, field], arm.fields.closed))


def keys(
    required: Mapping[Any, Any] | None = None,
    optional: Mapping[Any, Any] | None = None,
    *,
    closed: bool = True,
) -> Spec:
    """Maps with these keys (text or keywords); a closed one refuses all others.

    >>> from persistence.specs import conform
    >>> conform(keys({"id": int}, {"note": str}), {"id": 1})
    {'id': 1}

    Raises:
        InputError: a key comes twice, or is neither text nor a keyword.
    """
    needed = [Field(key, key, compiled(spec)) for key, spec in (required or {}).items()]
    maybe = [Field(key, key, compiled(spec), False) for key, spec in (optional or {}).items()]
    return Keys(Fields.of([*needed, *maybe], closed))


def seq(item: Any = Any, min: int = 0, max: int | None = None) -> Spec:
    """A list of *min* to *max* items.

    >>> from persistence.specs import is_valid
    >>> is_valid(seq(int, 1, 2), [1, 2]), is_valid(seq(int, 1, 2), [])
    (True, False)
    """
    size = sized(min, max)
    return Seq(compiled(item), list, size.least, size.most)


def regex(pattern: str) -> Regex:
    """Text that *pattern* matches as a whole. Keep to what JavaScript has too: schemas carry it.

    >>> from persistence.specs import is_valid
    >>> is_valid(regex("[A-Z]{3}"), "EUR"), is_valid(regex("[A-Z]{3}"), "EURO")
    (True, False)

    Raises:
        InputError: it is no pattern, or sets flags for all of itself.
    """
    return regex_of(pattern)


def pred(
    base: Any,
    function: Callable[[Any], Any],
    reason: str,
    fix: str | None = None,
    *,
    strategy: Any = None,
) -> Pred:
    """What *base* takes and *function* says yes to. *reason* is a noun: "an even number".

    *strategy* draws examples where few values of the base pass.

    >>> from persistence.specs import explain
    >>> print(*explain(pred(int, lambda n: n % 2 == 0, "an even number"), 3))
    $: expected an even number, found 3 - give an even number
    """
    return Pred(compiled(base), function, reason, fix or f"give {reason}", strategy)


def bounded(lo: Any = None, hi: Any = None, of: Any = None) -> Bounded:
    """A number or an instant from *lo* to *hi*, both included; for `Annotated`, or by itself.

    Without *of* it is of the type of the ends, a float if they differ.

    >>> from persistence.specs import conform
    >>> conform(bounded(0, 100), 7), conform(bounded(0, 1.5), 1)
    (7, 1.0)

    Raises:
        InputError: no end is given, an end is no number or instant, or *lo* is above *hi*.
    """
    ends = [end for end in (lo, hi) if end is not None]
    kinds = {type(end) for end in ends}
    numbers = kinds <= {int, float, Decimal, Fraction}
    if not ends or not (numbers or kinds == {dt.datetime}):
        raise InputError("bounds are numbers or instants, and at least one is given")
    if any(type(end) is dt.datetime and end.utcoffset() is None for end in ends):
        raise InputError("an instant without a time zone bounds nothing", hint="add tzinfo")
    if len(ends) == 2 and not lo <= hi:
        raise InputError(f"nothing lies from {shown(lo)} to {shown(hi)}", hint="swap them")
    base = FLOAT if of is None and len(kinds) > 1 else compiled(kinds.pop() if of is None else of)
    return Bounded(base, lo, hi)


def sized(min: int = 0, max: int | None = None) -> Size:
    """For `Annotated`: text of so many characters, a list, set or map of so many entries.

    >>> from typing import Annotated
    >>> from persistence.specs import is_valid
    >>> is_valid(Annotated[str, sized(1, 3)], "four")
    False

    Raises:
        InputError: *min* is below zero or above *max*.
    """
    if type(min) is not int or min < 0 or (max is not None and (type(max) is not int or max < min)):
        raise InputError(f"a size from {shown(min)} to {shown(max)} is none")
    return Size(min, max)


def enum(*values: Any) -> Spec:
    """One of *values*, which are plain: text, numbers, keywords and the like.

    >>> from persistence.specs import is_valid
    >>> is_valid(enum("small", "large"), "medium")
    False

    Raises:
        InputError: there is none, or a container.
    """
    return Choice.of(values)


def number(*, finite: bool = True) -> Spec:
    """A float; with finite=False also infinity and NaN, which JSON cannot write."""
    return FLOAT if finite else NUMBER


def ref(name: str) -> Spec:
    """The spec that the registry in use holds under *name*; it may hold itself.

    >>> ref("tree")
    <spec: a value of tree>
    """
    return compiled(name)
