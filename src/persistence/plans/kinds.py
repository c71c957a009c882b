"""The sixteen kinds of step in one table: what each may say, holds, does and costs.

Checks, the words of errors and the documentation read the same rows, so that none of them can
claim what another denies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs

from persistence.plans import attributes as a
from persistence.plans.attributes import Attribute, expression, literal
from persistence.plans.node import Node
from persistence.values import Keyword, Symbol

__all__ = ["COMMON", "KINDS", "Kind", "bound"]


@attrs.frozen
class Kind:
    """One kind of step."""

    tag: Keyword
    doc: str
    value: str  # what the step gives
    cost: str  # the effects it performs itself, beside those of the steps inside of it
    attributes: dict[Keyword, Attribute]
    least: int = 0
    most: int | None = 0  # children; None: any number
    flaws: Callable[[Node], Iterable[tuple[str, str]]] | None = None

    @property
    def usage(self) -> str:
        """How the kind is written, with the attributes it cannot do without."""
        words = [str(self.tag)]
        needed = [f"{row.name} {row.usage}" for row in self.attributes.values() if row.required]
        words.append("{" + " ".join(needed) + "}")
        words += ["child"] * self.least + ["…"] * (self.most is None)
        return f"[{' '.join(words)}]"


def _either(node: Node, *names: str) -> Iterator[tuple[str, str]]:
    given = [name for name in names if Keyword(name) in node.attrs]
    listed = " or ".join(f":{name}" for name in names)
    if len(given) != 1:
        said = "both" if given else "neither"
        yield f"{node.tag} has {said} of {listed}", "give exactly one of them"


def _choice(node: Node) -> Iterator[tuple[str, str]]:
    when = node.get("when")
    if type(when) is tuple and len(when) != len(node.children):
        yield (
            f":when has {len(when)} conditions for {len(node.children)} children",
            "give every child its condition; :else is the last",
        )


def _case(node: Node) -> Iterator[tuple[str, str]]:
    of = node.get("of")
    if type(of) is tuple and len(node.children) - len(of) not in (0, 1):
        yield (
            f":of has {len(of)} values for {len(node.children)} children",
            "give every value its child, and at most one child more for all others",
        )


_MODES = (
    {Keyword("while"), Keyword("max")},
    {Keyword("times")},
    {Keyword("for"), Keyword("in")},
)


def _loop(node: Node) -> Iterator[tuple[str, str]]:
    given = {name for mode in _MODES for name in mode if name in node.attrs}
    if given not in _MODES:
        said = " ".join(sorted(map(str, given))) or "nothing"
        yield (
            f":loop goes on by {said}",
            "give {:times 3}, or {:while (< n 3) :max 10}, or {:for x :in xs}",
        )


def _let(node: Node) -> Iterator[tuple[str, str]]:
    value, count = Keyword("value") in node.attrs, len(node.children)
    if value and count == 2:
        yield ":let has :value and a child for the value", "leave one of them out"
    if not value and count == 1:
        yield (
            ":let has neither :value nor a child for the value",
            "give [:let {:name x} value body]",
        )


def _llm_call(node: Node) -> Iterator[tuple[str, str]]:
    return _either(node, "prompt", "messages")


def _verify(node: Node) -> Iterator[tuple[str, str]]:
    return _either(node, "that", "spec")


_ARGS = Attribute(
    Keyword("args"), "arguments by name", a.arguments, '{:query "tea"}', a.each_argument
)
_RETRIES = literal("retries", "how often a failure is tried again", a.whole(0, 100), "2")
_MODEL = literal("model", "which model is asked", a.filled, '"m"')
_PROMPT = expression("prompt", "what it is asked", '"How much?"')

COMMON: Final[dict[Keyword, Attribute]] = {
    row.name: row
    for row in (
        literal("id", "a label, shown in traces", a.filled, '"search"'),
        literal("doc", "what the step is for", a.text, '"Finds flights."'),
        literal("params", "names that a run must give; at the root only", a.distinct_names, "[x]"),
    )
}
"""What every kind may say."""


def _kind(
    tag: str,
    rows: tuple[Attribute, ...],
    children: tuple[int, int | None],
    doc: str,
    value: str,
    cost: str = "none",
    flaws: Callable[[Node], Iterable[tuple[str, str]]] | None = None,
) -> Kind:
    held = {row.name: row for row in (*rows, *COMMON.values())}
    return Kind(Keyword(tag), doc, value, cost, held, *children, flaws)


_TABLE = (
    _kind(
        "seq", (), (0, None),
        "runs its children in order; each sees the value of the one before as $",
        "that of the last child; $ when it has none",
    ),
    _kind(
        "par", (literal("max", "how many at once", a.whole(1, 1_000), "4"),), (1, None),
        "runs its children at the same time; all of them end, then the first failure counts",
        "the vector of their values",
    ),
    _kind(
        "choice",
        (Attribute(Keyword("when"), "a condition per child", a.conditions,
                   "[(< n 3) :else]", a.each_condition, True),), (1, None),
        "runs the first child whose condition holds, and no other; fails when none does",
        "that of the child", flaws=_choice,
    ),
    _kind(
        "case",
        (expression("on", "what decides", "n", required=True),
         literal("of", "a value per child", a.cases, '["a" "b"]', required=True)), (1, None),
        "runs the child whose value is the same, or the one more that stands for all others; "
        "fails when there is none",
        "that of the child", flaws=_case,
    ),
    _kind(
        "loop",
        (literal("times", "how often", a.whole(0, 1_000_000), "3"),
         expression("while", "asked before every turn", "(< n 3)"),
         literal("max", "the most turns; fails when :while still holds", a.whole(1, 1_000_000),
                 "10"),
         literal("for", "the name of each element in turn", a.name, "x"),
         expression("in", "a vector, list or set", "xs")), (1, 1),
        "runs its child again and again; each turn sees the value of the one before as $",
        "that of the last turn; with :for the vector of all of them", flaws=_loop,
    ),
    _kind(
        "race", (), (1, None),
        "runs its children at the same time until one succeeds, and gives the others up; fails "
        "when all of them do",
        "that of the first to succeed", "1",
    ),
    _kind(
        "let",
        (literal("name", "the name", a.name, "x", required=True),
         expression("value", "its value, instead of a child", "(+ n 1)")), (1, 2),
        "binds a name to the value of its first child, or of :value, within its last child",
        "that of the last child", flaws=_let,
    ),
    _kind(
        "branch",
        (literal("name", "of the branch", a.filled, '"try"', required=True),
         literal("merge", "whether it is merged in the end", a.flag, "true")), (1, 1),
        "runs its child on a branch of the store that is made for it; without :merge the branch "
        "stays beside",
        "that of the child", "1, and 1 to merge",
    ),
    _kind(
        "ref", (literal("name", "the name", a.name, "x", required=True),), (0, 0),
        "looks a name up", "the value bound to it",
    ),
    _kind(
        "tool-call",
        (literal("tool", "which tool", a.operation, ":tool/search", required=True), _ARGS,
         _RETRIES), (0, 0),
        "calls a tool", "what the tool answers", "1, and 1 for every retry",
    ),
    _kind(
        "llm-call",
        (attrs.evolve(_MODEL, required=True), _PROMPT,
         expression("messages", "the talk so far, instead of :prompt", "history"),
         Attribute(Keyword("options"), "further arguments of the call", a.arguments,
                   "{:temperature 0.0}", a.each_argument), _RETRIES), (0, 0),
        "asks a model", "what the model answers", "1, and 1 for every retry", _llm_call,
    ),
    _kind(
        "code",
        (literal("source", "the program", a.filled, '"result = 1"', required=True),
         literal("language", "what it is written in", a.one_of("python"), '"python"'),
         Attribute(Keyword("input"), "values by name, which the program finds", a.arguments,
                   "{:n n}", a.each_argument),
         literal("seconds", "how long it may take", a.seconds(3_600), "5"),
         literal("memory-mb", "how much memory it may take", a.whole(32, 65_536), "256"),
         _RETRIES), (0, 0),
        "runs a program in a process of its own, with limits",
        "what the program calls `result`", "1, and 1 for every retry",
    ),
    _kind(
        "checkpoint", (literal("name", "of the place", a.filled, '"before booking"',
                               required=True),), (0, 0),
        "marks a place that a run can be rewound to", "$", "1",
    ),
    _kind(
        "reflect", (attrs.evolve(_PROMPT, required=True), _MODEL), (0, 1),
        "shows a model the value of its child, or $, and asks what it makes of it",
        "what the model answers", "1",
    ),
    _kind(
        "verify",
        (expression("that", "a condition on $, the value of the child", "(< $ 3)"),
         literal("spec", "the spec that the value must conform to", a.operation, ":spec/order")),
        (1, 1),
        "runs its child and fails unless its value is right", "that of the child",
        "none by :that, 1 by :spec", _verify,
    ),
    _kind(
        "call-skill",
        (literal("skill", "which skill", a.operation, ":skill/x", required=True), _ARGS), (0, 0),
        "runs another plan, whose :params are the arguments", "that of the plan", "1",
    ),
)  # fmt: skip

KINDS: Final[dict[Keyword, Kind]] = {kind.tag: kind for kind in _TABLE}
"""Every kind by its tag."""

_LET, _LOOP = Keyword("let"), Keyword("loop")


def bound(node: Node, index: int) -> Symbol | None:
    """The name that *node* binds within its child number *index*, if any.

    >>> bound(Node("loop", {"for": Symbol("x"), "in": ()}, [Node("seq")]), 0)
    Symbol('x')
    """
    if node.tag is _LET and index == len(node.children) - 1:
        return node.get("name")  # type: ignore[no-any-return]
    if node.tag is _LOOP:
        return node.get("for")  # type: ignore[no-any-return]
    return None
