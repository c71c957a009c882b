"""Makes steps of text: strict in shape and in meaning, and every problem is told at once.

The forms are turned into steps without recursion, because a plan may nest deeper than Python's
calls, and paths are worked out only for what is wrong.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from persistence.errors import EdnError
from persistence.plans.checking import check
from persistence.plans.kinds import KINDS
from persistence.plans.node import DEPTH, Node, fill
from persistence.plans.problems import Path, Problem, refused
from persistence.suggestions import meant
from persistence.values import LIMITS, Keyword, List, Map, Tagged, Value, freeze, read

__all__ = ["node_of", "steps_of"]

_LIMITS: Final = attrs.evolve(LIMITS, nesting=DEPTH + LIMITS.nesting)  # each step is a bracket
_SHAPE = "write [tag {attributes} child …]"
_new = object.__new__


def node_of(source: str | Node | Value) -> Node:
    """The checked root of the plan that a text, the form of one, or a node holds.

    >>> node_of("[:seq {} [:ref {:nmae x}]]")
    Traceback (most recent call last):
    ...
    persistence.errors.PlanError: this is no plan:
      at [0]: :ref has no attribute :nmae; did you mean :name?
      at [0]: :ref needs :name, the name; write [:ref {:name x}]

    Raises:
        PlanError: it is no plan; `problems` lists path, reason and fix of each.
        LimitExceeded: it is too deep or too large.
    """
    root = steps_of(source)
    problems = check(root)
    if problems:
        raise refused(problems)
    return root


def steps_of(source: str | Node | Value) -> Node:
    """As `node_of`, with the shape checked only: for steps whose place gives them their names.

    >>> steps_of("[:ref {:name x}]").get("name")
    Symbol('x')

    Raises:
        PlanError: it has not the shape of steps.
    """
    if type(source) is Node:
        return source
    form = _read(source) if type(source) is str else freeze(source)
    problems: list[Problem] = []
    root = _built(form, problems)
    if problems:
        raise refused(problems)
    return root


def _read(text: str) -> Value:
    try:
        return read(text, default=Tagged, limits=_LIMITS)
    except EdnError as error:
        fix = error.hint or "mend the text there; it holds one plan and nothing after it"
        raise refused([Problem((), error.message, fix)]) from error


def _built(form: Value, problems: list[Problem]) -> Node:
    """The node of *form*; where *problems* are found, one that only shows where others are."""
    made: list[Node] = []
    # Steps whose children are not all made yet: (form, index of its next child).
    open_: list[tuple[Any, int]] = []
    pending = form
    while True:
        if pending is not _MADE:
            if not _shaped(pending):
                problems.append(Problem(_path(open_), *_misshapen(pending)))
                pending = _NOTHING
            open_.append((pending, 2))
        parent, index = open_[-1]
        if index < len(parent):
            open_[-1] = (parent, index + 1)
            pending = parent[index]
            continue
        open_.pop()
        first = len(made) - len(parent) + 2
        children = tuple(made[first:])
        del made[first:]
        node = _new(Node)
        fill(node, parent[0], parent[1], children)
        if not open_:
            return node
        made.append(node)
        pending = _MADE


_NOTHING = (Keyword("seq"), Map())
_MADE = object()


def _shaped(form: Value) -> bool:
    return (
        type(form) is tuple and len(form) >= 2 and type(form[0]) is Keyword and type(form[1]) is Map
    )


def _path(open_: list[tuple[Any, int]]) -> Path:
    return tuple(index - 3 for _, index in open_)


def _misshapen(form: Value) -> tuple[str, str]:
    """Why *form* is no step, and what would make it one."""
    if type(form) is List:
        return "a list is no step", "write [ ] instead of ( )"
    if type(form) is not tuple:
        return f"{'nil' if form is None else type(form).__name__} is no step", _SHAPE
    if not form:
        return "an empty vector is no step", _SHAPE
    tag = form[0]
    if type(tag) is not Keyword:
        near = meant(f":{tag}", map(str, KINDS)) if type(tag) is str else None
        return "a step begins with its kind, a keyword", near or _SHAPE
    if len(form) < 2 or type(form[1]) is not Map:
        return f"{tag} lacks its map of attributes", f"write [{tag} {{}} …]"
    raise AssertionError("the form has the shape of a step")
