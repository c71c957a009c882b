"""Conditions and arguments of steps: a small language in which every expression ends.

There are no loops, no definitions and no names but those that the plan binds. What an expression
makes is bounded, so that doubling a value in a loop fails before it fills the memory.

A symbol is the value bound to it (`$` that of the step before), a list calls a function,
`(quote x)` is x itself; vectors, sets and the values of maps are expressions again; all else is
literal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from persistence.errors import InputError
from persistence.plans.functions import FUNCTIONS, Misuse
from persistence.suggestions import meant
from persistence.values import LIMITS, List, Map, Set, Symbol, Value, write

__all__ = ["LAST", "evaluate", "looked_into"]

Flaw: TypeAlias = tuple[str, str]

LAST: Final = Symbol("$")
"""The name of the value of the step before."""

_NESTING = 64  # of an expression; evaluation recurses
_PARTS = 1_000_000  # of a value that an expression makes: fits in memory, and takes about a second
_QUOTE = Symbol("quote")
_COLLECTIONS = (tuple, List, Map, Set)
_NOTHING: tuple[tuple[Symbol, ...], tuple[Flaw, ...]] = ((), ())


def evaluate(form: Value, bindings: Mapping[Symbol, Value]) -> Value:
    """The value of *form*.

    >>> from persistence.values import read
    >>> evaluate(read('(and (< n 3) {:next (+ n 1)})'), {Symbol("n"): 2})
    Map({Keyword('next'): 3})

    Raises:
        Misuse: a function cannot take what it is given.
    """
    kind = type(form)
    if kind is Symbol:
        return bindings[form]
    if kind not in _COLLECTIONS:
        return form
    if kind is List:
        return _call(form, bindings)
    if not any(True for _ in _parts(form)):
        return form
    if kind is Map:
        return _bounded(Map([(k, evaluate(v, bindings)) for k, v in form.items()]))
    made = [evaluate(item, bindings) for item in form]
    return _bounded(Set(made) if kind is Set else tuple(made))


def _call(form: List, bindings: Mapping[Symbol, Value]) -> Value:
    name, *given = form
    if name is _QUOTE:
        return given[0]
    function = _FUNCTIONS[name]
    if function.lazy:
        return function.call(*[partial(evaluate, argument, bindings) for argument in given])
    return function.call(*[evaluate(argument, bindings) for argument in given])


def _bounded(value: Value) -> Value:
    """*value*, unless it is too large to be written down, counting shared parts every time."""
    stack, found, chars = [iter((value,))], 0, 0
    while stack:
        for item in stack[-1]:
            found += 1
            if type(item) is str or type(item) is bytes:
                chars += len(item)
            if found > _PARTS or chars > LIMITS.value_bytes or len(stack) > LIMITS.nesting:
                raise Misuse("the value is too large", "keep a part of it only")
            if type(item) in _COLLECTIONS:
                parts = item if type(item) is not Map else _entries(item)
                stack.append(iter(parts))
                break
        else:
            stack.pop()
    return value


def _entries(value: Map) -> Iterator[Value]:
    for key, item in value.items():
        yield key
        yield item


def _parts(form: Value) -> Iterator[Value]:
    """The names and the calls in *form*: a literal has neither."""
    stack = [form]
    while stack:
        part = stack.pop()
        kind = type(part)
        if kind is Symbol:
            yield part
        elif kind is List:
            yield part
            if part and part[0] is not _QUOTE:
                stack.extend(part[1:])
        elif kind is Map:
            stack.extend(part.values())
        elif kind is tuple or kind is Set:
            stack.extend(part)


def looked_into(form: Value) -> tuple[Collection[Symbol], Sequence[Flaw]]:
    """The names that *form* takes from where it stands, and reason and fix of all that is wrong
    with it wherever it stands.

    >>> from persistence.values import read
    >>> names, _ = looked_into(read("(= x (get $ :y) (quote z))"))
    >>> sorted(map(str, names))
    ['$', 'x']
    >>> looked_into(read("(cuont x)"))[1]
    [('there is no function cuont', 'did you mean count?')]
    """
    kind = type(form)
    if kind is not Symbol and kind not in _COLLECTIONS:
        return _NOTHING
    names: set[Symbol] = set()
    found: list[Flaw] = []
    stack: list[tuple[Value, int]] = [(form, 0)]
    while stack:
        part, depth = stack.pop()
        kind = type(part)
        if kind is Symbol:
            names.add(part)
            if part.namespace is not None:
                found.append((f"{part} is no name", f"a name has no slash: write {part.local}"))
            continue
        if kind not in _COLLECTIONS:
            continue
        if depth == _NESTING:
            reason = f"the expression nests deeper than {_NESTING}"
            return names, [*found, (reason, "bind a part of it by :let")]
        inner = part.values() if kind is Map else part
        if kind is List:
            flaw = _call_flaw(part)
            if flaw is not None:
                found.append(flaw)
                continue
            inner = () if part[0] is _QUOTE else part[:0:-1]
        stack += [(item, depth + 1) for item in inner]
    return names, found


def _call_flaw(call: List) -> Flaw | None:
    if not call:
        return "() calls nothing", "write (quote ()) for an empty list"
    name, *given = call
    if type(name) is not Symbol or name not in _FUNCTIONS:
        known = meant(str(name), map(str, _FUNCTIONS)) or f"use one of {' '.join(FUNCTIONS)}"
        written = name if type(name) is Symbol else _clipped(name)
        return f"there is no function {written}", known
    function = _FUNCTIONS[name]
    if not function.least <= len(given) <= (function.most or len(given)):
        return f"{name} cannot take {len(given)} arguments", f"write {function.usage}"
    return None


def _clipped(value: Value) -> str:
    try:
        text = write(value)
    except InputError:
        return type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


_FUNCTIONS: Final = {Symbol(name): function for name, function in FUNCTIONS.items()}
