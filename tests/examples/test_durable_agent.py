"""The agent that is killed in the middle of an order, and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import durable_agent
import pytest

from persistence import Substrate


def test_what_was_cut_off_goes_on_and_the_shop_sells_once(tmp_path: Path) -> None:
    store = tmp_path / "tea.db"
    program = [sys.executable, durable_agent.__file__, "--store", str(store), "--dies"]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL
    with Substrate.open(store) as s:
        assert [step.op.name for step in s.effect.trace(durable_agent.ID)] == [
            "model/chat",
            "shop/offers",
            "model/chat",
        ]
    run = durable_agent.buy(store)
    assert run.result == "sencha is on its way"
    [order] = json.loads(store.with_suffix(".json").read_text()).values()
    assert order == {"what": "sencha", "pieces": 2, "asked": 2}
    with Substrate.open(store) as s:
        assert s.fact.db().q("[:find [?tea ...] :where [_ :order/tea ?tea]]") == ["sencha"]
        assert s.replay.run(durable_agent.ID, durable_agent.agent).same


def test_the_program_tells_its_story(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert durable_agent.main([]) == 0
    told = capfd.readouterr().out
    assert "the first process ended with -9" in told
    assert "the shop was asked for sencha 2 times, by one key" in told
    assert told.endswith("replayed, it is the same: True\n")
    (there := tmp_path / "there.db").touch()
    with pytest.raises(SystemExit):
        durable_agent.main(["--store", str(there)])
    assert "is there already" in capfd.readouterr().err
