"""Prints a plan for people: one step to a line where it does not fit into one."""

from __future__ import annotations

from typing import Final

from persistence.plans.node import Node, head, text, upwards
from persistence.values import write

__all__ = ["pretty"]

_WIDEST_INDENT: Final = 60  # deeper steps begin there: else the text of a chain would be quadratic


def pretty(root: Node, *, width: int = 80) -> str:
    """The text of *root*, each child on a line of its own where one line would be too long.

    >>> print(pretty(Node("seq", {"doc": "Two."}, [Node("seq"), Node("par")]), width=20))
    [:seq {:doc "Two."}
     [:seq {}]
     [:par {}]]

    Raises:
        LimitExceeded: the value of an attribute nests too deeply.
    """
    lengths = _lengths(root)
    parts: list[str] = []
    stack: list[tuple[Node | str, int]] = [(root, 0)]
    while stack:
        part, level = stack.pop()
        indent = min(level, _WIDEST_INDENT)
        if type(part) is str:
            parts.append(part)
            continue
        assert type(part) is Node
        if indent + lengths[id(part)] <= width:
            parts.append(text(part))
            continue
        parts.append(_head(part, indent, width))
        stack.append(("]", level))
        for child in reversed(part.children):
            stack.append((child, level + 1))
            stack.append(("\n" + " " * min(level + 1, _WIDEST_INDENT), level))
    return "".join(parts)


def _lengths(root: Node) -> dict[int, int]:
    """How long the text of every node is, by its address."""
    found: dict[int, int] = {}
    for node in upwards(root, lambda node: id(node) in found):
        below = sum(found[id(child)] + 1 for child in node.children)
        found[id(node)] = len(head(node)) + below + 1
    return found


def _head(node: Node, indent: int, width: int) -> str:
    """The tag and the attributes, which may take several lines of their own."""
    line = head(node)
    if indent + len(line) <= width:
        return line
    column = indent + len(str(node.tag)) + 2
    attributes = write(node.attrs, pretty=True, width=max(width - column, 1))
    # A text never holds a line break as it stands: it is written \n.
    return f"[{node.tag} {attributes}".replace("\n", "\n" + " " * column)
