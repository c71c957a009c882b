"""What turns one plan into another, as a list of changes that each name a path.

Two plans that share most of their steps share them by id, so only where ids differ is looked any
further. The changes are ordered from the end of the plan to its beginning: each path is right both
in the plan before and at the moment when its change is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

import attrs

from persistence.plans.edit import checked, spared
from persistence.plans.node import Node, text
from persistence.plans.paths import as_path, at, changed, no_edit
from persistence.plans.problems import Path, shown
from persistence.plans.writing import written
from persistence.values import Map

__all__ = ["Change", "apply", "diff"]

Action: TypeAlias = Literal["replace", "insert", "delete", "attributes"]
# Children are matched by content up to so many of them, and so many equal pairs among them; beyond
# that by their place, since matching costs up to the square of either.
_COMPARED, _ALIKE = 2_000, 250_000


@attrs.frozen
class Change:
    """One change: `replace` or `insert` a *node* at *path*, `delete` the one there, or give it
    other *attrs*. An inserted step is where the path says afterwards.

    >>> print(Change("delete", (0, 1)))
    delete [0 1]
    """

    action: Action
    path: Path
    node: Node | None = None
    attrs: Map | None = None

    def __str__(self) -> str:
        what = text(self.node) if self.node is not None else ""
        what = written(self.attrs) if self.attrs is not None else what
        return f"{self.action} {shown(self.path)} {what}".rstrip()


def diff(before: Node, after: Node) -> list[Change]:
    """The changes that turn *before* into *after*; none when they are equal.

    >>> one, other = Node("seq", {}, [Node("seq")]), Node("seq", {"id": "x"}, [])
    >>> for change in diff(one, other):
    ...     print(change.action, change.path)
    delete (0,)
    attributes ()
    >>> apply(one, diff(one, other)) == other
    True
    """
    found: list[Change] = []
    stack: list[tuple[Path, Node, Node]] = [((), before, after)]
    while stack:
        path, old, new = stack.pop()
        if old == new:
            continue
        if old.tag is not new.tag:
            found.append(Change("replace", path, new))
            continue
        if old.attrs != new.attrs:
            found.append(Change("attributes", path, attrs=new.attrs))
        for index, held, wanted in _pairs(old.children, new.children):
            place = (*path, index)
            if held is not None and wanted is not None:
                stack.append((place, held, wanted))
            elif wanted is not None:
                found.append(Change("insert", place, wanted))
            else:
                found.append(Change("delete", place))
    return _from_the_end(found)


def _pairs(
    old: Sequence[Node], new: Sequence[Node]
) -> Iterator[tuple[int, Node | None, Node | None]]:
    """What becomes of each child, in order: the index in *old* and what is there then and after."""
    ids, others = [node.id for node in old], [node.id for node in new]
    start = next((i for i, (a, b) in enumerate(zip(ids, others, strict=False)) if a != b),
                 min(len(ids), len(others)))  # fmt: skip
    most = min(len(ids), len(others)) - start
    end = 0
    while end < most and ids[-1 - end] == others[-1 - end]:
        end += 1
    last, other_last = len(ids) - end, len(others) - end
    blocks: Iterable[tuple[int, int, int, int]]
    if _is_costly(ids[start:last], others[start:other_last]):
        blocks = [(start, last, start, other_last)]
    else:
        matcher = SequenceMatcher(None, ids[start:last], others[start:other_last], autojunk=False)
        blocks = [
            (start + a, start + b, start + c, start + d)
            for tag, a, b, c, d in matcher.get_opcodes()
            if tag != "equal"
        ]
    for first, stop, other, other_stop in blocks:
        for offset in range(max(stop - first, other_stop - other)):
            yield (
                min(first + offset, stop),
                old[first + offset] if first + offset < stop else None,
                new[other + offset] if other + offset < other_stop else None,
            )


def _is_costly(ids: list[bytes], others: list[bytes]) -> bool:
    counts = Counter(others)
    return max(len(ids), len(others)) > _COMPARED or sum(counts[id] for id in ids) > _ALIKE


def _from_the_end(found: list[Change]) -> list[Change]:
    """The changes, last path first; of several insertions at one place the last goes first."""
    numbered = sorted(enumerate(found), key=lambda pair: (pair[1].path, pair[0]), reverse=True)
    return [change for _, change in numbered]


def apply(root: Node, changes: Iterable[Change], *, done: Iterable[Path] = ()) -> Node:
    """The plan that *changes* make of *root*, one after the other; checked at the end only.

    Raises:
        PlanError: a change finds no step, the result is no plan, or a step is done.
    """
    finished = list(done)
    for change in changes:
        path = as_path(change.path)
        moves = change.action in ("insert", "delete")
        spared(path, path[:-1] if change.action == "insert" else path, finished, moves=moves)
        root = _made(root, path, change)
    return checked(root)


def _made(root: Node, path: Path, change: Change) -> Node:
    if change.action == "attributes" and change.attrs is not None:
        old = at(root, path)
        return _put(root, path, (Node(old.tag, change.attrs, old.children),))
    if change.action == "replace" and change.node is not None:
        return _put(root, path, (change.node,))
    if change.action == "delete" and path:
        return _put(root, path, ())
    if change.action == "insert" and change.node is not None and path:
        return _inserted(root, path, change.node)
    raise no_edit(path, f"{change.action} lacks what it needs", "take changes from `diff`")


def _put(root: Node, path: Path, nodes: tuple[Node, ...]) -> Node:
    if not path:
        return nodes[0]
    return changed(root, path, lambda held, i: (*held[:i], *nodes, *held[i + 1 :]))


def _inserted(root: Node, path: Path, node: Node) -> Node:
    parent = at(root, path[:-1])
    if path[-1] > len(parent.children):
        raise no_edit(path, "there is no such place", "the last place is that behind all children")
    held = parent.children
    new = parent.holding(*held[: path[-1]], node, *held[path[-1] :])
    return _put(root, path[:-1], (new,))
