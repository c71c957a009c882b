"""Finds a step by its path and makes the plan anew around what has changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from persistence.errors import PlanError
from persistence.plans.node import Node
from persistence.plans.problems import Path, Problem, shown

__all__ = ["as_path", "at", "changed", "no_edit"]


def as_path(path: Sequence[int]) -> Path:
    """*path* as a tuple.

    >>> as_path([0, 2])
    (0, 2)

    Raises:
        PlanError: something in it is no whole number from 0 on.
    """
    found: tuple[object, ...] = tuple(path)
    if not all(type(index) is int and index >= 0 for index in found):
        raise no_edit((), f"{path!r} is no path", "give the index of a child per level: (0, 2)")
    return tuple(path)


def no_edit(path: Path, reason: str, fix: str) -> PlanError:
    """The error for an edit that cannot be made."""
    problem = Problem(path, reason, fix)
    return PlanError(
        f"this edit cannot be made: {problem}", hint=fix, problems=[problem], path=path, fix=fix
    )


def at(root: Node, path: Sequence[int]) -> Node:
    """The step at *path*.

    >>> at(Node("par", {}, [Node("seq", {"id": "a"})]), (0,)).get("id")
    'a'

    Raises:
        PlanError: there is none.
    """
    return _way(root, as_path(path))[-1]


def _way(root: Node, path: Path) -> list[Node]:
    """The steps from the root to the one at *path*, both included."""
    way = [root]
    for level, index in enumerate(path):
        children = way[-1].children
        if index >= len(children):
            held = f"{way[-1].tag} at {shown(path[:level])} has {len(children)} children"
            raise no_edit(path, f"there is no step: {held}", "ask `walk()` for the paths there are")
        way.append(children[index])
    return way


def changed(
    root: Node, path: Path, change: Callable[[tuple[Node, ...], int], Iterable[Node]]
) -> Node:
    """The plan in which *change* made others of the children that the step at *path* is one of.

    *change* is given the children and the index of the step among them. What the edit does not
    touch is shared between both plans.
    """
    *way, _ = _way(root, path)
    made: Iterable[Node] | None = None
    for parent, index in zip(reversed(way), reversed(path), strict=True):
        children = parent.children
        if made is None:
            made = change(children, index)
        else:
            made = (*children[:index], *made, *children[index + 1 :])
        made = (Node(parent.tag, parent.attrs, made),)
    assert made is not None
    (new,) = made
    return new
