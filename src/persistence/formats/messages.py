"""Chat messages as the trace of an agent, and the messages of a trace.

A conversation becomes a trace by being held again: the loop of `chat_agent` runs against a script
that answers as the messages tell. So an import records what the live agent would have recorded,
and replaying it gives the same bytes. Every message comes back as it was, fields nobody knows
included; only the order of the names in an object is not kept.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import attrs

from persistence.clock import FrozenClock
from persistence.effects import Call, Run, Step, Terminal, Trace
from persistence.effects.outcome import error_of
from persistence.effects.step import DONE
from persistence.errors import EffectAborted
from persistence.formats.calls import PLACE, ToolCall, answer, calls, is_message, stands
from persistence.formats.chat import (
    BEGIN,
    CHAT,
    HEAR,
    NAMED,
    chat_agent,
    failed,
    incoming,
    names,
    spoken,
)
from persistence.formats.strict import frozen, refused
from persistence.values import LIMITS, Keyword, Map, Value, encode

IDS: Final = UUID("6f5b3c1e-3d1f-5b1a-9a55-0d5f3a6c2e71")  # of imported runs, with what they hold

UNKNOWN: Final = 0  # when a step was, if nothing tells

_MESSAGES: Final = Keyword("messages")
_OPENING: Final = ("system", "developer")
_ASSISTANT: Final = "assistant"

Meta = Mapping[Keyword, Value]


@attrs.frozen
class Told:
    """What is known of a message beside its words: when it was there, in µs, and what it cost."""

    at: int | None = None
    cost: Value = None


def chat_trace(
    messages: Sequence[Any],
    *,
    name: str = "chat",
    settings: Mapping[str, Any] | None = None,
    meta: Meta | None = None,
    told: Sequence[Told] = (),
    started: int = 0,
    path: str = "messages",
    copy: int = 0,
) -> Trace:
    """The trace of a conversation: what `chat_agent` would have recorded when it was held.

    *messages* are dicts as chat APIs have them. *settings* are ``tools`` and ``model``, if they
    are known. The id of the run is made of what it says, of *meta* and of *copy*: the same
    conversation is the same run. *told* has an entry for each message, or is empty: then the steps
    are at 0, which stands for an unknown time. *path* says in errors where the messages stand.

    >>> hello = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]
    >>> trace = chat_trace(hello)
    >>> [str(step.op) for step in trace], trace.result
    ([':chat/begin', ':user/message', ':model/chat', ':user/message'], 'Hi!')
    >>> chat_messages(trace) == hello
    True

    Raises:
        MessageError: a message is none; names the place.
    """
    script = _Script(messages, settings or {}, told, path)
    origin = Trace(UUID(int=0), name, (), meta=meta or {}, started=started)
    with Run(name, [script.terminal], clock=script.clock, origin=origin) as run:
        chat_agent(run)
    trace = run.trace
    _small(trace, path)
    about = encode((trace.digest, Map(trace.meta), copy))
    return attrs.evolve(trace, id=uuid5(IDS, about.hex()))


def _small(trace: Trace, path: str) -> None:
    """
    Raises:
        MessageError: what is said in one turn is too large to be one value.
    """
    for step in trace:
        size = max(len(step.asked), len(encode(step.result)))
        if size > LIMITS.value_bytes:
            raise refused(
                path, f"one turn has at most {LIMITS.value_bytes} bytes, and one here has {size}"
            )


class _Script:
    """Answers a `chat_agent` as the messages of a conversation tell."""

    def __init__(
        self,
        messages: Sequence[Any],
        settings: Mapping[str, Any],
        told: Sequence[Told],
        path: str,
    ) -> None:
        self.clock = FrozenClock(UNKNOWN)
        self._path = path
        self._messages = [
            self._message(message, f"{path}[{n}]") for n, message in enumerate(messages)
        ]
        self._calls = [
            calls(message, f"{path}[{n}]") if message["role"] == _ASSISTANT else ()
            for n, message in enumerate(self._messages)
        ]
        self._told = told
        self._next = 0
        self._results: deque[tuple[int, Value] | None] = deque()
        self._settings = settings

    @staticmethod
    def _message(message: Any, path: str) -> Map:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise refused(path, "a message is an object with a role")
        made: Map = frozen(message, path)
        return made

    @property
    def terminal(self) -> Terminal:
        """Performs everything that the conversation asks for."""
        tools = {call.op: self._tool for asked in self._calls for call in asked}
        fixed = {BEGIN: self._begin, HEAR: self._hear, CHAT: self._chat}
        return Terminal("script", {**fixed, **tools}, takes_call=True)

    def _begin(self, call: Call) -> Value:
        while self._role() in _OPENING:
            self._take(call)
        opening = tuple(self._messages[: self._next])
        return {**self._settings, "messages": opening} if opening else self._settings

    def _hear(self, call: Call) -> Value:
        if self._role() is None:
            return None
        first = self._next
        while self._role() not in (_ASSISTANT, None):
            self._take(call)
        heard: Value = tuple(self._messages[first : self._next])
        text = heard[0].get("content") if len(heard) == 1 else None
        if isinstance(text, str) and incoming(text)[0] == heard:
            heard = text
        return heard if self._role() is not None else {"last": heard}

    def _chat(self, call: Call) -> Value:
        asked = self._calls[self._next]
        reply = self._take(call)
        named = bool(asked) and self._role() == "tool" and "name" in self._messages[self._next]
        self._results = self._block(asked, named)
        plain = reply.get("content")
        if isinstance(plain, str) and spoken(plain) == reply:
            return plain
        return Map({**reply, NAMED: True}) if named else reply

    def _block(self, asked: Sequence[ToolCall], named: bool) -> deque[tuple[int, Value] | None]:
        """What the tool messages that follow answer to each call: where they stand, and what."""
        open_: dict[Value, deque[int]] = defaultdict(deque)
        for place, call in enumerate(asked):
            open_[call.id].append(place)
        found: list[int | None] = [None] * len(asked)
        order: list[int] = []
        for n in range(self._next, len(self._messages)):
            message = self._messages[n]
            matching = open_.get(message.get("tool_call_id"))
            if message["role"] != "tool" or not matching:
                break
            order.append(matching.popleft())
            found[order[-1]] = n
        in_order = order == sorted(order)
        return deque(
            self._result(call, n, named, in_order) for call, n in zip(asked, found, strict=True)
        )

    def _result(
        self, call: ToolCall, n: int | None, named: bool, in_order: bool
    ) -> tuple[int, Value] | None:
        """What is recorded as the result of *call*, which message *n* tells: the content of the
        message, or the message, where it says more than that."""
        if n is None:
            return None
        message = self._messages[n]
        if not in_order:
            return n, Map({**message, PLACE: n - self._next})
        content = message.get("content")
        if stands(content) and answer(call, content, named=named) == message:
            return n, content
        return n, message

    def _tool(self, call: Call) -> Value:
        found = self._results.popleft()
        if found is None:
            raise EffectAborted(f"{call.op}: the conversation holds no result")
        at, result = found
        self._next = max(self._next, at + 1)
        self._tell(call, at)
        return result

    def _role(self) -> str | None:
        """The role of the next message; None at the end."""
        if self._next == len(self._messages):
            return None
        role: str = self._messages[self._next]["role"]
        return role

    def _take(self, call: Call) -> Map:
        self._tell(call, self._next)
        self._next += 1
        return self._messages[self._next - 1]

    def _tell(self, call: Call, n: int) -> None:
        """Sets the clock to when message *n* was there, and notes what it cost."""
        if n < len(self._told):
            told = self._told[n]
            if told.at is not None:
                self.clock.instant = told.at
            if told.cost is not None:
                call.notes["cost"] = told.cost


# ------------------------------------------------------------------------ and back


def chat_messages(steps: Iterable[Step]) -> list[Map]:
    """The messages of the conversation that *steps*, a trace or a part of one, hold.

    Steps that have nothing to do with the conversation are left out. The steps need not come from
    `chat_agent`: of an agent that hands the model all messages each time, they are those that the
    model had last, with its answer.
    """
    ordered = [step for step in steps if not step.scope]
    ordered.sort(key=lambda step: step.place)
    chats = [step for step in ordered if step.op is CHAT]
    if chats and not any(step.op is BEGIN for step in ordered):
        return _handed(chats[-1])
    return [message for _, message in placed(ordered)]


def _handed(chat: Step) -> list[Map]:
    given = chat.args.get(_MESSAGES, ())
    messages = [message for message in given if isinstance(message, Map)]
    return messages if chat.error is not None else [*messages, spoken(chat.result)]


def placed(ordered: Iterable[Step]) -> list[tuple[Step, Map]]:
    """The messages of *ordered* steps of `chat_agent`, each with the step it came with."""
    found: list[tuple[Step, Map]] = []
    asked: deque[ToolCall] = deque()
    answers: list[tuple[int, Step, Map]] = []
    named = usual = False
    count = 0

    def flush() -> None:
        found.extend((step, message) for _, step, message in sorted(answers, key=lambda x: x[0]))
        answers.clear()

    for step in ordered:
        if step.op in (BEGIN, HEAR, CHAT):
            flush()
        if asked and step.op is asked[0].op:
            call = asked.popleft()
            message = _answered(call, step, named)
            if message is not None:
                answers.append((_place(step.result, count - len(asked)), step, message))
        elif step.error is not None:
            continue
        elif step.op is BEGIN:
            usual = bool(step.result.get("named"))
            found += [(step, message) for message in step.result.get("messages", ())]
        elif step.op is HEAR:
            found += [(step, message) for message in incoming(step.result)[0]]
        elif step.op is CHAT:
            reply, named = spoken(step.result), usual or names(step.result)
            found.append((step, reply))
            asked = deque(calls(reply))
            count = len(asked)
    flush()
    return found


def _answered(call: ToolCall, step: Step, named: bool) -> Map | None:
    if step.status is DONE:
        return answer(call, step.result, named=named)
    error = error_of(step)
    if error is None or isinstance(error, EffectAborted):
        return None
    return answer(call, failed(call, error), named=named)


def _place(result: Value, otherwise: int) -> int:
    at: int = result.get(PLACE, otherwise - 1) if is_message(result) else otherwise - 1
    return at


def settings_of(steps: Iterable[Step]) -> Map:
    """What the agent was told to begin with: ``messages``, ``tools``, ``model``."""
    found = (step.result for step in steps if step.op is BEGIN and step.error is None)
    return next(found, Map())
