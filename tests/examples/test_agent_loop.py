"""The agent loop: forks, keeps one, rewinds; on both backends."""

from __future__ import annotations

import agent_loop
import pytest

from persistence import Substrate


def test_the_agent_reaches_the_exit_and_can_tell_how(store_uri: str) -> None:
    said: list[str] = []
    with Substrate.open(store_uri) as s:
        forks = agent_loop.run(s, said.append)
        db = s.fact.db()
        assert db.get(agent_loop.AGENT, "agent/at") == agent_loop.EXIT
        for fork in forks:
            tried = agent_loop.told(s, fork)
            assert [name for name, _, _ in tried] == ["east", "greedy", "south"]
            scores = {name: score for name, score, _ in tried if score != "gave up"}
            (winner,) = [name for name, _, won in tried if won]
            assert scores[winner] == max(scores.values())
        # Nobody has said what only a loser did.
        stood = [text for text in said if text.startswith("I stand at")]
        assert len(stood) == len(forks)
        assert {each.args["text"] for each in s.txn.effects("done")} == set(stood)
        assert s.txn.effects("pending") == []
        assert s.check() == []


def test_the_agent_has_been_lost_and_its_past_is_kept(store_uri: str) -> None:
    said: list[str] = []
    with Substrate.open(store_uri) as s:
        agent_loop.run(s, said.append)
        db = s.fact.db()
        rewound = db.q("[:find [?t ...] :where [_ :agent/rewound-to ?t]]")
        assert rewound and any(text.startswith("a dead end") for text in said)
        path = [db.as_of(t).get(agent_loop.AGENT, "agent/at") for t in range(3, db.basis + 1)]
        for t in rewound:
            assert db.as_of(t).get(agent_loop.AGENT, "agent/at") in path


def test_the_program_prints_what_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert agent_loop.main([]) == 0
    printed = capsys.readouterr().out
    assert "fork 1: " in printed and "*" in printed and "a dead end" in printed
