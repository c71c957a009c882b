"""The tool calls of a chat message, as the operations of an agent, and back.

A tool is the operation `:tool/<name>`, its arguments are those of the call. The id of a call is
no part of the operation: models make up a new one each time, and the same call shall be found
again by what it asks for. It stands in the assistant's message, where it was said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import attrs

from persistence.errors import InputError
from persistence.formats.plain import dumps
from persistence.formats.strict import Unreadable, frozen, loads, refused
from persistence.values import Keyword, Map, Value, freeze

PLACE: Final = Keyword("chat/place")  # of an answer that did not come in the order of the calls

_ROLE: Final = "tool"
_ODD: Final = re.compile(r"[^\w.*+!\-?$&=<>:#]|^(?![^\W\d]).", re.DOTALL)
_SPACE: Final = "tool"
_NAMELESS: Final = "%"  # no quoted name is this


def tool_op(name: str) -> Keyword:
    """The operation of the tool *name*; what no keyword may hold is quoted, as in a URL.

    >>> tool_op("book_flight"), tool_op("files/read")
    (Keyword('tool/book_flight'), Keyword('tool/files%2Fread'))
    """
    return Keyword(f"{_SPACE}/{_quoted(name)}")


def tool_name(op: Keyword) -> str | None:
    """The name of the tool that *op* is the operation of; None if it is no tool.

    >>> tool_name(Keyword("tool/files%2Fread")), tool_name(Keyword("clock/now"))
    ('files/read', None)
    """
    return unquote(op.local) if op.namespace == _SPACE else None


def _quoted(name: str) -> str:
    if not name:
        return _NAMELESS
    return _ODD.sub(lambda odd: "".join(f"%{byte:02X}" for byte in odd[0].encode()), name)


@attrs.frozen
class ToolCall:
    """One call that an assistant's message asks for."""

    name: str
    id: Value
    arguments: Value

    @property
    def op(self) -> Keyword:
        """The operation that it asks for."""
        return tool_op(self.name)

    @property
    def read(self) -> Value:
        """The arguments as they are meant: a text that holds a JSON object is that object."""
        return _read(self.arguments) if isinstance(self.arguments, str) else self.arguments

    @property
    def args(self) -> dict[str, Value]:
        """The arguments by name. What is no JSON object comes as one argument, `arguments`."""
        given = self.read
        if given is None:
            return {}
        if isinstance(given, Map):
            return {_quoted(name): value for name, value in given.items()}
        return {"arguments": given}


def _read(text: str) -> Value:
    if not text.strip():
        return None
    try:
        found = loads(text)
        return frozen(found, "arguments") if isinstance(found, dict) else text
    except (Unreadable, InputError):
        return text  # the tool refuses it, and the model learns of that


def calls(message: Mapping[str, Value], path: str = "message") -> tuple[ToolCall, ...]:
    """The tool calls of *message*, which is an assistant's; *path* is where it stands.

    >>> function = {"name": "add", "arguments": '{"x": 1}'}
    >>> (call,) = calls({"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]})
    >>> call.op, call.args, call.id
    (Keyword('tool/add'), {'x': 1}, 'c1')

    Raises:
        MessageError: they are not what tool calls are; names the place.
    """
    given = message.get("tool_calls")
    if given is None:
        return ()
    if not isinstance(given, list | tuple):
        raise refused(f"{path}.tool_calls", "a list of calls is expected here")
    return tuple(_call(one, f"{path}.tool_calls[{n}]") for n, one in enumerate(given))


def _call(given: Value, path: str) -> ToolCall:
    function = given.get("function") if isinstance(given, Mapping) else None
    if not isinstance(function, Mapping):
        raise refused(path, "a call is an object with a function in it")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise refused(f"{path}.function.name", "the name of a tool is a text that is not empty")
    return ToolCall(name, given.get("id"), freeze(function.get("arguments")))


def answer(call: ToolCall, result: Value, *, named: bool) -> Map:
    """The message that hands the *result* of *call* to the model; *named* if it tells the tool's.

    Text and lists of content parts stand as they are; other values are written as JSON. A result
    that is a whole message, with the role "tool", is that message.

    >>> answer(ToolCall("add", "c1", None), 3, named=False)
    Map({'role': 'tool', 'tool_call_id': 'c1', 'content': '3'})
    """
    if is_message(result):
        return Map((key, value) for key, value in result.items() if key is not PLACE)
    made: dict[str, Value] = {"role": _ROLE}
    if call.id is not None:
        made["tool_call_id"] = call.id
    if named:
        made["name"] = call.name
    return Map({**made, "content": result if stands(result) else dumps(result)})


def is_message(result: Value) -> bool:
    """Whether the *result* of a tool is a whole message."""
    return isinstance(result, Map) and result.get("role") == _ROLE


def place_of(result: Value, otherwise: int) -> int:
    """Where among the answers to a message the *result* of a call came."""
    at: int = result.get(PLACE, otherwise) if isinstance(result, Map) else otherwise
    return at


def stands(content: Value) -> bool:
    """Whether *content* is what a message may hold as it is."""
    if type(content) is tuple:
        return all(isinstance(part, Map) and "type" in part for part in content)
    return content is None or isinstance(content, str)
