"""What every kind of step does, one small function each.

A function yields the children it wants run and gets their values; what it returns is the value of
the step. Kinds that ask nothing of the outside leave nothing in the record: run again on the same
record, they do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from persistence.errors import InputError
from persistence.plans.attributes import ELSE
from persistence.plans.engine import Play, Step, failure
from persistence.plans.functions import truth
from persistence.plans.node import Node
from persistence.plans.parse import node_of
from persistence.plans.racing import RACE, race
from persistence.values import Keyword, List, Map, Set, Symbol, Value, identity, write

__all__ = [
    "BEGIN",
    "CHAT",
    "CODE",
    "MARK",
    "MERGE",
    "PLAYS",
    "RACE",
    "SKILL",
    "SPEC",
    "WRITE",
    "operation",
]

CHAT: Final = Keyword("model/chat")
CODE: Final = Keyword("code/run")
MARK: Final = Keyword("plan/checkpoint")
SKILL: Final = Keyword("plan/skill")
SPEC: Final = Keyword("plan/conform")
BEGIN: Final = Keyword("plan/branch")
MERGE: Final = Keyword("plan/merge")
WRITE: Final = Keyword("plan/transact")

_TRANSACT: Final = Keyword("db/transact")
_CALLS: Final = 32  # skills that call skills: deeper is taken for a circle


def seq(step: Step) -> Play:
    value = step.last
    for index in range(len(step.node.children)):
        value = yield step.child(index, value)
    return value


def par(step: Step) -> Play:
    if len(step.node.children) == 1:
        value = yield step.child(0, step.last)
        return (value,)
    arms = [step.arm(index, step.context) for index in range(len(step.node.children))]
    found = step.engine.together(arms, step.node.get("max"))
    stopped = [value for value in found if isinstance(value, BaseException)]
    for error in sorted(stopped, key=lambda error: isinstance(error, Exception)):
        raise error
    return tuple(found)


def choice(step: Step) -> Play:
    for index, condition in enumerate(step.node.get("when")):
        if condition is ELSE or truth(step.value(condition)):
            return (yield step.child(index, step.last))
    raise failure(step, "choice", "no condition holds", "add :else, with a child of its own")


def case(step: Step) -> Play:
    on, values = step.value(step.node.get("on")), step.node.get("of")
    found = [index for index, value in enumerate(values) if identity(value) == identity(on)]
    index = found[0] if found else len(values)
    if index == len(step.node.children):
        reason = f"{write(on)[:80]} is none of {write(values)[:80]}"
        raise failure(step, "case", reason, "add a child more, for all others")
    return (yield step.child(index, step.last))


def loop(step: Step) -> Play:
    node, value = step.node, step.last
    if Keyword("for") in node.attrs:
        values = []
        for item in _items(step):
            value = yield step.child(0, value, node.get("for"), item)
            values.append(value)
        return tuple(values)
    if Keyword("times") in node.attrs:
        for _ in range(node.get("times")):
            value = yield step.child(0, value)
        return value
    for _ in range(node.get("max")):
        if not truth(step.seeing(value).value(node.get("while"))):
            return value
        value = yield step.child(0, value)
    if not truth(step.seeing(value).value(node.get("while"))):
        return value
    reason = f":while still holds after {node.get('max')} turns"
    raise failure(step, "loop", reason, "raise :max, or mend the condition")


def _items(step: Step) -> tuple[Value, ...]:
    found = step.value(step.node.get("in"))
    if not isinstance(found, tuple | List | Set):
        reason = f":in is {write(found)[:80]}, which has no elements"
        raise failure(step, "loop", reason, "give a vector, a list or a set")
    return tuple(sorted(found, key=write)) if isinstance(found, Set) else tuple(found)


def let(step: Step) -> Play:
    node = step.node
    if len(node.children) == 1:
        value = step.value(node.get("value"))
    else:
        value = yield step.child(0, step.last)
    return (yield step.child(len(node.children) - 1, step.last, node.get("name"), value))


def branch(step: Step) -> Play:
    name = step.perform(BEGIN, name=step.node.get("name"), of=step.context.branch)
    child = step.child(0, step.last)
    value = yield attrs.evolve(child, context=attrs.evolve(step.context, branch=name))
    if step.node.get("merge"):
        step.perform(MERGE, branch=name, into=step.context.branch)
    return value


def ref(step: Step) -> Play:
    yield from ()
    name: Symbol = step.node.get("name")
    return step.bindings[name]


def tool_call(step: Step) -> Play:
    yield from ()
    tool, args = step.node.get("tool"), step.arguments("args")
    if tool is _TRANSACT and step.context.branch is not None:
        return step.perform(WRITE, branch=step.context.branch, **args)
    return step.perform(tool, **args)


def llm_call(step: Step) -> Play:
    yield from ()
    node = step.node
    if Keyword("prompt") in node.attrs:
        messages: Value = _asking(step.value(node.get("prompt")))
    else:
        messages = step.value(node.get("messages"))
    options = step.arguments("options")
    return step.perform(CHAT, **{**options, "model": node.get("model"), "messages": messages})


def _asking(prompt: Value) -> tuple[Map, ...]:
    content = prompt if type(prompt) is str else write(prompt)
    return (Map({"role": "user", "content": content}),)


def code(step: Step) -> Play:
    yield from ()
    node = step.node
    return step.perform(
        CODE,
        **{
            "source": node.get("source"),
            "language": node.get("language", "python"),
            "input": Map({Keyword(k): v for k, v in step.arguments("input").items()}),
            "seconds": node.get("seconds", 5),
            "memory-mb": node.get("memory-mb", 256),
        },
    )


def checkpoint(step: Step) -> Play:
    yield from ()
    step.perform(MARK, name=step.node.get("name"))
    return step.last


def reflect(step: Step) -> Play:
    value = step.last
    if step.node.children:
        value = yield step.child(0, value)
    prompt = step.value(step.node.get("prompt"))
    asked = prompt if type(prompt) is str else write(prompt)
    given = value if type(value) is str else write(value)
    model = {"model": step.node.get("model")} if step.node.get("model") else {}
    return step.perform(CHAT, **model, messages=_asking(f"{asked}\n\n{given}"))


def verify(step: Step) -> Play:
    value = yield step.child(0, step.last)
    spec = step.node.get("spec")
    if spec is not None:
        step.perform(SPEC, spec=spec, value=value)
    elif not truth(step.seeing(value).value(step.node.get("that"))):
        reason = f"{write(step.node.get('that'))[:200]} does not hold for {write(value)[:200]}"
        raise failure(step, "verify", reason, "let the child give another value")
    return value


def call_skill(step: Step) -> Play:
    yield from ()
    skill, args = step.node.get("skill"), step.arguments("args")
    calls = step.where
    if len(calls) > _CALLS:
        raise failure(step, "skill", f"skills call each other {_CALLS} deep", "break the circle")
    try:
        root = node_of(step.perform(SKILL, skill=skill))
    except InputError as error:
        raise failure(step, "skill", f"{skill} is no plan: {error}", "save it anew") from error
    wanted = [name.name for name in root.get("params", ())]
    if sorted(wanted) != sorted(args):
        reason = f"{skill} takes {' '.join(wanted) or 'nothing'}, not {' '.join(args) or 'nothing'}"
        raise failure(step, "skill", reason, "give :args by the names of its :params")
    holes = step.engine.holes(root)
    if holes:
        raise failure(step, "skill", f"in {skill} {holes[0]}", holes[0].fix)
    inner = attrs.evolve(step.context, run=step.context.run.scope(step.path), calls=calls)
    bindings = {Symbol(name): value for name, value in args.items()}
    return step.engine.play(inner, root, (), {**bindings, Symbol("$"): step.last})


PLAYS: Final[dict[Keyword, Callable[[Step], Play]]] = {
    Keyword(function.__name__.replace("_", "-")): function
    for function in (
        seq, par, choice, case, loop, race, let, branch, ref, tool_call, llm_call, code, checkpoint,
        reflect, verify, call_skill,
    )
}  # fmt: skip
"""What runs each kind of step."""


_OPS: Final = {
    Keyword("llm-call"): CHAT,
    Keyword("reflect"): CHAT,
    Keyword("code"): CODE,
    Keyword("checkpoint"): MARK,
    Keyword("race"): RACE,
    Keyword("branch"): BEGIN,
    Keyword("call-skill"): SKILL,
}


def operation(node: Node) -> Keyword | None:
    """The effect that a step performs, if any.

    >>> operation(Node("reflect", {"prompt": "So?"}))
    Keyword('model/chat')
    """
    if node.tag is Keyword("verify") and Keyword("spec") in node.attrs:
        return SPEC
    found: Keyword | None = node.get("tool", _OPS.get(node.tag))
    return found
