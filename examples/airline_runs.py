"""A hundred runs of an airline agent, beside the world that they acted on.

    python examples/airline_runs.py --data DIR [--store URI]

DIR holds the airline of τ-bench, `trajectories.jsonl` too. The world becomes bitemporal facts
(airline_world.py), each run a trace: every question to the model and every call of a tool is a
step that can be asked for. What a run wrote is written again, on a branch of its own that begins
at the world as the agent knew it. So a hundred outcomes lie side by side, and each can be held
against the line it came from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import attrs
from airline_world import FILES, SNAPSHOT, load, step
from airline_writes import WRITES, forms
from rich.console import Console

from persistence import Db, FrozenClock, Keyword, PersistenceError, Substrate
from persistence.effects import Step, Trace
from persistence.formats import Imported, Preference, import_chats
from persistence.formats.calls import tool_name
from persistence.replay import preferences
from persistence.substrate import OnBranch
from persistence.values import micros

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "tau-airline"
RUNS = "trajectories.jsonl"
NAME = "airline"

CALLS = """
    [:find ?run ?n ?op ?args ?result
     :where
     [?s :step/run ?r] [?r :run/id ?run] [?r :run/name "airline"]
     [?s :step/n ?n] [?s :step/op ?op] [?s :step/args ?args] [?s :step/result ?result]]
"""


@attrs.frozen
class Task:
    """Which task a run was about, which try it was, and whether it succeeded."""

    task: int
    trial: int
    reward: float

    @classmethod
    def of(cls, trace: Trace) -> Task:
        told = trace.meta[Keyword("chat/fields")]
        return cls(told["task_id"], told["trial"], told["reward"])

    @property
    def branch(self) -> str:
        """The name of the branch that has what the run wrote."""
        return f"task-{self.task}-trial-{self.trial}"


# ----------------------------------------------------------------------------- the runs


def load_runs(s: Substrate, data: Path) -> Imported:
    """Imports the runs as traces; those that are there are left alone."""
    return import_chats(s, data / RUNS, name=NAME)


def traces(s: Substrate) -> list[Trace]:
    """The runs, by task and trial."""
    ids = [info.id for info in s.effect.runs() if info.name == NAME]
    found = [s.effect.trace(id) for id in ids]
    return sorted(found, key=lambda trace: (Task.of(trace).task, Task.of(trace).trial))


def tool_calls(db: Db) -> list[tuple[Any, ...]]:
    """Every call of a tool: run, number of the step, name of the tool, arguments, result."""
    found = ((run, n, tool_name(op), args, result) for run, n, op, args, result in db.q(CALLS))
    return sorted(
        (row for row in found if row[2] is not None), key=lambda row: (str(row[0]), row[1])
    )


def pairs(found: list[Trace]) -> list[Preference]:
    """A pair for each task that succeeded once and failed once.

    The user of τ-bench is a model too and words its requests anew each time, so the runs of a task
    part at what the user says: a pair is two ways in which the conversation went on.
    """
    made: list[Preference] = []
    for task in sorted({Task.of(trace).task for trace in found}):
        tries = [trace for trace in found if Task.of(trace).task == task]
        made += preferences(
            tries,
            score=lambda trace: Task.of(trace).reward,
            margin=1.0,
            outputs=["model/*", "user/*"],
        )
    return made


# ------------------------------------------------------------------------ what they wrote


def writes(trace: Trace) -> list[Step]:
    """The steps of *trace* that changed the world: calls of tools in `WRITES` that went well."""
    return [
        each
        for each in trace
        if tool_name(each.op) in WRITES and not str(each.result).startswith("Error")
    ]


def write_again(s: Substrate, trace: Trace) -> OnBranch:
    """Begins the branch of *trace* at the world as the agent knew it, and writes what it wrote.

    What it changed holds from the moment of the run on; until then, what was before.
    """
    line = s.branch.create(
        Task.of(trace).branch, of=s.fact.db().as_of(step(s.fact.db(), "snapshot"))
    )
    for each in writes(trace):
        line.fact.transact(
            list(forms(line.fact.db().valid_at(SNAPSHOT), each)),
            valid_from=SNAPSHOT,
            meta={"airline/run": trace.id, "airline/call": each.n},
        )
    return line


# ---------------------------------------------------------------------------- the program


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 when there is nothing to work on."""
    given = parser().parse_args(arguments)
    missing = [name for name in (*FILES, RUNS) if not (given.data / name).is_file()]
    if missing:
        print(f"error: {given.data} lacks {', '.join(missing)}", file=sys.stderr)
        print("hint: name the directory with τ-bench's airline: --data DIR", file=sys.stderr)
        return 2
    clock = FrozenClock(micros(SNAPSHOT))
    try:
        with Substrate.open(given.store, clock=clock) as s:
            report(s, given.data, clock, Console(highlight=False))
    except PersistenceError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="The runs of the airline agent of τ-bench.")
    made.add_argument("--data", type=Path, default=BESIDE, help="where the JSON files are")
    made.add_argument("--store", default=":memory:", help="a path, or postgresql://…")
    return made


def report(s: Substrate, data: Path, clock: FrozenClock, console: Console) -> None:
    for part in load(s, data, clock):
        console.print(f"{part.what:<14}{part.rows:>6} rows {part.seconds:>8.2f} s")
    done = load_runs(s, data)
    console.print(f"{'runs':<14}{len(done.ids):>6} runs {done.seconds:>8.2f} s")
    found = traces(s)
    console.print(f"{'tool calls':<14}{len(tool_calls(s.fact.db())):>6}\n")
    there = {line.name for line in s.branch.list()}
    for trace in found:
        task, wrote = Task.of(trace), writes(trace)
        if wrote and task.branch not in there:
            write_again(s, trace)
        if wrote:
            outcome = "succeeded" if task.reward else "failed"
            names = ", ".join(each.op.local for each in wrote)
            console.print(f"{task.branch:<20}{outcome:<12}{names}", soft_wrap=True)
    console.print(f"\n{len(pairs(found))} tasks succeeded once and failed once")


if __name__ == "__main__":
    sys.exit(main())
