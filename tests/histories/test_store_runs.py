"""The store under threads and processes, some of them killed: its histories are clean.

And they are not when it is asked for less, so that clean means something: the anomalies that
test_store_steps.py plants step by step happen here between threads that meet at a barrier.
`python -m tests.histories` runs the same for as long as one likes.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic_ns

import pytest

from persistence import Substrate
from tests.histories.__main__ import main
from tests.histories.checker import check_append
from tests.histories.finding import names, report
from tests.histories.history import History, load, parse
from tests.histories.microops import Request, execute
from tests.histories.recorder import Recorder
from tests.histories.runner import Plan, run
from tests.histories.runner_cells import ISOLATIONS, Unguarded, cells
from tests.histories.runner_process import heard
from tests.histories.test_store_steps import PLANTED, Planted
from tests.histories.workloads import WORKLOADS

FROZEN = 1_800_000_000_000_000


# ------------------------------------------------------------------------------ clean


@pytest.mark.parametrize("name", WORKLOADS)
def test_threads_are_strictly_serializable(store_uri: str, name: str, tmp_path: Path) -> None:
    plan = Plan(workloads=[name], workers=3, requests=25)
    outcome = run(plan, store_uri, tmp_path)
    assert outcome.clean, outcome.explained
    assert outcome.statuses["ok"] >= 75
    assert load(outcome.judged[name].path) == outcome.judged[name].history


@pytest.mark.parametrize(
    "plan",
    [
        Plan(requests=6, way="commute"),
        Plan(requests=6, way="set"),
        Plan(requests=6, reads="queries"),
        Plan(requests=6, frozen=FROZEN),
    ],
    ids=["commute", "set", "queries", "frozen clock"],
)
def test_every_way_to_change_a_value_is_strictly_serializable(
    store_uri: str, plan: Plan, tmp_path: Path
) -> None:
    outcome = run(plan, store_uri, tmp_path)
    assert outcome.clean, outcome.explained
    assert outcome.statuses["ok"] >= plan.workers * plan.total


def test_processes_are_strictly_serializable(store_uri: str, tmp_path: Path) -> None:
    plan = Plan(workers=3, requests=8)
    outcome = run(plan, store_uri, tmp_path, processes=True)
    assert outcome.clean, outcome.explained
    assert outcome.statuses["ok"] >= 3 * plan.total
    assert not outcome.kills


def test_processes_that_are_killed_leave_it_strictly_serializable(
    store_uri: str, tmp_path: Path
) -> None:
    plan = Plan(workers=3, requests=6, way="mixed", kills=3)
    outcome = run(plan, store_uri, tmp_path, processes=True)
    assert outcome.clean, outcome.explained
    assert outcome.kills == 3
    assert outcome.statuses["info"] <= 3  # a process may also die between two requests
    assert outcome.statuses["ok"] + outcome.statuses["info"] >= 3 * plan.total


# ------------------------------------------------------------------------------ planted

AT_ONCE = [name for name, planted in PLANTED.items() if planted.steps is None]


def met(s: Substrate, planted: Planted, isolation: str) -> History:
    """The history of *planted* by threads. The first attempts of their first requests have all
    read when the first of them commits."""
    recorder = Recorder(monotonic_ns)
    everybody_has_read = threading.Barrier(len(planted.scripts), timeout=60)

    def ask(process: int, request: Request, *, isolation: str, meet: bool) -> None:
        attempts = iter((meet,))

        def read(own) -> tuple:
            done = execute(request.mops, own)
            if next(attempts, False):
                everybody_has_read.wait()
            return done

        recorder.record(process, "invoke", request.f, request.mops)
        if isolation == "read-committed":
            client = Unguarded(s)
            done = read(client)
            client.commit()
        else:
            done = s.txn.run(lambda tx: read(cells(tx)), isolation=isolation)
        recorder.record(process, "ok", request.f, done)

    def work(process: int) -> None:
        for number, request in enumerate(planted.scripts[process]):
            ask(process, request, isolation=isolation, meet=not number)

    for request in planted.setup:
        ask(-1, request, isolation="serializable", meet=False)
    with ThreadPoolExecutor(len(planted.scripts)) as pool:
        list(pool.map(work, range(len(planted.scripts))))
    for request in planted.final:
        ask(-1, request, isolation="serializable", meet=False)
    return recorder.history()


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", AT_ONCE)
def test_an_anomaly_between_threads_shows_where_it_is_permitted(
    store_uri: str, name: str, isolation: str
) -> None:
    planted = PLANTED[name]
    with Substrate.open(store_uri) as s:
        history = met(s, planted, isolation)
    findings = planted.check(history)
    expected, found = planted.expected(isolation), names(findings)
    # What follows from an anomaly depends on who commits first.
    assert bool(found) == bool(expected) == bool(found & expected), report(history, findings)


def test_a_stale_read_is_caught_by_real_time(store_uri: str) -> None:
    recorder = Recorder(monotonic_ns)
    append, read = Request("txn", [("append", "x", 1)]), Request("txn", [("r", "x", None)])
    with Substrate.open(store_uri) as s:
        stale = s.fact.db()
        recorder.record(0, "invoke", "txn", append.mops)
        done = s.txn.run(lambda tx: execute(append.mops, cells(tx)))
        recorder.record(0, "ok", "txn", done)
        for process, db in enumerate((s.fact.db(), stale), 1):
            recorder.record(process, "invoke", "txn", read.mops)
            seen = db.get(1_000_000, "cell/x")
            recorder.record(process, "ok", "txn", [("r", "x", seen)])
    history = recorder.history()
    assert names(check_append(history)) == {"G-single-realtime"}
    assert check_append(history, orders=("process",)) == ()


# ------------------------------------------------------------------------------ runner


def test_a_run_without_isolation_says_what_it_found_and_where(tmp_path: Path) -> None:
    """Not forced, so only the form of the report is looked at."""
    plan = Plan(workloads=["counter"], workers=2, requests=5, isolation="read-committed")
    outcome = run(plan, str(tmp_path / "store.db"), tmp_path)
    assert "isolation='read-committed'" in outcome.explained
    for finding in outcome.judged["counter"].findings:
        assert str(finding) in outcome.explained
        assert str(tmp_path) in outcome.explained


def test_threads_cannot_be_killed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only processes"):
        run(Plan(kills=1), str(tmp_path / "store.db"), tmp_path)


def test_every_life_of_a_worker_asks_for_the_same() -> None:
    plan = Plan(requests=3)
    assert list(plan.requests_of(1)) == list(plan.requests_of(1))
    assert len(list(plan.requests_of(1))) == plan.total
    assert list(plan.requests_of(1)) != list(plan.requests_of(2))


def test_what_a_process_told_is_a_history_for_each_workload() -> None:
    told = [
        "bank {:process 0 :type :invoke :f :read :value [[:r 1 nil]]}\n",
        "set {:process 0 :type :invoke :f :add :value [[:conj 1 2]]}\n",
        "bank {:process 0 :type :ok :f :read :value [[:r 1 3]]}\n",
    ]
    assert {name: len(ops) for name, ops in heard(told).items()} == {"bank": 2, "set": 1}
    assert heard(told)["bank"] == list(parse("".join(told[i][5:] for i in (0, 2))).ops)


def test_the_command_runs_a_workload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--workload", "set", "--threads", "2", "--ops", "10", "--seed", "7"]
    assert main([*words, "--directory", str(tmp_path), "--json"]) == 0
    assert '"findings": []' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--kills", "1"])
    assert "--processes" in capsys.readouterr().err
