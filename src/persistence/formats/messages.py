"""Chat messages as the trace of an agent, and the messages of a trace.

A conversation becomes a trace by being held again: the loop of `chat_agent` runs against a script
that answers as the messages tell. So an import records what the live agent would have recorded,
and replaying it gives the same bytes. Every message comes back as it was, fields nobody knows
included; only the order of the names in an object is not kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import attrs

from persistence.effects import Run, Step, Trace
from persistence.effects.outcome import error_of
from persistence.effects.step import DONE
from persistence.errors import EffectAborted
from persistence.formats.calls import ToolCall, answer, calls, place_of, tool_name
from persistence.formats.chat import (
    BEGIN,
    CHAT,
    HEAR,
    chat_agent,
    failed,
    incoming,
    names,
    spoken,
)
from persistence.formats.script import Script, Told
from persistence.formats.strict import refused
from persistence.values import LIMITS, Keyword, Map, Value, encode

IDS: Final = UUID("6f5b3c1e-3d1f-5b1a-9a55-0d5f3a6c2e71")  # of imported runs, with what they hold
STEPS: Final = 100_000  # of one run: it is written in one transaction

_MESSAGES: Final = Keyword("messages")

Meta = Mapping[Keyword, Value]


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
    script = Script(messages, settings or {}, told, path)
    origin = Trace(UUID(int=0), name, (), meta=meta or {}, started=started)
    with Run(name, [script.terminal], clock=script.clock, origin=origin) as run:
        chat_agent(run)
    trace = run.trace
    about = encode((trace.digest, Map(trace.meta), copy))
    _check_size(trace, len(about), path)
    return attrs.evolve(trace, id=uuid5(IDS, about.hex()))


def _check_size(trace: Trace, meta: int, path: str) -> None:
    """
    Raises:
        MessageError: the run is too long, or what is said in one turn too large to be one value.
    """
    if len(trace) > STEPS:
        raise refused(path, f"a run has at most {STEPS} steps, and this one has {len(trace)}")
    sizes = [len(step.asked) for step in trace]  # with them, all results but the first and last
    ends = [len(encode(step.result)) for step in (trace[0], trace[-1])]
    largest = max(meta, *sizes, *ends)
    if largest > LIMITS.value_bytes:
        raise refused(
            path, f"one turn has at most {LIMITS.value_bytes} bytes, and one here has {largest}"
        )


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
        if asked and (step.op is asked[0].op or tool_name(step.op) is not None):
            call = asked.popleft()
            message = _answered(call, step, named)
            if message is not None:
                answers.append((place_of(step.result, count), step, message))
            count += 1
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
            asked, count = deque(calls(reply)), 0
    flush()
    return found


def _answered(call: ToolCall, step: Step, named: bool) -> Map | None:
    if step.status is DONE:
        return answer(call, step.result, named=named)
    error = error_of(step)
    if error is None or isinstance(error, EffectAborted):
        return None
    return answer(call, failed(call, error), named=named)


def settings_of(steps: Iterable[Step]) -> Map:
    """What the agent was told to begin with: ``messages``, ``tools``, ``model``."""
    found = (step.result for step in steps if step.op is BEGIN and step.error is None)
    return next(found, Map())
