"""Counterfactual fidelity: one recorded observation is changed, and the run is derived again.

For each run one result of a tool is told otherwise, or, where it called none, what the user said.
Everything before it must be as recorded, byte for byte. Everything after it must be derived again:
asked of the live model, user and tools, never taken from the record. The live side is a script: it
says what was said then, marked with the conversation it was asked in, so that it is deterministic
and depends on all that came before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from persistence import Keyword
from persistence.effects import Call, Step, Terminal, Trace
from persistence.formats import chat_agent
from persistence.formats.calls import tool_name
from persistence.formats.chat import CHAT, HEAR
from persistence.replay import Replayed, do, replay
from persistence.values import Map

LIVE = ("model/*", "user/*", "tool/*")
CONTENT, CALLS = "content", "tool_calls"


@attrs.frozen
class Fidelity:
    """How many runs were changed, and in how many what was to hold held."""

    runs: int
    prefix_equal: int  # all before the change is as recorded
    rederived: int  # all after it was performed anew, and asked otherwise where it may differ
    repeatable: int  # the same change again gives the same bytes
    unchanged_same: int  # the observation told as it was gives the recorded run
    steps: int  # that were derived again, of all runs

    @property
    def share(self) -> float:
        """The share of runs in which all of it held."""
        least = min(self.prefix_equal, self.rederived, self.repeatable, self.unchanged_same)
        return least / self.runs if self.runs else 1.0


def measure(traces: Iterable[Trace], seed: int = 0) -> Fidelity:
    """Changes one observation in each of *traces* that has one, drawn by *seed*."""
    drawn = random.Random(seed)
    found = [_measured(trace, drawn) for trace in traces if _observations(trace)]
    return Fidelity(len(found), *(sum(each) for each in zip(*found, strict=True)))


def _observations(trace: Trace) -> list[Step]:
    heard = [step for step in trace if isinstance(step.result, str) and step.op is not CHAT]
    return [step for step in heard if tool_name(step.op)] or heard


def _measured(trace: Trace, drawn: random.Random) -> tuple[bool, bool, bool, bool, int]:
    step = drawn.choice(_observations(trace))
    again = changed(trace, step, f"{step.result} (told otherwise)")
    after = again.trace.steps[step.n + 1 :]
    asked = {each.asked for each in trace}
    anew = (
        again.divergence is None
        and again.hits == step.n
        and again.misses == len(after) > 0
        and not any(each.asked in asked for each in after if each.op in (CHAT, HEAR))
    )
    repeated = changed(trace, step, f"{step.result} (told otherwise)")
    return (
        again.prefix == step.n and again.trace.steps[: step.n] == trace.steps[: step.n],
        anew,
        repeated.trace.encoded == again.trace.encoded,
        replay(trace, chat_agent, do=[do.observation(step, step.result)]).same,
        len(after),
    )


def changed(trace: Trace, step: Step, value: Any) -> Replayed:
    """*trace*, where *step* came to *value*, with everything after it derived again."""
    return replay(
        trace,
        chat_agent,
        do=[do.observation(step, value)],
        live=[script(trace, step)],
        allow=LIVE,
        fresh="*",
    )


def script(trace: Trace, step: Step) -> Terminal:
    """A model, a user and tools that go on after *step* as they did then, each with a mark."""
    rest = {op: _rest(trace, step, op) for op in (CHAT, HEAR)}

    def say(call: Call) -> Any:
        then, mark = next(rest[CHAT], "I am done."), f" [{call.args['context'][:12]}]"
        if not isinstance(then, Map):
            return then + mark
        return {**then, CONTENT: (then.get(CONTENT) or "") + mark}

    def hear(call: Call) -> Any:
        return next(rest[HEAR], None)

    def tool(call: Call) -> str:
        return f"{call.op.local} was asked anew"

    tools = {each.op: tool for each in trace if tool_name(each.op)}
    return Terminal("script", {CHAT: say, HEAR: hear, **tools}, takes_call=True)


def _rest(trace: Trace, step: Step, op: Keyword) -> Iterator[Any]:
    return iter([each.result for each in trace if each.op is op and each.n > step.n])
