"""The demo on real runs: the airline of τ-bench, its world and a hundred runs of an agent in it.

Nothing is asked of a network: where a run is derived anew, its model and its customer are scripts
that say what they said then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from persistence.cli.story import Scene
from persistence.effects import Call, Handler, Terminal, Trace
from persistence.errors import InputError
from persistence.formats import chat_agent, import_chats
from persistence.formats.files import FIELDS
from persistence.replay import do
from persistence.substrate import Substrate
from persistence.values import Keyword, Map

FILES: Final = ("users.json", "reservations.json", "trajectories.jsonl")

_TOOLS: Final = """
    [:find ?op (count ?step)
     :where [?step :step/op ?op] [(namespace ?op) ?space] [(= ?space "tool")]
     :order-by [[(count ?step) :desc]]
     :limit 8]
"""


def found(place: str) -> Path:
    """The directory *place*, if it holds the airline.

    Raises:
        InputError: it does not.
    """
    directory = Path(place)
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise InputError(
            f"{place} lacks {', '.join(missing)}",
            hint="name a directory with the airline of τ-bench: its users, its reservations and "
            "trajectories.jsonl",
        )
    return directory


def told_of(trace: Trace, name: str) -> float:
    """A number that the file tells of a run beside its messages: its task, its reward."""
    fields = trace.meta[FIELDS]
    assert isinstance(fields, Map)
    return float(fields[name])


def reward(trace: Trace) -> float:
    """What the benchmark gave a run: 1 for success."""
    return told_of(trace, "reward")


def scripted(trace: Trace, step: int) -> list[Handler]:
    """A model and a customer that go on after *step* with what they said then, and tools that were
    asked again."""
    rest: dict[Keyword, Any] = {
        each.op: iter([s.result for s in trace if s.op is each.op and s.n > step]) for each in trace
    }

    def again(call: Call) -> Any:
        if call.op.namespace == "tool":
            return f"{call.op.local} was asked again"
        return next(rest[call.op], None)

    return [Terminal("script", {each.op: again for each in trace}, takes_call=True)]


def told(place: str) -> tuple[Sequence[Scene], Sequence[str]]:
    """The scenes over the airline in the directory *place*, and what to ask afterwards."""
    return scenes(found(place)), MORE


def scenes(data: Path) -> Sequence[Scene]:
    """The scenes over the files in *data*."""

    def world(s: Substrate) -> Any:
        """The airline: 500 customers and 2 000 reservations, objects within objects, from JSON."""
        s.import_file(data / "users.json", id="user/id")
        identity, refs = "reservation/reservation_id", {"user_id": "user/id"}
        booked = s.import_file(data / "reservations.json", id=identity, refs=refs)
        return f"{booked.imported} reservations, {booked.facts} facts"

    def runs(s: Substrate) -> Any:
        """A hundred recorded conversations become traces: each thing that the model, the customer
        or a tool said is a step, and a fact like any other."""
        imported = import_chats(s, data / "trajectories.jsonl")
        return f"{len(imported.ids)} runs, {imported.steps} steps"

    def tools(s: Substrate) -> Any:
        """Which tools were called, and how often? One query over all runs."""
        return s.fact.db().q(_TOOLS)

    def replays(s: Substrate) -> Any:
        """Each run is replayed by the loop that holds such conversations. Not a byte differs."""
        replayed = [s.replay.run(info.id, chat_agent) for info in s.effect.runs()]
        same = sum(each.same for each in replayed)
        return f"{same} of {len(replayed)} replays are the same to the byte"

    def pairs(s: Substrate) -> Any:
        """Where two runs of one task did the same up to a step and then one succeeded and one
        failed, the two answers at that step are a pair to learn from."""
        traces = [s.effect.trace(info.id) for info in s.effect.runs()]
        tasks = {told_of(trace, "task_id") for trace in traces}
        pairs = [
            pair
            for task in sorted(tasks)
            for pair in s.replay.preferences(
                [trace for trace in traces if told_of(trace, "task_id") == task],
                score=reward, margin=1.0, outputs=["model/*", "user/*"],
            )
        ]  # fmt: skip
        return [[int(told_of(p.chosen, "task_id")), p.at, p.better.op, p.margin] for p in pairs]

    def branches(s: Substrate) -> Any:
        """A run that cancelled reservations is applied on a branch of its own: the main line does
        not move, and the two can be compared."""
        cancels = """[:find ?run (distinct ?args)
                      :where [?s :step/op :tool/cancel_reservation] [?s :step/args ?args]
                             [?s :step/run ?run]]"""
        calls = max((each for _, each in s.fact.db().q(cancels)), key=len)
        branch = s.branch.create("as the run left it")
        gone = [args[Keyword("reservation_id")] for args in calls]
        branch.fact.transact([
            {"reservation/reservation_id": each, "reservation/status": "cancelled"} for each in gone
        ])  # fmt: skip
        asked = "[:find (count ?r) . :where [?r :reservation/status]]"
        lines = {"main": s, "the run's branch": branch}
        return [[name, line.fact.db().q(asked) or 0] for name, line in lines.items()]

    def otherwise(s: Substrate) -> Any:
        """One answer of a tool is made otherwise. All before it stays as it was, and all after it
        is derived anew, by scripts in place of model and customer."""
        trace = max((s.effect.trace(info.id) for info in s.effect.runs()), key=len)
        step = next(each for each in trace if each.op.namespace == "tool")
        other = s.replay.run(
            trace, chat_agent, do=[do.observation(step, "Error: the system is down")],
            live=scripted(trace, step.n), allow="*", fresh="*",
        )  # fmt: skip
        return [[len(trace), step.n, other.prefix, other.misses, reward(trace)]]

    def corrected(s: Substrate) -> Any:
        """A customer counted as gold, and had been silver since May 10. That is corrected, and
        what was known before can still be asked."""
        who, before = ["user/id", "mia_li_3668"], s.fact.db()
        tier = {"user/id": who[1], "user/membership": "silver"}
        s.fact.transact([tier], valid_from="2024-05-10", meta={"source": "the loyalty desk"})
        day = "2024-05-15"
        return [
            ["known before", before.valid_at(day).get(who, "user/membership")],
            ["known now", s.fact.db().valid_at(day).get(who, "user/membership")],
        ]

    def verify(s: Substrate) -> Any:
        """Every transaction of all this is signed, and a leaf of one Merkle log."""
        return s.audit.verify() or "no findings"

    day = "2024-05-15T20:00:00+00:00"
    return (
        Scene("The airline", "2024-05-01T00:00:00+00:00", world),
        Scene("A hundred runs", day, runs),
        Scene("Ask about all of them", day, tools, ("tool", "calls")),
        Scene("Replay them", day, replays),
        Scene("Pairs to learn from", day, pairs, ("task", "equal steps", "what differs", "margin")),
        Scene("A branch for what a run did", day, branches, ("line", "reservations with a status")),
        Scene("What if the tool had failed", day, otherwise,
              ("steps", "changed", "equal before", "derived anew", "reward then")),
        Scene("Correct the past", day, corrected, ("", "membership on May 15")),
        Scene("Verify the log", day, verify),
    )  # fmt: skip


MORE: Final = (
    "trace list",
    "--branch 'as the run left it' q '[:find ?id :where [?r :reservation/status] "
    "[?r :reservation/reservation_id ?id]]'",
    "history '[:user/id \"mia_li_3668\"]' :user/membership",
    "verify",
)
