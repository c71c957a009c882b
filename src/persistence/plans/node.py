"""A step of a plan as a value: it never changes, and its id names all that is below it.

An id is hashed over the ids of the children and not over their bytes. So a plan may nest deeper
than a value may, an edit hashes one path and not the whole plan, and a stored plan shares the steps
it has in common with others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn, final

from persistence.errors import LimitExceeded
from persistence.plans.problems import Path, Problem, refused
from persistence.plans.writing import written
from persistence.values import Keyword, Map, Symbol, Value, digest, encode, keyword

__all__ = ["DEPTH", "NODES", "Node", "text", "walk"]

DEPTH: Final = 1_000  # levels of a plan; generated plans are deep, and no real one comes near
NODES: Final = 100_000  # steps of a plan, counted as often as they stand in it

_EMPTY = Map()
_set = object.__setattr__


@final
class Node:
    """One step: a tag, its attributes and the steps inside of it. Compared and hashed by `id`.

    Attributes may be named by text. Whether the tag and the attributes make sense together is
    asked when a `Plan` is made of it.

    >>> search = Node("tool-call", {"tool": Keyword("tool/search")})
    >>> both = Node("seq", {}, [search, search])
    >>> both.children[0] == both.children[1], both.size
    (True, 3)
    >>> both
    Node('[:seq {} [:tool-call {:tool :tool/search}] [:tool-call {:tool :tool/search}]]')

    Raises:
        PlanError: a child is no `Node`.
        ValueRefused: a tag, an attribute's name or its value that is none of EDN.
        LimitExceeded: deeper than 1 000 levels or larger than 100 000 steps.
    """

    __slots__ = ("_free", "_head", "_id", "attrs", "children", "depth", "size", "tag")

    tag: Keyword
    attrs: Map
    children: tuple[Node, ...]
    depth: int
    size: int
    _id: bytes | None
    _free: frozenset[Symbol] | None  # set by checking.py: found valid, with these names unbound
    _head: str | None  # the text up to the first child

    def __init__(
        self,
        tag: Keyword | str,
        attrs: Mapping[Any, Any] = _EMPTY,
        children: Iterable[Node] = (),
    ) -> None:
        if type(attrs) is not Map:
            attrs = Map((keyword(k) if type(k) is str else k, v) for k, v in attrs.items())
        fill(self, keyword(tag), attrs, tuple(children))

    @property
    def id(self) -> bytes:
        """The 32 bytes that name this step and all below it.

        >>> Node("seq").id.hex()[:8] == Node("seq", {"id": ""}).id.hex()[:8]
        False
        """
        if self._id is None:
            for node in upwards(self, lambda node: node._id is not None):
                children = [child._id for child in node.children]
                _set(node, "_id", digest("plan", encode((node.tag, node.attrs, children))))
        assert self._id is not None
        return self._id

    def get(self, name: str, default: Value = None) -> Value:
        """The attribute *name*.

        >>> Node("checkpoint", {"name": "paid"}).get("name")
        'paid'
        """
        return self.attrs.get(Keyword(name), default)

    def having(self, **attributes: Value) -> Node:
        """The same step with these attributes besides or instead; `_` stands for a hyphen.

        >>> Node("code", {"source": "1"}).having(memory_mb=64)
        Node('[:code {:source "1" :memory-mb 64}]')
        """
        named = {Keyword(name.replace("_", "-")): value for name, value in attributes.items()}
        return Node(self.tag, Map({**self.attrs, **named}), self.children)

    def lacking(self, *names: str) -> Node:
        """The same step without the attributes *names*.

        >>> Node("seq", {"id": "a", "doc": "b"}).lacking("doc")
        Node('[:seq {:id "a"}]')
        """
        gone = {Keyword(name) for name in names}
        kept = {name: value for name, value in self.attrs.items() if name not in gone}
        return Node(self.tag, kept, self.children)

    def holding(self, *children: Node) -> Node:
        """The same step with other children.

        >>> Node("seq").holding(Node("seq"), Node("seq")).size
        3
        """
        return Node(self.tag, self.attrs, children)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Node and self.id == other.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a Node cannot be changed; `having` and `holding` make another")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Node cannot be changed; `having` and `holding` make another")

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return f"Node({text(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        flat = [(node.tag, node.attrs, len(node.children)) for node in upwards(self)]
        return _rebuilt, (flat,)

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self


def fill(node: Node, tag: Keyword, attrs: Map, children: tuple[Node, ...]) -> None:
    """Sets all of a new node; the one place that does."""
    depth, size = 0, 1
    for index, child in enumerate(children):
        if type(child) is not Node:
            reason = f"child {index} of {tag} is {type(child).__name__} and no step"
            raise refused([Problem((), reason, "give a Node, or parse the text of one first")])
        if child.depth > depth:
            depth = child.depth
        size += child.size
    depth += 1
    if depth > DEPTH:
        raise _limit("nest", "levels", "plan_depth", DEPTH, depth)
    if size > NODES:
        raise _limit("hold", "steps", "plan_nodes", NODES, size)
    _set(node, "tag", tag)
    _set(node, "attrs", attrs)
    _set(node, "children", children)
    _set(node, "depth", depth)
    _set(node, "size", size)
    _set(node, "_id", None)
    _set(node, "_free", None)
    _set(node, "_head", None)


def _limit(verb: str, what: str, limit: str, allowed: int, found: int) -> LimitExceeded:
    return LimitExceeded(
        f"plans {verb} at most {allowed} {what}, this one {found}",
        hint="make a skill of a part, and call it",
        limit=limit,
        allowed=allowed,
        found=found,
    )


def _rebuilt(flat: Iterable[tuple[Keyword, Map, int]]) -> Node:
    """The node whose parts *flat* lists, children first."""
    made: list[Node] = []
    for tag, attributes, count in flat:
        children = made[len(made) - count :]
        del made[len(made) - count :]
        made.append(Node(tag, attributes, children))
    return made[0]


def upwards(root: Node, done: Callable[[Node], bool] = lambda node: False) -> Iterator[Node]:
    """The nodes at and below *root*, children first, without those that are *done* by then."""
    stack = [(root, False)]
    while stack:
        node, below = stack.pop()
        if done(node):
            continue
        if below or not node.children:
            yield node
            continue
        stack.append((node, True))
        for child in reversed(node.children):
            stack.append((child, False))


def walk(root: Node) -> Iterator[tuple[Path, Node]]:
    """Every step with its path, in the order of the text.

    >>> [(path, str(node.tag)) for path, node in walk(Node("par", {}, [Node("seq")]))]
    [((), ':par'), ((0,), ':seq')]
    """
    stack: list[tuple[Path, Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        for index in range(len(node.children) - 1, -1, -1):
            stack.append(((*path, index), node.children[index]))


def text(root: Node) -> str:
    """The text of *root* in one line; equal steps have equal texts.

    >>> text(Node("par", {"max": 2}, [Node("seq"), Node("seq")]))
    '[:par {:max 2} [:seq {}] [:seq {}]]'

    Raises:
        LimitExceeded: the value of an attribute nests too deeply.
    """
    parts: list[str] = []
    stack: list[Node | str] = [root]
    while stack:
        part = stack.pop()
        if type(part) is str:
            parts.append(part)
            continue
        assert type(part) is Node
        parts.append(head(part))
        stack.append("]")
        for child in reversed(part.children):
            stack.append(child)
            stack.append(" ")
    return "".join(parts)


def head(node: Node) -> str:
    """The text of *node* up to its first child: `[:par {:max 2}`."""
    if node._head is None:
        _set(node, "_head", f"[{node.tag} {written(node.attrs)}")
    assert node._head is not None
    return node._head
