"""`trace`: conversations in, a list, a run, and out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from atif import Trajectory

from .conftest import Run

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}}
GOOD: list[dict[str, Any]] = [
    {"role": "user", "content": "1 + 0?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "1"},
    {"role": "assistant", "content": "It is 1."},
]
BAD = [*GOOD[:3], {"role": "assistant", "content": "It is \x1b[31m2."}]


@pytest.fixture
def ids(run: Run) -> list[str]:
    """The runs of a store with a good and a bad one."""
    lines = [{"messages": GOOD, "reward": 1.0}, {"messages": BAD}]
    Path("runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found: list[str] = run("trace", "import", "runs.jsonl", "--json", "--author", "ada").json[
        "runs"
    ]
    return found


def test_an_import_tells_what_it_brought(run: Run, ids: list[str]) -> None:
    assert len(ids) == 2
    again = run("trace", "import", "runs.jsonl")
    assert again.out == "runs.jsonl: 0 runs, 0 steps\n  2 were imported before\n"
    assert run("log", "--json").json[0]["author"] == "ada"


def test_runs_are_listed(run: Run, ids: list[str]) -> None:
    found = run("trace", "list", "--json").json
    assert {one["id"] for one in found} == set(ids)
    assert {(one["name"], one["status"]) for one in found} == {("chat", "done")}
    table = run("trace", "list")
    assert all(id in table.out for id in ids) and table.err == "2 runs\n"


def test_a_run_is_shown_step_by_step_and_steers_no_terminal(run: Run, ids: list[str]) -> None:
    found = run("trace", "show", ids[0], "--json").json
    assert [step["op"] for step in found["steps"]][1:4] == [
        "user/message",
        "model/chat",
        "tool/add",
    ]
    assert found["steps"][3]["args"] == {"x": 1} and found["steps"][3]["result"] == "1"
    assert found["meta"][":chat/fields"] == {"reward": 1.0}
    table = run("trace", "show", ids[1][:8])
    assert ":tool/add" in table.out and "\x1b" not in table.out


def test_a_run_goes_out_as_it_came_in(run: Run, ids: list[str]) -> None:
    assert run("trace", "export", ids[0]).json == {"messages": GOOD, "reward": 1.0}
    told = run("trace", "export", ids[0], "--format", "atif", "--out", "run.json")
    assert (told.out, told.err) == ("", "wrote run.json\n")
    Trajectory.model_validate_json(Path("run.json").read_text())
    taken = run("--branch", "main", "trace", "import", "run.json", "--format", "atif")
    assert taken.out.endswith("1 was imported before\n")


def test_two_runs_go_out_as_a_pair(run: Run, ids: list[str]) -> None:
    line = run("trace", "export", ids[0], "--format", "preferences", "--rejected", ids[1]).json
    assert line == {
        "prompt": GOOD[:3],
        "chosen": GOOD[3:],
        "rejected": BAD[3:],
        "tools": [],
    }


def test_misuse_is_told(run: Run, ids: list[str]) -> None:
    for words, said in (
        (("export", ids[0], "--format", "preferences"), "--rejected"),
        (("export", ids[0], "--rejected", ids[1]), "--rejected"),
        (("export", ids[0], "--out", "no/such/run.json"), "cannot be written"),
        (("show", "seven"), "no run has an id that begins with 'seven'"),
        (("show", ""), "2 runs have ids that begin with ''"),
        (("import", "no.jsonl"), "No such file"),
    ):
        told = run("trace", *words)
        assert told.code == 2 and said in told.err and not told.out
