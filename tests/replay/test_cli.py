"""`persistence replay`: a run shown and run again from a shell, and in somebody's CI."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from persistence import Substrate
from persistence.cli import main
from persistence.cli.replay import replay
from persistence.effects import Run, Terminal

AGENT = """
def buy(run):
    price = run.perform("tool/price", of="tea")
    return [price, run.perform("model/chat", prompt=f"{price}?")]

async def awaits(run):
    price = await run.perform("tool/price", of="tea")
    return [price, await run.perform("model/chat", prompt=f"{price}?")]

def drifted(run):
    price = run.perform("tool/price", of="tea")
    return [price, run.perform("model/chat", prompt=f"Is {price} cheap?")]

number = 3
"""

Shell = Callable[..., Result]


def buy(run: Run) -> None:
    price = run.perform("tool/price", of="tea")
    run.result = [price, run.perform("model/chat", prompt=f"{price}?")]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with one run, beside the module of its agent; gives the id of the run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "agent_of_test", raising=False)
    Path("agent_of_test.py").write_text(AGENT)
    tools = Terminal("t", {"tool/price": lambda of: 9, "model/chat": lambda prompt: "buy"})
    with Substrate.open("shop.db") as s, s.effect.run("buy", [tools], id=UUID(int=7)) as run:
        buy(run)
    return str(run.id)


@pytest.fixture
def shell(recorded: str) -> Shell:
    main.add_command(replay)

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, ["--store", "shop.db", "replay", *words])

    return call


RUN = "00000000-0000"


def test_a_run_is_shown_as_a_table_and_as_json(shell: Shell, recorded: str) -> None:
    lines = shell(RUN).stdout.splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [
        ["0", ":tool/price", "done"],
        ["1", ":model/chat", "done"],
    ]
    found = json.loads(shell(RUN, "--json").stdout)
    assert found["run"] == recorded and found["result"] == [9, "buy"]
    assert found["steps"][1]["args"] == {":prompt": "9?"}


@pytest.mark.parametrize("agent", ["buy", "awaits"])
def test_a_program_that_does_what_was_recorded_passes(shell: Shell, agent: str) -> None:
    ran = shell(RUN, "--agent", f"agent_of_test:{agent}", "--check")
    assert (ran.exit_code, ran.stdout) == (0, "the same: 2 steps, none performed\n")
    found = json.loads(shell(RUN, "--agent", f"agent_of_test:{agent}", "--json").stdout)
    assert found["same"] is True and found["hits"] == 2 and found["divergence"] is None


def test_a_program_that_has_drifted_fails_with_the_first_step_that_differs(shell: Shell) -> None:
    ran = shell(RUN, "--agent", "agent_of_test:drifted", "--check")
    assert ran.exit_code == 1
    assert ran.stdout.startswith("diverged: step 1: the record holds :model/chat")
    assert ':prompt: "9?" became "Is 9 cheap?"' in ran.stdout
    full = shell(RUN, "--agent", "agent_of_test:drifted")
    assert full.exit_code == 1 and "removed" in full.stdout
    told = json.loads(shell(RUN, "--agent", "agent_of_test:drifted", "--json").stdout)
    assert told["divergence"]["place"] == 1 and told["divergence"]["kind"] == "other"


def test_one_thing_is_changed(shell: Shell) -> None:
    change = '{:step [:model/chat 0] :output "wait"}'
    ran = shell(RUN, "--agent", "agent_of_test:buy", "--do", change)
    assert ran.exit_code == 0, ran.output
    assert '"buy" became "wait"' in ran.stdout and ":result 1" in ran.stdout
    assert "1 of 2 steps are the same" in ran.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["00000001"], "no run has an id that begins with"),
        ([RUN, "--check"], "--check needs --agent"),
        ([RUN, "--agent", "agent_of_test:buy", "--check", "--do", "{}"], "--do changes something"),
        ([RUN, "--agent", "agent_of_test:buy", "--do", "{}"], "is no intervention"),
        ([RUN, "--agent", "agent_of_test:buy", "--do", "{:step 9 :observation 1}"], "no step 9"),
        ([RUN, "--agent", "agent_of_test:sell"], "cannot be imported: AttributeError"),
        ([RUN, "--agent", "nowhere:sell"], "cannot be imported: ModuleNotFoundError"),
        ([RUN, "--agent", "agent_of_test:number"], "cannot be called"),
        ([RUN, "--agent", "agent_of_test"], "is no module:name"),
    ],
)
def test_what_cannot_be_replayed_is_told(shell: Shell, words: list[str], message: str) -> None:
    ran = shell(*words)
    assert ran.exit_code == 2 and message in ran.stderr
    assert ran.stderr.startswith("error: ")
