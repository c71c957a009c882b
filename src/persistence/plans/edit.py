"""Changes one step of a plan and gives the plan that results; the old one stays as it was.

A step is addressed by its path, so that of two equal steps one can be changed. Asked to spare work
that is *done*, an edit refuses whatever would change a step that has run, or move it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from persistence.plans.checking import check
from persistence.plans.node import Node
from persistence.plans.parse import steps_of
from persistence.plans.paths import as_path, at, changed, no_edit
from persistence.plans.problems import Path, refused, shown

__all__ = ["Change", "checked", "delete", "edit", "insert_after", "insert_before", "spared"]

Change: TypeAlias = "str | Node | Callable[[Node], Node] | tuple[Any, ...]"
"""What a step becomes: another one, its text or form, or a function of the step."""


def edit(root: Node, path: Sequence[int], change: Change, *, done: Collection[Path] = ()) -> Node:
    """The plan in which the step at *path* is what *change* makes of it.

    >>> twice = Node("seq", {}, [Node("seq"), Node("seq")])
    >>> print(edit(twice, (1,), "[:checkpoint {:name \\"end\\"}]"))
    [:seq {} [:seq {}] [:checkpoint {:name "end"}]]
    >>> print(edit(twice, (0,), lambda step: step.having(id="first")))
    [:seq {} [:seq {:id "first"}] [:seq {}]]

    Raises:
        PlanError: there is no such step, the plan would be none, or the step is done.
    """
    where = as_path(path)
    old = at(root, where)
    spared(where, where, done)
    made = change(old) if callable(change) else change
    new = steps_of(made)
    if not where:
        return checked(new)
    return checked(changed(root, where, lambda held, i: (*held[:i], new, *held[i + 1 :])))


def insert_before(
    root: Node, path: Sequence[int], step: str | Node, *, done: Collection[Path] = ()
) -> Node:
    """The plan with *step* in front of the one at *path*.

    >>> print(insert_before(Node("seq", {}, [Node("seq")]), (0,), "[:par {} [:seq {}]]"))
    [:seq {} [:par {} [:seq {}]] [:seq {}]]

    Raises:
        PlanError: there is no such step, the plan would be none, or a step behind it is done.
    """
    return _inserted(root, path, step, 0, done)


def insert_after(
    root: Node, path: Sequence[int], step: str | Node, *, done: Collection[Path] = ()
) -> Node:
    """The plan with *step* behind the one at *path*.

    >>> print(insert_after(Node("seq", {}, [Node("seq")]), (0,), "[:par {} [:seq {}]]"))
    [:seq {} [:seq {}] [:par {} [:seq {}]]]

    Raises:
        PlanError: there is no such step, the plan would be none, or a step behind it is done.
    """
    return _inserted(root, path, step, 1, done)


def _inserted(
    root: Node, path: Sequence[int], step: str | Node, offset: int, done: Collection[Path]
) -> Node:
    where = as_path(path)
    at(root, where)
    if not where:
        raise no_edit((), "the root has no neighbours", "edit it to be a :seq of both")
    place = (*where[:-1], where[-1] + offset)
    spared(place, place[:-1], done, moves=True)
    new = steps_of(step)
    return checked(
        changed(root, where, lambda held, i: (*held[: i + offset], new, *held[i + offset :]))
    )


def delete(root: Node, path: Sequence[int], *, done: Collection[Path] = ()) -> Node:
    """The plan without the step at *path*.

    >>> print(delete(Node("seq", {}, [Node("seq"), Node("par", {}, [Node("seq")])]), (0,)))
    [:seq {} [:par {} [:seq {}]]]

    Raises:
        PlanError: there is no such step, the plan would be none, or a step from there on is done.
    """
    where = as_path(path)
    at(root, where)
    if not where:
        raise no_edit((), "the root cannot be deleted", "edit it to be another step")
    spared(where, where, done, moves=True)
    return checked(changed(root, where, lambda held, i: (*held[:i], *held[i + 1 :])))


def checked(root: Node) -> Node:
    """*root*, unless it is no plan.

    Raises:
        PlanError: with all of its problems.
    """
    problems = check(root)
    if problems:
        raise refused(problems)
    return root


def spared(place: Path, step: Path, done: Collection[Path], *, moves: bool = False) -> None:
    """Nothing, unless the edit would touch a step that has run.

    Touched are *step*, what is inside of it and what it is inside of; when the edit *moves*
    siblings, also all from *place* on.

    Raises:
        PlanError: names a step that is done.
    """
    for path in map(tuple, done):
        around = step[: len(path)] == path
        inside = path[: len(place)] == place
        level = len(place) - 1
        behind = moves and path[:level] == place[:-1] and path[level:] > place[level:]
        if around or inside or behind:
            raise no_edit(
                place, f"the step at {shown(path)} has run", "edit what comes later, or rewind"
            )
