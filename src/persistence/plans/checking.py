"""Holds a plan against the table of kinds and its names against those that are bound.

What was found valid is remembered on the node, together with the names it takes from around. So
after an edit only the new steps are looked at, and those on the way to the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from persistence.errors import InputError
from persistence.plans.attributes import Attribute
from persistence.plans.expressions import LAST, Flaw, looked_into
from persistence.plans.kinds import KINDS, Kind, bound
from persistence.plans.node import Node, upwards, walk
from persistence.plans.problems import Path, Problem
from persistence.suggestions import meant
from persistence.values import Keyword, List, Map, Symbol, Value, encode

__all__ = ["check"]

_PARAMS, _REF, _NAME = Keyword("params"), Keyword("ref"), Keyword("name")
_UNSIGNED: Final = 1 << 64
_PLAIN: Final = frozenset((Keyword, Symbol, bool, type(None)))
_HOLDING: Final = frozenset((Map, tuple, List))
_SHALLOW: Final = 8
_NONE: frozenset[Symbol] = frozenset()
_set = object.__setattr__


def check(root: Node) -> list[Problem]:
    """Everything that is wrong with the plan whose root is *root*.

    >>> print(check(Node("seq", {}, [Node("ref", {"nam": Symbol("x")})]))[0])
    at [0]: :ref has no attribute :nam; did you mean :name?
    """
    sound = True
    for node in upwards(root, _is_known):
        flaws, names = _looked_at(node)
        free = None if flaws else _free(node, names)
        if free is None:
            sound = False
        else:
            _set(node, "_free", free)
    if sound and root._free is not None and root._free.issubset(_params(root)):
        return []
    found = [
        Problem(path, *flaw)
        for path, node in walk(root)
        if node._free is None
        for flaw in _looked_at(node)[0]
    ]
    return found + list(_unbound(root))


def _is_known(node: Node) -> bool:
    return node._free is not None


def _looked_at(node: Node) -> tuple[list[Flaw], set[Symbol]]:
    """Reason and fix of all that is wrong with *node* alone, and the names in its expressions."""
    kind = KINDS.get(node.tag)
    if kind is None:
        fix = meant(str(node.tag), map(str, KINDS)) or f"use one of {_listed(KINDS)}"
        return [(f"there is no kind of step {node.tag}", fix)], set()
    given, attrs = tuple(node.attrs), dict(node.attrs.items())
    rows, missing = _rows(node.tag, given)
    flaws = [*missing]
    if len(rows) < len(given):
        strange = [_stranger(kind, name) for name in given if name not in kind.attributes]
        flaws = [*strange, *missing]
    names: set[Symbol] = set()
    for name, row in rows:
        value = attrs[name]
        reason = row.check(value) if _is_plain(value) else _unkept(value) or row.check(value)
        if reason is not None:
            flaws.append((f"{name} of {kind.tag} {reason}", f"write {name} {row.usage}"))
        elif row.expressions is not None:
            for form in row.expressions(value):
                used, wrong = looked_into(form)
                names.update(used)
                flaws += [(f"in {name} of {kind.tag}: {reason}", fix) for reason, fix in wrong]
    flaws += _child_flaws(node, kind)
    if kind.flaws is not None:
        flaws += kind.flaws(node)
    if node.tag is _REF and not flaws:
        names.add(node.attrs[_NAME])
    return flaws, names


@lru_cache(maxsize=1_024)  # plans use the same few names again and again
def _rows(
    tag: Keyword, names: tuple[Any, ...]
) -> tuple[tuple[tuple[Keyword, Attribute], ...], tuple[Flaw, ...]]:
    """The rows of the table for attributes of these names, and what is wrong where one is missing.

    Names that are none are left to `_stranger`: of those, 1 and true would be one to the cache.
    """
    kind = KINDS[tag]
    rows = [(name, kind.attributes[name]) for name in names if name in kind.attributes]
    return tuple(rows), tuple(
        (f"{tag} needs {name}, {row.doc}", f"write {kind.usage}")
        for name, row in kind.attributes.items()
        if row.required and name not in names
    )


def _stranger(kind: Kind, name: Value) -> Flaw:
    fix = meant(str(name), map(str, kind.attributes)) or f"it may have {_listed(kind.attributes)}"
    return f"{kind.tag} has no attribute {name}", fix


def _is_plain(value: Value, depth: int = 0) -> bool:
    """Whether *value* can be kept, seen without encoding it."""
    kind = type(value)
    if kind is str:
        return value.isascii()  # type: ignore[no-any-return]
    if kind in _PLAIN or (kind is int and abs(value) < _UNSIGNED):
        return True
    if depth == _SHALLOW or kind not in _HOLDING:
        return False
    if kind is Map:
        for key, item in value.items():
            if type(key) is not Keyword or not _is_plain(item, depth + 1):
                return False
        return True
    return False not in [_is_plain(item, depth + 1) for item in value]


def _unkept(value: Value) -> str | None:
    """Why *value* cannot be kept, if so."""
    try:
        encode(((value,),))  # as deep as it lies in what an id is made of
    except InputError as error:
        return f"cannot be kept: {error.message}"
    return None


def _child_flaws(node: Node, kind: Kind) -> list[Flaw]:
    count = len(node.children)
    flaws: list[Flaw] = []
    if count < kind.least or (kind.most is not None and count > kind.most):
        many = "no children" if not count else f"{count} child{'ren' if count > 1 else ''}"
        flaws.append((f"{kind.tag} cannot have {many}", f"write {kind.usage}"))
    for index, child in enumerate(node.children):
        if _PARAMS in [*child.attrs]:  # keywords are few and interned, so this beats a lookup
            flaws.append((f"child {index} has :params", "leave that to the root"))
    return flaws


def _listed(names: Iterable[Keyword]) -> str:
    return " ".join(map(str, names))


def _free(node: Node, names: set[Symbol]) -> frozenset[Symbol] | None:
    """The names that *node* and all below it take from around; None while a child is not known.

    $ is always there, and is left out.
    """
    names.discard(LAST)
    for index, child in enumerate(node.children):
        if child._free is None:
            return None
        if child._free:
            names |= child._free - {bound(node, index)}
    return frozenset(names) if names else _NONE


def _params(root: Node) -> tuple[Symbol, ...]:
    params = root.get("params")
    return params if type(params) is tuple else ()


def _unbound(root: Node) -> Iterator[Problem]:
    """Every name that nothing binds, at each step that uses it."""
    stack: list[tuple[Path, Node, frozenset[Symbol]]] = []
    stack.append(((), root, frozenset({LAST, *_params(root)})))
    while stack:
        path, node, known = stack.pop()
        for name in sorted(_looked_at(node)[1] - known, key=str):
            near = meant(str(name), map(str, known))
            fix = near or f"bind it: [:let {{:name {name}}} …], or name it in :params of the root"
            yield Problem(path, f"{node.tag} uses {name}, which nothing binds", fix)
        for index in range(len(node.children) - 1, -1, -1):
            inner = bound(node, index)
            child = node.children[index]
            stack.append(((*path, index), child, known | {inner} if inner else known))
