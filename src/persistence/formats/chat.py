"""The loop of a chat agent: it hears, asks the model, performs what the model calls, goes on.

The same loop is the live agent and what an imported conversation replays with, so a conversation
from elsewhere is a trace like any other. It asks the outside for

``:chat/begin``    its settings: the messages that stand before the conversation, tools, model
``:user/message``  what is said to it next, and whether that ends the conversation
``:model/chat``    the model's answer to the messages since its last one
``:tool/<name>``   each call in that answer

What depends on the conversation so far names it by a content id, `context`. So a record stays as
long as the conversation, and whatever is changed in it changes every question that comes after.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final, Protocol, TypeAlias

import attrs

from persistence.effects import Around, Call, Step
from persistence.effects.handler import matching
from persistence.errors import (
    EffectAborted,
    EffectDenied,
    EffectError,
    EffectFailed,
    EffectTimedOut,
    PersistenceError,
    UnhandledEffect,
)
from persistence.formats.calls import ToolCall, answer, calls, place_of
from persistence.formats.strict import refused
from persistence.values import Keyword, Map, Value, digest, encode, freeze

BEGIN: Final = Keyword("chat/begin")
HEAR: Final = Keyword("user/message")
CHAT: Final = Keyword("model/chat")

NAMED: Final = Keyword("chat/named")  # in an answer with calls: results of them carry names

_CONTEXT: Final = Keyword("context")
_MESSAGES: Final = Keyword("messages")

Asked: TypeAlias = tuple[Keyword, dict[str, Value]]
Talk: TypeAlias = Generator[Asked, Value, Value]


class Performer(Protocol):
    """A run."""

    result: Value

    def perform(self, op: Any, /, **args: Any) -> Any: ...


def chat_agent(run: Performer) -> Value:
    """Holds a conversation in *run*, until it is over; gives what the model said last.

    Its handlers perform:

    ``chat/begin()``  a dict with, where there are any, ``messages`` (the system prompt), ``tools``
    and ``model``; with ``named`` set, answers of tools carry the tool's name.

    ``user/message(context, said, waiting)``  *said* is what the model said last, *waiting* whether
    that ends its turn. A text, a message or a list of messages is what comes next, the empty list
    says go on, None that the conversation is over, ``{"last": …}`` that this is the end of it.

    ``model/chat(context, messages)``  the messages since the model was asked last; with
    `conversation` around it, all of them. A text, or an assistant's message.

    ``tool/<name>(**arguments)``  a text, or any value, which the model gets as JSON. What is
    denied, fails or takes too long is told to the model.

    >>> from persistence.effects import Run, Terminal
    >>> call = {"id": "c1", "function": {"name": "add", "arguments": '{"x": 1, "y": 2}'}}
    >>> answers = iter([{"content": None, "tool_calls": [call]}, "It is 3."])
    >>> with Run("sum", [Terminal("all", {
    ...     "chat/begin": lambda: {},
    ...     "user/message": lambda said, waiting, **_: ("1 + 2?" if said is None else None)
    ...         if waiting else [],
    ...     "model/chat": lambda **_: next(answers),
    ...     "tool/add": lambda x, y: x + y,
    ... })]) as run:
    ...     chat_agent(run)
    'It is 3.'
    >>> [str(step.op) for step in run.trace][2:5]
    [':model/chat', ':tool/add', ':user/message']

    Raises:
        MessageError: what was heard, or what the model answered, is no message.
        BudgetSpent: the run may not go on.
        UnhandledEffect: nobody performs what the agent asks for.
    """
    talk = _talk()
    op, args = next(talk)
    while True:
        try:
            try:
                value = run.perform(op, **args)
            except (EffectError, UnhandledEffect) as error:
                op, args = talk.throw(error)
            else:
                op, args = talk.send(value)
        except StopIteration as stop:
            run.result = stop.value
            return run.result


async def achat_agent(run: Performer) -> Value:
    """As :func:`chat_agent`, in a run that awaits."""
    talk = _talk()
    op, args = next(talk)
    while True:
        try:
            try:
                value = await run.perform(op, **args)
            except (EffectError, UnhandledEffect) as error:
                op, args = talk.throw(error)
            else:
                op, args = talk.send(value)
        except StopIteration as stop:
            run.result = stop.value
            return run.result


def _talk() -> Talk:
    settings: Map = yield BEGIN, {}
    named, known = bool(settings.get("named")), declared(settings.get("tools"))
    context = after("", [settings])
    new: list[Map] = [*settings.get("messages", ())]
    said, waiting = None, True
    while True:
        heard, over = incoming(
            (yield HEAR, {"context": after(context, new), "said": said, "waiting": waiting})
        )
        new.extend(heard)
        if over:
            return said
        told = yield CHAT, {"context": context, "messages": tuple(new)}
        if not isinstance(told, Map | str | tuple):
            raise refused(str(CHAT), f"{told!r} is no answer", hint="give a text, or a message")
        reply = spoken(told)
        context = after(context, [*new, reply])
        asked = calls(reply)
        new = yield from _performed(asked, named or names(told), known)
        said, waiting = reply.get("content"), not asked


def _performed(
    asked: Sequence[ToolCall], named: bool, known: frozenset[str]
) -> Generator[Asked, Value, list[Map]]:
    """The answers to the calls *asked*, in the order in which the model gets them."""
    found: list[tuple[int, Map]] = []
    for place, call in enumerate(asked):
        try:
            result = yield call.op, call.args
        except EffectAborted:
            continue  # nobody knows what came of it
        except (EffectDenied, EffectFailed, EffectTimedOut) as error:
            result = failed(call, error)
        except UnhandledEffect as error:
            if not known or call.name in known:
                raise
            result = failed(call, error)
        found.append((place_of(result, place), answer(call, result, named=named)))
    return [message for _, message in sorted(found, key=lambda one: one[0])]


def failed(call: ToolCall, error: PersistenceError) -> str:
    """What the model is told of a *call* that came to *error*."""
    if isinstance(error, UnhandledEffect):
        return f"Error: there is no tool {call.name}"
    return f"Error: {error.message}"


def after(context: str, messages: Sequence[Map]) -> str:
    """The content id of a conversation that went on with *messages* after *context*.

    >>> after(after("", []), []) == after("", [])
    True
    """
    if not messages:
        return context
    return digest("trace", encode((context, *messages))).hex()


def declared(tools: Value) -> frozenset[str]:
    """The names of the *tools* that are declared to a model."""
    found = set()
    for tool in tools if type(tools) is tuple else ():
        function = tool.get("function", tool) if isinstance(tool, Map) else None
        if isinstance(function, Map) and isinstance(function.get("name"), str):
            found.add(function["name"])
    return frozenset(found)


def incoming(heard: Value) -> tuple[tuple[Map, ...], bool]:
    """What was *heard* as messages, and whether it ends the conversation.

    >>> incoming("Hi!")
    ((Map({'role': 'user', 'content': 'Hi!'}),), False)

    Raises:
        MessageError: it is no message.
    """
    if heard is None:
        return (), True
    if isinstance(heard, Map) and "last" in heard:
        return incoming(heard["last"])[0], True
    some = heard if type(heard) is tuple else (heard,)
    return tuple(map(_message, some)), False


def _message(heard: Value) -> Map:
    if isinstance(heard, str):
        return Map({"role": "user", "content": heard})
    if isinstance(heard, Map) and isinstance(heard.get("role"), str):
        return heard
    raise refused(str(HEAR), f"{heard!r} is no message", hint="give a text, or a dict with a role")


def spoken(reply: Value) -> Map:
    """What the model answered, as a message.

    >>> spoken("Hi!")
    Map({'role': 'assistant', 'content': 'Hi!'})
    """
    if isinstance(reply, Map):
        made = {key: value for key, value in reply.items() if key is not NAMED}
        return Map(made if "role" in made else {"role": "assistant", **made})
    return Map({"role": "assistant", "content": reply})


def names(reply: Value) -> bool:
    """Whether the answers to the calls in *reply* carry the names of the tools."""
    return isinstance(reply, Map) and bool(reply.get(NAMED))


def conversation(name: str = "conversation") -> Around:
    """A handler that gives the model the whole conversation in place of what is new in it.

    It goes around whatever performs `model/chat`. What is recorded stays short. After a crash it
    learns what was said from the record.

    >>> from persistence.effects import Run, Terminal
    >>> heard, asked = iter(["Hi", "Well?", None]), []
    >>> world = Terminal("world", {
    ...     "chat/begin": lambda: {},
    ...     "user/message": lambda **_: next(heard),
    ...     "model/chat": lambda context, messages: asked.append(len(messages)) or "Hm.",
    ... })
    >>> with Run("talk", [conversation(), world]) as run:
    ...     _ = chat_agent(run)
    >>> asked, [len(step.args[Keyword("messages")]) for step in run.trace if step.op is CHAT]
    ([1, 3], [1, 1])
    """
    # What was said last, and after what: each message once, however often the model is asked.
    known: dict[str, tuple[str, tuple[Map, ...]]] = {}

    def keep(context: str, new: tuple[Map, ...], reply: Value) -> None:
        said = (*new, spoken(freeze(reply)))
        known[after(context, said)] = (context, said)

    def before(context: str) -> list[Map]:
        turns: list[tuple[Map, ...]] = []
        while context in known:
            context, said = known[context]
            turns.append(said)
        return [message for turn in reversed(turns) for message in turn]

    def handle(call: Call) -> Generator[Call, Value, Value]:
        context, new = call.args["context"], call.args["messages"]
        args = {**call.args, "messages": (*before(context), *new)}
        reply = yield attrs.evolve(call, args=args)
        keep(context, new, reply)
        return reply

    def seen(step: Step) -> None:
        if step.op is CHAT and step.error is None:
            keep(step.args[_CONTEXT], step.args[_MESSAGES], step.result)

    return Around(name, handle, ops=matching(CHAT), seen=seen)
