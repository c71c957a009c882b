"""Hypothesis strategies for plans of every kind, with every value that EDN has."""

from __future__ import annotations

from hypothesis import strategies as st

from persistence.plans import Node
from persistence.values import Keyword, List, Map, Set, Symbol
from tests.values import strategies as values

NAMES = [Symbol(name) for name in ("x", "y", "long-name", "é")]
names = st.sampled_from(NAMES)
filled = values.strings.filter(lambda text: text.strip())
locals_ = values.keywords.filter(lambda key: key.namespace is None)


def literal(value: object) -> object:
    """*value* as an expression that gives it: no symbol, no list."""
    if isinstance(value, Symbol | List):
        return List([Symbol("quote"), value])
    if isinstance(value, Map):
        return Map([(key, literal(item)) for key, item in value.items()])
    if isinstance(value, tuple):
        return tuple(map(literal, value))
    if isinstance(value, Set):
        return Set(map(literal, value))
    return value


literals = values.values.map(literal)


def expressions(bound: frozenset[Symbol]) -> st.SearchStrategy[object]:
    """Expressions over the names *bound*."""
    known = st.sampled_from(sorted({*bound, Symbol("$")}, key=str))
    call = st.builds(
        lambda name, one, other: List([Symbol(name), one, other]),
        st.sampled_from(["=", "not=", "and", "or", "str", "get", "contains?", "<", "+"]),
        known | literals,
        known,
    )
    return st.one_of(known, literals, call)


def common(draw: st.DrawFn) -> dict[str, object]:
    held: dict[str, object] = {}
    if draw(st.booleans()):
        held["id"] = draw(filled)
    if draw(st.booleans()):
        held["doc"] = draw(values.strings)
    return held


@st.composite
def nodes(draw: st.DrawFn, bound: frozenset[Symbol] = frozenset(), depth: int = 3) -> Node:
    """A valid step that takes no names from around but *bound*."""
    inner = ["seq", "par", "choice", "case", "loop", "race", "let", "branch", "verify", "reflect"]
    leaves = ["tool-call", "llm-call", "code", "checkpoint", "call-skill", "ref"]
    if not bound:
        leaves.remove("ref")
    tag = draw(st.sampled_from(leaves + inner * (depth > 0)))
    expression = expressions(bound)
    arguments = st.dictionaries(locals_, expression, max_size=3)
    held = common(draw)

    def child(*more: Symbol) -> Node:
        return draw(nodes(bound | set(more), depth - 1))

    def several(least: int = 1) -> list[Node]:
        return [child() for _ in range(draw(st.integers(least, 3)))]

    match tag:
        case "seq" | "par" | "race":
            children = several(tag != "seq")
            if tag == "par" and draw(st.booleans()):
                held["max"] = draw(st.integers(1, 8))
            return Node(tag, held, children)
        case "choice":
            children = several()
            when = [draw(expression) for _ in children]
            if draw(st.booleans()):
                when[-1] = Keyword("else")
            return Node(tag, held | {"when": tuple(when)}, children)
        case "case":
            children = several()
            of = draw(st.sets(st.integers(0, 99), min_size=len(children), max_size=len(children)))
            more = [child()] if draw(st.booleans()) else []
            made = held | {"on": draw(expression), "of": tuple(sorted(of))}
            return Node(tag, made, [*children, *more])
        case "loop":
            mode = draw(st.sampled_from(["times", "while", "for"]))
            if mode == "times":
                return Node(tag, held | {"times": draw(st.integers(0, 5))}, [child()])
            if mode == "while":
                made = {"while": draw(expression), "max": draw(st.integers(1, 5))}
                return Node(tag, held | made, [child()])
            name = draw(names)
            return Node(tag, held | {"for": name, "in": draw(expression)}, [child(name)])
        case "let":
            name = draw(names)
            if draw(st.booleans()):
                return Node(tag, held | {"name": name, "value": draw(expression)}, [child(name)])
            return Node(tag, held | {"name": name}, [child(), child(name)])
        case "branch":
            return Node(tag, held | {"name": draw(filled), "merge": draw(st.booleans())}, [child()])
        case "verify":
            made = {"that": draw(expression)} if draw(st.booleans()) else {"spec": Keyword("s")}
            return Node(tag, held | made, [child()])
        case "reflect":
            return Node(
                tag, held | {"prompt": draw(expression)}, [child()][: draw(st.integers(0, 1))]
            )
        case "tool-call":
            made = {"tool": draw(values.keywords), "args": draw(arguments)}
            return Node(tag, held | made)
        case "llm-call":
            made = {
                "model": draw(filled),
                draw(st.sampled_from(["prompt", "messages"])): draw(expression),
            }
            return Node(tag, held | made)
        case "code":
            made = {"source": draw(filled), "input": draw(arguments), "seconds": 0.5}
            return Node(tag, held | made)
        case "checkpoint":
            return Node(tag, held | {"name": draw(filled)})
        case "call-skill":
            return Node(tag, held | {"skill": draw(values.keywords), "args": draw(arguments)})
        case _:
            return Node(tag, held | {"name": draw(st.sampled_from(sorted(bound, key=str)))})


__all__ = ["NAMES", "expressions", "literal", "literals", "nodes"]
