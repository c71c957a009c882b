"""The hundred runs of the airline agent: as traces, as facts, and what they wrote, on branches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airline_runs
import airline_world
import airline_writes
import pytest
from airline_runs import Task
from atif import Trajectory

from bench import fidelity
from persistence import Db, FrozenClock, Keyword, Substrate
from persistence.effects import Trace
from persistence.formats import (
    atif_document,
    atif_trace,
    chat_agent,
    chat_line,
    chat_messages,
    read_chats,
    write_preferences,
)
from persistence.replay import replay
from persistence.values import freeze, from_micros, micros

DAY_BEFORE = airline_world.SNAPSHOT - airline_world.DAY


@pytest.fixture(scope="module")
def data(shared_dir: Path) -> Path:
    place = shared_dir / "data" / "tau-airline"
    names = (*airline_world.FILES, airline_runs.RUNS)
    missing = [name for name in names if not (place / name).is_file()]
    if missing:
        pytest.skip(f"{place} lacks {', '.join(missing)}: the airline files of τ-bench")
    return place


@pytest.fixture(scope="module")
def lines(data: Path) -> list[dict[str, Any]]:
    """The file as it is, in the order of tasks and trials."""
    text = (data / airline_runs.RUNS).read_text()
    found = [json.loads(line) for line in text.splitlines()]
    return sorted(found, key=lambda line: (line["task_id"], line["trial"]))


@pytest.fixture(scope="module")
def s(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Substrate]:
    """A store with the world, the runs, and the branches of what they wrote."""
    clock = FrozenClock(micros(airline_world.SNAPSHOT))
    place = tmp_path_factory.mktemp("runs") / "airline.db"
    with Substrate.open(place, clock=clock) as substrate:
        for _ in airline_world.load(substrate, data, clock):
            pass
        done = airline_runs.load_runs(substrate, data)
        assert (len(done.ids), done.known) == (100, 0)
        for trace in airline_runs.traces(substrate):
            if airline_runs.writes(trace):
                airline_runs.write_again(substrate, trace)
        yield substrate


@pytest.fixture(scope="module")
def traces(s: Substrate) -> list[Trace]:
    return airline_runs.traces(s)


# ------------------------------------------------------------------------------ as traces


def test_every_run_is_a_trace_from_which_the_file_can_be_written_again(
    traces: list[Trace], lines: list[Any]
) -> None:
    assert [chat_line(trace) for trace in traces] == lines


def test_a_replay_of_each_without_a_change_is_byte_identical(traces: list[Trace]) -> None:
    for trace in traces:
        again = replay(trace, chat_agent)
        assert again.trace.encoded == trace.encoded and again.same


def test_every_call_of_a_tool_is_found_by_query_with_its_result(
    s: Substrate, traces: list[Trace], lines: list[Any]
) -> None:
    told = []
    for trace, line in zip(traces, lines, strict=True):
        for n, message in enumerate(line["traj"]):
            for call in message.get("tool_calls") or ():
                name, arguments = call["function"]["name"], call["function"]["arguments"]
                args = {Keyword(key): value for key, value in json.loads(arguments).items()}
                told.append((trace.id, name, freeze(args), line["traj"][n + 1]["content"]))
    found = airline_runs.tool_calls(s.fact.db())
    by_run = {trace.id: place for place, trace in enumerate(traces)}
    found.sort(key=lambda row: (by_run[row[0]], row[1]))
    assert [(run, name, args, result) for run, _, name, args, result in found] == told
    assert len(found) == 572


def test_importing_again_brings_nothing(s: Substrate, data: Path) -> None:
    basis = s.fact.db().basis
    done = airline_runs.load_runs(s, data)
    assert (done.ids, done.known, s.fact.db().basis) == ((), 100, basis)


def test_each_is_a_valid_trajectory_and_comes_back(traces: list[Trace]) -> None:
    for trace in traces:
        document = json.loads(json.dumps(atif_document(trace)))
        Trajectory.model_validate(document)
        assert atif_trace(document).encoded == trace.encoded


# ------------------------------------------------------------------------------- as pairs


def test_the_tasks_with_a_success_and_a_failure_are_pairs_with_a_shared_prefix(
    traces: list[Trace], tmp_path: Path
) -> None:
    tasks = {}
    for trace in traces:
        tasks.setdefault(Task.of(trace).task, []).append(Task.of(trace).reward)
    mixed = [task for task, rewards in tasks.items() if sorted(rewards) == [0.0, 1.0]]
    pairs = airline_runs.pairs(traces)
    assert [Task.of(pair.chosen).task for pair in pairs] == mixed and len(mixed) == 19
    for pair in pairs:
        assert Task.of(pair.chosen).reward == 1.0 and Task.of(pair.rejected).reward == 0.0
        ids = [step.id for step in pair.prefix]
        assert ids and len(ids) == pair.at
        for side in (pair.chosen, pair.rejected):
            assert [step.id for step in side.steps[: pair.at]] == ids
        assert pair.chosen.steps[pair.at].id != pair.rejected.steps[pair.at].id
    assert write_preferences(pairs, tmp_path / "pairs.jsonl") == 19
    policy = chat_messages(traces[0])[0]
    for text, pair in zip((tmp_path / "pairs.jsonl").read_text().splitlines(), pairs, strict=True):
        line = json.loads(text)
        assert line["prompt"][0] == policy
        for name, side in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            assert line["prompt"] + line[name] == chat_line(side)["traj"]


# ------------------------------------------------------------------------ counterfactuals


def test_one_observation_told_otherwise_changes_nothing_before_it_and_all_after_it(
    traces: list[Trace],
) -> None:
    found = fidelity.measure(traces)
    assert found.runs == 100
    assert found.share == 1.0 and found.steps > 1_000


# -------------------------------------------------------------------------- what they wrote


def as_told(db: Db, id: str) -> dict[str, Any]:
    """A reservation in the words of the tools."""
    found = db.pull(
        "[* {:reservation/user [:user/id]}"
        " {:reservation/segments [* {:segment/flight [:flight/number]}]}"
        " {:reservation/payments [* {:payment/method [:method/id]}]}"
        " {:reservation/passengers [*]}]",
        ["reservation/id", id],
    )
    told = {key.local: value for key, value in found.items()}
    made = {
        key: told[attribute.removeprefix("reservation/")]
        for key, attribute in airline_writes.PLAIN.items()
        if attribute.removeprefix("reservation/") in told
    }
    flights = [
        {
            "flight_number": one[Keyword("segment/flight")][Keyword("flight/number")],
            "origin": one[Keyword("segment/origin")],
            "destination": one[Keyword("segment/destination")],
            "date": one[Keyword("segment/date")].astimezone(airline_world.EST).date().isoformat(),
            "price": one[Keyword("segment/price")],
        }
        for one in told.get("segments", ())
    ]
    payments = [
        {
            "payment_id": one[Keyword("payment/method")][Keyword("method/id")],
            "amount": one[Keyword("payment/amount")],
        }
        for one in told.get("payments", ())
    ]
    passengers = [
        {
            "first_name": one[Keyword("person/first-name")],
            "last_name": one[Keyword("person/last-name")],
            "dob": one[Keyword("person/dob")],
        }
        for one in told.get("passengers", ())
    ]
    return made | {
        "reservation_id": id,
        "user_id": told["user"][Keyword("user/id")],
        "flights": flights,
        "payment_history": payments,
        "passengers": passengers,
    }


def unordered(told: dict[str, Any]) -> dict[str, Any]:
    return {
        key: sorted(value, key=json.dumps) if isinstance(value, list) else value
        for key, value in json.loads(json.dumps(told, sort_keys=True)).items()
        if key != "created_at"
    }


def last_writes(trace: Trace) -> dict[str, dict[str, Any]]:
    """What the tools said of each reservation that the run wrote, the last time they did."""
    found = {}
    for step in airline_runs.writes(trace):
        if step.op.local != "send_certificate":
            told = json.loads(step.result)
            found[told["reservation_id"]] = told
    return found


def test_the_branch_of_a_run_has_what_the_run_wrote(s: Substrate, traces: list[Trace]) -> None:
    seen = 0
    for trace in traces:
        if not airline_runs.writes(trace):
            continue
        db = s.branch.open(Task.of(trace).branch).fact.db().valid_at(airline_world.SNAPSHOT)
        for id, told in last_writes(trace).items():
            assert unordered(as_told(db, id)) == unordered(told)
            seen += 1
    assert seen > 60


def test_nothing_of_it_is_on_the_main_line_or_in_the_past(
    s: Substrate, traces: list[Trace], data: Path
) -> None:
    rows = json.loads((data / "reservations.json").read_text())
    main = s.fact.db().valid_at(airline_world.SNAPSHOT)
    for trace in traces:
        for id in last_writes(trace):
            if id not in rows:
                assert main.entid(["reservation/id", id]) is None
                continue
            assert unordered(as_told(main, id)) == unordered(rows[id])
            if rows[id]["created_at"] < "2024-05-14":
                line = s.branch.open(Task.of(trace).branch).fact.db().valid_at(DAY_BEFORE)
                assert unordered(as_told(line, id)) == unordered(rows[id])


def test_what_was_paid_with_is_less_or_used_up(s: Substrate, traces: list[Trace]) -> None:
    (trace,) = (t for t in traces if Task.of(t).branch == "task-0-trial-0")
    (booked,) = airline_runs.writes(trace)
    line = s.branch.open("task-0-trial-0").fact.db().valid_at(airline_world.SNAPSHOT)
    main = s.fact.db().valid_at(airline_world.SNAPSHOT)
    methods = (
        "[:find [?id ...] :in $ ?user :where [?u :user/id ?user] [?u :user/methods ?m]"
        " [?m :method/id ?id]]"
    )
    gone = set(main.q(methods, "mia_li_3668")) - set(line.q(methods, "mia_li_3668"))
    paid = json.loads(booked.result)["payment_history"]
    assert gone == {p["payment_id"] for p in paid if p["payment_id"].startswith("certificate")}
    (sent,) = (t for t in traces if Task.of(t).branch == "task-45-trial-0")
    line = s.branch.open("task-45-trial-0").fact.db().valid_at(airline_world.SNAPSHOT)
    assert len(airline_runs.writes(sent)) == 1
    assert "certificate_3221322" in line.q(methods, "noah_muller_9847")


def test_every_write_says_which_call_of_which_run_it_was(s: Substrate, traces: list[Trace]) -> None:
    for trace in traces[:20]:
        wrote = airline_runs.writes(trace)
        if wrote:
            said = [
                (tx.meta[Keyword("airline/run")], tx.meta[Keyword("airline/call")])
                for tx in s.branch.open(Task.of(trace).branch).fact.transactions()
                if Keyword("airline/run") in tx.meta
            ]
            assert said == [(trace.id, step.n) for step in wrote]


def test_the_agent_did_not_know_what_was_corrected_later(s: Substrate, traces: list[Trace]) -> None:
    correction = airline_world.CORRECTION
    noon = airline_world.midnight(correction.first) + airline_world.DAY / 2
    status = "[:find ?s . :in $ ?n :where [?f :flight/number ?n] [?f :flight/status ?s]]"
    line = s.branch.open(Task.of(traces[0]).branch).fact.db().valid_at(noon)
    assert s.fact.db().valid_at(noon).q(status, correction.flight) == correction.status
    assert line.q(status, correction.flight) != correction.status
    assert from_micros(traces[0].started) >= airline_world.SNAPSHOT


def test_the_store_is_sound(s: Substrate) -> None:
    assert s.check() == []


def test_the_program_tells_what_it_did(
    s: Substrate, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert airline_runs.main(["--data", str(data), "--store", s.uri]) == 0
    printed = capsys.readouterr().out
    assert "task-0-trial-0" in printed and "19 tasks succeeded once and failed once" in printed


def test_without_the_files_the_program_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert airline_runs.main(["--data", str(tmp_path)]) == 2
    assert "trajectories.jsonl" in capsys.readouterr().err


def test_the_file_can_be_read_without_a_store(data: Path) -> None:
    assert sum(len(trace) for trace in read_chats(data / airline_runs.RUNS)) > 3_000
