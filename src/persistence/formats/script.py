"""A world that answers an agent as a conversation tells that it was answered.

Held against this script, the loop of `chat_agent` records the conversation as if it had held it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from persistence.clock import FrozenClock
from persistence.effects import Call, Terminal
from persistence.errors import EffectAborted
from persistence.formats.calls import PLACE, ToolCall, answer, calls, stands
from persistence.formats.chat import BEGIN, CHAT, HEAR, NAMED, incoming, spoken
from persistence.formats.strict import frozen, refused
from persistence.values import Map, Value

UNKNOWN: Final = 0  # when a step was, if nothing tells

_OPENING: Final = ("system", "developer")
_ASSISTANT: Final = "assistant"
_TOOL: Final = "tool"


@attrs.frozen
class Told:
    """What is known of a message beside its words: when it was there, in µs, and what it cost."""

    at: int | None = None
    cost: Value = None


class Script:
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
        named = bool(asked) and self._role() == _TOOL and "name" in self._messages[self._next]
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
            if message["role"] != _TOOL or not matching:
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
